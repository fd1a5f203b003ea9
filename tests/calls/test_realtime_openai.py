"""Whole calls on OpenAI's own wire, on virtual time."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from jambonz.simulator.caller import AwaitAgentSilence, BargeIn, HangUp, Speak, Wait
from jambonz.simulator.report import CallReport
from pipelines.phrasebook import phrases
from pipelines.realtime.model import Address
from pipelines.realtime.openai import OpenAIRealtimeModel
from tests.calls.realtime_office import RealtimeOffice, silences
from tests.calls.vendor_offices import OpenAIOffice, coarse_voice, openai_scripted
from tests.clock import run_virtual
from tests.simulators.coarse import read_coarsely
from tests.simulators.codeword import heard_words, plain_words, speak
from tests.simulators.openai_realtime import Behaviour, Faults, History, RealtimeSimulation, Reply
from tests.simulators.openai_realtime_preview import PreviewSimulation
from tests.simulators.realtime_wire import Wire

GREETING: dict[str, Any] = {"options": {"greeting": "Hello, this is the test agent.", "idle": {"timeout": None}}}
LONG = " ".join(["word"] * 20)
TOOLS = {
    "functions": [
        {"name": "hangup", "implementation": "builtin", "platform": "hangup", "description": "End the call."},
        {"name": "look", "implementation": "stub", "result": "found", "description": "Look something up."},
    ]
}


def always(text: str) -> Any:
    return lambda user, history: Reply(text)


def agent_seconds(report: CallReport, since: float) -> float:
    """How long the agent was heard from ``since`` on."""
    return sum(span.end - max(span.start, since) for span in report.ear.utterances() if span.end > since)


def test_a_conversation_with_a_tool_and_a_goodbye() -> None:
    def reply(user: str, history: History) -> Reply:
        if user == "thanks":
            return Reply("Goodbye then.", [("hangup", {})])
        return Reply("It is there.") if history[-1][1] == "found" else Reply("Let me look.", [("look", {})])

    async def main() -> None:
        async with OpenAIOffice(GREETING | TOOLS, reply, ["look", "thanks"]) as office:
            report = await office.call(
                AwaitAgentSilence(), Speak(speak("look")), AwaitAgentSilence(), Speak(speak("thanks")), Wait(10)
            )
            agent = ["Hello, this is the test agent.", "Let me look.", "It is there.", "Goodbye then."]
            assert office.said("agent") == agent
            assert office.said("user") == ["look", "thanks"]
            assert [text for role, text in office.simulations[0].history() if role == "assistant"] == agent
            assert office.ending() == "agent"
            assert report.ended_by == "jambonz"
            assert office.mistakes == []
        assert office.wire.open_sessions == 0

    run_virtual(main())


@pytest.mark.parametrize("seed", range(8))
def test_audio_end_ms_is_what_the_caller_heard(seed: int) -> None:
    """200 interruptions in all: within 60 ms, on the wire, of a burst of 6 s, and never refused."""

    async def one(number: int) -> float:
        async with OpenAIOffice(GREETING, always(LONG), ["count", "stop"]) as office:
            report = await office.call(
                AwaitAgentSilence(),
                Speak(speak("count")),
                BargeIn(speak("stop it"), after=0.1 + 0.023 * number),
                Wait(0.4),
                HangUp(),
            )
            assert office.mistakes == []
            told = [event for event in office.simulations[0].received if event["type"] == "conversation.item.truncate"]
            [end] = [event["audio_end_ms"] for event in told]
            assert report.barge_in_latencies[0] <= 0.25
            asked = report.steps[1].speech_ended
            assert asked is not None
            return float(end) - 1000 * agent_seconds(report, asked)

    async def main() -> list[float]:
        return [await one(25 * seed + number) for number in range(25)]

    assert max(abs(error) for error in run_virtual(main())) <= 60


def test_half_a_minute_at_once_is_gone_at_once() -> None:
    async def main() -> None:
        said = ["count", "stop"]
        async with OpenAIOffice(
            GREETING, always(" ".join(["word"] * 100)), said, behaviour=Behaviour(speed=math.inf)
        ) as office:
            report = await office.call(
                AwaitAgentSilence(), Speak(speak("count")), BargeIn(speak("stop it"), after=2.0), Wait(0.5), HangUp()
            )
            assert report.barge_in_latencies[0] <= 0.2
            assert office.mistakes == []

    run_virtual(main())


@pytest.mark.parametrize(
    ("faults", "ending"),
    [
        ([Faults(drop_after_ms=2500, drop_code=1011)], "caller"),
        ([Faults(expire_after=6.0)], "caller"),
        ([Faults(malformed=True)], "caller"),
        ([Faults(huge=True)], "caller"),
        ([Faults(silence=True)] * 4, "caller"),
        ([Faults(fatal="insufficient_quota")], "failed"),
    ],
    ids=["1011", "expiry", "malformed", "5 MB", "answers without sound", "no quota"],
)
def test_what_only_this_vendor_may_do(faults: list[Faults], ending: str) -> None:
    async def main() -> None:
        said = ["count", "more", "more", "more"]
        async with OpenAIOffice(GREETING, always("One two three four five."), said, faults) as office:
            report = await office.call(
                AwaitAgentSilence(), Speak(speak("count")), Wait(11), Speak(speak("more")), Wait(8), HangUp()
            )
            assert office.ending() == ending
            assert [type for type, _ in office.log()].count("hangup") == 1
            if ending == "failed":
                assert heard_words(report.heard)[-3:] == plain_words(phrases("en").cannot_go_on)[-3:]
            assert report.answered is not None
            ends = [step.speech_started for step in report.steps if step.speech_started is not None]
            begins = [step.speech_ended for step in report.steps if step.speech_ended is not None]
            for begin, end in zip([report.answered, *begins], [*ends, report.ended or 0.0], strict=True):
                assert max(silences(report, begin, end)) <= 3.0, json.dumps(office.log(), default=str, indent=1)
        assert office.wire.open_sessions == 0

    run_virtual(main())


def test_a_preview_of_azures_with_a_tool_an_interruption_and_a_goodbye() -> None:
    """In the shape that the API had before, from the session's settings to the names of its sound."""

    async def main() -> None:
        simulations: list[PreviewSimulation] = []

        def make(address: Address) -> PreviewSimulation:
            assert "/openai/realtime?api-version=2025-04-01-preview&deployment=" in address.url
            real = RealtimeSimulation(reply=openai_scripted, voice=coarse_voice)
            real.said.extend(["look", "count", "stop it", "thanks"])
            simulations.append(PreviewSimulation(real))
            return simulations[-1]

        wire = Wire(make)
        base = "https://name.openai.azure.com?api-version=2025-04-01-preview"
        model = OpenAIRealtimeModel("gpt-realtime", api_key="key", base_url=base)
        async with RealtimeOffice(GREETING | TOOLS, model, opener=wire.open) as office:
            report = await office.call(
                AwaitAgentSilence(),
                Speak(speak("look")),
                AwaitAgentSilence(min_gap=1.5),
                Speak(speak("count")),
                BargeIn(speak("stop it"), after=2.0),
                AwaitAgentSilence(min_gap=1.5),
                Speak(speak("thanks")),
                Wait(10),
            )
            assert office.said("user") == ["look", "count", "stop it", "thanks"]
            assert read_coarsely(report.heard) == plain_words(" ".join(office.said("agent")))
            assert office.said("agent")[-1] == "Goodbye then."
            assert office.ending() == "agent"
            [simulation] = simulations
            assert simulation.mistakes == simulation.real.mistakes == []
            assert [item.truncated_ms for item in simulation.real.items if item.truncated_ms is not None]

    run_virtual(main())
