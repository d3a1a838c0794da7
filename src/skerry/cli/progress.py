"""One line that tells what is being waited for. On a terminal it is redrawn; elsewhere each phase is a line."""

import sys
import time
from types import TracebackType
from typing import Self

from skerry.cli.output import on_terminal, printable

_REDRAW_SECONDS = 0.2


class Progress:
    """Shows `what`, its phase and the seconds since it began. A context manager."""

    def __init__(self, what: str) -> None:
        self._what, self._phase = printable(what), ""
        self._fraction: float | None = None
        self._terminal = on_terminal()
        self._began = time.monotonic()
        self._drawn = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._terminal:
            self._write("\r\x1b[K")

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._began

    def phase(self, phase: str, fraction: float | None = None) -> None:
        """Name what is being done now, and how much of the whole is done (0 to 1) where that is known."""
        self._fraction = fraction
        if phase == self._phase:
            self.tick()
            return
        self._phase = phase
        if self._terminal:
            self._draw()
        else:
            self._write(f"{self._what}: {printable(phase)}\n")

    def tick(self) -> None:
        """Redraw the seconds; call it as often as is convenient."""
        if self._terminal and time.monotonic() - self._drawn >= _REDRAW_SECONDS:
            self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        done = "" if self._fraction is None else f"{self._fraction:.0%}, "
        self._write(f"\r\x1b[K{self._what}: {printable(self._phase)} ({done}{self.seconds:.0f} s)")

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
