"""Logs: one structured line for each thing worth knowing at three in the morning."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Literal

import structlog
from aiohttp.http_exceptions import HttpProcessingError

from gateway import lines

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(level: str, format: Literal["auto", "console", "json"]) -> None:
    """To standard error; ``auto`` writes for people where a person looks, and JSON where a program reads."""
    people = format == "console" or (format == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        lines.collect,
    ]
    render: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]  # the pretty one reads files
        if people
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        # Looked up when it is written to, and not kept: whoever replaces standard error or the configuration is obeyed.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Libraries use the standard library's logging: what they say are lines like ours.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(render))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("aiohttp.server").addFilter(_is_ours)


def formatter(render: Sequence[structlog.typing.Processor]) -> logging.Formatter:
    """Of a record of the standard library's, as ``render`` has lines of ours."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
    )


def _is_ours(record: logging.LogRecord) -> bool:
    """aiohttp tells of a request that is none, and of who leaves before he is answered, as of a fault of ours."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError | ConnectionError)
