"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skerry.host.files import sync


@contextmanager
def appearing(final: Path) -> Iterator[Path]:
    """A temporary path beside `final` to write to; at the end it is made durable and gets the final name.

    On an error it is removed. A killed process leaves it behind; its name starts with a dot and nothing reads it.
    """
    temporary = final.with_name(f".{final.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        yield temporary
        sync(temporary)
        temporary.rename(final)
    finally:
        temporary.unlink(missing_ok=True)
    sync(final.parent)
