"""Answers that are prepared before the turn is certainly over, and what becomes of wrong guesses. Virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from jambonz.simulator.caller import AwaitAgentSilence, AwaitAgentSpeech, Cough, HangUp, Speak, Wait
from pipelines.parts import Message, ToolCall
from tests.calls.office import Office
from tests.clock import run_virtual
from tests.simulators.codeword import CodewordVoice, heard_words, plain_words, speak
from tests.simulators.replies import ReplyModel, always

GREETING: dict[str, Any] = {"greeting": "Hello."}
UNHURRIED = {"endpointing": {"minDelay": 0.6}}
HANG_UP: dict[str, Any] = {
    "functions": [{"name": "hangup", "implementation": "builtin", "platform": "hangup", "description": "End the call."}]
}


@pytest.mark.parametrize(("preemptive", "most"), [(True, 0.85), (False, 1.1)])
def test_a_right_guess_saves_the_time_that_the_model_takes(preemptive: bool, most: float) -> None:
    async def main() -> float:
        agent = {"options": GREETING | {"turns": UNHURRIED | {"preemptiveGeneration": preemptive}}}
        model = ReplyModel(always("You are welcome."), first=0.25)
        async with Office(agent, model, voice=CodewordVoice(first=0.1)) as office:
            report = await office.call(AwaitAgentSilence(), Speak(speak("yes please")), AwaitAgentSilence(), HangUp())
            assert office.said("user") == ["yes please"]
            assert heard_words(report.heard) == plain_words("hello you are welcome")
            assert len(model.told) == 1
            [latency] = report.response_latencies
            return latency

    latency = run_virtual(main())
    assert latency <= most
    assert preemptive or latency > 0.95


def test_a_wrong_guess_is_neither_heard_nor_remembered_nor_acted_on() -> None:
    async def main() -> None:
        def script(messages: Sequence[Message]) -> Any:
            said = messages[-1].content
            return ["Goodbye then.", ToolCall("1", "hangup")] if said == "yes please" else ["Two tables it is."]

        model = ReplyModel(script)
        async with Office({"options": GREETING | {"turns": UNHURRIED}} | HANG_UP, model) as office:
            report = await office.call(
                AwaitAgentSilence(),
                Speak(speak("yes please")),
                Wait(0.46),
                Speak(speak("two tables thank you")),
                AwaitAgentSilence(),
                HangUp(),
            )
            assert [told[-1].content for told in model.told] == ["yes please", "yes please two tables thank you"]
            assert heard_words(report.heard) == plain_words("hello two tables it is")
            assert office.said("user") == ["yes please two tables thank you"]
            assert office.said("function_calls") == []
            assert report.ended_by == "caller"
            history = office.pipelines[0].history.entries
            assert [(entry.role, entry.content) for entry in history] == [
                ("assistant", "Hello."),
                ("user", "yes please two tables thank you"),
                ("assistant", "Two tables it is."),
            ]

    run_virtual(main())


def test_a_noise_that_cut_the_agent_off_makes_it_say_the_rest() -> None:
    long = "One two three four five six seven eight nine ten."

    async def main() -> None:
        async with Office({"options": GREETING}, ReplyModel(always(long))) as office:
            report = await office.call(
                AwaitAgentSilence(),
                Speak(speak("yes please")),
                AwaitAgentSpeech(),
                Wait(0.8),
                Cough(1000),
                AwaitAgentSilence(),
                HangUp(),
            )
            heard = heard_words(report.heard)[1:]
            assert heard == plain_words(long)
            assert plain_words(" ".join(office.said("agent"))) == ["hello", *heard]
            assert [event["confirmed"] for event in office.status("bargeIn")] == [True]

    run_virtual(main())


def test_an_answer_that_takes_long_is_announced() -> None:
    async def main() -> None:
        model = ReplyModel(always("Here you are."), first=5.0)
        async with Office({"options": GREETING}, model) as office:
            report = await office.call(
                AwaitAgentSilence(),
                Speak(speak("yes please")),
                AwaitAgentSilence(),
                AwaitAgentSilence(min_gap=3),
                HangUp(),
            )
            assert heard_words(report.heard) == plain_words("hello one moment please here you are")
            assert office.status("missing") == ["audio"]
            gaps = [b.start - a.end for a, b in zip(report.ear.utterances(), report.ear.utterances()[1:], strict=False)]
            assert max(gaps[1:]) <= 3.0

    run_virtual(main())


def test_a_deaf_recogniser_is_renewed_and_the_caller_asked_again() -> None:
    async def main() -> None:
        async with Office({"options": GREETING}, ReplyModel(always("Fine."))) as office:
            office.recogniser.deaf = True
            report = await office.call(
                AwaitAgentSilence(), Speak(speak("can you hear me")), AwaitAgentSilence(), HangUp()
            )
            assert heard_words(report.heard)[1:] == plain_words(
                "I'm sorry, I did not catch that. Could you say it again?"
            )
            assert office.status("missing") == ["transcript"]
            assert office.recogniser.open_streams == 0

    run_virtual(main())


def test_the_recogniser_that_was_renewed_is_listened_to() -> None:
    """It is deaf in its third turn; another stream numbers its segments from 0 again."""

    async def main() -> None:
        async with Office({"options": GREETING}, ReplyModel(always("Fine."))) as office:
            office.recogniser.deaf_to = {"three"}
            turns = [
                step for word in ("one", "two", "three") for step in (Speak(speak(f"{word} now")), AwaitAgentSilence())
            ]
            await office.call(AwaitAgentSilence(), *turns, Speak(speak("four now")), AwaitAgentSilence(), HangUp())
            assert office.said("user") == ["one now", "two now", "four now"]
            assert office.status("missing") == ["transcript"]

    run_virtual(main())


def test_who_talks_without_end_is_answered_all_the_same() -> None:
    async def main() -> None:
        agent = {"options": GREETING | {"turns": {"userTurnLimit": 4}}}
        async with Office(agent, ReplyModel(always("Let me stop you there please."))) as office:
            report = await office.call(
                AwaitAgentSilence(), Speak(speak(" ".join(f"word{n}" for n in range(30)))), Wait(3), HangUp()
            )
            assert heard_words(report.heard)[:7] == plain_words("hello let me stop you there please")

    run_virtual(main())


def test_a_legal_notice_is_heard_to_its_end() -> None:
    async def main() -> None:
        notice = "This call is recorded for our records and yours."
        agent = {"options": GREETING | {"turns": {"interruption": {"notices": ["This call is recorded"]}}}}
        async with Office(agent, ReplyModel(always(notice))) as office:
            report = await office.call(
                AwaitAgentSilence(),
                Speak(speak("yes please")),
                AwaitAgentSpeech(),
                Wait(0.5),
                Speak(speak("stop it now please")),
                Wait(6),
                HangUp(),
            )
            assert heard_words(report.heard)[1:10] == plain_words(notice)
            assert office.status("bargeIn") == []

    run_virtual(main())
