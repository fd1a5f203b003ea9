"""Whole calls with a realtime model, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from jambonz.simulator.caller import (
    AwaitAgentSilence,
    AwaitAgentSpeech,
    BargeIn,
    Cough,
    Dtmf,
    HangUp,
    Speak,
    Wait,
)
from pipelines.parts import ProviderError, ProviderFault, ToolCall
from pipelines.phrasebook import phrases
from tests.calls.realtime_office import RealtimeOffice
from tests.calls.silences import longest_silence
from tests.clock import run_virtual
from tests.simulators.codeword import heard_words, plain_words, read, speak
from tests.simulators.realtime_memory import MemoryModel, Reply

GREETING: dict[str, Any] = {"options": {"greeting": "Hello, this is the test agent.", "idle": {"timeout": None}}}
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


@pytest.mark.parametrize("seed", range(8))
def test_what_the_model_is_told_was_heard_was_heard(seed: int) -> None:
    """200 interruptions in all, each at another moment: within 60 ms of what the ear had."""

    async def one(number: int) -> tuple[float, float]:
        model = says(LONG)
        async with RealtimeOffice(GREETING, model) as office:
            await asyncio.sleep(0.0031 * number)
            report = await office.call(
                AwaitAgentSilence(),
                Speak(speak("count")),
                BargeIn(speak("stop"), after=0.1 + 0.0197 * number),
                Wait(0.4),
                HangUp(),
            )
            heard = 20 * sum(word.frames for word in read(report.heard) if word.word in LONG.split())
            [session] = model.sessions
            told = session.truncations[0][1] if session.truncations else heard
            assert model.mistakes == []
            return told - heard, report.barge_in_latencies[0]

    async def main() -> list[tuple[float, float]]:
        return [await one(25 * seed + number) for number in range(25)]

    measured = run_virtual(main())
    assert max(abs(error) for error, _ in measured) <= 60
    assert max(latency for _, latency in measured) <= 0.25


def test_half_a_minute_in_one_burst_is_gone_at_once() -> None:
    async def main() -> None:
        model = says(" ".join([LONG] * 6))
        model.speed = 1000.0
        async with RealtimeOffice(GREETING, model) as office:
            report = await office.call(
                AwaitAgentSilence(), Speak(speak("count")), BargeIn(speak("stop"), after=2.0), Wait(0.5), HangUp()
            )
            assert report.barge_in_latencies[0] <= 0.2
            assert plain_words(" ".join(office.said("agent"))) == heard_words(report.heard)

    run_virtual(main())


def test_a_cough_leaves_the_agent_speaking() -> None:
    async def main() -> None:
        async with RealtimeOffice(GREETING, says(LONG)) as office:
            report = await office.call(
                AwaitAgentSilence(),
                Speak(speak("count")),
                AwaitAgentSpeech(),
                Wait(1.0),
                Cough(60),
                AwaitAgentSilence(),
                HangUp(),
            )
            assert heard_words(report.heard)[6:] == plain_words(LONG)
            assert [event["confirmed"] for event in office.status("bargeIn")] == [False]

    run_virtual(main())


def test_turns_of_our_own() -> None:
    agent = {"options": {**GREETING["options"], "turns": {"detection": "vad"}}}

    async def main() -> None:
        model = MemoryModel(lambda heard, history: ("Alright.", ()) if "stop" in heard else (LONG, ()))
        async with RealtimeOffice(agent, model) as office:
            report = await office.call(
                AwaitAgentSilence(),
                Speak(speak("count")),
                BargeIn(speak("stop it please"), after=1.5),
                AwaitAgentSilence(),
                HangUp(),
            )
            heard = heard_words(report.heard)
            assert heard[-1] == "alright"
            assert plain_words(" ".join(office.said("agent"))) == heard
            assert plain_words(" ".join(model.sessions[0].said("assistant"))) == heard
            assert report.barge_in_latencies[0] <= 0.25

    run_virtual(main())


def test_keys_are_told_to_the_model() -> None:
    async def main() -> None:
        model = MemoryModel(lambda heard, history: (f"You pressed {heard}.", ()))
        async with RealtimeOffice(GREETING, model) as office:
            report = await office.call(AwaitAgentSilence(), Dtmf("12#"), Wait(3), HangUp())
            assert office.said("user") == ["12"]
            assert heard_words(report.heard)[-3:] == ["you", "pressed", "12"]

    run_virtual(main())


def test_a_silent_caller_is_asked_and_then_told_goodbye() -> None:
    idle = {"timeout": 3, "prompts": ["Are you there?"], "farewell": "Goodbye then."}

    async def main() -> None:
        async with RealtimeOffice({"options": {"greeting": "Hello.", "idle": idle}}, says("Yes.")) as office:
            report = await office.call()
            assert heard_words(report.heard) == plain_words("hello are you there goodbye then")
            assert office.ending() == "idle"

    run_virtual(main())


def test_a_call_longer_than_a_session_goes_on_with_its_history() -> None:
    """Sixty minutes and more, on virtual time: sessions last an hour, and the caller notices nothing."""

    async def main() -> None:
        model = says("Yes.")
        agent = {"options": {**GREETING["options"], "maxDuration": 9000}}
        async with RealtimeOffice(agent, model) as office:
            talk = [step for n in range(80) for step in (Wait(55), Speak(speak(f"word{n}")), AwaitAgentSilence())]
            report = await office.call(AwaitAgentSilence(), *talk, HangUp(), patience=10_000)
            first, second = model.sessions
            assert not any(record.timed_out for record in report.steps)
            assert office.said("user") == [f"word{n}" for n in range(80)]
            assert office.said("agent") == ["Hello, this is the test agent.", *["Yes."] * 80]
            assert report.ended is not None
            assert report.answered is not None
            assert report.ended - report.answered > 3700
            assert second.setup.greeting is None
            told = [message.content for message in second.setup.history if message.role == "user"]
            assert told
            assert told == [f"word{n}" for n in range(len(first.said("user")))][-len(told) :]
            assert report.underruns == []
        assert model.open_sessions == 0

    run_virtual(main())


def lose(model: MemoryModel, after: float) -> None:
    """The model's present session is lost ``after`` seconds from now."""
    asyncio.get_running_loop().call_later(after, lambda: model.sessions[-1].lose("it closed the socket: 1006"))


def test_a_session_that_is_lost_in_mid_sentence_is_followed_by_another() -> None:
    async def main() -> None:
        model = MemoryModel(lambda heard, history: (LONG, ()) if not history[2:] else ("Well.", ()), speed=1.2)
        async with RealtimeOffice(GREETING, model) as office:
            lose(model, 6.0)
            report = await office.call(AwaitAgentSilence(), Speak(speak("count")), Wait(12), HangUp())
            assert len(model.sessions) == 2
            assert heard_words(report.heard)[6:9] == LONG.split()[:3]
            told = [message.content for message in model.sessions[1].setup.history if message.role == "assistant"]
            assert told[0] == "Hello, this is the test agent."
            assert report.steps[1].speech_ended is not None
            assert longest_silence(report, report.steps[1].speech_ended) <= 3.0
            assert office.ending() == "caller"
        assert model.open_sessions == 0

    run_virtual(main())


def refused(kind: ProviderFault) -> ProviderError:
    return ProviderError("memory", kind, "simulated")


@pytest.mark.parametrize(
    "refusals",
    [[refused("rate_limit")] * 9, [refused("auth")], [None] * 9, [refused("server"), refused("connect"), None]],
    ids=["429", "401", "never answers", "mixed"],
)
def test_a_model_that_cannot_be_reached_ends_the_call_in_words(refusals: list[ProviderError | None]) -> None:
    async def main() -> None:
        model = says("Yes.")
        model.refusals = refusals
        async with RealtimeOffice(GREETING, model) as office:
            report = await office.call()
            apology = plain_words(phrases("en").cannot_go_on)
            assert heard_words(report.heard)[-len(apology) :] == apology
            assert report.answered is not None
            assert longest_silence(report, report.answered) <= 3.0
            assert office.ending() == "failed"
            assert [type for type, _ in office.log()].count("hangup") == 1
        assert model.open_sessions == 0

    run_virtual(main())


def test_a_session_that_cannot_be_replaced_ends_the_call_in_words() -> None:
    async def main() -> None:
        model = says("Yes.")
        async with RealtimeOffice(GREETING, model) as office:
            lose(model, 6.0)
            model_refuses = [refused("server")] * 9
            asyncio.get_running_loop().call_later(5.9, model.refusals.extend, model_refuses)
            report = await office.call(AwaitAgentSilence(), Speak(speak("count")), Wait(20))
            assert heard_words(report.heard)[-15:] == plain_words(phrases("en").cannot_go_on)[-15:]
            assert office.ending() == "failed"
            assert [type for type, _ in office.log()].count("hangup") == 1

    run_virtual(main())


def test_a_model_that_does_not_answer_is_given_up_and_the_caller_never_left_in_silence() -> None:
    async def main() -> None:
        model = says("Here I am.")
        model.silent = 1
        async with RealtimeOffice(GREETING, model) as office:
            report = await office.call(AwaitAgentSilence(), Speak(speak("count")), Wait(15), HangUp())
            words = heard_words(report.heard)[6:]
            assert words[:3] == plain_words(phrases("en").one_moment)
            assert words[-3:] == ["here", "i", "am"]
            assert report.steps[1].speech_ended is not None
            assert longest_silence(report, report.steps[1].speech_ended) <= 3.0

    run_virtual(main())


def test_many_calls_leave_nothing_behind() -> None:
    async def main() -> None:
        model = says(LONG)
        async with RealtimeOffice(GREETING, model) as office:

            async def one(number: int) -> None:
                await asyncio.sleep(0.011 * number)
                await office.call(AwaitAgentSilence(), Speak(speak("count")), Wait(0.2 + number % 7), HangUp())

            await asyncio.gather(*(one(number) for number in range(200)))
            assert len(office.ticker) == 0
            assert model.open_sessions == 0
        assert len(asyncio.all_tasks()) == 1

    run_virtual(main())
