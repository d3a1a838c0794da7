"""Stands in for skerry.server in a process of its own: serves /healthz until SIGTERM, or fails as it is told.

STATE/behave says how: "refuse", "crash", "slow" (SIGTERM takes a moment), "die" (at SIGTERM). STATE/stopped
records stop.json.
"""

import os
import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from skerry.identity import Identity, ensure_tls
from skerry.options import Options


class StartError(Exception):
    """As skerry.server's."""


class _Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


def serve(state: Path, options: Options, on_ready: Callable[[], None]) -> None:
    """Serve, or behave as STATE/behave says."""
    port = options.port
    (state / "asked-database").write_text(str(options.database))
    behaviour = (state / "behave").read_text() if (state / "behave").exists() else ""
    if behaviour == "refuse":
        raise StartError(f"Port {port} is in use.")
    if behaviour == "crash":
        raise KeyError("a bug")
    Identity.load(state, f"https://localhost:{port}")
    tls = ensure_tls(state)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls.cert, tls.key)
    with HTTPServer(("127.0.0.1", port), _Health) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
        threading.Thread(target=server.serve_forever).start()
        print(f"accelerator {options.accel}, simulated {options.simulate}, warm {options.warm}", file=sys.stderr)
        on_ready()
        stop.wait()
        if behaviour == "die":
            os._exit(1)
        time.sleep(0.5 if behaviour == "slow" else 0)
        (state / "stopped").write_text((state / "stop.json").read_text())
        server.shutdown()


def clean(state: Path) -> None:
    """Leave a mark."""
    (state / "cleaned").touch()
