"""schemathesis against the API on a fake host: requests made from /openapi.json, every answer checked against it.

`tests/api/test_fuzz.py` sends some 2,000 requests; with FUZZ_EXAMPLES in the environment (`make fuzz-api`) many more.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from tests.api.client import Arm

CHECKS = {
    # A body that fits its schema may name what isn't there, or not fit the present state.
    "positive_data_acceptance": {"enabled": False},
    "negative_data_rejection": {"expected-statuses": ["400", "401", "404", "405", "409", "412", "413", "415"]},
    # Azure answers 409 and 412 for these, and 202 while it deletes.
    "use_after_free": {"enabled": False},
    "ensure_resource_availability": {"enabled": False},
}
Json = dict[str, Any]


@dataclass
class Seen:
    """The requests that came through: how many by status, and the slowest."""

    app: ASGIApp
    statuses: Counter[int] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.monotonic()

        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.statuses[message["status"]] += 1
            await send(message)

        await self.app(scope, receive, count)
        if scope["type"] == "http":
            self.slowest = max(self.slowest, (time.monotonic() - began, f"{scope['method']} {scope['path']}"))


@dataclass(frozen=True)
class Report:
    """What a run found; `failures` in words, each once."""

    seen: Seen
    failures: list[str]
    errors: list[str]


def fuzz(arm: Arm, token: str, *, examples: int, coverage: bool, seed: int = 1) -> Report:
    """Send `examples` random requests per operation and follow links; `coverage`: all bounds of the schema as well."""
    seen = Seen(arm.client.app)
    config = SchemathesisConfig.from_dict(_config(token, examples, coverage, seed))
    schema = schemathesis.openapi.from_dict(document(arm), config=config)
    schema.app = seen
    failures: dict[str, str] = {}
    errors = []
    kept = schema.exclude(operation_id="ResourceGroups_Delete")
    for event in from_schema(kept).execute():
        if isinstance(event, events.ScenarioFinished | events.FuzzScenarioFinished):
            failures |= dict(_failures(event.recorder))
        elif isinstance(event, events.NonFatalError | events.FatalError):
            errors.append(repr(event))
    return Report(seen, list(failures.values()), errors)


def _config(token: str, examples: int, coverage: bool, seed: int) -> Json:
    return {
        "seed": seed,
        "headers": {"Authorization": f"Bearer {token}"},
        "base-url": "https://localhost:8443",
        "continue-on-failure": True,
        "workers": 1,
        "checks": CHECKS,
        "generation": {"max-examples": examples, "deterministic": True, "no-shrink": True, "database": "none"},
        "phases": {"coverage": {"enabled": coverage}, "stateful": {"generation": {"max-examples": examples}}},
    }


def _failures(recorder: Any) -> Iterator[tuple[str, str]]:
    for identifier, checks in recorder.checks.items():
        for check in checks:
            if check.status == Status.FAILURE:
                case = recorder.cases[identifier].value
                failure = check.failure_info.failure
                shown = f"{case.method} {case.formatted_path} {case.query} {json.dumps(case.body, default=str)[:600]}"
                yield f"{check.name} {case.operation.label} {failure.title}", f"{check.name}: {failure}\n  {shown}"


def document(arm: Arm) -> Json:
    """The API's document, narrowed to values that often meet: what is asked for is often there.

    Groups are never deleted, and conditions stand only where subnets are written: a random ETag fails always.
    """
    found: Json = arm.client.get("/openapi.json").json()
    parameters, schemas = found["components"]["parameters"], found["components"]["schemas"]
    parameters["subscriptionId"]["schema"] = {"enum": [arm.subscription]}
    parameters["resourceGroupName"]["schema"] = {"enum": ["rg", "other"]}
    for name, (collection, known) in NAMES.items():
        parameters[name]["schema"] = {"anyOf": [{"enum": known}, parameters[name]["schema"]]}
        ids = [_id(arm, collection, one) for one in known]
        IDS.setdefault(collection, ids)
    for path, here in found["paths"].items():
        if not path.endswith("{subnetName}"):
            for operation in here.values():
                _drop_conditions(operation)
    for name, member, values in VALUES:
        _prefer(schemas[name]["properties"], member, values)
    _prefer(schemas["CollectionSourceBody"]["properties"], "id", IDS["Microsoft.Compute/virtualMachines"])
    _prefer(schemas["ReferenceBody"]["properties"], "id", [one for ids in IDS.values() for one in ids])
    return found


IDS: dict[str, list[str]] = {}
NAMES = {
    "virtualNetworkName": ("Microsoft.Network/virtualNetworks", ["net", "net2"]),
    "networkSecurityGroupName": ("Microsoft.Network/networkSecurityGroups", ["nsg"]),
    "publicIPAddressName": ("Microsoft.Network/publicIPAddresses", ["ip", "ip2"]),
    "networkInterfaceName": ("Microsoft.Network/networkInterfaces", ["web-nic", "nic2"]),
    "virtualMachineName": ("Microsoft.Compute/virtualMachines", ["web", "vm2"]),
    "diskName": ("Microsoft.Compute/disks", ["disk", "disk2"]),
    "restorePointCollectionName": ("Microsoft.Compute/restorePointCollections", ["kept", "kept2"]),
    "sshPublicKeyName": ("Microsoft.Compute/sshPublicKeys", ["key", "key2"]),
    "deploymentName": ("Microsoft.Resources/deployments", ["one", "two"]),
}
VALUES: list[tuple[str, str, list[Any]]] = [
    *(
        (f"{kind}Body", "location", ["local", "West Europe"])
        for kind in ("ResourceGroup", "VirtualNetwork", "NetworkSecurityGroup", "PublicIpAddress", "NetworkInterface")
    ),
    *(
        (f"{kind}Body", "location", ["local"])
        for kind in ("Disk", "RestorePointCollection", "SshPublicKey", "VirtualMachine")
    ),
    ("AddressSpaceBody", "addressPrefixes", [["10.0.0.0/16"], ["10.1.0.0/16", "10.2.0.0/16"], ["10.0.0.0/33"]]),
    ("SubnetPropertiesBody", "addressPrefix", ["10.0.0.0/24", "10.0.1.0/24", "10.1.0.0/25"]),
    ("HardwareProfileBody", "vmSize", ["Standard_B1s", "standard_b2s", "Standard_D2s_v5"]),
    ("SecurityRulePropertiesBody", "sourceAddressPrefix", ["*", "10.0.0.0/8", "Internet"]),
    ("SecurityRulePropertiesBody", "destinationPortRange", ["22", "80-90", "*"]),
]


def _prefer(properties: Json, name: str, values: list[Any]) -> None:
    """Make some values likely; what is forbidden stays so."""
    properties[name] = {"anyOf": [{"enum": values}, properties[name]]}


def _id(arm: Arm, collection: str, name: str) -> str:
    return f"/subscriptions/{arm.subscription}/resourceGroups/rg/providers/{collection}/{name}"


def _drop_conditions(operation: Any) -> None:
    if isinstance(operation, dict):
        kept = [p for p in operation["parameters"] if not str(p.get("$ref")).endswith("Match")]
        operation["parameters"] = kept
