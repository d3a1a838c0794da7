"""Where templates are made and checked and machines set to stand by: one after the other in the background, and not
while a user's VM is starting.

want, order ──▶ making ──▶ trial clone ──▶ ready
                   └───────────┴─ failed ──▶ told once, and tried again when it is ordered again
check ──▶ trial clone ──▶ stays, or is dropped and made anew
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Literal

import msgspec
import structlog
from msgspec.structs import replace

from skerry.host.compute.qemu.driver import QemuCompute
from skerry.host.errors import HostError
from skerry.host.files import write_atomically
from skerry.host.network.routed import RoutedNetwork
from skerry.host.storage.qcow2 import Qcow2Storage
from skerry.host.warm.limits import SPARE_BYTES, available_memory
from skerry.host.warm.maker import Maker
from skerry.host.warm.pool import Pool
from skerry.host.warm.templates import Key, Template, Templates
from skerry.hostspec import TemplateObserved, TemplateSpec, WarmObserved, template_id

log = structlog.get_logger()

START_SECONDS = 120.0  # for which a VM that starts is given way
PAUSE_SECONDS, TEND_SECONDS = 0.5, 2.0
IN_BACKGROUND, ORDERED = 19, 5  # niceness: somebody waits for what was ordered


class MemoryShort(HostError):
    """There isn't enough memory for a template now."""


class Workshop:
    """One per host. `changed` is called from its thread when an order was carried out."""

    def __init__(
        self,
        templates: Templates,
        compute: QemuCompute,
        network: RoutedNetwork,
        storage: Qcow2Storage,
        setting: str,
        *,
        pool: Pool,
    ) -> None:
        self.changed: Callable[[], None] = lambda: None
        self._pool = pool
        self._templates, self._compute, self._network, self._storage = templates, compute, network, storage
        self._setting = setting
        self._work: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._failed: set[Key] = set()
        self._orders: dict[str, TemplateObserved] = {}
        self._file = templates.folder.with_name("templates.json")
        self._carried_out = _read(self._file)
        self._starting: dict[str, float] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="skerry-templates", daemon=True)
        self._thread.start()

    # --- what is to be done ------------------------------------------------------------------------------------

    def want(self, key: Key, disk_bytes: int) -> None:
        """Make a template unless there is one, or it was tried before and could not be made. Returns at once."""
        if key not in self._failed and self._templates.find(key) is None:
            self._work.put(partial(self._want, key, disk_bytes))

    def order(self, specs: Sequence[TemplateSpec]) -> None:
        """Carry out each order once. Returns at once, cheap to repeat."""
        for spec in specs:
            with self._lock:
                known = self._orders.get(spec.id)
                if max(known.order if known else 0, self._carried_out.get(spec.id, 0)) >= spec.order:
                    continue
                self._orders[spec.id] = _observed(spec, "making")
            self._work.put(partial(self._carry_out, spec))

    def check(self, template: Template) -> None:
        """A clone of it failed: try one that is nobody's, and make the template anew if that fails too."""
        self._work.put(partial(self._check, template))

    def give_way(self, vm: str) -> None:
        """A user's VM is starting: begin nothing until it has started."""
        with self._lock:
            self._starting[vm] = time.monotonic() + START_SECONDS

    def started(self, vm: str) -> None:
        """It has, or it won't."""
        with self._lock:
            self._starting.pop(vm, None)

    # --- what is known -----------------------------------------------------------------------------------------

    def observe(self) -> WarmObserved:
        """The templates that may be used, those that were ordered, and what they may take."""
        found = {one.id: one for one in map(self._seen, self._templates.list())}
        with self._lock:
            orders = list(self._orders.values())
        for order in orders:
            here = found.get(order.id)
            if here is not None and order.state == "ready":
                found[order.id] = replace(here, order=order.order)
            elif order.state == "ready":
                found[order.id] = replace(order, state="failed", message="it was made, and dropped since; see the log")
            else:
                found[order.id] = order
        limits = self._templates.limits
        return WarmObserved(tuple(found[key] for key in sorted(found)), limits.memory_bytes, limits.disk_bytes)

    def close(self) -> None:
        """Make no more. One that is being made is given up."""
        self._closing.set()
        self._work.put(None)
        while self._thread.is_alive():
            self._templates.end_unfinished()
            self._pool.close()
            self._thread.join(0.5)

    # --- the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (work := self._next()) is not None:
            while self._is_busy() and not self._closing.wait(PAUSE_SECONDS):
                self._pool.tend()
            try:
                if not self._closing.is_set():
                    work()
            except Exception:
                log.exception("a template could not be seen to")

    def _next(self) -> Callable[[], object] | None:
        """What was asked for; now and then, while that is nothing, looking after the machines that stand by."""
        try:
            return self._work.get(timeout=TEND_SECONDS)
        except Empty:
            return self._tend

    def _tend(self) -> None:
        gone = self._pool.tend()
        if (template := self._pool.wanted()) is not None:
            self._pool.fill(template)
        if gone or template is not None:
            self.changed()

    def _is_busy(self) -> bool:
        with self._lock:
            return any(until > time.monotonic() for until in self._starting.values())

    def _want(self, key: Key, disk_bytes: int) -> None:
        if key not in self._failed and self._templates.find(key) is None:
            self._attempt(key, disk_bytes, IN_BACKGROUND)

    def _attempt(self, key: Key, disk_bytes: int, niceness: int) -> str:
        """Make a template. Why there is none, or nothing."""
        try:
            self._make(key, disk_bytes, niceness)
        except MemoryShort as error:  # another time there may be more
            log.info("no template is made", image=key.image, reason=str(error))
            return str(error)
        except HostError as error:
            self._failed.add(key)
            log.warning("no template was made; VMs like it start cold", image=key.image, error=str(error))
            return str(error)
        except Exception as error:
            self._failed.add(key)
            log.exception("no template was made; VMs like it start cold", image=key.image)
            return f"{type(error).__name__}: {error}"
        return ""

    def _make(self, key: Key, disk_bytes: int, niceness: int) -> None:
        free, needed = available_memory(), key.memory_bytes + SPARE_BYTES
        if free < needed:
            raise MemoryShort(f"memory is short: {needed >> 20} MiB are needed and {free >> 20} MiB are free")
        image = self._storage.library.path(key.image)
        with self._maker(niceness) as maker:
            template = maker.make(key, image, disk_bytes)
        self._pool.use(template)
        log.info("template made", template=template.id, image=key.image, vcpus=key.vcpus, memory=key.memory_bytes)

    def _carry_out(self, spec: TemplateSpec) -> None:
        key = Key(spec.image, spec.vcpus, spec.memory_bytes, spec.firmware, self._setting)
        why = "" if self._templates.find(key) else self._attempt(key, spec.disk_bytes, ORDERED)
        if self._closing.is_set():  # given up: the next Skerry carries it out
            return
        with self._lock:
            self._orders[spec.id] = _observed(spec, "failed" if why else "ready", why)
            self._carried_out[spec.id] = spec.order
            with suppress(OSError):  # a full disk: it is carried out again by the next Skerry
                write_atomically(self._file, msgspec.json.encode(self._carried_out))
        self.changed()

    def _check(self, template: Template) -> None:
        if self._templates.find(template.key) != template:
            return
        try:
            with self._maker(IN_BACKGROUND) as maker:
                maker.check(template)
            log.info("a template was checked and is kept", template=template.id)
        except HostError as error:
            log.warning("a template was checked, dropped, and is made anew", template=template.id, error=str(error))
            self._attempt(template.key, template.disk_bytes, IN_BACKGROUND)

    @contextmanager
    def _maker(self, niceness: int) -> Iterator[Maker]:
        compute, tap = self._compute, self._network.idle_tap()
        try:
            yield Maker(self._templates, compute.setting, compute.machine_type, compute.loop, tap, niceness)
        finally:
            os.close(tap)

    def _seen(self, template: Template) -> TemplateObserved:
        key, (loaded, disk) = template.key, self._templates.used(template)
        return TemplateObserved(
            template_id(key.image, key.vcpus, key.memory_bytes, key.firmware),
            key.image,
            key.vcpus,
            key.memory_bytes,
            "ready",
            loaded_bytes=loaded,
            disk_bytes=disk,
        )


def _read(path: Path) -> dict[str, int]:
    """The numbers of the orders that were carried out before, by template. Lost, they are carried out again."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, int])
    except (OSError, msgspec.DecodeError):
        return {}


def _observed(spec: TemplateSpec, state: Literal["making", "ready", "failed"], message: str = "") -> TemplateObserved:
    return TemplateObserved(spec.id, spec.image, spec.vcpus, spec.memory_bytes, state, spec.order, message)
