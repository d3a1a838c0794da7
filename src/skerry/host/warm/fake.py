"""WarmStarts without guests: templates are made by saying so, and every VM starts cold."""

from collections.abc import Callable, Sequence

from skerry.hostspec import StandbyObserved, TemplateObserved, TemplateSpec, VmSpec, VnetSpec, WarmObserved

GIB = 1 << 30


class FakeWarmStarts:
    """`trouble`: why a template can't be made, for the next orders. `ready`: what is said to stand by."""

    def __init__(self) -> None:
        self.trouble = ""
        self.ready: Sequence[StandbyObserved] = ()
        self._templates: dict[str, TemplateObserved] = {}

    def start(self, vm: VmSpec, vnets: Sequence[VnetSpec], taps: Sequence[int]) -> bool:  # noqa: ARG002
        return False

    def learn(self, vm: VmSpec) -> None: ...

    def order(self, templates: Sequence[TemplateSpec]) -> None:
        for spec in templates:
            known = self._templates.get(spec.id)
            if known is None or known.order < spec.order:
                self._templates[spec.id] = TemplateObserved(
                    spec.id,
                    spec.image,
                    spec.vcpus,
                    spec.memory_bytes,
                    "failed" if self.trouble else "ready",
                    spec.order,
                    self.trouble,
                    disk_bytes=0 if self.trouble else GIB // 8,
                )

    def observe(self) -> WarmObserved:
        return WarmObserved(tuple(self._templates.values()), GIB, 4 * GIB)

    def standbys(self) -> Sequence[StandbyObserved]:
        return self.ready

    def on_change(self, callback: Callable[[], None]) -> None: ...

    def close(self) -> None: ...
