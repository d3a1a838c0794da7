from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skerry.templates.errors import TemplateError
from skerry.templates.lenient import loads
from skerry.templates.plan import Plan
from skerry.templates.scope import Scope

Load = Callable[..., Plan]
GROUP = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg1"
AZ = sorted((Path(__file__).parent / "az").glob("*.json"))


def thing(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "My.Test/things", "name": name, "apiVersion": "2024-01-01", **more}


def state(resource_id: str, api_version: str | None, full: bool) -> Any:
    return {"id": resource_id, "version": api_version, "full": full}


def names(plan: Plan) -> list[str]:
    return [resource.name for resource in plan.resources]


@pytest.mark.parametrize("path", AZ, ids=[path.stem for path in AZ])
def test_what_az_sends_is_planned(path: Path, scope: Scope) -> None:
    sent = loads(path.read_bytes())["properties"]
    scope = Scope(**{**vars(scope), "providers": lambda *_: {"apiVersions": ["2026-04-01"]}})
    plan = Plan.load(sent["template"], sent["parameters"], scope)
    seen: set[str] = set()
    for resource in plan.resources:
        assert resource.depends_on <= seen
        seen.add(resource.id.lower())
        body = resource.body(state)
        assert body["location"] == resource.location == "local"
        assert not body.keys() & {"name", "type", "apiVersion", "dependsOn", "copy"}
        assert "[" not in str(body["properties"]).replace("[{", "").replace("['", "")
    assert plan.outputs(state).keys() == sent["template"]["outputs"].keys()


def test_two_vms_with_a_password_as_az_sends_them(scope: Scope) -> None:
    path = next(path for path in AZ if "count" in path.stem)
    sent = loads(path.read_bytes())["properties"]
    plan = Plan.load(sent["template"], sent["parameters"], scope)
    assert names(plan)[-2:] == ["vmpw0", "vmpw1"]
    vm = plan.resources[-1]
    assert vm.id == f"{GROUP}/providers/Microsoft.Compute/virtualMachines/vmpw1"
    prefix = f"{GROUP}/providers/Microsoft.Network/networkInterfaces/vmpwVMNic".lower()
    assert vm.depends_on == {f"{prefix}0", f"{prefix}1"}
    body = vm.body(state)
    assert body["properties"]["osProfile"]["computerName"] == "vmpw1"
    assert body["properties"]["osProfile"]["adminPassword"] == "S3cretPassw0rd!"
    assert body["properties"]["networkProfile"]["networkInterfaces"][0]["id"].endswith("/vmpwVMNic1")
    assert body["zones"] == ["1"]
    assert body["identity"] == {"type": "SystemAssigned"}
    assert plan.parameters_view() == {"adminPassword": {"type": "SecureString"}}


def test_a_load_balancer_refers_to_itself_by_name_in_its_output(scope: Scope) -> None:
    path = next(path for path in AZ if path.stem == "lb_create")
    sent = loads(path.read_bytes())["properties"]
    plan = Plan.load(sent["template"], sent["parameters"], scope)
    assert names(plan) == ["PublicIPlb1", "lb1"]
    expected = {"id": f"{GROUP}/providers/Microsoft.Network/loadBalancers/lb1", "version": "2023-04-01", "full": False}
    assert plan.outputs(state) == {"loadBalancer": {"type": "Object", "value": expected}}


def test_a_body_is_evaluated_and_keeps_only_what_is_put(load: Load) -> None:
    resource = thing(
        "[variables('n')]",
        Location="[resourceGroup().location]",
        tags={"[concat('k', 'ey')]": "[[literal]"},
        Properties={"list": ["[parameters('count')]", None, 1.5]},
        comments="x",
        condition=True,
        dependsOn=[],
        custom="kept",
    )
    plan = load(
        {"count": {"value": 3}}, resources=[resource], variables={"n": "a"}, parameters={"count": {"type": "int"}}
    )
    assert plan.resources[0].name == "a"
    assert plan.resources[0].location == "local"
    assert plan.resources[0].api_version == "2024-01-01"
    assert plan.resources[0].body(state) == {
        "location": "local",
        "tags": {"key": "[literal]"},
        "properties": {"list": [3, None, 1.5]},
        "custom": "kept",
    }


def test_bodies_do_not_share_values(load: Load) -> None:
    plan = load(resources=[thing("a", properties="[variables('v')]")], variables={"v": {"list": []}})
    plan.resources[0].body(state)["properties"]["list"].append("changed")
    assert plan.resources[0].body(state) == {"properties": {"list": []}}


def test_reference_brings_id_and_api_version(load: Load) -> None:
    other = f"{GROUP}/providers/My.Test/others/o"
    plan = load(
        resources=[
            thing("a"),
            thing(
                "b",
                properties={
                    "name": "[reference('A').id]",
                    "relative": "[reference('My.Test/things/a').version]",
                    "id": "[reference(resourceId('My.Test/things', 'a'), '2020-01-01').version]",
                    "full": "[reference('a', '2020-01-01', 'FULL').full]",
                    "outside": f"[reference('{other}', '2021-01-01').id]",
                },
            ),
        ]
    )
    assert plan.resources[1].body(state)["properties"] == {
        "name": f"{GROUP}/providers/My.Test/things/a",
        "relative": "2024-01-01",
        "id": "2020-01-01",
        "full": True,
        "outside": other,
    }


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("[reference('nothing')]", "the resource 'nothing' is not defined in the template"),
        ("[reference('/subscriptions/x/y')]", "its api-version must be given"),
        ("[reference('twice')]", "the resource 'twice' is ambiguous"),
        ("[reference('/x', '2024-01-01', 'half')]", "can only be 'Full'"),
    ],
)
def test_a_reference_to_nothing_is_refused(load: Load, expression: str, problem: str) -> None:
    twins = [thing("twice"), thing("twice", type="My.Test/others")]
    plan = load(resources=[*twins, thing("a", properties={"p": expression})])
    body_of = plan.resources[-1].body
    with pytest.raises(TemplateError) as caught:
        body_of(state)
    assert problem in caught.value.message
    assert caught.value.target == "resources[2].properties.p"


@pytest.mark.parametrize("field", ["name", "location", "condition", "apiVersion"])
def test_reference_is_refused_where_nothing_is_deployed_yet(load: Load, field: str) -> None:
    with pytest.raises(TemplateError, match="'reference': it is not expected here") as caught:
        load(resources=[thing("a") | {field: "[reference('a').x]"}])
    assert caught.value.target == f"resources[0].{field}"


def test_reference_is_refused_in_variables_tags_and_counts(load: Load) -> None:
    copied = {"copy": [{"name": "x", "count": "[reference('a').n]", "input": 1}]}
    for resource in (thing("b", tags={"t": "[reference('a').x]"}), thing("b", properties={"p": "[variables('v')]"})):
        plan = load(resources=[thing("a"), resource], variables={"v": "[reference('a').x]"})
        with pytest.raises(TemplateError, match="it is not expected here"):
            plan.resources[1].body(state)
    with pytest.raises(TemplateError, match="it is not expected here"):
        load(resources=[thing("a"), thing("b", properties=copied)])


def test_errors_of_the_state_pass_through(load: Load) -> None:
    def gone(resource_id: str, api_version: str | None, full: bool) -> Any:
        raise KeyError(resource_id)

    plan = load(resources=[thing("a"), thing("b", properties={"p": "[reference('a')]"})])
    with pytest.raises(KeyError):
        plan.resources[1].body(gone)


def test_outputs(load: Load) -> None:
    plan = load(
        {"pw": {"value": "secret"}},
        parameters={"pw": {"type": "securestring"}},
        resources=[thing("a")],
        outputs={
            "text": {"type": "string", "value": "[reference('a').id]"},
            "number": {"type": "int", "value": "[add(1, 2)]"},
            "hidden": {"type": "securestring", "value": "[parameters('pw')]"},
            "skipped": {"condition": "[false()]", "type": "string", "value": "[reference('nothing')]"},
            "loop": {"type": "array", "copy": {"count": 2, "input": "[concat('n', copyIndex(1))]"}},
            "none": {"type": "string", "nullable": True, "value": None},
        },
    )
    assert plan.outputs(state) == {
        "text": {"type": "String", "value": f"{GROUP}/providers/My.Test/things/a"},
        "number": {"type": "Int", "value": 3},
        "hidden": {"type": "SecureString"},
        "loop": {"type": "Array", "value": ["n1", "n2"]},
        "none": {"type": "String", "value": None},
    }


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ({"type": "string", "value": 5}, "Expected 'String'. Actual 'Integer'"),
        ({"type": "object", "value": "[variables('v')]"}, "the template variable 'v' is not found"),
        ({"type": "string", "value": "x", "condition": "yes"}, "condition of the template output 'o' is not a boolean"),
        ({"type": "array", "copy": {"count": 2}}, "must have a 'count' and an 'input'"),
        ({"type": "array", "copy": {"count": 801, "input": 1}}, "not between 0 and 800"),
    ],
)
def test_an_output_that_fails_has_its_own_code(load: Load, output: dict[str, Any], problem: str) -> None:
    with pytest.raises(TemplateError) as caught:
        load(outputs={"o": output}).outputs(state)
    assert caught.value.code == "DeploymentOutputEvaluationFailed"
    assert caught.value.message.startswith("Unable to evaluate template outputs: 'o'. ")
    assert problem in caught.value.message


def test_views(load: Load) -> None:
    plan = load(
        resources=[
            thing("b", dependsOn=["a"], location="local"),
            thing("a", location="local"),
            thing("c", type="my.test/Things"),
            {"type": "My.Other/x", "name": "d", "apiVersion": "2024-01-01"},
        ]
    )
    a = {"id": f"{GROUP}/providers/My.Test/things/a", "resourceType": "My.Test/things", "resourceName": "a"}
    b = {"id": f"{GROUP}/providers/My.Test/things/b", "resourceType": "My.Test/things", "resourceName": "b"}
    assert plan.dependencies_view() == [{"dependsOn": [a], **b}]
    assert plan.providers_view() == [
        {"namespace": "My.Test", "resourceTypes": [{"resourceType": "things", "locations": ["local", None]}]},
        {"namespace": "My.Other", "resourceTypes": [{"resourceType": "x", "locations": [None]}]},
    ]


def test_a_resource_with_a_false_condition_is_listed_and_not_waited_for(load: Load) -> None:
    plan = load(
        resources=[thing("a", condition="[equals(1, 2)]"), thing("b", dependsOn=["a"]), thing("c", condition="True")]
    )
    assert [(item.name, item.condition) for item in plan.resources] == [("a", False), ("b", True), ("c", True)]
    assert plan.resources[1].depends_on == frozenset()


def test_long_chains_are_refused_not_crashed(load: Load) -> None:
    chain = {f"v{i}": f"[variables('v{i + 1}')]" for i in range(511)} | {"v511": "end"}
    plan = load(resources=[thing("a", properties={"p": "[variables('v0')]"})], variables=chain)
    with pytest.raises(TemplateError, match="nested too deeply"):
        plan.resources[0].body(state)
    deep: Any = "x"
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(TemplateError, match="nested too deeply"):
        load(resources=[thing("a", properties=deep)])


def test_a_chain_of_fifty_variables_works(load: Load) -> None:
    chain = {f"v{i}": f"[concat(variables('v{i + 1}'))]" for i in range(50)} | {"v50": "end"}
    plan = load(resources=[thing("a", properties={"p": "[variables('v0')]"})], variables=chain)
    assert plan.resources[0].body(state)["properties"]["p"] == "end"


def test_evaluating_takes_a_second_of_cpu_time_at_most(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(range(1000))
    monkeypatch.setattr("skerry.templates.frame.time.thread_time", lambda: next(moments) * 0.1)
    load(resources=[thing("[concat('t', '1')]")])
    with pytest.raises(TemplateError, match="more than the 1 s of CPU time"):
        load(resources=[thing(f"[concat('t', '{number}')]") for number in range(20)])
