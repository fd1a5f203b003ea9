from __future__ import annotations

import json
from typing import Any, cast

import structlog

from gateway.call_log import CallLog
from gateway.progress import Progress
from gateway.recorder import Recorder
from pipelines.events import RestCalled, ToolCalled, ToolReturned
from store.events import CallEvent


class Kept:
    """In place of a recorder."""

    def __init__(self) -> None:
        self.events: list[CallEvent] = []

    def record(self, call_id: str, event: CallEvent, listener_id: str) -> None:
        self.events.append(event)


def test_what_functions_are_given_is_json_for_whoever_reads_it() -> None:
    kept = Kept()
    log = CallLog("call", "listener", cast(Recorder, kept), Progress(), structlog.get_logger())
    given: dict[str, Any] = {"amount": float("inf")}
    log.on_event(ToolCalled("pay", given))
    log.on_event(RestCalled({"body": given}))
    log.on_event(ToolReturned("pay", given, "OK"))
    for event in kept.events:
        assert "inf" in json.dumps(event.data, allow_nan=False)
    assert len(kept.events) == 3
