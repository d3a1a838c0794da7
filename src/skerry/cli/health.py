"""Whether a Skerry answers, asked over TLS with its own CA."""

import http.client
import ssl
from pathlib import Path
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 5


def healthy(base_url: str, state: Path) -> bool:
    """Whether GET /healthz answers 200 with a certificate that our CA signed."""
    parts = urlsplit(base_url)
    try:
        context = ssl.create_default_context(cafile=str(state / "tls" / "ca.pem"))
        connection = http.client.HTTPSConnection(
            parts.hostname or "localhost", parts.port, timeout=TIMEOUT_SECONDS, context=context
        )
        connection.request("GET", "/healthz")
        answer = connection.getresponse().status
        connection.close()
    except (OSError, http.client.HTTPException):
        return False
    return answer == 200
