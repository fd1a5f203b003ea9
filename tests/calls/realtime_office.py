"""The office with a realtime model in place of a cascade."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from math import inf
from typing import Any

from gateway.session import CallSession
from jambonz.simulator.report import CallReport
from pipelines.realtime.link import Opener
from pipelines.realtime.model import RealtimeModel
from pipelines.realtime.pipeline import Realtime
from store.listeners import ListenerForCall
from tests.calls.office import Office
from tests.simulators.codeword import CodewordVoice
from tests.simulators.realtime_memory import MemoryModel
from tests.simulators.replies import ReplyModel, always


def rate_of(agent: Mapping[str, Any]) -> int:
    """Of the legs that an agent asks for."""
    return int(agent.get("options", {}).get("audio", {}).get("sampleRate", 8000))


class RealtimeOffice(Office):
    """``opener`` opens the sessions of ``model``; a :class:`MemoryModel` opens its own."""

    def __init__(
        self, agent: Mapping[str, Any], model: RealtimeModel, *, opener: Opener | None = None, **options: Any
    ) -> None:
        super().__init__(agent, ReplyModel(always("unused")), **options)
        self.realtime = model
        self._opener = model.open if isinstance(model, MemoryModel) else opener
        self.own_voice = CodewordVoice()
        self.realtimes: list[Realtime] = []

    def pipeline(  # type: ignore[override]  # another pipeline
        self,
        listener: ListenerForCall,
        session: CallSession,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> Realtime:
        pipeline = Realtime(
            listener.agent,
            self.realtime,
            self.own_voice,
            session,
            spawn=spawn,
            clock=asyncio.get_running_loop().time,
            opener=self._opener,
            means=self.means_of(session),
        )
        self.realtimes.append(pipeline)
        return pipeline


def silences(report: CallReport, since: float, until: float = inf) -> list[float]:
    """How long nobody was heard, neither agent nor caller: from ``since`` to each sound, up to the agent's last before
    ``until``."""
    agent = [(span.start, span.end) for span in report.ear.utterances() if span.end > since and span.start < until]
    steps = [(step.speech_started, step.speech_ended) for step in report.steps]
    caller = [(start, end) for start, end in steps if start is not None and end is not None and end > since]
    found, heard = [0.0], since
    for start, end in sorted([*agent, *caller]):
        if agent and start <= agent[-1][0]:
            found.append(start - heard)
        heard = max(heard, end)
    return found
