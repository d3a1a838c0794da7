"""VMs created per second on a thousand simulated hosts, and how long a GET takes meanwhile.

Each database is asked to keep every commit: SQLite with synchronous=FULL, PostgreSQL with fsync on.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

import msgspec
import orjson
from tests import postgresql

from bench.create_load import Plan, Result
from bench.figures import Figures, Row
from bench.options import ROOT, Options
from bench.processes import cpu_seconds
from bench.skerry import Skerry, skerry, succeeded, until

HOSTS = 1000
SECONDS = 20.0
CONNECTIONS = 32
RATE = 100.0  # GETs per second
GOAL, LEAST = 300, 100  # creates per second
GET_MS = 10.0
NETWORK_API, COMPUTE_API = "api-version=2024-05-01", "api-version=2024-07-01"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDYvVr0GoQ0nOGY6Tj4SgSXyhZs9Z7qkVSb0Z0Z9d0mC bench"


@dataclass(frozen=True)
class Measured:
    """One run: VMs provisioned per second, seconds of each create and each GET, the server's CPU seconds per create."""

    rate: float
    creates: list[float]
    gets: list[float]
    cpu: float


def measure(options: Options) -> Figures:  # noqa: ARG001
    """SQLite, then PostgreSQL."""
    with skerry("--simulate", str(HOSTS), image=False) as running:
        lite = _run(running)
    with ExitStack() as stack:
        url = stack.enter_context(postgresql.server(durable=True)).create()
        large = _run(stack.enter_context(skerry("--simulate", str(HOSTS), "--database", url, image=False)))
    note = (
        f"{SECONDS:.0f} s each: {CONNECTIONS} kept-alive connections, each puts a NIC and a VM, then the next, and "
        "looks after the VM before the last until that is provisioned; beside them "
        f"{RATE:.0f} GETs of one VM per second. The load shares the machine."
    )
    return Figures((*_rows("SQLite", lite), *_rows("PostgreSQL", large)), note)


def _rows(database: str, found: Measured) -> Iterator[Row]:
    rate = f"≥ {GOAL} /s (at least {LEAST})"
    yield Row(f"VMs created, {database}", f"{found.rate:.0f} /s", rate, found.rate >= GOAL)
    took = quantiles(found.creates, n=100)
    yield Row(
        "from the NIC's `PUT` to the VM's `Succeeded`, p50 / p99", f"{took[49] * 1e3:.0f} / {took[98] * 1e3:.0f} ms"
    )
    yield Row("CPU time of Skerry for each", f"{found.cpu * 1e3:.1f} ms")
    gets = quantiles(found.gets, n=100)
    value = f"{median(found.gets) * 1e3:.1f} / {gets[98] * 1e3:.1f} ms"
    yield Row("`GET` of a VM meanwhile, p50 / p99", value, f"p99 ≤ {GET_MS:.0f} ms", gets[98] * 1e3 <= GET_MS)


def _run(running: Skerry) -> Measured:
    plan = _plan(running)
    first = _create_one(running, plan)
    cpu = cpu_seconds(running.pid)
    with _gets(running, plan, first) as gets:
        load = subprocess.run(
            [sys.executable, "-m", "bench.create_load"],
            cwd=ROOT,
            input=msgspec.json.encode(plan),
            stdout=subprocess.PIPE,
            check=True,
            timeout=SECONDS * 10,
        )
        result = msgspec.json.decode(load.stdout, type=Result)
        cpu = cpu_seconds(running.pid) - cpu
        latencies = orjson.loads(gets.communicate(timeout=SECONDS * 10)[0])
    return Measured(result.created / result.seconds, result.waited, latencies, cpu / result.created)


@contextmanager
def _gets(running: Skerry, plan: Plan, path: str) -> Iterator[subprocess.Popen[bytes]]:
    words = [str(running.port), plan.ca, plan.token, path, str(RATE), str(SECONDS)]
    process = subprocess.Popen([sys.executable, "-m", "bench.get_rate", *words], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _plan(running: Skerry) -> Plan:
    client = running.client
    group = f"{client.subscription}/resourceGroups/bench"
    network, compute = f"{group}/providers/Microsoft.Network", f"{group}/providers/Microsoft.Compute"
    client.change("PUT", group, {"location": "local"})
    subnet = {"name": "s", "properties": {"addressPrefix": "10.0.0.0/14"}}
    space = {"addressSpace": {"addressPrefixes": ["10.0.0.0/14"]}, "subnets": [subnet]}
    client.change("PUT", f"{network}/virtualNetworks/net", {"location": "local", "properties": space})
    return Plan(
        port=running.port,
        ca=str(running.state / "tls" / "ca.pem"),
        token=running.token(),
        seconds=SECONDS,
        connections=CONNECTIONS,
        nic=(f"{network}/networkInterfaces/NAME?{NETWORK_API}", _text(_nic(f"{network}/virtualNetworks/net"))),
        vm=(f"{compute}/virtualMachines/NAME?{COMPUTE_API}", _text(_vm(f"{network}/networkInterfaces/NAME"))),
    )


def _text(body: dict[str, Any]) -> str:
    return orjson.dumps({"location": "local", "properties": body}).decode()


def _nic(vnet: str) -> dict[str, Any]:
    return {"ipConfigurations": [{"name": "one", "properties": {"subnet": {"id": f"{vnet}/subnets/s"}}}]}


def _vm(nic: str) -> dict[str, Any]:
    image = {"publisher": "Debian", "offer": "debian-12", "sku": "12-gen2", "version": "latest"}
    keys = {"publicKeys": [{"path": "/home/bench/.ssh/authorized_keys", "keyData": KEY}]}
    return {
        "hardwareProfile": {"vmSize": "Standard_B1s"},
        "storageProfile": {
            "imageReference": image,
            "osDisk": {"createOption": "FromImage", "deleteOption": "Delete"},
        },
        "osProfile": {
            "computerName": "NAME",
            "adminUsername": "bench",
            "linuxConfiguration": {"disablePasswordAuthentication": True, "ssh": keys},
        },
        "networkProfile": {"networkInterfaces": [{"id": nic}]},
    }


def _create_one(running: Skerry, plan: Plan) -> str:
    """The VM that the GETs read; its path with its query."""
    for path, body in (plan.nic, plan.vm):
        target = path.partition("?")[0].replace("NAME", "first")
        running.client.change("PUT", target, orjson.loads(body.replace("NAME", "first")), wait=False)
    until(lambda: succeeded(running.client, target), 30, "the first VM")
    return plan.vm[0].replace("NAME", "first")
