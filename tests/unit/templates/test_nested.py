from collections.abc import Callable
from typing import Any

import pytest

from skerry.templates.errors import TemplateError
from skerry.templates.plan import Plan
from skerry.templates.scope import Scope

Load = Callable[..., Plan]
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


def nested(properties: dict[str, Any], **template: Any) -> dict[str, Any]:
    whole = {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": [], **template}
    properties = {"mode": "Incremental", "template": whole, **properties}
    return {
        "type": "Microsoft.Resources/deployments",
        "name": "n",
        "apiVersion": "2021-04-01",
        "properties": properties,
    }


def properties_of(plan: Plan) -> Any:
    return plan.resources[-1].body(lambda *arguments: {"seen": arguments[0]})["properties"]


INNER = {"expressionEvaluationOptions": {"scope": "Inner"}}


def test_an_inner_template_stays_as_written(load: Load) -> None:
    outputs = {"o": {"type": "string", "value": "[concat(variables('theirs'), nosuch())]"}}
    resource = nested(INNER | {"parameters": {"p": {"value": "[variables('ours')]"}}}, outputs=outputs)
    properties = properties_of(load(resources=[resource], variables={"ours": "x"}))
    assert properties["template"] == resource["properties"]["template"]
    assert properties["parameters"] == {"p": {"value": "x"}}
    assert properties["mode"] == "Incremental"


def test_an_outer_template_is_evaluated_and_then_evaluates_to_itself(load: Load, scope: Scope) -> None:
    resource = nested(
        {},
        resources=[
            {
                "type": "My.Test/things",
                "name": "[variables('v').name]",
                "apiVersion": "2024-01-01",
                "kind": "[variables('v').literal]",
            }
        ],
        outputs={"o": {"type": "object", "value": "[variables('v')]"}},
    )
    literal = {"name": "t", "literal": "[not an expression]"}
    properties = properties_of(
        load(resources=[resource], variables={"v": {"name": "t", "literal": "[[not an expression]"}})
    )
    inner = Plan.load(properties["template"], {}, scope)
    assert inner.resources[0].name == "t"
    assert inner.resources[0].body(lambda *_: None) == {"kind": "[not an expression]"}
    assert inner.outputs(lambda *_: None) == {"o": {"type": "Object", "value": literal}}


def test_an_outer_template_may_refer_to_the_outer_ones_resources(load: Load) -> None:
    other = {"type": "My.Test/things", "name": "t", "apiVersion": "2024-01-01"}
    resource = nested({}, outputs={"o": {"type": "string", "value": "[reference('t').seen]"}})
    plan = load(resources=[resource, other])
    assert [item.name for item in plan.resources] == ["t", "n"]
    assert properties_of(plan)["template"]["outputs"]["o"]["value"] == plan.resources[0].id


def test_references_in_an_inner_template_are_its_own(load: Load) -> None:
    other = {"type": "My.Test/things", "name": "t", "apiVersion": "2024-01-01"}
    resource = nested(INNER, outputs={"o": {"type": "string", "value": "[reference('t').seen]"}})
    assert load(resources=[resource, other]).resources[0].depends_on == frozenset()


def test_an_unknown_function_in_an_outer_template_is_found(load: Load) -> None:
    with pytest.raises(TemplateError, match="'nosuch' is not valid") as caught:
        load(resources=[nested({}, outputs={"o": {"type": "string", "value": "[nosuch()]"}})])
    assert caught.value.target == "resources[0].properties.template.outputs.o.value"


def test_a_loop_in_an_outer_template_is_refused(load: Load) -> None:
    loop = {"type": "My.Test/things", "name": "x", "apiVersion": "2024-01-01", "copy": {"name": "l", "count": 2}}
    plan = load(resources=[nested({}, resources=[loop])])
    with pytest.raises(TemplateError, match=r"only where .* is 'inner'") as caught:
        properties_of(plan)
    assert caught.value.target == "resources[0].properties.template.resources[0].copy"
    inner = properties_of(load(resources=[nested(INNER, resources=[loop])]))
    assert inner["template"]["resources"] == [loop]


def test_a_linked_template_is_handed_on(load: Load) -> None:
    resource = nested({"templateLink": {"uri": "[uri('http://h/a/', 'b.json')]"}})
    del resource["properties"]["template"]
    assert properties_of(load(resources=[resource]))["templateLink"] == {"uri": "http://h/a/b.json"}
