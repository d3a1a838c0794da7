"""Templates that would grow, loop or nest without end: a deployment that fails and says why, soon."""

from typing import Any

import pytest
from tests.api.client import Arm

PATH = "resourceGroups/rg/providers/Microsoft.Resources/deployments/bad"
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
NET: dict[str, Any] = {
    "type": "Microsoft.Network/networkSecurityGroups",
    "apiVersion": "2024-05-01",
    "name": "one",
    "location": "local",
}


def _doubling(times: int) -> dict[str, str]:
    """Variables of which each is the one before, twice."""
    doubled = {f"v{n}": f"[concat(variables('v{n - 1}'), variables('v{n - 1}'))]" for n in range(1, times)}
    return {"v0": "x" * 1024, **doubled}


def _nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


TEMPLATES: dict[str, dict[str, Any]] = {
    "doubling": {"variables": _doubling(40), "outputs": {"x": {"type": "string", "value": "[variables('v39')]"}}},
    "padding": {"outputs": {"x": {"type": "string", "value": "[padLeft('x', 2000000000, 'x')]"}}},
    "range": {"outputs": {"x": {"type": "array", "value": "[range(0, 2000000000)]"}}},
    "copies": {"resources": [{**NET, "name": "[concat('n', copyIndex())]", "copy": {"name": "c", "count": 1000000}}]},
    "no number": {"resources": [{**NET, "copy": {"name": "c", "count": "many"}}]},
    "less than none": {"resources": [{**NET, "copy": {"name": "c", "count": -1}}]},
    "circle": {
        "variables": {"a": "[variables('b')]", "b": "[variables('a')]"},
        "outputs": {"x": {"type": "string", "value": "[variables('a')]"}},
    },
    "depends in a circle": {
        "resources": [{**NET, "dependsOn": ["two"]}, {**NET, "name": "two", "dependsOn": ["one"]}],
    },
    "deep expression": {"outputs": {"x": {"type": "string", "value": f"[{'concat(' * 5000}'x'{')' * 5000}]"}}},
    "deep value": {"outputs": {"x": {"type": "array", "value": _nested(99)}}},
    "name with a slash": {"resources": [{**NET, "name": "../../x"}]},
    "name with a NUL": {"resources": [{**NET, "name": "[json('\"a\\u0000\"')]"}]},
    "tag with a NUL": {"resources": [{**NET, "tags": {"a": "[json('\"a\\u0000\"')]"}}]},
}


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_it_fails_and_says_why(arm: Arm, template: dict[str, Any]) -> None:
    arm.group()
    whole = {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": [], **template}
    answer = arm.put(PATH, {"properties": {"mode": "Incremental", "template": whole}})
    if answer.status == 201:
        ended = arm.wait(answer, seconds=60).body
        assert ended["status"] == "Failed", ended
        answer.body = ended
    error = answer.body["error"]
    assert error["code"] not in ("InternalServerError", "InternalExecutionError", "InternalOperationError")
    assert 20 < len(error["message"]) < 4000
    assert arm.get("resourceGroups/rg/providers/Microsoft.Network/networkSecurityGroups").body["value"] == []
