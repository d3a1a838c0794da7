"""Logs of the parts that a command borrows from the server."""

import logging
import os
import sys


def quiet() -> None:
    """Leave standard output to the answer: errors are told by the command itself, the rest with SKERRY_DEBUG."""
    import structlog

    level = logging.DEBUG if os.environ.get("SKERRY_DEBUG") else logging.CRITICAL
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
