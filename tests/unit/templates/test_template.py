from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.templates.errors import TemplateError
from skerry.templates.plan import Plan
from skerry.templates.template import load_template

Load = Callable[..., Plan]
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
LEAST = {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": []}
THING = {"type": "My.Test/things", "name": "t", "apiVersion": "2024-01-01"}

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.just("[f(]") | st.just("[variables('a')]"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "value", "name", "count", "input", "copy", "namespace", "members", "output", "a"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


def test_the_least_template() -> None:
    assert load_template(LEAST).resources == ()


def test_null_sections_and_any_casing_of_sections() -> None:
    template = load_template(
        {"$SCHEMA": SCHEMA, "ContentVersion": "1", "Resources": [], "parameters": None, "variables": None}
    )
    assert template.parameters == {}


@pytest.mark.parametrize(
    ("changes", "problem", "target"),
    [
        ({"$schema": None}, "'$schema' is missing", "$schema"),
        ({"$schema": SCHEMA.replace("deploymentT", "subscriptionDeploymentT")}, "not that of a deployment", "$schema"),
        ({"contentVersion": 1}, "'contentVersion' is missing or not a string", "contentVersion"),
        ({"resources": None}, "'resources' are missing", "resources"),
        ({"resources": {"a": THING}}, "takes a languageVersion of '2.0'", "resources"),
        ({"definitions": {"t": {}}}, "user-defined types", "definitions"),
        ({"extra": 1}, "Could not find member 'extra'", "extra"),
        ({"parameters": []}, "'parameters' are not an object", "parameters"),
        ({"parameters": {"p": {"type": "number"}}}, "The type of 'parameters.p' is 'number'", "parameters.p"),
        ({"parameters": {"p": {}}}, "The type of 'parameters.p' is missing", "parameters.p"),
        ({"parameters": {"p": "x"}}, "in 'parameters.p' is not an object", "parameters.p"),
        ({"parameters": {str(i): {"type": "int"} for i in range(257)}}, "Limit: 256 and actual: 257", "parameters"),
        ({"variables": {str(i): 1 for i in range(513)}}, "Limit: 512 and actual: 513", "variables"),
        ({"outputs": {str(i): {} for i in range(65)}}, "Limit: 64 and actual: 65", "outputs"),
        ({"variables": {"copy": [{"name": "x"}]}}, "'name', a 'count' and an 'input'", "variables.copy[0]"),
        ({"outputs": {"o": {"type": "string"}}}, "either a 'value' or a 'copy'", "outputs.o"),
        ({"outputs": {"o": {"value": "x"}}}, "The type of 'outputs.o' is missing", "outputs.o"),
        ({"functions": {"n": 1}}, "'functions' are not an array", "functions"),
        ({"functions": [{"namespace": "n"}]}, "a 'namespace' and 'members'", "functions[0]"),
        (
            {"functions": [{"namespace": "n", "members": {"f": {}}}]},
            "is not an object",
            "functions[0].members.f.output",
        ),
        ({"resources": ["x"]}, "is not an object", "resources[0]"),
        ({"resources": [THING | {"Name": "again"}]}, "has the property 'Name' twice", "resources[0]"),
        ({"resources": [THING | {"copy": {"count": 1}}]}, "must have a 'name' and a 'count'", "resources[0].copy"),
        (
            {"resources": [THING | {"copy": {"name": "c", "count": 1, "mode": "some"}}]},
            "neither 'serial' nor 'parallel'",
            "resources[0].copy",
        ),
        (
            {"resources": [THING | {"copy": {"name": "c", "count": 1, "batchSize": 2}}]},
            "takes the mode 'serial'",
            "resources[0].copy",
        ),
        (
            {"resources": [THING | {"copy": {"name": "c", "count": 1, "input": 2}}]},
            "a count, a mode and a batchSize only",
            "resources[0].copy",
        ),
        (
            {"resources": [THING | {"copy": {"name": "c", "count": 1}}, THING | {"copy": {"name": "C", "count": 1}}]},
            "'C' is used by more than one resource",
            "resources[1]",
        ),
        (
            {"resources": [THING | {"resources": [THING | {"copy": {"name": "c", "count": 1}}]}]},
            "a copy loop is not allowed",
            "resources[0].resources[0]",
        ),
    ],
)
def test_a_wrong_shape_is_refused_with_its_place(changes: dict[str, Any], problem: str, target: str) -> None:
    with pytest.raises(TemplateError) as caught:
        load_template(LEAST | changes)
    assert caught.value.code == "InvalidTemplate"
    assert problem in caught.value.message
    assert caught.value.target == target


@pytest.mark.parametrize(
    ("section", "place"),
    [
        ({"resources": [THING | {"properties": {"a": [{"b": "[nosuch()]"}]}}]}, "resources[0].properties.a[0].b"),
        ({"resources": [THING | {"dependsOn": ["[nosuch()]"]}]}, "resources[0].dependsOn[0]"),
        (
            {"resources": [THING | {"resources": [THING | {"tags": {"a": "[nosuch()]"}}]}]},
            "resources[0].resources[0].tags.a",
        ),
        ({"variables": {"unused": "[nosuch()]"}}, "variables.unused"),
        ({"parameters": {"p": {"type": "int", "defaultValue": "[nosuch()]"}}}, "parameters.p.defaultValue"),
        ({"outputs": {"o": {"type": "int", "value": "[add(1, nosuch())]"}}}, "outputs.o.value"),
    ],
)
def test_an_unknown_function_is_found_wherever_it_is(section: dict[str, Any], place: str) -> None:
    with pytest.raises(TemplateError, match="The template function 'nosuch' is not valid") as caught:
        load_template(LEAST | section)
    assert caught.value.target == place
    assert f"in '{place}' at offset" in caught.value.message


def test_comments_and_metadata_hold_no_expressions() -> None:
    metadata = {"description": "[not an expression]"}
    template = load_template(
        LEAST
        | {
            "metadata": metadata,
            "parameters": {"p": {"type": "int", "metadata": metadata}},
            "outputs": {"o": {"type": "int", "value": 1, "metadata": metadata}},
            "resources": [THING | {"comments": "[neither this]", "metadata": metadata}],
        }
    )
    assert len(template.resources) == 1


@given(
    st.dictionaries(
        st.sampled_from(["parameters", "variables", "functions", "resources", "outputs", "languageVersion"]), ANYTHING
    )
)
def test_any_template_loads_or_is_refused(sections: dict[str, Any]) -> None:
    try:
        load_template(LEAST | sections)
    except TemplateError as error:
        assert error.code == "InvalidTemplate"
