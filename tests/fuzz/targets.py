"""What is fuzzed: one function for each reader of hostile bytes.

Each takes any bytes and raises only when its reader broke a promise: another error than the documented one, a round
trip that changes the value, a result outside its bounds. That it ends in time and memory is for the runner to see.
"""

import asyncio
import base64
import email
import os
import re
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from cryptography.hazmat.primitives.asymmetric import rsa

from skerry.arm.body import decode, encode, parse_json
from skerry.arm.errors import ArmError
from skerry.arm.filters import parse_filter
from skerry.arm.ids import parse_id, split_path
from skerry.arm.paging import page
from skerry.arm.requests import ArmRequest
from skerry.arm.secrets import Forbidden, Secrets
from skerry.host.compute.qemu.agent_channel import ask_version
from skerry.host.compute.qemu.qmp import Loop, Monitor, listening
from skerry.host.errors import HostError, Refused
from skerry.host.network import http, imds, wireserver
from skerry.host.provisioning.ovf import WA, ovf_env
from skerry.host.storage.headers import MAX_BYTES, SECTOR, inspect
from skerry.hostspec import Provisioning
from skerry.identity import TokenError
from skerry.identity.keys import SigningKey
from skerry.identity.principals import Principal
from skerry.identity.tokens import Tokens
from skerry.resources.compute.keys import validate_public_key
from skerry.resources.network.addresses import parse_address, parse_prefix
from skerry.resources.registry import build_registry
from skerry.templates.errors import TemplateError
from skerry.templates.evaluate import evaluate
from skerry.templates.expression import MAX_LENGTH, Call, is_expression, parse
from skerry.templates.frame import Clock, Frame, UserFunction
from skerry.templates.lenient import loads
from skerry.templates.plan import Plan
from skerry.templates.scope import Scope


@dataclass(frozen=True)
class Target:
    """`longest` bytes are tried at most."""

    run: Callable[[bytes], None]
    longest: int = 4096


TARGETS: dict[str, Target] = {}


def target(longest: int = 4096) -> Callable[[Callable[[bytes], None]], Callable[[bytes], None]]:
    """Register a function under its name."""

    def register(run: Callable[[bytes], None]) -> Callable[[bytes], None]:
        TARGETS[run.__name__] = Target(run, longest)
        return run

    return register


def text_of(data: bytes) -> str:
    """Any text. Lone surrogates never come this far: each way in (JSON, paths, queries, headers) refuses them."""
    return data.decode("utf-8", "replace")


# --- templates -----------------------------------------------------------------------------------------------------


class _NoNames:
    def parameter(self, name: str) -> Any:
        return {"name": name, "list": [1, "two", None, {"three": 3.5}]}

    def variable(self, name: str) -> Any:
        return name

    def function(self, _name: str) -> UserFunction | None:
        return None

    def deployment(self) -> dict[str, Any]:
        return {}


def _providers(namespace: str, kind: str | None) -> Mapping[str, Any]:
    raise LookupError(namespace, kind)


SCOPE = Scope(
    subscription_id="11111111-1111-1111-1111-111111111111",
    tenant_id="22222222-2222-2222-2222-222222222222",
    resource_group="rg",
    resource_group_id="/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg",
    location="local",
    deployment_name="d",
    deployment_mode="Incremental",
    environment={},
    providers=_providers,
)


def _state(identifier: str, _version: str | None, _full: bool) -> Any:
    return {"id": identifier, "properties": {"a": [1]}}


@target()
def expression(data: bytes) -> None:
    """A tree that is printed and read again is the same tree; evaluating it fails with a Fault at most."""
    text = text_of(data)
    if not is_expression(text):
        return
    try:
        tree = parse(text)
    except TemplateError:
        return
    printed = f"[{tree}]"
    # A literal alone may end in a bracket of its own: only calls are expressions that templates use.
    if len(printed) <= MAX_LENGTH and not (isinstance(tree, Call) and not is_expression(printed)):
        assert parse(printed) == tree, printed
    with suppress(TemplateError):
        evaluate(tree, Frame(SCOPE, _NoNames(), Clock(3), in_defaults=True).at_runtime(_state))


@target(longest=8192)
def template(data: bytes) -> None:
    """A whole deployment, from its bytes to its bodies and outputs."""
    try:
        body = loads(data)
    except TemplateError:
        return
    if not isinstance(body, dict) or not isinstance(body.get("template"), dict):
        return
    parameters = body.get("parameters")
    with suppress(TemplateError):
        plan = Plan.load(body["template"], parameters if isinstance(parameters, dict) else {}, SCOPE)
        encode([resource.body(_state) for resource in plan.resources])
        encode([plan.outputs(_state), plan.parameters_view(), plan.resolved_parameters(), plan.dependencies_view()])


@target()
def lenient(data: bytes) -> None:
    """What strict JSON allows reads alike; what was read can be written."""
    try:
        value = loads(data)
    except TemplateError:
        return
    assert loads(encode(value)) == value


# --- the wire ------------------------------------------------------------------------------------------------------


@cache
def _models() -> list[type]:
    kinds = build_registry().types.values()
    return [kind.model for kind in kinds]


@target()
def body(data: bytes) -> None:
    """A body for one of the types (the first byte says which): a model whose own JSON is its model again."""
    model = _models()[data[0] % len(_models())] if data else _models()[0]
    with suppress(ArmError):
        value: Any = decode(parse_json(data[1:]), model)
        assert decode(parse_json(encode(value)), model) == value


@target()
def resource_id(data: bytes) -> None:
    """An id that is read prints as an id that reads alike."""
    text = text_of(data)
    split_path(text)
    try:
        found = parse_id(text)
    except ArmError as error:
        encode_error(error)
        return
    assert parse_id(str(found)) == found
    assert found.key == str(found).lower()
    assert found.parent is None or found.key.startswith(found.parent.key)


@target()
def query(data: bytes) -> None:
    """`$filter`, `$top` and `$skipToken`."""
    text = text_of(data)
    for work in (lambda: parse_filter(text), lambda: _page("$top", text), lambda: _page("$skiptoken", text)):
        try:
            work()
        except ArmError as error:
            encode_error(error)


USER = Principal("User", "an-object", "a-tenant", "me", "a-client")


def _page(name: str, value: str) -> None:
    request = ArmRequest("GET", ("subscriptions",), {name: value}, {}, b"", "https://localhost", caller=USER)
    page(request, lambda _after, _limit: [], lambda _rows: [])


def encode_error(error: ArmError) -> None:
    """A refusal has to be an answer: JSON that can be encoded."""
    encode(error.detail)


@target()
def link(data: bytes) -> None:
    """Nothing that was made up is a signed link."""
    path, _, rest = text_of(data).partition("?")
    end, _, signature = rest.partition("&")
    try:
        Secrets(bytes(32)).check(path, end, signature)
    except Forbidden:
        return
    raise AssertionError("a forged link was taken")


@cache
def _tokens() -> Tokens:
    key = SigningKey(rsa.generate_private_key(public_exponent=65537, key_size=2048), "kid")
    return Tokens(key, "https://localhost/adfs", "22222222-2222-2222-2222-222222222222", ["https://localhost"])


@target()
def token(data: bytes) -> None:
    """No made-up Authorization header lets anybody in; with the head of a real one it doesn't either."""
    text = data.decode("latin-1")
    for header in (text, f"Bearer {text}"):
        try:
            _tokens().verify(header)
        except TokenError:
            continue
        raise AssertionError("a forged token was taken")


@target(longest=16384)
def ssh_key(data: bytes) -> None:
    """A key that is taken is one line, and stays as it is."""
    with suppress(ArmError):
        key = validate_public_key(text_of(data))
        assert key.isprintable()
        assert validate_public_key(key) == key


@target(longest=256)
def address(data: bytes) -> None:
    """A prefix or address that is taken is written as it was read."""
    text = text_of(data)
    with suppress(ArmError):
        assert str(parse_prefix(text, "owner", "target")).partition("/")[0] == text.partition("/")[0]
    with suppress(ArmError):
        assert str(parse_address(text, "target")) == text


# --- the host ------------------------------------------------------------------------------------------------------


@target(longest=70000)
def image(data: bytes) -> None:
    """An image file: the bytes and a hole behind them, whose length (in 64 KiB) the first two bytes give."""
    hole = struct.unpack("<H", data[:2].ljust(2, b"\0"))[0] << 16
    handle = os.memfd_create("image")
    try:
        os.write(handle, data[2:])
        # The VHD's footer is at the end, so the hole goes before the last sector.
        if hole and len(data) > 2 + SECTOR:
            os.pwrite(handle, data[-SECTOR:], len(data) - 2 + hole)
        elif hole:
            os.ftruncate(handle, len(data) + hole)
        header = inspect(Path(f"/proc/self/fd/{handle}"))
    except Refused:
        return
    finally:
        os.close(handle)
    assert 0 < header.virtual_size <= MAX_BYTES
    assert header.virtual_size % SECTOR == 0
    assert header.backing is None


@target(longest=http.MAX_HEAD)
def guest_http(data: bytes) -> None:
    """A guest's request, to the metadata service and the wire server."""
    try:
        request = asyncio.run(_received(data))
    except (http.BadRequest, asyncio.IncompleteReadError):
        return
    answers = [
        imds.answer(request, lambda: '{"compute": {"tagsList": [{"name": "a"}], "n": 5}, "network": {}}'),
        wireserver.answer(request, "vm", lambda _health: None),
        wireserver.plugin_answer(request),
    ]
    for answer in answers:
        encoded = http.encode(answer)
        assert encoded.partition(b"\r\n\r\n")[0].count(b"\r\n") == 4, "a header was smuggled in"


async def _received(data: bytes) -> http.Request:
    reader = asyncio.StreamReader(limit=http.MAX_HEAD)
    reader.feed_data(data)
    reader.feed_eof()
    return await http.receive(reader)


@target(longest=http.MAX_BODY)
def health(data: bytes) -> None:
    """A guest's health report."""
    report = wireserver.parse_health(data)
    assert report is None or len(report.description) <= wireserver.MAX_DESCRIPTION


@target(longest=65536)
def agent(data: bytes) -> None:
    """What a guest agent answers, or something in its place."""
    version = asyncio.run(_agent_version(data))
    assert version is None or re.fullmatch(r"[\w.+~-]{1,64}", version)


async def _agent_version(data: bytes) -> str | None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        theirs.setblocking(False)
        with suppress(BlockingIOError):
            theirs.send(data)
        theirs.shutdown(socket.SHUT_WR)
        return await ask_version(ours)


@target(longest=65536)
def custom_data(data: bytes) -> None:
    """A user's data reaches the guest whole beside a password, whatever it is; it never replaces ours."""
    crypted = "$6$salt$hash"
    provisioning = Provisioning(
        hostname="h",
        admin_username="me",
        ssh_public_keys=(),
        password_hash=crypted if data[:1] == b"p" else None,
        disable_password_authentication=False,
        custom_data=base64.b64encode(data[1:]).decode(),
    )
    root = ElementTree.fromstring(ovf_env(provisioning))
    sent = base64.b64decode(root.findtext(f".//{{{WA}}}CustomData") or "")
    if provisioning.password_hash is None:
        assert sent == data[1:]
    elif not data[1:]:
        assert sent.startswith(b"#cloud-config\n")
    else:
        first = email.message_from_bytes(sent).get_payload(0)
        assert isinstance(first, Message)
        assert first.get_content_type() == "text/cloud-config"
        assert crypted.encode() in bytes(first.get_payload(decode=True))


@target()
def monitor(data: bytes) -> None:
    """A QEMU that a guest has taken over may answer anything: a lost monitor is told, and nothing else raises."""
    ended, events = threading.Event(), _Events()
    folder = Path(tempfile.mkdtemp())
    listener = listening(folder / "qmp.sock")
    peer = threading.Thread(target=_misbehave, args=(listener, data))
    peer.start()
    client = Monitor(_qmp_loop(), events.take, ended.set)
    try:
        client.connect(folder / "qmp.sock", 5)
        with suppress(HostError):
            client.status()
        assert ended.wait(10), "the end of a connection wasn't told"
    except HostError:
        pass
    finally:
        peer.join()
        listener.close()
        shutil.rmtree(folder)


class _Events:
    def take(self, event: Mapping[str, Any]) -> None:
        """What guest.py asks of an event first."""
        match event:
            case {"event": "SHUTDOWN", "data": {"guest": True}}:
                pass


@cache
def _qmp_loop() -> Loop:
    return Loop()


def _misbehave(listener: socket.socket, data: bytes) -> None:
    """Greets as QEMU does unless the first byte is odd, then says `data` and hangs up."""
    with listener.accept()[0] as peer, suppress(OSError):
        if not (data and data[0] & 1):
            peer.sendall(b'{"QMP": {"version": {"qemu": {"micro": 0}}, "capabilities": []}}\n')
            peer.recv(4096)
            peer.sendall(b'{"return": {}, "id": "__qmp#00000"}\n')
        peer.sendall(data[1:])
        peer.shutdown(socket.SHUT_WR)
        peer.settimeout(0.02)
        while peer.recv(4096):
            pass
