"""Who answers calls that are placed, and what the agent does then: it speaks with people, and leaves machines a
message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from jambonz.simulator.amd import Heard
from jambonz.simulator.caller import AwaitAgentSilence, AwaitAgentSpeech, HangUp, Speak, Wait
from jambonz.simulator.outgoing import Callee
from jambonz.simulator.report import CallReport
from pipelines.agent import AgentOptions
from tests.calls.office import Office
from tests.calls.outbound_office import Exchange, rung
from tests.calls.realtime_office import RealtimeOffice
from tests.calls.vendor_offices import AGENT, HELLO, VENDORS, office_of
from tests.clock import run_virtual
from tests.simulators.codeword import heard_words, plain_words, speak
from tests.simulators.realtime_memory import MemoryModel
from tests.simulators.replies import ReplyModel, always

pytestmark = pytest.mark.usefixtures("by_both")

MESSAGE = "This is the office about tomorrow"
WHO = "Ann calls about tomorrow"
MACHINE = "you have reached bob please leave a message after the tone"


def agent(greeting: str | None = "Hello there.", **detection: Any) -> Mapping[str, Any]:
    options: dict[str, Any] = {"outbound": {"detection": detection}, "idle": {"timeout": 30}}
    return {"options": options | ({"greeting": greeting} if greeting else {})}


def cascade(definition: Mapping[str, Any]) -> Office:
    return Office(definition, ReplyModel(always("You want a table.")))


def realtime(definition: Mapping[str, Any]) -> Office:
    return RealtimeOffice(definition, MemoryModel(lambda heard, history: ("You want a table.", ())))


BOTH = pytest.mark.parametrize("make", [cascade, realtime])


def beep(seconds: float = 0.4) -> bytes:
    at = np.arange(round(seconds * 8000)) / 8000
    return bytes((6000 * np.sin(2 * np.pi * 1000 * at)).astype("<i2").tobytes())


def call(
    make: Callable[[Mapping[str, Any]], Office],
    definition: Mapping[str, Any],
    callee: Callee,
    check: Callable[[Office, CallReport], None],
    *,
    understands: bool = True,
) -> None:
    async def main() -> None:
        office = make(definition)
        office.understands = understands
        exchange = Exchange(office)
        async with office:
            report = await rung(office, callee)
            assert office.recogniser.open_streams == 0
            check(office, report)
            if not understands:
                assert all(
                    "recognizer" in (one.get("amd") or {"recognizer": 1}) for one in exchange.server.created_calls
                )

    run_virtual(main())


def answered_by(office: Office) -> str:
    return str(office.status("answeredBy")[-1]["by"])


def spoke_after(report: CallReport) -> float:
    """From the end of what the callee said last before the agent, to the agent."""
    [first, *_] = report.ear.utterances()
    ended = [step.speech_ended for step in report.steps if step.speech_ended is not None]
    return first.start - max(at for at in ended if at <= first.start + 0.02)


@BOTH
def test_a_person_is_greeted(make: Any) -> None:
    def check(office: Office, report: CallReport) -> None:
        assert heard_words(report.heard) == plain_words("hello there you want a table")
        assert answered_by(office) == "person"
        assert office.said("user") == ["hello", "yes please"]
        assert office.ending() == "caller"
        assert 0.8 < spoke_after(report) < 1.6

    said = (
        Wait(0.5),
        Speak(speak("hello")),
        AwaitAgentSilence(),
        Speak(speak("yes please")),
        AwaitAgentSilence(),
        HangUp(),
    )
    call(make, agent(), Callee(said), check)


@BOTH
def test_an_agent_without_a_greeting_answers_what_was_said(make: Any) -> None:
    def check(office: Office, report: CallReport) -> None:
        assert heard_words(report.heard) == plain_words("you want a table")
        assert office.said("user") == ["hello"]

    call(make, agent(None), Callee((Wait(0.5), Speak(speak("hello")), AwaitAgentSilence(), HangUp())), check)


def test_the_model_is_told_what_was_said_before() -> None:
    def check(office: Office, report: CallReport) -> None:
        told = [(one.role, one.content) for one in office.model.told[0] if one.role != "system"]
        assert told[:2] == [("user", "hello"), ("assistant", "Hello there.")]

    said = (Speak(speak("hello")), AwaitAgentSilence(), Speak(speak("yes please")), AwaitAgentSilence(), HangUp())
    call(cascade, agent(), Callee(said), check)


@BOTH
def test_a_machine_is_left_a_message_after_its_beep(make: Any) -> None:
    def check(office: Office, report: CallReport) -> None:
        assert heard_words(report.heard) == plain_words(MESSAGE)
        assert answered_by(office) == "machine"
        assert (report.ended_by, office.ending()) == ("jambonz", "voicemail")
        assert 0 < spoke_after(report) < 0.6, "once the beep is over"
        assert office.status("left") == [{"text": MESSAGE, "heard": True}]
        [(status, _, _)] = office.store.ended.values()
        assert status == "ended normally"

    said = (Wait(0.5), Speak(speak(MACHINE)), Wait(1.5), Speak(beep()), Wait(30.0))
    call(make, agent(message=MESSAGE), Callee(said), check)


def test_one_that_does_not_beep_is_left_it_when_it_is_silent() -> None:
    def check(office: Office, report: CallReport) -> None:
        assert heard_words(report.heard) == plain_words(MESSAGE)
        assert 1.8 < spoke_after(report) < 2.6

    said = (Speak(speak("we are closed please leave your message")), Wait(30.0))
    call(cascade, agent(message=MESSAGE), Callee(said), check)


@BOTH
def test_a_beep_that_comes_late_begins_the_message_anew(make: Any) -> None:
    """It was not promised, and nothing before it is recorded."""

    def check(office: Office, report: CallReport) -> None:
        words = heard_words(report.heard)
        assert words[-6:] == plain_words(MESSAGE)
        assert 6 < len(words) < 12, "and some of it before"
        assert office.status("left") == [{"text": MESSAGE, "heard": True}]
        last = [step for step in report.steps if isinstance(step.step, Speak)][-1]
        begins = [span.start for span in report.ear.utterances() if span.start > (last.speech_ended or 0.0)]
        assert 0.2 < begins[0] - (last.speech_ended or 0.0) < 1.0

    said = (Speak(speak("we are closed please leave your message")), Wait(3.0), Speak(beep()), Wait(30.0))
    call(make, agent(message=MESSAGE), Callee(said), check)


def test_without_a_message_a_machine_is_hung_up_on() -> None:
    def check(office: Office, report: CallReport) -> None:
        assert heard_words(report.heard) == []
        assert (report.ended_by, office.ending()) == ("jambonz", "voicemail")

    call(cascade, agent(), Callee((Speak(speak(MACHINE)), Speak(beep()), Wait(30.0))), check)


def test_who_hangs_up_on_the_message_ends_the_call() -> None:
    def check(office: Office, report: CallReport) -> None:
        assert report.ended_by == "caller"
        assert office.ending() == "caller"
        assert heard_words(report.heard) != plain_words(MESSAGE)

    said = (Speak(speak(MACHINE)), Speak(beep()), AwaitAgentSpeech(), Wait(0.5), HangUp())
    call(cascade, agent(message=MESSAGE), Callee(said), check)


@BOTH
def test_a_screener_is_told_who_calls_and_then_a_person_comes(make: Any) -> None:
    def check(office: Office, report: CallReport) -> None:
        assert heard_words(report.heard) == plain_words(f"{WHO} hello there")
        assert [one["by"] for one in office.status("answeredBy")] == ["screener", "person"]
        assert office.said("user")[:2] == ["please say your name", "hello"]

    said = (
        Speak(speak("please say your name")),
        AwaitAgentSilence(),
        Speak(speak("please hold")),
        Wait(6.0),
        Speak(speak("hello")),
        AwaitAgentSilence(),
        HangUp(),
    )
    call(make, agent(screening=WHO), Callee(said), check)


def test_without_words_for_a_screener_the_agent_answers_him() -> None:
    def check(office: Office, report: CallReport) -> None:
        assert heard_words(report.heard) == plain_words("you want a table")
        assert answered_by(office) == "screener"
        assert [(one.role, one.content) for one in office.model.told[0][1:]] == [("user", "please say your name")]

    said = (Speak(speak("please say your name")), AwaitAgentSilence(), HangUp())
    call(cascade, agent(None), Callee(said), check)


def test_where_nobody_can_be_had_the_call_ends() -> None:
    def check(office: Office, report: CallReport) -> None:
        assert heard_words(report.heard) == []
        assert (report.ended_by, office.ending()) == ("jambonz", "unavailable")

    call(cascade, agent(message=MESSAGE), Callee((Speak(speak("the mailbox is full goodbye")), Wait(30.0))), check)


@BOTH
def test_to_silence_the_agent_speaks(make: Any) -> None:
    def check(office: Office, report: CallReport) -> None:
        assert heard_words(report.heard) == plain_words("hello there")
        assert answered_by(office) == "unknown"
        first = report.ear.utterances()[0].start
        assert 4.0 < first - (report.answered or 0.0) < 5.0

    call(make, agent(), Callee((AwaitAgentSilence(), HangUp())), check)


def test_without_a_recogniser_the_length_and_the_beep_tell() -> None:
    def person(office: Office, report: CallReport) -> None:
        assert heard_words(report.heard) == plain_words("hello there")
        assert answered_by(office) == "person"

    def machine(office: Office, report: CallReport) -> None:
        assert heard_words(report.heard) == plain_words(MESSAGE)
        assert answered_by(office) == "machine"

    short = (Speak(speak("hello bob here")), AwaitAgentSilence(), HangUp())
    call(cascade, agent(), Callee(short), person, understands=False)
    long = (Speak(speak(f"{MACHINE} {MACHINE}")), Speak(beep()), Wait(30.0))
    call(cascade, agent(message=MESSAGE), Callee(long), machine, understands=False)


def test_jambonz_helps_where_its_account_has_a_recogniser() -> None:
    definition = agent(message=MESSAGE, recognizer={"vendor": "deepgram", "language": "en-GB"})

    def person(office: Office, report: CallReport) -> None:
        assert [one["because"] for one in office.status("answeredBy")] == ["Jambonz: short greeting"]
        assert heard_words(report.heard) == plain_words("hello there")
        assert office.status("amd") == ["amd_human_detected", "amd_stopped"]

    def machine(office: Office, report: CallReport) -> None:
        assert heard_words(report.heard) == plain_words(MESSAGE)
        told = office.status("answeredBy")[-1]
        assert (told["by"], told["because"]) == ("machine", "Jambonz: long greeting")
        assert office.ending() == "voicemail"

    hello = (Speak(speak("hello bob here")), AwaitAgentSilence(), HangUp())
    call(cascade, definition, Callee(hello, heard=(Heard(1.1, "hello bob here"),)), person, understands=False)
    greeting = Heard(3.0, MACHINE, final=False)
    said = (Speak(speak(MACHINE)), Wait(1.0), Speak(beep()), Wait(30.0))
    call(cascade, definition, Callee(said, heard=(greeting,), beep_at=5.0), machine, understands=False)


def test_detection_that_does_not_begin_is_not_waited_for() -> None:
    """The account has no such recogniser: nothing is ever told."""
    definition = agent(recognizer={"vendor": "deepgram", "language": "en-GB"})

    def check(office: Office, report: CallReport) -> None:
        assert answered_by(office) == "person"

    said = (Speak(speak("hello")), AwaitAgentSilence(), HangUp())
    call(cascade, definition, Callee(said, heard=(Heard(1.0, "hello"),), hears=False), check)


def test_functions_and_webhooks_are_told_who_answered() -> None:
    async def main() -> None:
        office = cascade(agent())
        Exchange(office)
        async with office:
            callee = Callee((Speak(speak("hello")), AwaitAgentSilence(), HangUp()))
            await rung(office, callee)
            [session] = office.sessions
            assert session.facts["direction"] == "outbound"
            assert session.facts["answeredBy"]["by"] == "person"
            assert session.facts["answeredBy"]["greeting"] == "hello"

    run_virtual(main())


def test_calls_that_come_in_are_not_listened_to_first() -> None:
    async def main() -> None:
        office = cascade(agent())
        async with office:
            report = await office.call(AwaitAgentSilence(), HangUp())
            assert heard_words(report.heard) == plain_words("hello there")
            assert office.status("answeredBy") == []
            await asyncio.sleep(0)

    run_virtual(main())


def test_a_long_message_is_left_whole() -> None:
    message = " ".join(f"word{at}" for at in range(50))

    def check(office: Office, report: CallReport) -> None:
        assert heard_words(report.heard) == plain_words(message), "15 s of it"
        assert office.ending() == "voicemail"

    call(cascade, agent(message=message), Callee((Speak(speak(MACHINE)), Speak(beep()), Wait(60.0))), check)


def test_a_voice_that_fails_leaves_no_call_up() -> None:
    def check(office: Office, report: CallReport) -> None:
        assert office.status("left") == [{"text": MESSAGE, "heard": False}]
        assert (report.ended_by, office.ending()) == ("jambonz", "voicemail")

    def make(definition: Mapping[str, Any]) -> Office:
        office = cascade(definition)
        office.voice.fail_after = 0
        return office

    call(make, agent(message=MESSAGE), Callee((Speak(speak(MACHINE)), Speak(beep()), Wait(60.0))), check)


@pytest.mark.parametrize(
    "wrong",
    [
        {"detection": {"message": ""}},
        {"detection": {"message": "a" * 1001}},
        {"detection": {"words": 2}},
        {"detection": {"maxWait": 4}},
        {"detection": {"recognizer": {"vendor": "deepgram"}}},
        {"detection": {"recognizer": {"vendor": "It's", "language": "en"}}},
        {"detection": {"mesage": "hello"}},
        {"detection": True},
        {"regions": ["gb"]},
        {"ringTimeout": 4},
        {"ringTimeout": 181},
    ],
)
def test_options_are_looked_at_when_they_are_saved(wrong: Mapping[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AgentOptions.model_validate({"outbound": wrong})


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_vendors_model_greets_a_person_once_and_knows_what_was_said(vendor: str) -> None:
    """It was set up while the telephone rang, and that was long."""

    async def main() -> None:
        definition = dict(AGENT) | {"options": AGENT["options"] | {"outbound": {"detection": {}}}}
        office = office_of(vendor, definition, ["look"])
        Exchange(office)
        async with office:
            said = (Speak(speak("hello")), AwaitAgentSilence(), Speak(speak("look")), AwaitAgentSilence(), HangUp())
            report = await rung(office, Callee(said, ring_seconds=40.0))
            agent_said = office.said("agent")
            assert [plain_words(text) for text in agent_said].count(plain_words(HELLO)) == 1, agent_said
            assert office.said("user")[0] == "hello"
            assert answered_by(office) == "person"
            assert office.mistakes == []
            assert report.ended_by == "caller"

    run_virtual(main())
