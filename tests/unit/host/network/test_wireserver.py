from xml.etree import ElementTree

import pytest

from skerry.host.network.http import Request, Response
from skerry.host.network.wireserver import MAX_DESCRIPTION, Health, answer, parse_health, plugin_answer

READY = b"""<?xml version="1.0" encoding="utf-8"?>
<Health xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema">
  <GoalStateIncarnation>1</GoalStateIncarnation>
  <Container>
    <ContainerId>c</ContainerId>
    <RoleInstanceList><Role><InstanceId>i</InstanceId><Health><State>Ready</State></Health></Role></RoleInstanceList>
  </Container>
</Health>
"""
DETAILS = b"<Details><SubStatus>ProvisioningFailed</SubStatus><Description>no disk &lt;here&gt;</Description></Details>"
NOT_READY = READY.replace(b"<State>Ready</State>", b"<State>NotReady</State>" + DETAILS)
LAUGHS = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><Health><State>Ready</State><D>&b;</D></Health>'


def ask(
    method: str, path: str, body: bytes = b"", *, vm: str | None = "an-id", **query: str
) -> tuple[Response, list[Health]]:
    reports: list[Health] = []
    return answer(Request(method, path, query, {}, body), vm, reports.append), reports


@pytest.mark.parametrize("path", ["/machine/", "/machine"])
def test_the_goal_state_has_what_cloud_init_reads(path: str) -> None:
    root = ElementTree.fromstring(ask("GET", path, comp="goalstate")[0].body)
    assert root.findtext("./Container/ContainerId") == "an-id"
    assert root.findtext("./Container/RoleInstanceList/RoleInstance/InstanceId") == "an-id"
    assert root.findtext("./Incarnation") == "1"
    assert root.find("./Container/RoleInstanceList/RoleInstance/Configuration/Certificates") is None


def test_what_the_goal_state_names_can_be_read() -> None:
    root = ElementTree.fromstring(ask("GET", "/machine", comp="goalstate")[0].body)
    links = root.findall("./Container/RoleInstanceList/RoleInstance/Configuration/*")
    assert len(links) == 3
    for link in links:
        path, _, query = (link.text or "").removeprefix("http://168.63.129.16:80").partition("?")
        fields = dict(pair.split("=") for pair in query.split("&"))
        response, _ = ask("GET", path, comp=fields["comp"], type=fields["type"])
        assert response.status == 200
        ElementTree.fromstring(response.body)


def test_versions() -> None:
    root = ElementTree.fromstring(ask("GET", "/", comp="versions")[0].body)
    assert "2012-11-30" in [version.text for version in root.iter("Version")]


def test_health_is_reported() -> None:
    assert ask("POST", "/machine", READY, comp="health") == (Response(200), [Health("Ready", "")])
    assert ask("POST", "/machine/", NOT_READY, comp="health")[1] == [
        Health("NotReady", "ProvisioningFailed: no disk <here>")
    ]


@pytest.mark.parametrize(
    "body", [b"", b"Ready", b"<Health><State>Ready</State>", READY.replace(b"Ready", b"Fine"), LAUGHS, b"\xff\xfe<"]
)
def test_what_is_no_report_is_refused(body: bytes) -> None:
    assert ask("POST", "/machine", body, comp="health") == (Response(400), [])


def test_a_description_is_bounded() -> None:
    health = parse_health(NOT_READY.replace(b"no disk", b"x" * 50000))
    assert health is not None
    assert len(health.description) == MAX_DESCRIPTION


def test_everything_else_is_refused() -> None:
    assert ask("GET", "/machine", vm=None, comp="goalstate")[0].status == 404
    assert ask("GET", "/machine", comp="nothing")[0].status == 404
    assert ask("GET", "/machine/a/b", comp="config", type="fullConfig")[0].status == 404
    assert ask("PUT", "/machine", READY, comp="health")[0].status == 405


def test_the_plugin_port_is_healthy_and_offers_nothing() -> None:
    assert plugin_answer(Request("GET", "/health", {}, {})).status == 200
    assert plugin_answer(Request("GET", "/vmSettings", {}, {})).status == 404
