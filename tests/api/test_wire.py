"""The wire: tokens, api-versions, casing, ETags, pages, operations, and refusals that name what is wrong."""

from typing import Any

import pytest
from starlette.concurrency import run_in_threadpool
from tests.api.client import BASE, Arm

from skerry.arm import routes
from skerry.store import StoreUnavailable

VNET = {"location": "local", "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}
NETS = "resourceGroups/rg/providers/Microsoft.Network/virtualNetworks"


@pytest.mark.parametrize("token", [None, "Bearer", "Bearer nonsense", "Basic eDp5"])
@pytest.mark.parametrize("path", ["/subscriptions", "/subscriptions/x/resourcegroups/rg", "/tenants", "/nowhere"])
def test_without_a_good_token_there_is_a_401(arm: Arm, path: str, token: str | None) -> None:
    headers = {"Authorization": token} if token else {}
    for method in ("GET", "PUT", "POST", "PATCH", "DELETE"):
        response = arm.client.request(method, f"{path}?api-version=2022-12-01", headers=headers)
        assert response.status_code == 401
        assert response.json()["error"]["code"] in ("AuthenticationFailed", "InvalidAuthenticationToken")
        assert "adfs" in response.headers["www-authenticate"]


def test_a_request_needs_an_api_version(arm: Arm) -> None:
    answer = arm.call("GET", "/subscriptions?api-version=")
    assert (answer.status, answer.code) == (400, "MissingApiVersionParameter")


@pytest.mark.parametrize("version", ["2015-06-15", "2019-05-10", "2026-04-01", "2024-01-01-preview"])
def test_any_api_version_from_2015_on_is_taken(arm: Arm, version: str) -> None:
    assert arm.get(f"/subscriptions?api-version={version}").status == 200


def test_every_answer_has_request_and_correlation_ids(arm: Arm) -> None:
    answer = arm.get("/subscriptions", **{"x-ms-correlation-request-id": "mine"})
    assert answer.headers["x-ms-request-id"]
    assert answer.headers["x-ms-correlation-request-id"] == "mine"


def test_names_keep_the_case_of_their_creation_and_match_in_any(arm: Arm) -> None:
    arm.group("My-Group")
    answer = arm.get("RESOURCEGROUPS/my-GROUP")
    assert answer.body["name"] == "My-Group"
    arm.done(arm.put("resourceGroups/MY-group/providers/microsoft.network/VIRTUALnetworks/Net", VNET))
    path = "resourcegroups/My-Group//providers/Microsoft.Network//virtualNetworks/nET"
    found = arm.get(path).body
    assert found["name"] == "Net"
    assert found["type"] == "Microsoft.Network/virtualNetworks"
    assert len(arm.get("providers/Microsoft.Network/virtualNetworks").body["value"]) == 1


def test_a_group_answers_head(arm: Arm) -> None:
    assert arm.call("HEAD", "resourcegroups/rg").status == 404
    arm.group()
    assert arm.call("HEAD", "resourcegroups/rg").status == 204


@pytest.mark.parametrize("region", ["eastus", "West Europe", "local"])
def test_azures_regions_are_other_names_for_local_and_are_echoed(arm: Arm, region: str) -> None:
    answer = arm.put("resourcegroups/rg", {"location": region})
    assert (answer.status, answer.body["location"]) == (201, region)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "LocationRequired"),
        ({"location": "mars"}, "LocationNotAvailableForResourceType"),
        ({"location": "local", "colour": "red"}, "InvalidRequestContent"),
        ({"location": 5}, "InvalidRequestContent"),
        (b"{", "InvalidRequestContent"),
        (b"[]", "InvalidRequestContent"),
        ({"location": "local", "tags": {"x" * 600: "y"}}, "InvalidTagName"),
    ],
)
def test_a_bad_group_is_refused(arm: Arm, body: Any, code: str) -> None:
    answer = arm.put("resourcegroups/rg", body)
    assert (answer.status, answer.code) == (400, code)
    assert arm.get("resourcegroups/rg").status == 404


def test_a_group_does_not_move(arm: Arm) -> None:
    arm.group()
    answer = arm.put("resourcegroups/rg", {"location": "eastus"})
    assert (answer.status, answer.code) == (409, "InvalidResourceGroupLocation")
    assert "already exists in location 'local'" in answer.message


def test_a_body_over_4_mib_is_refused(arm: Arm) -> None:
    answer = arm.put("resourcegroups/rg", b'{"location":"' + b"x" * (4 << 20) + b'"}')
    assert (answer.status, answer.code) == (413, "RequestContentTooLarge")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/subscriptions/other/resourcegroups", 404, "SubscriptionNotFound"),
        ("resourcegroups/none", 404, "ResourceGroupNotFound"),
        (f"{NETS}/none", 404, "ResourceNotFound"),
        ("resourceGroups/rg/providers/Microsoft.Network/loadBalancers/x", 404, "InvalidResourceType"),
        ("resourceGroups/rg/providers/Microsoft.Sql/servers/x", 404, "InvalidResourceNamespace"),
        ("providers/Microsoft.Storage/storageAccounts", 404, "InvalidResourceNamespace"),
        (f"{NETS}/none/virtualNetworkPeerings", 404, "InvalidResourceType"),
        (f"{NETS}/none/providers/Microsoft.Resources/tags/default", 404, "InvalidResourceType"),
        (f"{NETS}/none/providers/Microsoft.Authorization/locks", 404, "InvalidResourceNamespace"),
        ("providers/Microsoft.Compute/locations/local/virtualMachines", 404, "InvalidResourceType"),
        ("nonsense", 404, "InvalidRequestUri"),
    ],
)
def test_what_is_not_there_is_named(arm: Arm, path: str, status: int, code: str) -> None:
    arm.group()
    answer = arm.get(path)
    assert (answer.status, answer.code) == (status, code)
    assert "'locations'" not in answer.message


def test_an_unknown_action_is_named_with_the_ones_there_are(arm: Arm) -> None:
    vm = arm.vm(arm.group())
    answer = arm.post(f"{vm}/runCommand", {"commandId": "RunShellScript"})
    assert (answer.status, answer.code) == (400, "InvalidAction")
    assert "runCommand" in answer.message
    assert "deallocate" in answer.message


def test_etags_guard_writes(arm: Arm) -> None:
    arm.group()
    first = arm.put(f"{NETS}/net", VNET, **{"If-None-Match": "*"})
    assert first.status == 201
    etag = arm.get(f"{NETS}/net").body["etag"]
    assert arm.put(f"{NETS}/net", VNET, **{"If-None-Match": "*"}).code == "PreconditionFailed"
    assert arm.put(f"{NETS}/net", VNET, **{"If-Match": etag}).status == 200
    stale = arm.put(f"{NETS}/net", VNET, **{"If-Match": etag})
    assert (stale.status, stale.code) == (412, "PreconditionFailed")
    assert arm.delete(f"{NETS}/net", **{"If-Match": etag}).status == 412
    assert arm.get(f"{NETS}/net").status == 200


def test_lists_come_in_pages(arm: Arm) -> None:
    arm.group()
    for index in range(5):
        arm.done(arm.put(f"{NETS}/net{index}", VNET))
    names, link = [], f"{NETS}?$top=2"
    while link:
        answer = arm.get(link)
        names += [item["name"] for item in answer.body["value"]]
        link = answer.body.get("nextLink")
    assert names == [f"net{index}" for index in range(5)]
    for bad in ("$top=0", "$top=x", "$skipToken=%21"):
        assert arm.get(f"{NETS}?{bad}").status == 400


def names(arm: Arm, path: str) -> list[str]:
    """The names in a list, page by page; each page but the last has as many as `$top` asks for."""
    found: list[str] = []
    link: str | None = path
    while link:
        body = arm.get(link).body
        top = link.partition("$top=")[2].partition("&")[0] or link.partition("%24top=")[2].partition("&")[0]
        assert not body.get("nextLink") or not top or len(body["value"]) == int(top)
        found += [item["name"] for item in body["value"]]
        link = body.get("nextLink")
    return found


def test_resources_are_listed_and_filtered(arm: Arm) -> None:
    arm.group()
    arm.group("other", "eastus")
    arm.done(arm.put(f"{NETS}/one", {**VNET, "tags": {"Env": "prod"}}))
    arm.done(arm.put(f"{NETS}/two", VNET))
    arm.done(arm.put(f"{NETS.replace('/rg/', '/other/')}/one", {**VNET, "location": "eastus"}))
    ids = "resources?$filter="
    assert names(arm, "resources") == ["one", "one", "two"]
    assert names(arm, "resources?$top=1") == ["one", "one", "two"]
    assert names(arm, "resourceGroups/rg/resources?$filter=tagName eq 'env'") == ["one"]
    assert names(arm, f"{ids}tagname eq 'ENV' and tagvalue eq 'prod'") == ["one"]
    assert names(arm, f"{ids}tagname eq 'env' and tagvalue eq 'test'") == []
    assert names(arm, f"{ids}startswith(tagname, 'E')") == ["one"]
    assert names(arm, f"{ids}resourceGroup eq 'RG' and name eq 'ONE'") == ["one"]
    assert names(arm, f"{ids}resourceGroup eq 'rg'&$top=1") == ["one", "two"]
    assert names(arm, f"{ids}location eq 'East US'") == ["one"]
    assert names(arm, f"{ids}substringof('tw', name)") == ["two"]
    assert names(arm, f"{ids}resourceType eq 'microsoft.network/VirtualNetworks'") == ["one", "one", "two"]
    assert names(arm, f"{ids}resourceType eq 'Microsoft.Compute/disks'") == []
    assert arm.get(f"{ids}name ne 'x'").code == "InvalidFilterInQueryString"


def test_a_resource_is_found_by_the_tags_it_has_now(arm: Arm) -> None:
    arm.group()
    arm.done(arm.put(f"{NETS}/net", {**VNET, "tags": {"a": "1"}}))
    arm.done(arm.put(f"{NETS}/net", {**VNET, "tags": {"a": "2", "b": "3"}}))
    assert names(arm, "resources?$filter=tagName eq 'a' and tagValue eq '1'") == []
    assert names(arm, "resources?$filter=tagName eq 'a' and tagValue eq '2'") == ["net"]
    arm.done(arm.delete(f"{NETS}/net"))
    assert names(arm, "resources?$filter=tagName eq 'b'") == []


def test_resources_tell_their_times_and_state_when_asked(arm: Arm) -> None:
    arm.group()
    arm.done(arm.put(f"{NETS}/net", {**VNET, "tags": {"a": "1"}}))
    (plain,) = arm.get("resources").body["value"]
    assert plain.keys() == {"id", "name", "type", "location", "tags"}
    (full,) = arm.get("resources?$expand=createdTime,changedTime,provisioningState").body["value"]
    assert full["createdTime"] <= full["changedTime"]
    assert full["provisioningState"] == "Succeeded"
    assert arm.get("resources?$expand=colour").code == "InvalidExpandInQueryString"


def test_groups_are_found_by_tag(arm: Arm) -> None:
    for name, env in (("a", "prod"), ("b", "test"), ("c", "prod")):
        arm.put(f"resourcegroups/{name}", {"location": "local", "tags": {"env": env}})
    assert names(arm, "resourcegroups?$filter=tagname eq 'env' and tagvalue eq 'prod'&$top=1") == ["a", "c"]


@pytest.mark.parametrize(
    "query", ["$filter='virtualMachineScaleSet/id' eq 'x'", "$expand=instanceView", "statusOnly=true", "$orderby=name"]
)
def test_what_a_list_does_not_have_is_refused(arm: Arm, query: str) -> None:
    arm.group()
    disks = "providers/Microsoft.Compute/disks"
    for path in (disks, f"resourceGroups/rg/{disks}"):
        assert arm.get(f"{path}?{query}").code == "InvalidQueryParameter"
    assert arm.get(f"{disks}?statusOnly=false").status == 200


def test_a_page_shows_what_each_get_shows(arm: Arm) -> None:
    group = arm.group()
    for name in ("one", "two"):
        arm.vm(group, name)
    arm.nic(group, "free", public=True)
    nsg = f"{group}/providers/Microsoft.Network/networkSecurityGroups/nsg"
    arm.done(arm.put(nsg, {"location": "local", "properties": {}}))
    for kind in ("Compute/virtualMachines", "Compute/disks"):
        _same(arm, f"{group}/providers/Microsoft.{kind}")
    for kind in ("networkInterfaces", "virtualNetworks", "publicIPAddresses", "networkSecurityGroups"):
        _same(arm, f"{group}/providers/Microsoft.Network/{kind}")


def _same(arm: Arm, path: str) -> None:
    found = arm.get(path).body["value"]
    assert found
    assert found == [arm.get(f"{path}/{item['name']}").body for item in found]


def test_tags_are_patched_whole(arm: Arm) -> None:
    arm.group()
    arm.done(arm.put(f"{NETS}/net", {**VNET, "tags": {"a": "1"}}))
    answer = arm.call("PATCH", f"{NETS}/net", {"tags": {"b": "2"}})
    assert (answer.status, answer.body["tags"]) == (200, {"b": "2"})
    assert answer.body["properties"]["addressSpace"] == VNET["properties"]["addressSpace"]  # type: ignore[index]


def test_an_operation_has_both_headers_and_is_kept(arm: Arm) -> None:
    group = arm.group()
    vm = f"{group}/providers/Microsoft.Compute/virtualMachines/web"
    started = arm.put(vm, arm.vm_body(arm.nic(group)))
    assert started.headers["x-ms-retry-after-ms"] == "50"
    assert "retry-after" not in started.headers
    assert started.headers["azure-asyncoperation"].startswith(f"{BASE}/subscriptions/")
    ended = arm.wait(started)
    assert ended.body["status"] == "Succeeded"
    assert ended.body["startTime"] <= ended.body["endTime"]
    result = arm.get(started.headers["location"])
    assert (result.status, result.body["name"]) == (200, "web")


def test_a_wrong_method_is_refused(arm: Arm) -> None:
    assert arm.post("/subscriptions").code == "HttpMethodNotSupported"
    answer = arm.call("DELETE", "providers/Microsoft.Compute/locations/local/vmSizes")
    assert (answer.status, answer.code) == (405, "HttpMethodNotSupported")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/subscriptions", "GET"),
        (NETS, "GET"),
        (f"{NETS}/x", "GET, HEAD, PUT, PATCH, DELETE"),
        (f"{NETS}/x/usages", "GET"),
    ],
)
def test_a_method_that_a_path_does_not_have_is_refused_with_those_it_has(arm: Arm, path: str, allowed: str) -> None:
    for method in ("OPTIONS", "TRACE", "NONSENSE"):
        answer = arm.call(method, path)
        assert (answer.status, answer.headers["allow"]) == (405, allowed)


def test_providers_list_types_with_versions(arm: Arm) -> None:
    compute = arm.get("providers/microsoft.compute").body
    types = {entry["resourceType"]: entry for entry in compute["resourceTypes"]}
    assert compute["namespace"] == "Microsoft.Compute"
    assert types["virtualMachines"]["apiVersions"][0] >= "2026"
    assert "Local" in types["virtualMachines"]["locations"]
    names = {provider["namespace"] for provider in arm.get("providers").body["value"]}
    assert names == {
        "Microsoft.Compute",
        "Microsoft.Insights",
        "Microsoft.Network",
        "Microsoft.Resources",
        "Skerry.Admin",
    }


def test_locations_start_with_ours(arm: Arm) -> None:
    found = arm.get("locations").body["value"]
    assert found[0]["name"] == "local"
    assert "eastus" in {location["name"] for location in found}


def test_health_and_signed_links_need_no_token(arm: Arm) -> None:
    assert arm.client.get("/healthz").json()["status"] == "ok"
    assert arm.client.get("/skerry/serial/x?se=1&sig=y").status_code == 403


def test_an_operation_remembers_the_request_that_began_it(arm: Arm) -> None:
    answer = arm.delete(arm.group(), **{"x-ms-correlation-request-id": "mine"})
    with arm.control.store.read() as work:
        found = work.operations.recent(1)[0]
    assert (found.correlation_id, found.request_id) == ("mine", answer.headers["x-ms-request-id"])
    assert found.caller
    arm.done(answer)


def test_without_its_database_it_says_when_to_come_again(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(*_arguments: object, **_named: object) -> object:
        raise StoreUnavailable("The database can't be used now: gone")

    with monkeypatch.context() as broken:
        broken.setattr("skerry.store.sessions.Pool.begin", begin)
        for answer in (arm.get("resourcegroups"), arm.put("resourcegroups/rg", {"location": "local"})):
            assert (answer.status, answer.code) == (503, "ServiceUnavailable")
            assert answer.headers["retry-after"] == "5"
    assert arm.put("resourcegroups/rg", {"location": "local"}).status == 201


def test_reads_by_key_take_no_thread_where_they_never_wait(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    group = arm.group()
    vm, network = arm.vm(group), f"{group}/providers/Microsoft.Network"
    operation = arm.post(f"{vm}/restart").headers["azure-asyncoperation"]
    threads: list[Any] = []

    async def in_thread(run: Any, *asked: Any) -> Any:
        threads.append(asked)
        return await run_in_threadpool(run, *asked)

    monkeypatch.setattr(routes, "run_in_threadpool", in_thread)
    by_key = (group, vm, f"{vm}?$expand=instanceView", f"{network}/networkInterfaces/web-nic", operation)
    for path in by_key:
        assert arm.get(path).status == 200
    assert len(threads) == (0 if arm.control.store.glances else len(by_key))
    threads.clear()
    for number, path in enumerate((f"{network}/virtualNetworks/net", f"{network}/networkInterfaces"), start=1):
        assert arm.get(path).status == 200
        assert len(threads) == number
