from __future__ import annotations

import json
import logging
import sys

import pytest
import structlog
from aiohttp.http_exceptions import BadStatusLine

from gateway import logs


def record(error: Exception, name: str = "aiohttp.server") -> logging.LogRecord:
    try:
        raise error
    except Exception:  # noqa: BLE001
        return logging.LogRecord(name, logging.ERROR, "", 0, "Error handling request from %s", ("::1",), sys.exc_info())


def test_what_a_library_says_is_a_line_like_ours() -> None:
    render: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ]
    line = json.loads(logs.formatter(render).format(record(ValueError("what was wrong"))))
    assert (line["event"], line["level"], line["logger"]) == (
        "Error handling request from ::1", "error", "aiohttp.server",
    )  # fmt: skip
    assert line["exception"].endswith("ValueError: what was wrong")
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    ("error", "is_said"), [(ValueError(), True), (BadStatusLine("x"), False), (ConnectionResetError(), False)], ids=repr
)
def test_a_fault_of_a_handler_is_said_and_what_a_client_does_wrong_is_not(error: Exception, is_said: bool) -> None:
    logger = logging.getLogger("aiohttp.server")
    assert logger.isEnabledFor(logging.ERROR)
    assert bool(logger.filter(record(error))) is is_said
