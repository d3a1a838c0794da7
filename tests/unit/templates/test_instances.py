from collections.abc import Callable
from typing import Any

import pytest

from skerry.templates.errors import TemplateError
from skerry.templates.plan import Plan

Load = Callable[..., Plan]
GROUP = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg1"


def thing(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "My.Test/things", "name": name, "apiVersion": "2024-01-01", **more}


def ids(plan: Plan) -> list[str]:
    return [item.id.removeprefix(f"{GROUP}/providers/") for item in plan.resources]


def test_children_take_their_parents_type_and_name(load: Load) -> None:
    grandchild = thing("g", type="bits", dependsOn=["p/c"])
    nested = thing("c", type="parts", dependsOn=["p"], resources=[grandchild])
    plan = load(resources=[thing("p", resources=[nested])])
    assert ids(plan) == ["My.Test/things/p", "My.Test/things/p/parts/c", "My.Test/things/p/parts/c/bits/g"]
    assert [item.type for item in plan.resources][-1] == "My.Test/things/parts/bits"
    assert [item.name for item in plan.resources][-1] == "p/c/g"
    assert "resources" not in plan.resources[0].body(lambda *_: None)


def test_children_of_a_loop_see_its_index(load: Load) -> None:
    nested = thing("[concat('c', copyIndex())]", type="My.Test/things/parts")
    nested["name"] = "[concat('p', copyIndex('l'), '/c')]"
    plan = load(resources=[thing("[concat('p', copyIndex())]", copy={"name": "l", "count": 2}, resources=[nested])])
    assert ids(plan) == [
        "My.Test/things/p0",
        "My.Test/things/p0/parts/c",
        "My.Test/things/p1",
        "My.Test/things/p1/parts/c",
    ]


def test_a_childs_condition_is_its_own(load: Load) -> None:
    plan = load(resources=[thing("p", condition=False, resources=[thing("c", type="parts")])])
    assert [item.condition for item in plan.resources] == [False, True]


def test_extension_resources_lie_below_what_they_extend(load: Load) -> None:
    lock = {"type": "My.Locks/locks", "name": "l", "apiVersion": "2024-01-01"}
    below = f"{GROUP}/providers/My.Test/things/t"
    plan = load(
        resources=[
            lock | {"scope": "My.Test/things/t"},
            lock | {"scope": "[resourceId('My.Test/things', 't2')]"},
            thing("t3/My.Locks/l", type="My.Test/things/providers/locks"),
        ]
    )
    assert [item.id for item in plan.resources] == [
        f"{below}/providers/My.Locks/locks/l",
        f"{below}2/providers/My.Locks/locks/l",
        f"{below}3/providers/My.Locks/locks/l",
    ]


def test_a_nested_deployment_may_name_its_group(load: Load) -> None:
    plan = load(
        resources=[
            thing("d", type="Microsoft.Resources/deployments", resourceGroup="[concat('rg', 2)]"),
            thing("e", type="Microsoft.Resources/deployments"),
        ]
    )
    assert [item.scope_group for item in plan.resources] == ["rg2", None]
    assert plan.resources[0].id == f"{GROUP[:-1]}2/providers/Microsoft.Resources/deployments/d"
    assert "resourceGroup" not in plan.resources[0].body(lambda *_: None)


def test_loops(load: Load) -> None:
    names = "[concat('a', copyIndex(1), copyIndex('L'), copyIndex('l', 2))]"
    plan = load(resources=[thing(names, copy={"name": "l", "count": "2"}, kind="[copyIndex()]")])
    assert ids(plan) == ["My.Test/things/a102", "My.Test/things/a213"]
    assert [item.body(lambda *_: None) for item in plan.resources] == [{"kind": 0}, {"kind": 1}]


def test_a_loop_may_be_empty(load: Load) -> None:
    assert load(resources=[thing("a", copy={"name": "l", "count": 0, "mode": "serial"})]).resources == ()


def test_one_of_two_alternatives_may_have_the_same_name(load: Load) -> None:
    plan = load(resources=[thing("A", condition=False), thing("a", kind="x"), thing("a", condition="false")])
    assert [(item.name, item.condition) for item in plan.resources] == [("a", True)]


@pytest.mark.parametrize(
    ("resource", "problem"),
    [
        ({"name": ""}, "the 'name' property cannot be null or empty"),
        ({"name": "[null()]"}, "the 'name' property cannot be null or empty"),
        ({"name": "[createArray()]"}, "its 'name' is a value of type 'Array'"),
        ({"type": 5}, "its 'type' is a value of type 'Integer'"),
        ({"type": "things"}, "not of the form 'Namespace/type'"),
        ({"type": "My.Test/"}, "not of the form 'Namespace/type'"),
        ({"name": "a/b"}, "incorrect segment lengths"),
        ({"type": "My.Test/things/parts", "name": "a"}, "incorrect segment lengths"),
        ({"type": "My.Test/things/parts", "name": "a/"}, "an empty segment"),
        ({"apiVersion": None}, "the 'apiVersion' property cannot be null or empty"),
        ({"apiVersion": "latest"}, "its apiVersion 'latest' is not a date"),
        ({"location": ["local"]}, "its 'location' is a value of type 'Array'"),
        ({"condition": "maybe"}, "its condition is a value of type 'String'"),
        ({"condition": 1}, "its condition is a value of type 'Integer'"),
        ({"scope": "/"}, "its scope '/' is neither a resource id"),
        ({"copy": {"name": "l", "count": 801}}, "not between 0 and 800"),
        ({"copy": {"name": "l", "count": -1}}, "not between 0 and 800"),
        ({"copy": {"name": "l", "count": "[copyIndex()]"}}, "where a copy loop is specified"),
        ({"copy": {"name": "l", "count": "many"}}, "is not an integer"),
        ({"copy": {"name": "l", "count": 2}}, "is defined multiple times in a template"),
        ({"copy": {"name": "l", "count": 2, "mode": "serial", "batchSize": 0}}, "is not positive"),
    ],
)
def test_a_wrong_resource_is_refused_with_its_place(load: Load, resource: dict[str, Any], problem: str) -> None:
    with pytest.raises(TemplateError) as caught:
        load(resources=[thing("first"), thing("a") | resource])
    assert caught.value.code == "InvalidTemplate"
    assert problem in caught.value.message
    assert caught.value.target.startswith("resources[1]")


def test_the_number_of_resources_is_bounded(load: Load) -> None:
    loops = [thing(f"[concat('{name}', copyIndex())]", copy={"name": name, "count": 401}) for name in "ab"]
    with pytest.raises(TemplateError, match=r"limit exceeded\. Limit: 800"):
        load(resources=loops)
