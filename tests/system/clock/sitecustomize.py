"""For a process of its own (PYTHONPATH leads here): a clock that somebody sets, by the seconds that a file names."""

import datetime
import os
import time
from pathlib import Path

_real, _set = time.time, Path(os.environ["SKERRY_TEST_CLOCK"])


def _now() -> float:
    return _real() + float(_set.read_text())


class _Datetime(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "_Datetime":
        return cls.fromtimestamp(_now(), tz)


time.time = _now
datetime.datetime = _Datetime  # type: ignore[misc]
