"""What happens to a stored change of a network: its hosts take it over.

    network-apply  start: until every host concerned has applied the revision that has the change

The operation owns nothing: the change is stored and valid, several may run on one resource, and a later PUT never
waits for them.
"""

from collections.abc import Iterable
from typing import Any

from skerry.arm.descriptor import PutContext
from skerry.arm.errors import ErrorDetail
from skerry.arm.rows import new_operation, set_body
from skerry.engine.steps import Done, Nap, OperationKind, Outcome, StepContext
from skerry.hostspec import VnetSpec
from skerry.resources.network.spec import refresh, vnet_spec_id

APPLY_SECONDS = 60.0


def apply_change(context: PutContext[Any], vnets: Iterable[str]) -> None:
    """Hand a completed PUT on to the hosts that carry these VNets (keys); its operation waits for them.

    The row and its links are stored here already, for the specs are built from what is stored.
    """
    if context.old is None:
        return  # nothing can refer to it yet
    work = context.work
    set_body(context.row, context.new)
    work.resources.save(context.row)
    work.resources.set_links(context.row.key, context.links)
    waits: dict[str, Any] = {"revisions": {}, "vnets": []}
    for vnet in vnets:
        before = {host: work.hosts.revision(host) for host in work.hosts.names()}
        changed = {host: new for host, new in refresh(work, vnet).items() if new > before[host]}
        waits["revisions"] |= changed
        waits["vnets"] += [vnet_spec_id(vnet)] if changed else []
    if waits["revisions"]:
        context.operation = new_operation(context.row, APPLY.name, seconds=APPLY_SECONDS, state=waits, owns=False)


def _await_applied(context: StepContext) -> Outcome:
    behind = _behind(context)
    return Nap(5, behind[0]) if behind else Done()


def _behind(context: StepContext) -> list[str]:
    revisions = context.operation.state["revisions"]
    hosts = context.work.hosts
    return [host for host, revision in revisions.items() if hosts.applied(host) < revision or _problems(context, host)]


def _problems(context: StepContext, host: str) -> list[str]:
    """What keeps the host from having the change in force; troubles of other VNets don't."""
    hosts, found = context.work.hosts, []
    for vnet in context.operation.state["vnets"]:
        spec = hosts.get(host, VnetSpec, vnet)
        addresses = [port.public_address for port in spec.ports if port.public_address] if spec else []
        things = [
            ("network", "host"),
            ("network", ""),
            ("vnet", vnet),
            ("wayOut", vnet),
            *(("publicAddress", one) for one in addresses),
        ]
        found += [problem for kind, thing in things if (problem := hosts.problem(host, kind, thing))]
    return found


def _timed_out(context: StepContext) -> ErrorDetail:
    hosts = _behind(context)
    problems = [f"{host}: {problem}" for host in hosts for problem in _problems(context, host)]
    why = "; ".join(problems) or f"no word from {', '.join(hosts) or 'the host'} that it has"
    return ErrorDetail(
        "NetworkChangeNotApplied",
        f"The change of '{context.row.id}' is stored, but its host has not applied it within {APPLY_SECONDS:.0f} "
        f"seconds: {why}. The host goes on trying; `az network` commands show what is wanted, not what is in force.",
    )


APPLY = OperationKind(
    "network-apply", {"start": _await_applied}, timed_out=_timed_out, fails_resource=False, owns=False
)
KINDS = (APPLY,)
