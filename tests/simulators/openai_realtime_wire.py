"""The simulated model's side of the wire: its clock, its events and errors, and the faults that end a connection."""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from tests.simulators.openai_realtime_scene import Close, Faults, Sent


class SimulatedWire:
    def __init__(self, faults: Faults) -> None:
        self.mistakes: list[str] = []
        self.stalled = False
        """Half-open: nothing is read or written any more."""
        self._faults = faults
        self._out: list[Sent] = []
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._ids = itertools.count(1)
        self._now = self._began = 0.0

    @property
    def next_at(self) -> float | None:
        """When :meth:`tick` has something to do."""
        return self._timers[0][0] if self._timers and not self.stalled else None

    def tick(self, now: float) -> list[Sent]:
        while self._timers and self._timers[0][0] <= now and not self.stalled:
            at, _, action = heapq.heappop(self._timers)
            self._now = max(self._now, at)
            action()
        self._now = max(self._now, now)
        return self._taken()

    def _taken(self) -> list[Sent]:
        sent, self._out = self._out, []
        return [] if self._faults.mute else sent

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (self._now + seconds, next(self._order), action))

    def _id(self, kind: str) -> str:
        return f"{kind}_{next(self._ids):06d}"

    def _emit(self, type: str, **fields: Any) -> None:
        event = {"type": type, "event_id": self._id("event"), **fields}
        if not self.stalled:
            self._out.append(json.dumps(event, separators=(",", ":")))

    def _refuse(self, event: Mapping[str, Any], code: str, message: str, param: str | None = None) -> None:
        self.mistakes.append(f"{event.get('type')}: {code}: {message}")
        about = event.get("event_id")
        self._error(code, message, param=param, event_id=about if isinstance(about, str) else None)

    def _error(self, code: str, message: str, **more: Any) -> None:
        fields = {"type": "invalid_request_error", "code": code, "message": message, "param": None, "event_id": None}
        self._emit("error", error={**fields, **more})

    def _expire(self) -> None:
        self._error("session_expired", "Your session hit the maximum duration of 60 minutes.")
        self._later(0.05, lambda: self._out.append(Close(1001, "session expired")))

    def _passed(self, side: Literal["agent", "caller"], ms: float) -> None:
        """So much sound has gone by: is it time for a fault?"""
        if side != self._faults.counted:
            return
        if self._faults.half_open_after_ms is not None and ms >= self._faults.half_open_after_ms:
            self.stalled = True
        if self._faults.drop_after_ms is not None and ms >= self._faults.drop_after_ms:
            self._out.append(Close(self._faults.drop_code))
            self._timers.clear()
            self.stalled = True
