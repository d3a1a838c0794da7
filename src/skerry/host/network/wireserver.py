"""Azure's wire server (168.63.129.16) as far as cloud-init's Azure data source and walinuxagent need it to provision.

Source: what cloud-init 22.4 to 25 (`sources/helpers/azure.py`) and walinuxagent ask for: versions, the goal state, the
configurations it names, and the health report by which a guest tells that it is provisioned.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from xml.parsers import expat
from xml.sax.saxutils import escape

from skerry.host.network.http import Request, Response

ENDPOINT = "http://168.63.129.16"
PLUGIN_PORT = 32526
_XML = "text/xml; charset=utf-8"
_HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'
_VERSIONS = f"""{_HEAD}<Versions>
  <Preferred><Version>2015-04-05</Version></Preferred>
  <Supported><Version>2015-04-05</Version><Version>2012-11-30</Version><Version>2012-09-15</Version></Supported>
</Versions>
"""
MAX_DESCRIPTION = 4096


@dataclass(frozen=True)
class Health:
    """What a guest reports about its provisioning."""

    state: Literal["Ready", "NotReady"]
    description: str


def answer(request: Request, vm: str | None, report: Callable[[Health], None]) -> Response:
    """The answer of port 80 to the guest of `vm`; a valid health report goes to `report`."""
    path, component = request.path.rstrip("/"), request.query.get("comp", "")
    if vm is None:
        return Response(404)
    match request.method, path, component:
        case "GET", "", "versions":
            return _xml(_VERSIONS)
        case "GET", "/machine", "goalstate":
            return _xml(goal_state(vm))
        case "POST", "/machine", "health":
            return _health(request.body, report)
        case "POST", "/machine", "telemetrydata" | "roleProperties":
            return Response(200)
        case "GET", _, "config" if path.startswith("/machine/"):
            return _config(request.query.get("type", ""), vm)
    return Response(404 if request.method in ("GET", "POST") else 405)


def is_report(request: Request) -> bool:
    """Whether it would be a health report, if its body is one."""
    return request.method == "POST" and request.query.get("comp") == "health"


def plugin_answer(request: Request) -> Response:
    """The answer of port 32526: it is healthy and offers nothing, so agents stay with port 80."""
    if request.method == "GET" and request.path.rstrip("/") in ("", "/health"):
        return Response(200)
    return Response(404)


def goal_state(vm: str) -> str:
    """The goal state document: container and instance are the VM's id; there is no incarnation but the first."""
    name = escape(vm)
    configs = "".join(f"<{tag}>{_config_url(name, kind)}</{tag}>" for tag, kind in _CONFIGS)
    return f"""{_HEAD}<GoalState>
  <Version>2012-11-30</Version>
  <Incarnation>1</Incarnation>
  <Machine>
    <ExpectedState>Started</ExpectedState>
    <StopRolesDeadlineHint>300000</StopRolesDeadlineHint>
    <LBProbePorts><Port>16001</Port></LBProbePorts>
    <ExpectHealthReport>FALSE</ExpectHealthReport>
  </Machine>
  <Container>
    <ContainerId>{name}</ContainerId>
    <RoleInstanceList>
      <RoleInstance>
        <InstanceId>{name}</InstanceId>
        <State>Started</State>
        <Configuration>{configs}</Configuration>
      </RoleInstance>
    </RoleInstanceList>
  </Container>
</GoalState>
"""


_CONFIGS = (
    ("HostingEnvironmentConfig", "hostingEnvironmentConfig"),
    ("SharedConfig", "sharedConfig"),
    ("ExtensionsConfig", "extensionsConfig"),
)


def _config_url(vm: str, kind: str) -> str:
    return f"{ENDPOINT}:80/machine/{vm}/{vm}?comp=config&amp;type={kind}&amp;incarnation=1"


def parse_health(body: bytes) -> Health | None:
    """The report in a POST of `/machine?comp=health`; None if it isn't one. Document types (entities) are refused."""
    reader = _HealthReader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError):
        return None
    return reader.health()


class _HealthReader:
    """Collects the texts below `<Health>` elements by tag; the report is small, and its size was bounded before."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._texts: dict[str, str] = {}

    def start(self, tag: str, _attributes: dict[str, str]) -> None:
        self._path.append(tag)

    def end(self, _tag: str) -> None:
        self._path.pop()

    def text(self, text: str) -> None:
        tag = self._path[-1]
        self._texts[tag] = self._texts.get(tag, "") + text

    def refuse(self, *_declaration: object) -> None:
        raise ValueError("a document type is not allowed here")

    def health(self) -> Health | None:
        state = self._texts.get("State", "").strip()
        details = [self._texts.get(tag, "").strip() for tag in ("SubStatus", "Description")]
        description = ": ".join(filter(None, details))[:MAX_DESCRIPTION]
        if state == "Ready":
            return Health("Ready", description)
        return Health("NotReady", description) if state == "NotReady" else None


def _health(body: bytes, report: Callable[[Health], None]) -> Response:
    health = parse_health(body)
    if health is None:
        return Response(400)
    report(health)
    return Response(200)


def _config(kind: str, vm: str) -> Response:
    name = escape(vm)
    match kind:
        case "hostingEnvironmentConfig":
            body = f'<HostingEnvironmentConfig version="1.0.0.0"><Deployment name="{name}"/></HostingEnvironmentConfig>'
        case "sharedConfig":
            body = f'<SharedConfig version="1.0.0.0"><Deployment name="{name}" incarnation="1"/></SharedConfig>'
        case "extensionsConfig":
            body = '<Extensions version="1.0.0.0" goalStateIncarnation="1"><Plugins/><PluginSettings/></Extensions>'
        case _:
            return Response(404)
    return _xml(f"{_HEAD}{body}\n")


def _xml(text: str) -> Response:
    return Response(200, text.encode(), _XML)
