"""Whether 100,000 VMs are as quick to list and to find as 1,000, and what they take of memory."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import quote

import orjson

from bench.figures import Figures, Row, amount_row, ratio_row
from bench.guests import site
from bench.load import Connection
from bench.options import Options
from bench.processes import cpu_seconds, memory
from bench.seed import PER_GROUP, TAGGED, fill
from bench.skerry import Skerry, skerry

FEW, MANY = 1_000, 100_000
ROUNDS = 200
MOST_RATIO, MOST_MB = 1.5, 500
API_VERSION = "api-version=2024-07-01"
MB = 1e6


@dataclass(frozen=True)
class Side:
    """A Skerry with `vms` VMs, and the requests that are compared by what they are."""

    running: Skerry
    connection: Connection
    targets: dict[str, str]
    pages: int

    def cost(self, what: str) -> float:
        """CPU seconds of ROUNDS requests."""
        before = cpu_seconds(self.running.pid)
        for _ in range(ROUNDS):
            self.connection.get(self.targets[what])
        return cpu_seconds(self.running.pid) - before


def measure(options: Options) -> Figures:
    """Both Skerries run at once and are asked in turns."""
    with ExitStack() as stack:
        filled = [(stack.enter_context(skerry("--simulate", "1", image=False)), vms) for vms in (FEW, MANY)]
        for running, vms in filled:
            fill(running.state / "skerry.db", site(running).create("one"), vms)
        few, many = (_side(stack, running, vms) for running, vms in filled)
        costs: dict[str, tuple[list[float], list[float]]] = {what: ([], []) for what in few.targets}
        for _ in range(options.pairs):
            for what, (at_few, at_many) in costs.items():
                at_few.append(few.cost(what))
                at_many.append(many.cost(what))
        rows = [ratio_row(what, many, few, MOST_RATIO) for what, (few, many) in costs.items()]
        held = _memory(many)
    note = (
        f"Pairs: {options.pairs}; each side {ROUNDS} times each request, CPU time of the server's process. Every VM "
        f"has a NIC and a disk of its own. Memory: after {many.pages:,} pages of VMs and as many of NICs."
    )
    return Figures((*rows, *held), note)


def _side(stack: ExitStack, running: Skerry, vms: int) -> Side:
    connection = stack.enter_context(Connection(running.port, running.state / "tls" / "ca.pem", running.token()))
    return Side(running, connection, *_targets(connection, running.client.subscription, vms))


def _targets(connection: Connection, subscription: str, vms: int) -> tuple[dict[str, str], int]:
    """What is asked for, and how many pages the list of all VMs has."""
    machines = _pages(connection, f"{subscription}/providers/Microsoft.Compute/virtualMachines?{API_VERSION}")
    nics = _pages(connection, f"{subscription}/providers/Microsoft.Network/networkInterfaces?{API_VERSION}")
    group = f"{subscription}/resourceGroups/fill-{(vms - 1) // PER_GROUP:03}"
    batch = f"tagName eq 'batch' and tagValue eq '{vms // TAGGED // 2}'"
    return {
        "the first page of 100 VMs": machines[0],
        "a page in the middle": machines[len(machines) // 2],
        "the last full page": machines[-2],
        "a page of 100 NICs, in the middle": nics[len(nics) // 2],
        "100 VMs of one group": f"{group}/providers/Microsoft.Compute/virtualMachines?{API_VERSION}",
        "100 resources of any type": f"{subscription}/resources?{API_VERSION}",
        "100 resources by a tag that half of all have": _found(subscription, "tagName eq 'env' and tagValue eq 'prod'"),
        "100 resources by a tag that 300 have": _found(subscription, batch),
        "a resource by its name": _found(subscription, f"name eq 'one-{vms // 2:06}'"),
        "`GET` of one VM": f"{group}/providers/Microsoft.Compute/virtualMachines/one-{vms - 1:06}?{API_VERSION}",
    }, len(machines)


def _found(subscription: str, text: str) -> str:
    return f"{subscription}/resources?$filter={quote(text)}&{API_VERSION}"


def _pages(connection: Connection, target: str) -> Sequence[str]:
    """The paths and queries of a list's pages."""
    pages = connection.pages(target)
    sizes = {len(orjson.loads(body)["value"]) for body in list(pages.values())[:-1]}
    if sizes != {100}:
        raise RuntimeError(f"the pages of {target} have {sizes} entries instead of 100")
    return list(pages)


def _memory(many: Side) -> tuple[Row, Row]:
    held = memory(many.running.pid)
    return (
        amount_row(f"RSS with {MANY:,} VMs, all listed", [held.rss / MB], "MB", MOST_MB, digits=0),
        amount_row(f"PSS with {MANY:,} VMs, all listed", [held.pss / MB], "MB", MOST_MB, digits=0),
    )
