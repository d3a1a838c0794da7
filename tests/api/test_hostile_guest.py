"""What a guest says comes out as what it is: text."""

from tests.api.client import BASE, Arm

NASTY = "<script>alert(1)</script>\x1b]0;title\x07\x9b2J\r\nHTTP/1.1 200 OK\r\n\u202e\u2028"
DIAGNOSTICS = {"bootDiagnostics": {"enabled": True}}


def test_a_serial_log_is_text_and_never_a_page(arm: Arm) -> None:
    vm = arm.vm(arm.group(), diagnosticsProfile=DIAGNOSTICS)
    identifier = arm.get(vm).body["properties"]["vmId"]
    written = NASTY.encode() + bytes(range(256))
    arm.host.compute._serial[identifier] = written
    link = arm.post(f"{vm}/retrieveBootDiagnosticsData").body["serialConsoleLogBlobUri"]
    response = arm.client.request("GET", link.removeprefix(BASE))
    assert response.content == written
    assert response.headers["content-type"].startswith("text/plain")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in response.headers["content-security-policy"]


def test_a_health_report_is_one_printable_line(arm: Arm) -> None:
    group = arm.group()
    arm.host.compute.not_ready = NASTY
    path = f"{group}/providers/Microsoft.Compute/virtualMachines/web"
    failed = arm.wait(arm.put(path, arm.vm_body(arm.nic(group))))
    assert failed.body["error"]["code"] == "OSProvisioningClientError"
    assert failed.body["error"]["message"].isprintable()
    statuses = arm.get(f"{path}/instanceView").body["statuses"]
    assert all(value.isprintable() for status in statuses for value in status.values())


def test_numbers_of_any_length_are_answered(arm: Arm) -> None:
    vm, digits = arm.vm(arm.group(), diagnosticsProfile=DIAGNOSTICS), "9" * 5000
    asked = arm.call("POST", f"{vm}/retrieveBootDiagnosticsData?sasUriExpirationTimeInMinutes={digits}")
    assert asked.status == 400
    assert arm.get(f"resources?$top={digits}").status == 400
    images = "providers/Microsoft.Compute/locations/local/publishers/Debian/artifacttypes/vmimage/offers/debian-12/skus"
    assert arm.get(f"{images}/12-gen2/versions?$top={digits}").status == 400
    for query in (f"se={digits}&sig=0", "se=9&sig=%C3%A9", "se=%D9%A3&sig="):
        assert arm.client.request("GET", f"/skerry/serial/x?{query}").status_code == 403
