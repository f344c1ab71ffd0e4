"""Structured logs: one JSON object a line on stderr, or readable lines on a terminal. No data, no secrets (G13, S15, S16)."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

SECRET_NAMES = ("token", "password", "secret", "authorization", "dsn", "url")


def configure(style: Literal["json", "console"], level: str) -> None:
    """Set up once per process. Standard library logs (uvicorn, SQLAlchemy, alembic) go the same way, from WARNING on."""
    renderer: Any = structlog.processors.JSONRenderer(ensure_ascii=True)
    if style == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_plain)
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]
    structlog.configure(
        processors=[*shared, _no_traceback_values, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Forward()], force=True)


def audit_logger(name: str) -> Any:
    """For lines that are written whatever the level is set to: who changed what."""
    logger = structlog.PrintLogger(sys.stderr)
    return structlog.wrap_logger(logger, wrapper_class=structlog.make_filtering_bound_logger(logging.INFO), audit=name)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Values under names that sound secret never leave."""
    for key in event:
        if any(word in key.lower() for word in SECRET_NAMES):
            event[key] = "[redacted]"
    return event


def _no_traceback_values(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A traceback shows where, not what: a library's message may quote data (R11)."""
    if event.pop("exc_info", None):
        kind, _error, trace = sys.exc_info()
        frames = []
        while trace is not None:
            frames.append(f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}")
            trace = trace.tb_next
        event["exception"] = f"{kind.__name__ if kind else ''} at {' > '.join(frames[-6:])}"
    return event


def _plain(stream: Any, _info: Any) -> None:
    stream.write("")


class _Forward(logging.Handler):
    """Standard library records as structured ones, without their arguments, which may hold data."""

    def emit(self, record: logging.LogRecord) -> None:
        """Forward name and template."""
        structlog.get_logger(record.name).log(record.levelno, str(record.msg)[:200])
