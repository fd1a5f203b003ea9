from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import structlog
from structlog.testing import capture_logs

from gateway.call_log import CallLog
from gateway.progress import Progress
from gateway.recorder import Recorder
from pipelines.events import PartFailed, RestCalled, ToolCalled, ToolReturned
from store.events import CallEvent
from tests.clock import run_virtual


class Kept:
    """In place of a recorder."""

    def __init__(self) -> None:
        self.events: list[CallEvent] = []

    def record(self, call_id: str, event: CallEvent, listener_id: str) -> None:
        self.events.append(event)


def made() -> tuple[CallLog, Kept]:
    kept = Kept()
    return CallLog("call", "listener", cast(Recorder, kept), Progress(), structlog.get_logger()), kept


def test_what_functions_are_given_is_json_for_whoever_reads_it() -> None:
    log, kept = made()
    given: dict[str, Any] = {"amount": float("inf")}
    log.on_event(ToolCalled("pay", given))
    log.on_event(RestCalled({"body": given}))
    log.on_event(ToolReturned("pay", given, "OK"))
    for event in kept.events:
        assert "inf" in json.dumps(event.data, allow_nan=False)
    assert len(kept.events) == 3


def test_a_provider_that_is_away_is_one_line_a_minute_and_every_failure_is_in_the_log_of_the_call() -> None:
    async def main() -> None:
        log, kept = made()
        for second in range(100):
            log.on_event(PartFailed("stt", "deepgram", "connect", f"no socket at {second}"))
            await asyncio.sleep(1)
        log.on_event(PartFailed("tts", "pico", "connect", "another"))
        assert len(kept.events) == 101

    with capture_logs() as logged:
        run_virtual(main())
    assert [line["error"] for line in logged] == ["no socket at 0", "no socket at 60", "another"]
