"""The server's log: one JSON object a line, on standard output.

Hostile text can't forge or colour anything in it: JSON escapes line ends and every character outside ASCII. Secrets
stay out: a traceback has no local variables, and an exception's own words only where they can't quote a request.
"""

import logging
import sys
import traceback

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_SPEAKING = (OSError, AttributeError, TypeError, NameError, AssertionError, ImportError, RecursionError, MemoryError)
"""Built-in errors whose messages name parts of a program or a system, not values. Our own speak carefully anyway."""
_UNSAID = "(its words may quote a request and are left out)"


def configure() -> None:
    """Send everything that is logged in this process, by whatever library, to standard output."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_traceback,
    ]
    render = structlog.processors.JSONRenderer(default=repr)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(),
    )
    handler = logging.StreamHandler(sys.stdout)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove, render]))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


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
