"""Users, crashes and failing hosts in any order: what was acknowledged holds, and everything comes to rest.

The ordinary run takes the same few hundred turns each time; `make test-durable` takes many more, new ones.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from tests.api.client import Answer
from tests.consistent import consistent
from tests.engine import users
from tests.engine.moments import Killed, Moments
from tests.engine.stepped import Clock
from tests.engine.users import GROUP, NSG, VNET, Promises, Send
from tests.engine.world import World, opened

EXAMPLES = int(os.environ.get("SKERRY_EXAMPLES", "0"))  # 0: the same 60 each time
MEMORY = Path("/dev/shm")
NAMES = st.sampled_from(["v0", "v1"])
NICS = st.sampled_from(["n0", "n1"])
PUBLICS = st.sampled_from(["p0", "p1"])
DISKS = st.sampled_from(["d0", "d1", "v0-disk"])
POINTS = st.sampled_from(["a", "b"])
TAGS = st.dictionaries(st.sampled_from(["Env", "env", "team"]), st.sampled_from(["a", "b"]), max_size=1)
SIZES = st.sampled_from(["Standard_B1s", "Standard_B2s", "Standard_E32s_v5"])  # the last has room on no host
ACTIONS = st.sampled_from(["start", "powerOff", "restart", "deallocate", "redeploy", "reapply"])


class Cloud(RuleBasedStateMachine):
    """One installation, its users, and all that goes wrong."""

    base: Path

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        at = MEMORY if MEMORY.is_dir() else None
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(dir=at, prefix="skerry-"))) / "state"
        shutil.copytree(self.base, folder)
        self.world: World = self._stack.enter_context(opened(folder, Clock(), Moments()))
        self.promises = Promises()
        self.deployments = 0

    @initialize(running=st.booleans(), takes=st.booleans())
    def begin(self, running: bool, takes: bool) -> None:
        for path in (GROUP, VNET, NSG, *map(users.public, ("p0", "p1")), *map(users.nic, ("n0", "n1"))):
            self.promises.there[path] = {}
        if running:
            self._put_vm("v0", users.vm_body(self.world.arm, "v0", "n0", "Standard_B1s", takes=takes), {}, takes=takes)
            self.world.settle()

    def teardown(self) -> None:
        try:
            self._come_to_rest()
            self._delete_all()
        finally:
            self._stack.close()

    # -- what may die on the way

    def _send(self, path: str, send: Send) -> Answer | None:
        """One request; None when the process died before it answered."""
        try:
            answer = send(self.world.arm)
        except Killed:
            self._restart()
            self.promises.unsure |= {path, *self.promises.takes.get(path, [])}
            return None
        assert answer.status < 500, answer.body
        return answer

    def _restart(self, *, agent: bool = True) -> None:
        self.world.moments.arm(0)
        self.world.crash(agent=agent)

    def _put(self, path: str, body: dict[str, Any], tags: dict[str, str], **headers: str) -> Answer | None:
        body = {**body, "tags": tags}
        answer = self._send(path, lambda arm: arm.put(path, body, **headers))
        if answer is not None:
            self.promises.kept(self.world.arm, path, tags, answer)
        return answer

    # -- users

    @rule(name=NAMES, nic=NICS, size=SIZES, takes=st.booleans(), tags=TAGS)
    def put_vm(self, name: str, nic: str, size: str, takes: bool, tags: dict[str, str]) -> None:
        self._put_vm(name, users.vm_body(self.world.arm, name, nic, size, takes=takes), tags, takes=takes)

    @rule(name=NAMES, nic=NICS, takes=st.booleans(), disk=DISKS)
    def put_vm_on_disk(self, name: str, nic: str, takes: bool, disk: str) -> None:
        body = users.vm_body(self.world.arm, name, nic, "Standard_B1s", takes=takes, attach=disk)
        self._put_vm(name, body, {}, takes=takes, disk=disk)

    def _put_vm(self, name: str, body: dict[str, Any], tags: dict[str, str], *, takes: bool, disk: str = "") -> None:
        path, new = users.vm(name), self.world.arm.get(users.vm(name)).status == 404
        nic = body["properties"]["networkProfile"]["networkInterfaces"][0]["id"].rpartition("/")[2]
        along = [users.nic(nic), users.disk(disk or f"{name}-disk")]
        answer = self._put(path, body, tags)
        taken = along if takes else []
        if answer is None:
            self.promises.unsure.update(along)
            self.promises.takes[path] = [*self.promises.takes.get(path, []), *taken]
        elif answer.status < 300:  # also a VM that is there may be told to take along what it didn't
            self.promises.takes[path] = taken
        if answer is not None and answer.status < 300 and new and not disk:
            self.promises.there[along[1]] = tags

    @rule(name=NAMES)
    def delete_vm(self, name: str) -> None:
        self._delete(users.vm(name))

    def _delete(self, path: str) -> None:
        answer = self._send(path, lambda arm: arm.delete(path))
        if answer is not None:
            self.promises.deleted(path, answer)

    @rule(name=NAMES, action=ACTIONS)
    def act(self, name: str, action: str) -> None:
        path = users.vm(name)
        answer = self._send(path, lambda arm: arm.post(f"{path}/{action}"))
        if answer is not None:
            self.promises.acted(answer)

    @rule(name=NAMES, size=SIZES)
    def resize(self, name: str, size: str) -> None:
        path = users.vm(name)
        body = {"properties": {"hardwareProfile": {"vmSize": size}}}
        answer = self._send(path, lambda arm: arm.call("PATCH", path, body))
        if answer is not None:
            self.promises.acted(answer)

    @rule(path=st.sampled_from([users.vm("v0"), users.nic("n0"), users.public("p0"), NSG, GROUP]), tags=TAGS)
    def tag(self, path: str, tags: dict[str, str]) -> None:
        answer = self._send(path, lambda arm: arm.call("PATCH", path, {"tags": tags}))
        if answer is not None:
            self.promises.kept(self.world.arm, path, tags, answer)

    @rule(name=NICS, subnet=st.sampled_from("ab"), public=st.sampled_from(["", "p0", "p1"]), nsg=st.booleans())
    def put_nic(self, name: str, subnet: str, public: str, nsg: bool) -> None:
        self._put(users.nic(name), users.nic_body(self.world.arm, subnet, public, nsg=nsg), {})

    @rule(what=st.sampled_from([*"123", "a", "b", "ab", "abc", "p0", "p1"]))
    def put_network(self, what: str) -> None:
        if what.isdecimal():
            self._put(NSG, users.nsg_body(int(what)), {})
        elif what.startswith("p"):
            self._put(users.public(what), users.public_body(), {})
        else:
            self._put(VNET, users.vnet_body(*what), {})

    @rule(size=st.integers(1, 3))
    def put_disk(self, size: int) -> None:
        self._put(users.disk("d0"), users.disk_body(size), {})

    @rule(name=POINTS, memory=st.booleans())
    def put_point(self, name: str, memory: bool) -> None:
        if self.world.arm.get(users.COLLECTION).status == 404:
            self._put(users.COLLECTION, users.collection_body(self.world.arm, "v0"), {})
        self._put(users.point(name), {"properties": {"skerry": {"memory": memory}}}, {})
        self.promises.takes[users.COLLECTION] = [users.point("a"), users.point("b")]

    @rule(name=POINTS)
    def restore(self, name: str) -> None:
        path = users.point(name)
        answer = self._send(path, lambda arm: arm.post(f"{path}/restore"))
        if answer is not None:
            self.promises.acted(answer)

    @rule(name=NAMES, nic=NICS, of=POINTS, takes=st.booleans())
    def fork(self, name: str, nic: str, of: str, takes: bool) -> None:
        self._put_vm(name, users.fork_body(self.world.arm, name, nic, of, takes=takes), {}, takes=takes)

    @rule(of=POINTS)
    def put_restored_disk(self, of: str) -> None:
        disks = self.world.arm.get(f"{users.point(of)}/diskRestorePoints")
        if disks.status == 200:
            self._put(users.disk("d1"), users.restored_disk_body(disks.body["value"][0]["id"]), {})

    @rule(path=st.one_of(POINTS.map(users.point), st.just(users.COLLECTION)))
    def delete_points(self, path: str) -> None:
        self._delete(path)

    @rule(
        path=st.one_of(
            NICS.map(users.nic), PUBLICS.map(users.public), DISKS.map(users.disk), st.sampled_from([NSG, VNET])
        )
    )
    def delete_one(self, path: str) -> None:
        self._delete(path)

    @rule(delete=st.sampled_from([True, False, False]))
    def group(self, delete: bool) -> None:
        if delete:
            self._delete(GROUP)
        else:
            self._put(GROUP, {"location": "local"}, {})

    @rule(port=st.integers(4, 5))
    def put_twice_with_one_etag(self, port: int) -> None:
        """Of two users who read the same, only one may write."""
        seen = self.world.arm.get(NSG)
        if seen.status == 200:
            first = self._put(NSG, users.nsg_body(port), {}, **{"If-Match": seen.body["etag"]})
            second = self._put(NSG, users.nsg_body(port + 10), {}, **{"If-Match": seen.body["etag"]})
            assert first is None or second is None or first.status >= 300 or second.status == 412

    @rule()
    def deploy(self) -> None:
        self.deployments += 1
        path = f"{GROUP}/providers/Microsoft.Resources/deployments/d{self.deployments}"
        answer = self._send(path, lambda arm: arm.put(path, users.template(f"dp{self.deployments}")))
        if answer is not None:
            self.promises.acted(answer)

    @rule()
    def poll(self) -> None:
        self.promises.check_polls(self.world.arm)

    # -- time, and what goes wrong

    @rule(times=st.integers(1, 6), seconds=st.sampled_from([0.0, 1.0, 20.0]))
    def turn(self, times: int, seconds: float) -> None:
        try:
            for _ in range(times):
                self.world.clock.advance(seconds)
                self.world.turn()
        except Killed:
            self._restart()

    @rule()
    def run_operations(self) -> None:
        """The control plane is quicker than the host."""
        try:
            self.world.control.engine.run_due()
        except Killed:
            self._restart()

    @rule(agent=st.booleans())
    def crash(self, agent: bool) -> None:
        self._restart(agent=agent)

    @rule(moment=st.integers(1, 40))
    def die_soon(self, moment: int) -> None:
        """Whatever comes next dies in the middle."""
        self.world.moments.arm(moment)

    @rule(seconds=st.sampled_from([-86400.0, -30.0, 30.0, 1000.0]))
    def set_clock(self, seconds: float) -> None:
        self.world.clock.step(seconds)

    @rule()
    def report_again(self) -> None:
        """A report comes twice, or late."""
        reported = self.world.agent._reported
        if reported is not None:
            try:
                self.world.control.link.report(reported[0])
            except Killed:
                self._restart()

    @rule(what=st.sampled_from(["silent", "full", "qemu", "qemu for long", "guests hang", "reboot", "mended"]))
    def break_host(self, what: str) -> None:
        host = self.world.host
        if what == "mended":
            self._mend()
        elif what == "reboot":
            host.compute.reboot_host()
        elif what.startswith("qemu"):
            host.compute.fail_next = ["qemu: could not start"] * (100 if what.endswith("long") else 2)
        host.silent = host.silent or what == "silent"
        host.storage.full = host.storage.full or what == "full"
        host.compute.never_ready = host.compute.never_ready or what == "guests hang"

    def _mend(self) -> None:
        host = self.world.host
        host.silent = host.storage.full = host.compute.never_ready = False
        host.compute.fail_next.clear()

    @precondition(lambda self: self.world.host.compute.machines())
    @rule(how=st.sampled_from(["crash", "lose", "guest_shutdown"]))
    def end_guest(self, how: str) -> None:
        for machine in list(self.world.host.compute.machines()):
            getattr(self.world.host.compute, how)(machine)

    # -- the end

    @rule()
    def come_to_rest(self) -> None:
        self._come_to_rest()

    def _come_to_rest(self) -> None:
        """Nothing goes wrong any more: every operation ends, and all is as promised."""
        self.world.moments.arm(0)
        self._mend()
        self.world.settle()
        consistent(self.world.control, self.world.host, quiet=True)
        self.promises.check_polls(self.world.arm)
        self.promises.look(self.world.arm)
        self._start_failed()

    def _start_failed(self) -> None:
        """A VM that failed can be started once the cause is gone."""
        arm = self.world.arm
        for name in ("v0", "v1"):
            seen = arm.get(users.vm(name))
            size = seen.body["properties"]["hardwareProfile"]["vmSize"] if seen.status == 200 else ""
            if size.startswith("Standard_B") and seen.body["properties"]["provisioningState"] == "Failed":
                arm.done(arm.post(f"{users.vm(name)}/start"))
                assert arm.power(users.vm(name)) == "running"

    def _delete_all(self) -> None:
        """With the group everything goes, here and on the host."""
        arm, host = self.world.arm, self.world.host
        if arm.get(GROUP).status == 200:
            arm.done(arm.delete(GROUP))
        self.world.settle()
        consistent(self.world.control, host, quiet=True)
        rows = self.world.rows()
        assert not rows["resources"] and not rows["links"] and not rows["tags"] and not rows["host_specs"]
        assert not host.compute.machines() and not host.storage._sizes
        assert not host.checkpoints._made and not host.storage._frozen


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A group with a network, NICs, addresses and a security group."""
    folder = tmp_path_factory.mktemp("cloud")
    with opened(folder / "prepare", Clock()) as world:
        arm = world.arm
        arm.group()
        for path, body in (
            (VNET, users.vnet_body("a", "b")),
            (NSG, users.nsg_body(22)),
            (users.public("p0"), users.public_body()),
            (users.public("p1"), users.public_body()),
            (users.nic("n0"), users.nic_body(arm, "a", "p0", nsg=True)),
            (users.nic("n1"), users.nic_body(arm, "b", "", nsg=False)),
        ):
            arm.done(arm.put(path, body))
        world.settle()
        world.save(folder / "base")
    yield folder / "base"


def test_what_was_promised_holds_whatever_goes_wrong(base: Path) -> None:
    Cloud.base = base
    run_state_machine_as_test(
        Cloud,
        settings=settings(
            max_examples=EXAMPLES or 60,
            stateful_step_count=30,
            derandomize=not EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
