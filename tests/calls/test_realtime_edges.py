"""What is at the edges of a call with a realtime model: ends of its own, late words, floods, our own turns."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway import metrics
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
from media.audio import PCM_8K
from pipelines.parts import ToolCall
from pipelines.phrasebook import phrases
from pipelines.realtime.answers import Answer
from pipelines.realtime.model import AudioCame, ModelFault, NotUnderstood, ResponseBegan, SessionOver, WordsCame
from tests.calls.office import Office
from tests.calls.realtime_office import RealtimeOffice
from tests.calls.vendor_offices import AGENT, HELLO, UltravoxOffice
from tests.clock import run_virtual
from tests.simulators.coarse import read_coarsely
from tests.simulators.codeword import heard_words, plain_words, speak
from tests.simulators.realtime_memory import MemoryModel, Reply

GREETING: dict[str, Any] = {"options": {"greeting": HELLO, "idle": {"timeout": None}}}
LOOK = {"functions": [{"name": "look", "implementation": "stub", "result": "found", "description": "Look it up."}]}
LONG = "alfa four echo five golf nine kilo lima mike oboe papa item zulu zero dial ring"


def says(text: str, **behaviour: Any) -> MemoryModel:
    return MemoryModel(lambda heard, history: (text, ()), **behaviour)


def after(seconds: float, what: Any, *arguments: Any) -> None:
    asyncio.get_running_loop().call_later(seconds, lambda: what(*arguments))


# Ends of the vendor's own


def test_ultravoxs_agent_hangs_up_and_the_call_is_over_once_its_goodbye_was_heard() -> None:
    async def main() -> None:
        async with UltravoxOffice(AGENT, said=deque(["hang up"])) as office:
            report = await office.call(AwaitAgentSilence(), Speak(speak("bye")), Wait(20))
            assert read_coarsely(report.heard) == plain_words(f"{HELLO} Goodbye then.")
            assert office.ending() == "agent"
            assert len(office.calls) == 1
            assert [data for type, data in office.log() if type == "error"] == []

    run_virtual(main())


def test_ultravox_says_goodbye_to_a_silent_caller_by_itself() -> None:
    idle = {"timeout": 3, "prompts": ["Are you there?"], "farewell": "Goodbye then."}

    async def main() -> None:
        async with UltravoxOffice({"options": {"greeting": HELLO, "idle": idle}}) as office:
            report = await office.call()
            assert read_coarsely(report.heard) == plain_words(f"{HELLO} Are you there? Goodbye then.")
            assert office.ending() == "idle"
            assert len(office.calls) == 1

    run_virtual(main())


@pytest.mark.parametrize(
    ("over", "at", "ending", "sessions"),
    [
        (SessionOver("it hung up", by_agent=True), 6.0, "agent", 1),
        (SessionOver("time", by_agent=True), 17.0, "max_duration", 1),
        (SessionOver("a fault"), 6.0, "max_duration", 2),
        (None, 6.0, "max_duration", 2),
    ],
)
def test_a_session_that_ended_is_opened_again_unless_the_agent_ended_it(
    over: SessionOver | None, at: float, ending: str, sessions: int
) -> None:
    async def main() -> None:
        model = says("Yes.", over=over)
        async with RealtimeOffice({"options": {**GREETING["options"], "maxDuration": 20}}, model) as office:
            after(at, lambda: model.sessions[-1].lose("it closed the socket: 1000"))
            await office.call(AwaitAgentSilence(), Wait(30))
            assert office.ending() == ending
            assert len(model.sessions) == sessions
            left = [setup.longest_seconds for setup in model.setups]
            assert left == [20, pytest.approx(20 - at, abs=1.0)][:sessions], "a vendor's own clock has what is left"
            errors = [data for type, data in office.log() if type == "error"]
            assert errors == ([] if sessions == 1 else errors[:1])

    run_virtual(main())


def test_a_vendor_that_does_not_say_why_is_not_waited_for() -> None:
    async def main() -> None:
        model = says("Here I am.")
        async with RealtimeOffice(GREETING, model) as office:

            async def hang(_: Any) -> None:
                await asyncio.sleep(60)

            after(4.0, lambda: setattr(model.sessions[0], "close", hang))
            after(4.5, lambda: model.sessions[0].lose("it closed the socket: 1006"))
            report = await office.call(
                AwaitAgentSilence(), Wait(3), Speak(speak("hello")), AwaitAgentSilence(), HangUp()
            )
            assert heard_words(report.heard)[-3:] == ["here", "i", "am"]
            assert len(model.sessions) == 2

    run_virtual(main())


# Turns of our own


def test_a_turn_of_our_own_is_what_the_caller_said_and_no_more() -> None:
    agent = {"options": {**GREETING["options"], "turns": {"detection": "vad"}}}

    async def main() -> None:
        model = MemoryModel(lambda heard, history: ("Alright.", ()) if "stop" in heard else (LONG, ()))
        async with RealtimeOffice(agent, model) as office:
            await office.call(
                AwaitAgentSilence(),
                Wait(2),
                Speak(speak("count")),
                AwaitAgentSpeech(),
                Wait(1),
                Cough(60),
                BargeIn(speak("stop it please"), after=2.0),
                AwaitAgentSilence(),
                HangUp(),
            )
            assert office.said("user") == ["count", "stop it please"]
            [session] = model.sessions
            seconds = [PCM_8K.seconds(turn) for turn in session.turns]
            for lasted, words in zip(seconds, (1, 3), strict=True):
                assert 0.3 * words + 0.3 <= lasted <= 0.3 * words + 0.3 + 0.75 + 0.1

    run_virtual(main())


# Words that come late


@pytest.mark.parametrize(("late", "logged"), [(2.0, True), (4.0, False)])
def test_words_that_come_after_an_answer_was_heard_are_not_lost(late: float, logged: bool) -> None:
    async def main() -> None:
        model = says("One two three four five.", words_late=late)
        async with RealtimeOffice({"options": {"idle": {"timeout": None}}}, model) as office:
            after(10.0, lambda: model.sessions[0].lose("it closed the socket: 1006"))
            await office.call(Wait(1), Speak(speak("count")), Wait(12), HangUp())
            assert office.said("agent") == (["One two three four five."] if logged else [])
            told = [(message.role, message.content) for message in model.sessions[1].setup.history]
            assert told == [("user", "count"), ("assistant", "One two three four five.")]
            assert model.sessions[1].said("assistant") == ["One two three four five."], "nothing is asked for again"

    run_virtual(main())


def test_late_words_enter_where_they_were_said() -> None:
    """The caller has spoken again by the time that the words are known."""

    async def main() -> None:
        model = MemoryModel(lambda heard, history: (f"You said {heard} to me.", ()), words_late=4.5)
        async with RealtimeOffice({"options": {"idle": {"timeout": None}}}, model) as office:
            after(18.0, lambda: model.sessions[0].lose("it closed the socket: 1006"))
            await office.call(
                Wait(1), Speak(speak("one")), AwaitAgentSilence(), Wait(0.5), Speak(speak("two")), Wait(16), HangUp()
            )
            told = [message.content for message in model.sessions[1].setup.history]
            assert told == ["one", "You said one to me.", "two", "You said two to me."]

    run_virtual(main())


# Floods


def test_late_sound_of_what_keys_interrupted_is_not_the_answer_to_them() -> None:
    """It was on its way while the far end was told to be silent; the model then says nothing of the keys."""

    async def main() -> None:
        model = says(LONG)
        async with RealtimeOffice(GREETING, model) as office:

            async def be_late() -> None:
                answer = await _answer(office, lambda answer: answer.cut)
                model.silent = 1
                office.realtimes[0].on_model_event(
                    AudioCame(answer.response or "", next(iter(answer.items)), bytes(320))
                )

            being_late = asyncio.create_task(be_late())
            report = await office.call(
                AwaitAgentSilence(), Speak(speak("count")), Wait(2), Dtmf("1#"), Wait(4.5), HangUp()
            )
            await being_late
            words = plain_words(phrases("en").one_moment)
            assert heard_words(report.heard)[-len(words) :] == words

    run_virtual(main())


def test_what_comes_after_an_answers_end_is_no_part_of_it() -> None:
    """Nor does it keep what was heard to its end from being over: a silent caller is asked."""
    agent = {"options": {"greeting": HELLO, "idle": {"timeout": 3, "prompts": ["Are you there?"]}}}

    async def main() -> None:
        model = says("Here I am.")
        async with RealtimeOffice(agent, model) as office:

            async def add_more() -> None:
                answer = await _answer(office, lambda answer: answer.done and answer.number > 1)
                for event in (
                    AudioCame(answer.response or "", "b", bytes(320)),
                    WordsCame(answer.response or "", "b", "more"),
                ):
                    office.realtimes[0].on_model_event(event)

            adding = asyncio.create_task(add_more())
            report = await office.call(AwaitAgentSilence(), Speak(speak("count")), Wait(6.5), HangUp())
            await adding
            assert heard_words(report.heard)[6:] == plain_words("Here I am. Are you there?")
            assert office.said("agent")[1:] == ["Here I am.", "Are you there?"]

    run_virtual(main())


@pytest.mark.parametrize("sound", [b"", bytes(3200)])
def test_an_answer_that_never_ends_does_not_keep_the_next_ones_from_being_heard(sound: bytes) -> None:
    async def main() -> None:
        model = says("Here I am.")
        async with RealtimeOffice(GREETING, model) as office:

            def begin() -> None:
                event = AudioCame("endless", "i", sound) if sound else ResponseBegan("endless")
                office.realtimes[0].on_model_event(event)

            after(3.1, begin)
            report = await office.call(AwaitAgentSilence(), Speak(speak("count")), Wait(4), HangUp())
            assert (report.steps[1].speech_ended or 0.0) < 3.1
            assert heard_words(report.heard)[6:] == ["here", "i", "am"]
            assert len(model.sessions) == 1

    run_virtual(main())


def test_a_flood_of_faults_is_counted_and_logged_once() -> None:
    async def main() -> None:
        model = says("Yes.")
        async with RealtimeOffice(GREETING, model) as office:

            def flood() -> None:
                for number in range(500):
                    model.sessions[0].tell(ModelFault("server", f"trouble {number}"))
                    model.sessions[0].tell(ModelFault("rate_limit", f"too many {number}"))
                    model.sessions[0].tell(NotUnderstood(f"riddle {number}"))

            after(4.0, flood)
            report = await office.call(
                AwaitAgentSilence(), Wait(3), Speak(speak("hello")), AwaitAgentSilence(), HangUp()
            )
            assert heard_words(report.heard)[-1] == "yes"

    def counted() -> list[float]:
        return [metrics.model_notes.labels(what)._value.get() for what in ("fault", "not_understood")]

    before = counted()
    with capture_logs() as logged:
        run_virtual(main())
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [1000, 500]
    details = [line["detail"].rstrip("0123456789 ") for line in logged if line["event"] == "of the model"]
    assert sorted(details) == ["riddle", "too many", "trouble"]


# A greeting that is not to be interrupted


@pytest.mark.parametrize("speed", [1.2, 5.0])
@pytest.mark.parametrize("at", [0.7, 2.0, 3.1])
def test_an_uninterruptible_greeting_is_heard_to_its_end(at: float, speed: float) -> None:
    """Although the model falls silent for the caller."""

    async def main() -> None:
        model = says("Alright.", speed=speed)
        agent = {"options": {**GREETING["options"], "greeting": {"text": LONG, "interruptible": False}}}
        async with RealtimeOffice(agent, model) as office:
            report = await office.call(
                AwaitAgentSpeech(), Wait(at), Speak(speak("stop")), AwaitAgentSilence(timeout=20), Wait(3), HangUp()
            )
            words = heard_words(report.heard)
            once = [word for index, word in enumerate(words) if index == 0 or words[index - 1] != word]
            assert once == [*LONG.split(), "alright"]
            assert plain_words(" ".join(office.said("agent"))) == words

    run_virtual(main())


def test_ultravox_is_told_that_its_greeting_is_not_to_be_interrupted() -> None:
    async def main(interruptible: bool) -> bool:
        greeting = {"text": HELLO, "interruptible": interruptible}
        async with UltravoxOffice({"options": {"greeting": greeting, "idle": {"timeout": None}}}) as office:
            await office.call(AwaitAgentSilence(), HangUp())
            return bool(office.calls[0].request["firstSpeakerSettings"]["agent"]["uninterruptible"])

    assert [run_virtual(main(interruptible)) for interruptible in (True, False)] == [False, True]


def test_sessions_that_end_as_soon_as_they_begin_are_not_opened_for_ever() -> None:
    async def main() -> None:
        model = MemoryModel(lambda heard, history: ("Yes.", ()))
        async with RealtimeOffice(GREETING, model) as office:

            async def lose_all() -> None:
                while True:
                    await asyncio.sleep(0.4)
                    if model.sessions:
                        model.sessions[-1].lose("it closed the socket: 1007")

            losing = asyncio.create_task(lose_all())
            report = await office.call(patience=60)
            losing.cancel()
            apology = plain_words(phrases("en").cannot_go_on)
            assert heard_words(report.heard)[-len(apology) :] == apology
            assert office.ending() == "failed"
            assert len(model.sessions) <= 4

    run_virtual(main())


def test_what_was_asked_for_is_not_done_twice() -> None:
    """The session is lost after the tool ran, and before anything was said of what it returned."""

    def reply(heard: str, history: Sequence[tuple[str, str]]) -> Reply:
        if "book" in heard:
            return "", (ToolCall("1", "look"),)
        return ("It is booked.", ()) if "line was interrupted" in heard else ("", ())

    async def main() -> None:
        model = MemoryModel(reply)
        model.think = 0.3
        async with RealtimeOffice(GREETING | LOOK, model) as office:

            async def lose_after_the_tool() -> None:
                while not any(type == "function_results" for type, _ in _log(office)):  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0.02)
                model.sessions[-1].lose("it closed the socket: 1006")

            losing = asyncio.create_task(lose_after_the_tool())
            report = await office.call(AwaitAgentSilence(), Speak(speak("book it")), Wait(6), HangUp())
            await losing
            assert heard_words(report.heard)[-3:] == ["it", "is", "booked"]
            assert [type for type, _ in office.log()].count("function_calls") == 1

    run_virtual(main())


def _log(office: Office) -> list[tuple[str, Any]]:
    return [(event.type, event.data) for events in office.store.events.values() for event in events]


async def _answer(office: RealtimeOffice, is_it: Callable[[Answer], bool]) -> Answer:
    """As soon as there is one."""
    while True:
        for answer in (
            answer for one in office.realtimes for answer in one._speaking.answers.values() if is_it(answer)
        ):
            return answer
        await asyncio.sleep(0.01)
