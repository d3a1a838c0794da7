"""The process that keeps serial logs small: started with the first guest, found again by the next Skerry."""

import subprocess
import sys
import threading
from pathlib import Path

from skerry.host.compute.qemu import serial
from skerry.host.network.daemons import Daemon
from skerry.host.run import start


class Keeper:
    """One for all VMs below `folder` (STATE/vms). Callable from any thread."""

    def __init__(self, folder: Path) -> None:
        argv = [sys.executable, "-I", "-S", str(Path(serial.__file__)), str(folder.absolute())]
        self._daemon = Daemon(folder.with_name("serial-keeper.json"), argv)
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def ensure(self) -> None:
        """Start it unless it runs."""
        with self._lock:
            self._reap()
            if not self._daemon.running():
                self._daemon.stop()
                self._reap()
                self._child = start(self._daemon.argv)
                self._daemon.adopt(self._child.pid)

    def stop(self) -> None:
        """End it if it runs: there is no VM left."""
        with self._lock:
            if self._daemon.record.exists():
                self._daemon.stop()

    def close(self, *, needed: bool) -> None:
        """Let go of it, or end it, unless guests go on without us that need it."""
        if not needed:
            self.stop()
        with self._lock:
            self._reap()
            if self._child is not None:
                # It may outlive us, and a Popen would warn.
                self._child.returncode = 0

    def _reap(self) -> None:
        """One that has ended must not stay a zombie, which would look alive."""
        if self._child is not None:
            self._child.poll()
