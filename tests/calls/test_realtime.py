"""Whole calls with a realtime model, on virtual time."""

from __future__ import annotations

from collections.abc import Sequence

from jambonz.simulator.caller import AwaitAgentSilence, BargeIn, HangUp, Speak, Wait
from pipelines.parts import ToolCall
from tests.calls.realtime_office import RealtimeOffice
from tests.clock import run_virtual
from tests.simulators.codeword import heard_words, plain_words, speak
from tests.simulators.realtime_memory import MemoryModel, Reply

GREETING = {"options": {"greeting": "Hello, this is the test agent.", "idle": {"timeout": None}}}
LONG = "alfa four echo five golf nine kilo lima mike oboe papa item zulu zero dial ring"
"""Words of one length: how far a phrase was heard is known by its letters."""

HANG_UP = {
    "functions": [
        {"name": "hangup", "implementation": "builtin", "platform": "hangup", "description": "End the call."},
        {"name": "look", "implementation": "stub", "result": "found", "description": "Look something up."},
    ]
}


def says(text: str, *calls: ToolCall) -> MemoryModel:
    return MemoryModel(lambda heard, history: (text, calls))


def test_a_conversation() -> None:
    async def main() -> None:
        model = says("You want a table.")
        async with RealtimeOffice(GREETING, model) as office:
            report = await office.call(AwaitAgentSilence(), Speak(speak("yes please")), AwaitAgentSilence(), HangUp())
            assert heard_words(report.heard) == plain_words("hello this is the test agent you want a table")
            assert office.said("agent") == ["Hello, this is the test agent.", "You want a table."]
            assert office.said("user") == ["yes please"]
            assert office.ending() == "caller"
            assert report.underruns == []
            [latency] = report.response_latencies
            assert 0.3 < latency < 0.9
        assert model.open_sessions == 0
        assert model.mistakes == []

    run_virtual(main())


def test_an_interruption_is_told_to_the_model_as_the_caller_heard_it() -> None:
    def reply(heard: str, history: Sequence[tuple[str, str]]) -> Reply:
        return ("Alright.", ()) if "stop" in heard else (LONG, ())

    async def main() -> None:
        model = MemoryModel(reply)
        async with RealtimeOffice(GREETING, model) as office:
            report = await office.call(
                AwaitAgentSilence(),
                Speak(speak("count")),
                BargeIn(speak("stop it please"), after=1.5),
                AwaitAgentSilence(),
                HangUp(),
            )
            heard = heard_words(report.heard)
            assert plain_words(" ".join(office.said("agent"))) == heard
            assert "kilo" not in heard
            assert heard[-1] == "alright"
            [latency] = report.barge_in_latencies
            assert latency <= 0.25
            [session] = model.sessions
            assert plain_words(" ".join(session.said("assistant"))) == heard
            assert len(session.truncations) == 1
        assert model.mistakes == []

    run_virtual(main())


def test_tools_and_a_goodbye() -> None:
    def reply(heard: str, history: Sequence[tuple[str, str]]) -> Reply:
        match heard:
            case "look":
                return "Let me look.", (ToolCall("1", "look"),)
            case "found":
                return "It is there.", ()
            case _:
                return "Goodbye then.", (ToolCall("2", "hangup"),)

    async def main() -> None:
        model = MemoryModel(reply)
        async with RealtimeOffice(GREETING | HANG_UP, model) as office:
            report = await office.call(
                AwaitAgentSilence(), Speak(speak("look")), AwaitAgentSilence(), Speak(speak("thanks")), Wait(10)
            )
            said = plain_words("hello this is the test agent let me look it is there goodbye then")
            assert heard_words(report.heard) == said
            assert office.ending() == "agent"
            assert report.ended_by == "jambonz"
        assert model.mistakes == []

    run_virtual(main())
