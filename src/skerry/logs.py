"""The server's log, on standard output: one JSON object a line, or readable lines on a terminal.

Each line has `time`, `level` and `event`, and where there is one `request_id`, `correlation_id`, `operation`, `kind`,
`step`, `vm`, `host`. What a request or step has bound (structlog's contextvars) stands in every line that is written
for it, also by other modules.

Hostile text can't forge or colour anything in it: JSON escapes line ends and every character outside ASCII. Secrets
stay out: a traceback has no local variables, and an exception's own words only where they can't quote a request.
"""

import json
import logging
import sys
import threading
import time
import traceback
import unicodedata
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LONGEST_TEXT = 8000  # characters of one value, its end

_SPEAKING = (OSError, AttributeError, TypeError, NameError, AssertionError, ImportError, RecursionError, MemoryError)
"""Built-in errors whose messages name parts of a program or a system, not values. Our own speak carefully anyway."""
_UNSAID = "(its words may quote a request and are left out)"


class _Output:
    """Standard output. Where it can't be written (a full disk) lines are lost, and whoever logs goes on."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stdout.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stdout.flush()


def configure() -> None:
    """Send everything that is logged in this process, by whatever library, to standard output."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _with_traceback,
        _stamped,
    ]
    terminal: list[Processor] = [_printable, structlog.dev.ConsoleRenderer()]
    render: list[Processor] = terminal if sys.stdout.isatty() else [_line]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(_Output()),  # type: ignore[arg-type]
    )
    handler = logging.StreamHandler(_Output())
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove, *render]))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    threading.excepthook = _thread_failed


def described(error: BaseException) -> str:
    """Where an exception came from, with what caused it, innermost last; without a value of any request."""
    parts: list[str] = []
    found: BaseException | None = error
    while found is not None and len(parts) < 10:
        frames = "".join(traceback.format_tb(found.__traceback__, limit=-30))
        kind = type(found)
        ours = kind.__module__.startswith("skerry.") or isinstance(found, _SPEAKING)
        words = traceback.format_exception_only(found)[-1].strip() if ours else f"{kind.__qualname__}: {_UNSAID}"
        parts.append(frames + words)
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    return "\ncaused by\n".join(parts)


def _with_traceback(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Replace `exc_info` by the exception's description."""
    info = event.pop("exc_info", None)
    error = info if isinstance(info, BaseException) else info[1] if isinstance(info, tuple) else sys.exc_info()[1]
    if info and error is not None:
        event["exception"] = described(error)
    return event


@lru_cache(1)
def _second(since_epoch: int) -> str:
    return datetime.fromtimestamp(since_epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _now() -> str:
    """The time in ISO 8601. To write it out takes longer than all the rest of a line: once a second is enough."""
    now = time.time()
    return f"{_second(int(now))}.{int(now * 1000) % 1000:03d}+00:00"


def _stamped(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Add time and level, first; cut what is endless."""
    level = {"exception": "error", "warn": "warning"}.get(method, method)
    found = {"time": _now(), "level": level, "event": event.pop("event", ""), **event}
    for name, value in event.items():
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            found[name] = f"…{value[-LONGEST_TEXT:]}"
    return found


def _line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    try:
        line = orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS)
        if line.isascii():
            return line.decode()
    except TypeError:  # half a surrogate pair, a huge number: sent by someone, and no reason to lose the line
        pass
    return json.dumps(event, default=repr)


def _printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """No value may steer the terminal."""
    plain = {name: _plain(value) if isinstance(value, str) else value for name, value in event.items()}
    return {"timestamp": plain.pop("time"), **plain}


def _plain(text: str) -> str:
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else "�" for c in text)


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    name = failure.thread.name if failure.thread else ""
    structlog.get_logger().error("a thread ended by an exception", thread=name, exc_info=failure.exc_value)
