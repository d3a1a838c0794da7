from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skerry.templates.errors import TemplateError
from skerry.templates.plan import Plan, PlannedResource

Load = Callable[..., Plan]
GROUP = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg1"


def thing(name: str, depends_on: Any = None, **more: Any) -> dict[str, Any]:
    return {"type": "My.Test/things", "name": name, "apiVersion": "2024-01-01", "dependsOn": depends_on, **more}


def child(name: str, depends_on: Any = None) -> dict[str, Any]:
    return thing(name, depends_on, type="My.Test/things/parts")


def waits(plan: Plan) -> dict[str, set[str]]:
    """name → names it waits for."""
    by_id = {item.id.lower(): item.name for item in plan.resources}
    return {item.name: {by_id[key] for key in item.depends_on} for item in plan.resources}


def order(plan: Plan) -> list[str]:
    return [item.name for item in plan.resources]


@pytest.mark.parametrize(
    "form",
    [
        "a/p",
        "A/P",
        "My.Test/things/a/parts/p",
        "my.test/THINGS/A/Parts/P",
        "My.Test/things/parts/a/p",
        f"{GROUP}/providers/My.Test/things/a/parts/p",
        f"{GROUP.upper()}/PROVIDERS/My.Test/things/a/parts/p",
        "[resourceId('My.Test/things/parts', 'a', 'p')]",
        "[concat('My.Test/things/', 'a', '/parts/', 'p')]",
    ],
)
def test_a_dependency_may_be_written_in_many_ways(load: Load, form: str) -> None:
    plan = load(resources=[thing("b", [form]), child("a/p"), thing("a")])
    assert waits(plan) == {"b": {"a/p"}, "a/p": set(), "a": set()}
    assert order(plan) == ["a/p", "b", "a"]


def test_a_loops_name_means_all_its_resources(load: Load) -> None:
    loop = thing("[concat('l', copyIndex())]", copy={"name": "Loop", "count": 3})
    assert waits(load(resources=[thing("b", ["loop"]), loop]))["b"] == {"l0", "l1", "l2"}


def test_a_name_may_mean_several_types(load: Load) -> None:
    plan = load(resources=[thing("b", ["a"]), thing("a"), thing("a", type="My.Test/others")])
    assert len(plan.resources[-1].depends_on) == 2


def test_dependencies_may_be_one_expression(load: Load) -> None:
    plan = load(resources=[thing("b", "[variables('v')]"), thing("a")], variables={"v": ["a"]})
    assert waits(plan)["b"] == {"a"}


def test_an_empty_dependency_of_a_condition_is_ignored(load: Load) -> None:
    plan = load(resources=[thing("b", ["[if(false(), 'a', '')]", "[null()]"])])
    assert waits(plan) == {"b": set()}


@pytest.mark.parametrize(
    ("depends_on", "problem", "target"),
    [
        (["c"], "The resource 'c' is not defined in the template", "resources[0].dependsOn[0]"),
        ([1], "is a value of type 'Integer'", "resources[0].dependsOn"),
        ("b", "is not an array", "resources[0].dependsOn"),
        ({"a": 1}, "is not an array", "resources[0].dependsOn"),
    ],
)
def test_a_dependency_on_nothing_is_refused(load: Load, depends_on: Any, problem: str, target: str) -> None:
    with pytest.raises(TemplateError) as caught:
        load(resources=[thing("b", depends_on)])
    assert problem in caught.value.message
    assert caught.value.target == target


def test_serial_loops_wait_for_the_batch_before(load: Load) -> None:
    loop = thing("[concat('l', copyIndex())]", copy={"name": "l", "count": 5, "mode": "Serial", "batchSize": 2})
    plan = load(resources=[loop])
    assert waits(plan) == {"l0": set(), "l1": set(), "l2": {"l0", "l1"}, "l3": {"l0", "l1"}, "l4": {"l2", "l3"}}


def test_a_serial_loop_without_a_size_goes_one_by_one(load: Load) -> None:
    loop = thing("[concat('l', copyIndex())]", copy={"name": "l", "count": "[add(1, 2)]", "mode": "serial"})
    assert waits(load(resources=[loop])) == {"l0": set(), "l1": {"l0"}, "l2": {"l1"}}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("[reference('a').x]", {"a"}),
        ("[reference(resourceId('My.Test/things', 'a')).x]", {"a"}),
        ("[concat('x', reference('a').x, reference('c').y)]", {"a", "c"}),
        ("[resourceId('My.Test/things', 'a')]", set()),
        ("[if(equals(1, 1), 'x', reference('a').x)]", set()),
        ("[if(equals(1, 2), 'x', reference('a').x)]", {"a"}),
        ("[if(reference('c').x, 'x', reference('a').x)]", {"a", "c"}),
        ("[reference(reference('c').id, '2024-01-01')]", {"c"}),
        ("[variables('v')[reference('a').n]]", {"a"}),
        ("reference('a')", set()),
        ("[reference('/subscriptions/x', '2024-01-01')]", set()),
    ],
)
def test_reference_in_properties_is_a_dependency(load: Load, expression: str, expected: set[str]) -> None:
    resources = [thing("b", properties={"deep": [{"p": expression}]}), thing("a"), thing("c")]
    assert waits(load(resources=resources, variables={"v": [1]}))["b"] == expected


def test_reference_in_loops_is_a_dependency_on_its_own_turn(load: Load) -> None:
    loop = {"name": "l", "count": 2}
    first = thing("[concat('a', copyIndex())]", copy=loop)
    properties = {"copy": [{"name": "x", "count": 2, "input": "[reference(concat('c', copyIndex('x'))).y]"}]}
    second = thing(
        "[concat('b', copyIndex())]",
        copy=loop | {"name": "m"},
        properties=properties | {"p": "[reference(concat('a', copyIndex('m'))).y]"},
    )
    plan = load(resources=[second, first, thing("c0"), thing("c1")])
    assert waits(plan)["b1"] == {"a1", "c0", "c1"}


def test_a_circle_is_named(load: Load) -> None:
    with pytest.raises(TemplateError) as caught:
        load(resources=[thing("x", ["a"]), thing("a", ["b"]), thing("b", properties={"p": "[reference('a').x]"})])
    assert caught.value.code == "InvalidTemplate"
    assert f"Circular dependency detected on resource: '{GROUP}/providers/My.Test/things/a'" in caught.value.message
    assert "My.Test/things/a → My.Test/things/b → My.Test/things/a" in caught.value.message


def test_a_resource_cannot_wait_for_itself(load: Load) -> None:
    with pytest.raises(TemplateError, match=r"things/a → My\.Test/things/a"):
        load(resources=[thing("a", ["a"])])


def test_the_order_is_the_one_written_where_nothing_else_is_asked(load: Load) -> None:
    resources = [thing("d", ["b"]), thing("c"), thing("b"), thing("a")]
    assert order(load(resources=resources)) == ["c", "b", "d", "a"]


def test_eight_hundred_that_each_wait_for_eight_hundred(load: Load) -> None:
    loop = {"name": "l", "count": 400}
    first = thing("[concat('a', copyIndex())]", copy=loop)
    second = thing("[concat('b', copyIndex())]", ["l"], copy=loop | {"name": "m"})
    plan = load(resources=[second, first])
    assert order(plan)[:400] == [f"a{index}" for index in range(400)]
    assert len(plan.resources[-1].depends_on) == 400


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=25))
def test_any_graph_is_ordered_or_has_a_circle(load: Load, edges: list[tuple[int, int]]) -> None:
    before = {node: sorted({left for left, right in edges if right == node}) for node in range(10)}
    resources = [thing(f"n{node}", [f"n{other}" for other in before[node]]) for node in range(10)]
    try:
        ordered: tuple[PlannedResource, ...] = load(resources=resources).resources
    except TemplateError as error:
        assert "Circular dependency" in error.message
        assert _circular(before)
        return
    place = {item.name: index for index, item in enumerate(ordered)}
    assert all(place[f"n{left}"] < place[f"n{right}"] for left, right in edges)


def _circular(before: dict[int, list[int]]) -> bool:
    """Whether removing what waits for nothing, again and again, leaves something."""
    left = dict(before)
    while free := [node for node, earlier in left.items() if not any(other in left for other in earlier)]:
        for node in free:
            del left[node]
    return bool(left)


SYMBOLIC = {"languageVersion": "2.0"}


def test_symbolic_names(load: Load) -> None:
    plan = load(
        resources={
            "second": thing("b", ["First"], properties={"p": "[reference('loop[1]').x]"}),
            "first": thing("a", ["old"]),
            "loop": thing("[concat('l', copyIndex())]", copy={"name": "l", "count": 2}),
            "old": thing("o", existing=True),
            "third": thing("c", ["loop", "loop[0]"], properties={"p": "[reference('old').x]"}),
        },
        **SYMBOLIC,
    )
    assert waits(plan) == {"a": set(), "b": {"a", "l1"}, "c": {"l0", "l1"}, "l0": set(), "l1": set()}


def test_an_existing_resource_is_not_deployed_but_can_be_referred_to(load: Load) -> None:
    plan = load(
        resources={
            "old": thing("o", existing=True, resourceGroup="other"),
            "new": thing("n", properties={"p": "[reference('old', '2020-01-01', 'full')]"}),
        },
        **SYMBOLIC,
    )
    assert order(plan) == ["n"]
    seen = plan.resources[0].body(lambda *arguments: list(arguments))["properties"]["p"]
    assert seen == [f"{GROUP[:-3]}other/providers/My.Test/things/o", "2020-01-01", True]
