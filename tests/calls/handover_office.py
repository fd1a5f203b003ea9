"""The office with others who go on with its calls: another agent, another model of the same one, a telephone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from gateway.session import CallSession
from jambonz.simulator.caller import HangUp, Speak, Step, Wait
from jambonz.simulator.outcomes import DialOutcome, Outcomes
from jambonz.simulator.report import CallReport
from pipelines.agent import AgentDefinition
from pipelines.cascade import Cascade, CascadeParts
from pipelines.parts import LanguageModel, Message, ProviderError
from pipelines.pipeline import Pipeline
from pipelines.realtime.pipeline import Realtime
from store.listeners import ListenerForCall
from tests.calls.office import Office
from tests.calls.silences import longest_silence, without_patience
from tests.simulators.codeword import CodewordRecogniser, CodewordVoice, plain_words, speak
from tests.simulators.realtime_memory import MemoryModel
from tests.simulators.replies import ReplyModel, Script

NUMBER = "+44 20 7946 0999"
QUESTION = "please count to sixteen"
ANSWER = "One two three four five six. Seven eight nine ten eleven twelve. Thirteen fourteen fifteen sixteen."


class Unready(ReplyModel):
    """A model that cannot be set up: an error, or nothing at all."""

    name = "unready"

    def __init__(self, script: Script, *, stalls: bool = False) -> None:
        super().__init__(script)
        self.stalls = stalls

    async def prepare(self) -> None:
        if self.stalls:
            await asyncio.Event().wait()
        raise ProviderError(self.name, "auth", "simulated")


class HandoverOffice(Office):
    """``others`` are agents by their ids, with their parts. ``models`` are those that a fallback's ``model`` names,
    of the agent itself; one whose name is of a realtime model is a :class:`MemoryModel`. ``dialled`` is what becomes
    of a call to the telephone."""

    def __init__(
        self,
        agent: Mapping[str, Any],
        model: LanguageModel | MemoryModel,
        *,
        others: Mapping[str, tuple[Mapping[str, Any], CascadeParts]] | None = None,
        by_name: Mapping[str, LanguageModel | MemoryModel] | None = None,
        dialled: DialOutcome | None = None,
        **options: Any,
    ) -> None:
        outcomes = Outcomes(dials=(dialled or DialOutcome(ring_seconds=2.0, talk_seconds=4.0),))
        super().__init__(agent, model, outcomes=outcomes, **options)  # type: ignore[arg-type]
        self.by_name = {self.agent.model_name: model, **(by_name or {})}
        self.others = dict(others or {})
        for agent_id, (definition, _) in self.others.items():
            minimal = {"modelName": "scripted/other", "prompt": "You are another test."}
            self.store.agents["organisation", agent_id] = AgentDefinition.model_validate({**minimal, **definition})
        self.made: list[Pipeline] = []
        self.refusals: dict[str, ProviderError] = {}
        """By model name: pipelines that cannot be made."""

    def pipeline(  # type: ignore[override]  # of any kind
        self,
        listener: ListenerForCall,
        session: CallSession,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> Pipeline:
        agent, clock = listener.agent, asyncio.get_running_loop().time
        if agent.model_name in self.refusals:
            raise self.refusals[agent.model_name]
        made: Pipeline
        if agent.model.is_realtime:
            model = self.by_name[agent.model_name]
            assert isinstance(model, MemoryModel)
            made = Realtime(agent, model, self.voice, session, spawn=spawn, clock=clock, opener=model.open)
        else:
            made = Cascade(agent, self._parts_of(listener), session, spawn=spawn, clock=clock)
        self.made.append(made)
        return made

    def _parts_of(self, listener: ListenerForCall) -> CascadeParts:
        if listener.agent_id != "agent":
            return self.others[listener.agent_id][1]
        fallback = listener.agent.options.fallback
        names = (listener.agent.model_name, *(fallback.models if fallback is not None else ()))
        llm, *more = (model for name in names if not isinstance(model := self.by_name[name], MemoryModel))
        return CascadeParts(self.recogniser, llm, self.voice, more_llms=more)

    def gone_on(self) -> list[str]:
        return [said["kind"] for said in self.status("fallback")]


def parts(model: LanguageModel, *, voice: CodewordVoice | None = None) -> CascadeParts:
    return CascadeParts(CodewordRecogniser(), model, voice or CodewordVoice())


def asks(*then: Step) -> list[Step]:
    return [Speak(speak(QUESTION)), *(then or (Wait(12), HangUp()))]


def count_on(messages: Sequence[Message]) -> str:
    """The answer, or what is left of it after the words that somebody else has said of it."""
    begun = re.search("heard: “(.*)” Go on", messages[-1].content)
    said = without_patience(plain_words(begun[1])) if begun is not None else []
    return " ".join(ANSWER.split()[len(said) :])


def silence(report: CallReport) -> float:
    """The longest, from the answer to the last word."""
    assert report.answered is not None
    return longest_silence(report, report.answered)
