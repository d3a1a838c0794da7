from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skerry.templates.errors import TemplateError
from skerry.templates.evaluate import evaluate_text, expand
from skerry.templates.frame import Clock, Frame
from skerry.templates.names import TemplateNames
from skerry.templates.plan import Plan
from skerry.templates.scope import Scope
from skerry.templates.template import load_template

Load = Callable[..., Plan]
Value = Callable[..., Any]
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


@pytest.fixture
def frame(scope: Scope) -> Frame:
    template = load_template({"$schema": SCHEMA, "contentVersion": "1", "resources": []})
    clock = Clock()
    return Frame(scope, TemplateNames(template, {}, scope, clock), clock)


def body(load: Load, properties: Any, **sections: Any) -> Any:
    resource = {"type": "My.Test/things", "name": "t", "apiVersion": "2024-01-01", "properties": properties}
    return load(resources=[resource], **sections).resources[0].body(lambda *_: None)["properties"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="[]()',. abcdefilnot01-") | st.text())
def test_any_text_has_a_value_or_is_a_template_error(frame: Frame, text: str) -> None:
    for candidate in (text, f"[{text}]", f"[concat({text})]"):
        try:
            evaluate_text(candidate, frame, "here")
        except TemplateError as error:
            assert error.target == "here"


def test_an_error_has_expression_offset_and_place(load: Load) -> None:
    with pytest.raises(TemplateError) as caught:
        body(load, {"a": ["x", {"b": "[concat('n', div(1, 0))]"}]})
    assert caught.value.message == (
        "Unable to process the template language expression '[concat('n', div(1, 0))]' in "
        "'resources[0].properties.a[1].b' at offset 13: Unable to evaluate template language function 'div': "
        "it divides by zero."
    )
    assert caught.value.target == "resources[0].properties.a[1].b"


def test_a_very_long_expression_is_cut_in_the_message(load: Load) -> None:
    with pytest.raises(TemplateError) as caught:
        body(load, f"[div('{'x' * 5000}', 1)]")
    assert len(caught.value.message) < 1000


def test_property_copies(load: Load) -> None:
    properties = {
        "before": 1,
        "copy": [
            {"name": "disks", "count": 2, "input": {"lun": "[copyIndex('disks')]", "size": "[copyIndex('disks', 10)]"}},
            {"name": "none", "count": "[length('')]", "input": 1},
        ],
        "nested": {"Copy": [{"name": "x", "count": 2, "input": {"copy": [{"name": "y", "count": 2, "input": INNER}]}}]},
    }
    assert body(load, properties) == {
        "before": 1,
        "disks": [{"lun": 0, "size": 10}, {"lun": 1, "size": 11}],
        "none": [],
        "nested": {"x": [{"y": ["00", "01"]}, {"y": ["10", "11"]}]},
    }


INNER = "[concat(copyIndex('x'), copyIndex('y'))]"


def test_an_unnamed_index_means_the_resources_loop(load: Load) -> None:
    resource = {
        "type": "My.Test/things",
        "name": "[concat('t', copyIndex())]",
        "apiVersion": "2024-01-01",
        "copy": {"name": "outer", "count": 2},
        "properties": {"copy": [{"name": "x", "count": 1, "input": "[concat(copyIndex(), copyIndex('x'))]"}]},
    }
    plan = load(resources=[resource])
    assert plan.resources[1].body(lambda *_: None)["properties"] == {"x": ["10"]}


def test_a_property_named_copy_that_is_no_array_stays(load: Load) -> None:
    assert body(load, {"copy": {"a": "[add(1, 1)]"}}) == {"copy": {"a": 2}}


@pytest.mark.parametrize(
    ("loop", "problem"),
    [
        ({"name": "x", "count": 1}, "a 'name', a 'count' and an 'input'"),
        ("x", "a 'name', a 'count' and an 'input'"),
        ({"name": "x", "count": 1, "input": 1, "mode": "serial"}, "a 'name', a 'count' and an 'input'"),
        ({"name": "x", "count": 801, "input": 1}, "not between 0 and 800"),
        ({"name": "x", "count": True, "input": 1}, "is not an integer"),
        ({"name": "x", "count": 1, "input": {"copy": [{"name": "X", "count": 1, "input": 1}]}}, "already the name"),
    ],
)
def test_a_wrong_property_copy_is_refused(load: Load, loop: Any, problem: str) -> None:
    with pytest.raises(TemplateError) as caught:
        body(load, {"copy": [loop]})
    assert problem in caught.value.message
    assert caught.value.target.startswith("resources[0].properties.copy[0]")


def test_variables_with_copies(load: Load) -> None:
    variables = {
        "copy": [{"name": "names", "count": 2, "input": "[concat('n', copyIndex('names', 1))]"}],
        "object": {
            "copy": [{"name": "list", "count": 2, "input": "[copyIndex('list')]"}],
            "other": "[variables('plain')]",
        },
        "plain": "x",
    }
    values = body(load, {"a": "[variables('names')]", "b": "[variables('OBJECT')]"}, variables=variables)
    assert values == {"a": ["n1", "n2"], "b": {"list": [0, 1], "other": "x"}}


def test_variables_are_evaluated_only_when_used(load: Load) -> None:
    assert body(load, {"a": "x"}, variables={"broken": "[div(1, 0)]"}) == {"a": "x"}


def test_a_circle_of_variables_is_named(load: Load) -> None:
    with pytest.raises(TemplateError, match=r"circular dependency.*a → b → a"):
        body(load, "[variables('a')]", variables={"a": "[variables('b')]", "b": "[variables('a')]"})


def functions(value: Any) -> list[dict[str, Any]]:
    parameters = [{"name": "Left", "type": "string"}, {"name": "right", "type": "string"}]
    return [
        {
            "namespace": "contoso",
            "members": {"pair": {"parameters": parameters, "output": {"type": "string", "value": value}}},
        }
    ]


def test_user_defined_functions(value: Value) -> None:
    members = functions("[concat(parameters('left'), '-', parameters('RIGHT'))]")
    assert value("toUpper(Contoso.Pair('a', contoso.pair('b', 'c')))", functions=members) == "A-B-C"


@pytest.mark.parametrize(
    ("output", "call", "problem"),
    [
        ("x", "contoso.pair('a')", "takes 2 argument(s), and 1 were given"),
        ("[parameters('none')]", "contoso.pair('a', 'b')", "the parameter 'none' of the user-defined function"),
        ("[variables('v')]", "contoso.pair('a', 'b')", "cannot use variables such as 'v'"),
        ("[reference('t')]", "contoso.pair('a', 'b')", "is not expected here"),
        ("[contoso.pair('a', 'b')]", "contoso.pair('a', 'b')", "'contoso.pair' is not valid"),
        ("[deployment().name]", "contoso.pair('a', 'b')", "cannot ask for the deployment"),
    ],
)
def test_user_defined_functions_see_only_their_parameters(value: Value, output: str, call: str, problem: str) -> None:
    with pytest.raises(TemplateError) as caught:
        value(call, functions=functions(output), variables={"v": 1})
    assert problem in caught.value.message


def test_growth_is_bounded(load: Load) -> None:
    double = {f"v{i}": f"[concat(variables('v{i + 1}'), variables('v{i + 1}'))]" for i in range(30)} | {
        "v30": "x" * 100
    }
    with pytest.raises(TemplateError, match="characters long, and 1048576 are allowed"):
        body(load, "[variables('v0')]", variables=double)
    nest = {f"v{i}": [f"[variables('v{i + 1}')]"] * 2 for i in range(30)} | {"v30": []}
    with pytest.raises(TemplateError, match="grows beyond"):
        body(load, "[variables('v0')]", variables=nest)
    loops: Any = {"name": "l0", "count": 800, "input": "x"}
    for level in range(1, 5):
        loops = {"name": f"l{level}", "count": 800, "input": {"copy": [loops]}}
    with pytest.raises(TemplateError, match="grows beyond"):
        body(load, {"copy": [loops]})


def test_replace_and_join_are_refused_before_they_grow(value: Value) -> None:
    big = {"big": "a" * 100_000}
    for call in (
        "replace(variables('big'), 'a', variables('big'))",
        "join(createArray(variables('big'), '', '', '', '', '', '', '', '', '', '', ''), variables('big'))",
        "concat(variables('big'), variables('big'), padLeft('', 1048576))",
        "format('{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}', variables('big'))",
        "base64(padLeft('', 1048576))",
    ):
        with pytest.raises(TemplateError, match="characters long, and 1048576 are allowed"):
            value(call, variables=big)


def test_time_is_bounded(frame: Frame) -> None:
    late = replace(frame, clock=Clock(seconds=-1))
    with pytest.raises(TemplateError, match="CPU time that evaluating it may take"):
        evaluate_text("[add(1, 2)]", late, "here")


def test_a_key_that_is_no_string_is_refused(frame: Frame) -> None:
    with pytest.raises(TemplateError, match="evaluates to a value of type 'Integer', not a string"):
        expand({"[add(1, 2)]": 1}, frame, "here")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(), st.lists, max_leaves=10))
def test_what_holds_no_strings_stays_as_it_is(value: Any) -> None:
    assert repr(expand(value, None, "here")) == repr(value)  # type: ignore[arg-type]
