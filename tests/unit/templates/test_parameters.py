from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.templates.errors import Fault, TemplateError
from skerry.templates.parameters import Lazily
from skerry.templates.plan import Plan

Load = Callable[..., Plan]


def resolved(load: Load, definition: dict[str, Any], **given: Any) -> Any:
    wrapped = {name: {"value": value} for name, value in given.items()}
    return load(wrapped, parameters={"p": definition}).resolved_parameters()["p"]["value"]


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("string", "x", "x"),
        ("STRING", "", ""),
        ("int", 5, 5),
        ("int", "5", 5),
        ("int", "-5", -5),
        ("bool", True, True),
        ("bool", "True", True),
        ("bool", "false", False),
        ("array", [1], [1]),
        ("object", {"a": None}, {"a": None}),
        ("secureObject", {"a": 1}, {"a": 1}),
        ("securestring", "[not('evaluated')]", "[not('evaluated')]"),
    ],
)
def test_a_given_value_is_taken(load: Load, kind: str, given: Any, expected: Any) -> None:
    assert resolved(load, {"type": kind}, P=given) == expected


@pytest.mark.parametrize(
    ("definition", "given", "problem"),
    [
        ({"type": "string"}, 5, "Expected 'String'. Actual 'Integer'"),
        ({"type": "int"}, "x", "Expected 'Integer'. Actual 'String'"),
        ({"type": "int"}, True, "Expected 'Integer'. Actual 'Boolean'"),
        ({"type": "bool"}, 1, "Expected 'Boolean'. Actual 'Integer'"),
        ({"type": "object"}, [], "Expected 'Object'. Actual 'Array'"),
        ({"type": "string", "allowedValues": ["a", "b"]}, "c", "not part of the allowed value(s)"),
        ({"type": "array", "allowedValues": ["a", "b"]}, ["a", "c"], "not part of the allowed value(s)"),
        ({"type": "string", "minLength": 2}, "a", "Length of the value should be greater than or equal to '2'"),
        ({"type": "string", "maxLength": 2}, "abc", "Length of the value should be less than or equal to '2'"),
        ({"type": "array", "maxLength": 0}, [1], "Length of the value should be less than or equal to '0'"),
        ({"type": "int", "minValue": 2}, 1, "Value of the value should be greater than or equal to '2'"),
        ({"type": "int", "maxValue": 2}, "3", "Value of the value should be less than or equal to '2'"),
        ({"type": "int", "maxValue": "2"}, 3, "A limit of the template parameter 'p' is not an integer"),
        ({"type": "string", "allowedValues": "a"}, "a", "allowedValues of the template parameter 'p' are not an array"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(load: Load, definition: Any, given: Any, problem: str) -> None:
    with pytest.raises(TemplateError) as caught:
        resolved(load, definition, p=given)
    assert caught.value.code == "InvalidTemplate"
    assert problem in caught.value.message
    assert caught.value.target == "parameters.p"


def test_allowed_values_ignore_case_and_may_be_part_of_an_array(load: Load) -> None:
    assert resolved(load, {"type": "string", "allowedValues": ["Standard_LRS"]}, p="standard_lrs") == "standard_lrs"
    assert resolved(load, {"type": "array", "allowedValues": ["a", "b"]}, p=["b"]) == ["b"]


def test_a_missing_value_is_refused_in_arms_words(load: Load) -> None:
    with pytest.raises(TemplateError) as caught:
        load(parameters={"size": {"type": "string"}})
    assert caught.value.code == "InvalidTemplate"
    assert caught.value.message.startswith(
        "Deployment template validation failed: 'The value for the template parameter 'size' is not provided. "
    )


def test_null_counts_as_not_given(load: Load) -> None:
    assert resolved(load, {"type": "string", "defaultValue": "d"}, p=None) == "d"
    assert resolved(load, {"type": "string", "nullable": True}, p=None) is None


def test_an_unknown_parameter_is_refused_with_the_known_ones(load: Load) -> None:
    with pytest.raises(TemplateError, match=r"'b, c' in the parameters file are not valid.*'a'"):
        load({"b": {"value": 1}, "c": {"value": 2}}, parameters={"a": {"type": "int", "defaultValue": 1}})


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"p": {"reference": {"keyVault": {"id": "x"}, "secretName": "s"}}}, "KeyVaultParameterReferenceNotSupported"),
        ({"p": "bare"}, "InvalidTemplate"),
        ({"p": {"valu": 1}}, "InvalidTemplate"),
        ([], "InvalidTemplate"),
    ],
)
def test_other_forms_of_a_parameter_are_refused(load: Load, given: Any, code: str) -> None:
    definitions = {"p": {"type": "string", "defaultValue": ""}}
    with pytest.raises(TemplateError) as caught:
        load(given or [1], parameters=definitions)
    assert caught.value.code == code


def test_defaults_are_evaluated_and_see_other_parameters(load: Load) -> None:
    plan = load(
        {"b": {"value": "x"}},
        parameters={
            "a": {"type": "string", "defaultValue": "[concat(parameters('b'), resourceGroup().location)]"},
            "b": {"type": "string"},
            "c": {"type": "object", "defaultValue": {"in": ["[parameters('a')]"]}},
        },
    )
    assert plan.resolved_parameters()["c"]["value"] == {"in": ["xlocal"]}


def test_defaults_may_be_new_each_time_and_can_be_kept(load: Load) -> None:
    definitions = {
        "id": {"type": "string", "defaultValue": "[newGuid()]"},
        "now": {"type": "string", "defaultValue": "[utcNow('yyyy')]"},
        "secret": {"type": "securestring", "defaultValue": "[newGuid()]"},
    }
    first = load(parameters=definitions)
    assert load(parameters=definitions).resolved_parameters() != first.resolved_parameters()
    again = load(first.resolved_parameters(), parameters=definitions)
    assert again.resolved_parameters() == first.resolved_parameters()
    assert first.parameters_view()["now"]["value"].isdigit()


@pytest.mark.parametrize("default", ["[variables('v')]", "[reference('x')]", "[copyIndex()]"])
def test_defaults_cannot_use_what_comes_later(load: Load, default: str) -> None:
    with pytest.raises(TemplateError) as caught:
        load(parameters={"p": {"type": "string", "defaultValue": default}}, variables={"v": "x"})
    assert caught.value.target == "parameters.p.defaultValue"


def test_a_circle_of_defaults_is_named(load: Load) -> None:
    definitions = {
        "a": {"type": "string", "defaultValue": "[parameters('b')]"},
        "b": {"type": "string", "defaultValue": "[parameters('a')]"},
    }
    with pytest.raises(TemplateError, match=r"circular dependency detected.*a → b → a"):
        load(parameters=definitions)


def test_arm_echoes_values_but_not_secrets(load: Load) -> None:
    plan = load(
        {"pw": {"value": "secret"}, "n": {"value": "2"}},
        parameters={
            "pw": {"type": "securestring"},
            "n": {"type": "int"},
            "o": {"type": "secureObject", "defaultValue": {}},
        },
    )
    assert plan.parameters_view() == {
        "pw": {"type": "SecureString"},
        "n": {"type": "Int", "value": 2},
        "o": {"type": "SecureObject"},
    }


@given(st.lists(st.integers(0, 5)))
def test_each_lazy_value_is_computed_once(asked: list[int]) -> None:
    computed: list[int] = []

    def compute(number: int) -> int:
        computed.append(number)
        return number

    values = Lazily("thing", {str(number): partial(compute, number) for number in range(6)})
    assert [values[str(number)] for number in asked] == asked
    assert sorted(computed) == sorted(set(asked))


def test_a_lazy_value_that_failed_fails_again() -> None:
    def fail() -> Any:
        raise Fault("broken")

    values = Lazily("thing", {"a": fail})
    for _ in range(2):
        with pytest.raises(Fault, match="broken"):
            values["a"]
