"""One GET at a fixed rate, in a process of its own: other load delays neither its clock nor its reading.

    python -m bench.get_rate PORT CA TOKEN PATH RATE SECONDS    prints the seconds of each as JSON

A request that is late because the one before took long counts from when it was due.
"""

import json
import sys
import time
from pathlib import Path

from bench.load import Connection


def main(arguments: list[str]) -> None:
    """Measure and print."""
    port, ca, token, path, rate, seconds = arguments
    found = []
    with Connection(int(port), Path(ca), token) as connection:
        connection.get(path)
        began = time.monotonic()
        for number in range(int(float(rate) * float(seconds))):
            due = began + number / float(rate)
            time.sleep(max(due - time.monotonic(), 0))
            connection.get(path)
            found.append(time.monotonic() - due)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
