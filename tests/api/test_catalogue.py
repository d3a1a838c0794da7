"""Sizes, quotas and images over the wire, as az and the SDKs ask for them."""

from tests.api.client import Arm

COMPUTE = "providers/Microsoft.Compute"
IMAGES = f"{COMPUTE}/locations/local/publishers"
VERSIONS = f"{IMAGES}/Debian/artifacttypes/vmimage/offers/debian-12/skus/12-gen2/versions"


def test_sizes_are_listed_by_location(arm: Arm) -> None:
    listed = arm.get(f"{COMPUTE}/locations/westus/vmSizes").body["value"]
    assert next(size for size in listed if size["name"] == "Standard_D2s_v5")["memoryInMB"] == 8192


def test_skus_can_be_filtered_by_location(arm: Arm) -> None:
    listed = arm.get(f"{COMPUTE}/skus?$filter=location%20eq%20'westeurope'").body["value"]
    assert {tuple(sku["locations"]) for sku in listed} == {("westeurope",)}


def test_a_location_that_is_none_is_refused(arm: Arm) -> None:
    answer = arm.get(f"{COMPUTE}/locations/moon/vmSizes")
    assert (answer.status, answer.code) == (400, "NoRegisteredProviderFound")


def test_lookups_lead_from_publisher_to_version(arm: Arm) -> None:
    publisher = next(p["name"] for p in arm.get(IMAGES).body if p["name"] == "Debian")
    offers = f"{IMAGES}/{publisher}/artifacttypes/vmimage/offers"
    offer = arm.get(offers).body[0]["name"]
    sku = arm.get(f"{offers}/{offer}/skus").body[0]["name"]
    versions = arm.get(f"{offers}/{offer}/skus/{sku}/versions?$expand=properties&$orderby=name%20desc&$top=1").body
    assert [offer, sku, len(versions)] == ["debian-12", "12-gen2", 1]
    version = arm.get(f"{offers}/{offer}/skus/{sku}/versions/{versions[0]['name']}").body
    assert version["properties"]["osDiskImage"]["operatingSystem"] == "Linux"


def test_a_missing_image_is_not_found_with_the_commands_that_bring_it(arm: Arm) -> None:
    answer = arm.get(VERSIONS.replace("debian-12", "debian-13").replace("12-gen2", "13-gen2"))
    assert (answer.status, answer.code) == (404, "NotFound")
    assert answer.message.endswith("skerry image build debian-13")


def test_a_missing_version_is_not_found_with_the_versions_there_are(arm: Arm) -> None:
    arm.group()
    lookup = "providers/Microsoft.Compute/locations/local/publishers/Debian/artifacttypes/vmimage/offers/debian-12"
    answer = arm.get(f"{lookup}/skus/12-gen2/versions/1.2.3")
    assert answer.status == 404
    assert "There is no version 1.2.3 here, but" in answer.message
    assert "image build" not in answer.message


def test_a_vm_of_a_missing_image_is_refused_with_the_commands_that_bring_it(arm: Arm) -> None:
    group = arm.group()
    body = arm.vm_body(arm.nic(group))
    body["properties"]["storageProfile"]["imageReference"] = {
        "publisher": "Canonical",
        "offer": "0001-com-ubuntu-server-jammy",
        "sku": "22_04-lts-gen2",
        "version": "latest",
    }
    answer = arm.put(f"{group}/providers/Microsoft.Compute/virtualMachines/web", body)
    assert (answer.status, answer.code) == (404, "PlatformImageNotFound")
    assert "skerry image alias Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2:latest Debian12" in answer.message


def test_a_name_that_az_does_not_know_is_refused_with_the_commands_too(arm: Arm) -> None:
    images = f"{arm.group()}/providers/Microsoft.Compute/images"
    answer = arm.get(f"{images}/Ubuntu2204")
    assert (answer.status, answer.code) == (404, "ResourceNotFound")
    assert "skerry image alias Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2:latest Debian12" in answer.message
    assert "skerry image alias PUBLISHER:OFFER:SKU:latest Debian12" in arm.get(f"{images}/mine").message
    assert arm.get(f"{images}/debian13").message.endswith("skerry image build debian-13")
    refusal = arm.put(f"{images}/mine", {"location": "local"})
    assert (refusal.status, refusal.code) == (400, "OperationNotAllowed")
    assert arm.get(images).body == {"value": []}


def test_a_vm_of_an_unknown_size_is_refused_with_the_valid_ones(arm: Arm) -> None:
    group = arm.group()
    body = arm.vm_body(arm.nic(group), hardwareProfile={"vmSize": "Standard_X"})
    answer = arm.put(f"{group}/providers/Microsoft.Compute/virtualMachines/web", body)
    assert (answer.status, answer.code, answer.body["error"]["target"]) == (400, "InvalidParameter", "vmSize")
    assert "Standard_B1s" in answer.message


def test_usages_follow_allocation(arm: Arm) -> None:
    def used() -> dict[str, int]:
        listed = arm.get(f"{COMPUTE}/locations/local/usages").body["value"]
        return {usage["name"]["value"]: usage["currentValue"] for usage in listed if usage["currentValue"]}

    assert used() == {}
    vm = arm.vm(arm.group())
    assert used() == {"cores": 1, "virtualMachines": 1, "standardBSFamily": 1}
    arm.done(arm.post(f"{vm}/deallocate"))
    assert used() == {"virtualMachines": 1}


def test_network_usages_count(arm: Arm) -> None:
    arm.nic(arm.group())
    listed = arm.get("providers/Microsoft.Network/locations/local/usages").body["value"]
    counted = {usage["name"]["value"]: usage["currentValue"] for usage in listed}
    assert counted["VirtualNetworks"] == counted["NetworkInterfaces"] == 1


def test_the_alias_document_needs_no_token(arm: Arm) -> None:
    document = arm.client.get("/images/aliases.json").json()
    assert document["outputs"]["aliases"]["value"]["Linux"]["Debian12"] == {
        "publisher": "Debian",
        "offer": "debian-12",
        "sku": "12-gen2",
        "version": "latest",
        "architecture": "x64",
    }
