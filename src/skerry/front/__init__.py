"""The process that clients speak to: it answers brief reads by itself, and hands all else to the control plane.

    client ══TLS══▶ front ── GET of a few rows by key ──▶ database
                      │
                      └── all else, as frames over a socket ──▶ control plane: writes, operations, agent

Requests that write and the steps of operations compute: in one interpreter each read would wait for them. The front has
no state. It ends with the control plane, which starts another if it dies first. See docs/decisions/0020.
"""

NAMES = ("localhost", "127.0.0.1", "::1")  # that the certificate is for
# How long a thread computes while another waits. Who asks the database lets go of the interpreter at each statement:
# with Python's 5 ms it would wait so long for the event loop after each.
SWITCH_SECONDS = 0.0005
