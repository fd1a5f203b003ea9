"""A socket that is half open: nothing comes, what is sent vanishes, and it stays. On each vendor's wire.

The caller is never in silence for more than 3 s, whatever he says, and whenever the socket died; then the call goes on.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jambonz.simulator.caller import AwaitAgentSilence, BargeIn, Cough, HangUp, Speak, Wait
from jambonz.simulator.report import CallReport
from pipelines.phrasebook import phrases
from tests.calls.realtime_office import RealtimeOffice, silences
from tests.calls.vendor_offices import AGENT, VENDORS, VendorOffice, office_of
from tests.clock import run_virtual
from tests.simulators.coarse import read_coarsely
from tests.simulators.codeword import CodewordVoice, heard_words, plain_words, speak
from tests.simulators.realtime_memory import MemoryModel
from tests.simulators.realtime_wire import WireSession

AT = 3.0
"""When the caller speaks, after the answer of the phone. The greeting is over by then."""

WAITS: dict[str, Any] = {"options": {"idle": {"timeout": None}}}
OWN_TURNS = {**AGENT, "options": {**AGENT["options"], "turns": {"detection": "vad"}}}
KINDS = [*((vendor, AGENT) for vendor in VENDORS), ("openai", OWN_TURNS)]
IDS = [*VENDORS, "openai, own turns"]


def something(seconds: float) -> bytes:
    """Of so much voice."""
    return speak("yes " * 9)[: round(seconds * 16000)]


def an_office(vendor: str, agent: dict[str, Any], said: str, died: float) -> VendorOffice:
    office = office_of(vendor, agent, [said] * 9)
    office.own_voice = CodewordVoice(first=0.2)
    office.wire.at(died, WireSession.go_half_open)
    return office


def ended(report: CallReport, step: int) -> float:
    at = report.steps[step].speech_ended
    assert at is not None
    return at


@pytest.mark.parametrize(("vendor", "agent"), KINDS, ids=IDS)
@pytest.mark.parametrize("seconds", [0.2, 1.3])
def test_whenever_it_dies_and_however_short_the_callers_word(
    vendor: str, agent: dict[str, Any], seconds: float
) -> None:
    """In the greeting, while nobody speaks, while the caller does, while the model thinks, in the answer, after it."""

    async def main(died: float) -> None:
        async with an_office(vendor, agent, "look", died) as office:
            report = await office.call(
                Wait(AT), Speak(something(seconds)), Wait(8), Speak(speak("look")), Wait(5), HangUp()
            )
            assert report.answered is not None
            spoken, again = report.steps[1].speech_started, report.steps[3].speech_started
            assert max(silences(report, report.answered, spoken or 0.0)) <= 3.0, f"it died at {died}"
            assert max(silences(report, ended(report, 1), again or 0.0)) <= 3.0, f"it died at {died}"
            assert max(silences(report, ended(report, 3))) <= 3.0, f"it died at {died}"
            following = report.ear.sound_onset_after(ended(report, 1))
            assert following is not None
            assert following - ended(report, 1) <= 3.0, f"it died at {died}"
            assert read_coarsely(report.heard)[-3:] == ["it", "is", "there"], f"it died at {died}"
            assert len(office.wire.sessions) == 2
            assert office.ending() == "caller"

    around = [-0.05, 0.1, seconds + 0.02, seconds + 0.3, seconds + 0.55, seconds + 0.9, seconds + 1.4]
    for died in [0.1, 1.0, 2.0, *(AT + later for later in around)]:
        run_virtual(main(died))


@pytest.mark.parametrize(("vendor", "agent"), KINDS, ids=IDS)
def test_a_caller_breaks_in_on_an_answer_whose_socket_is_dead(vendor: str, agent: dict[str, Any]) -> None:
    async def main(died: float, seconds: float) -> None:
        async with an_office(vendor, agent, "count", died) as office:
            report = await office.call(
                Wait(AT), Speak(speak("count")), BargeIn(something(seconds), after=2.0), Wait(10), HangUp()
            )
            assert max(silences(report, ended(report, 1))) <= 3.0, f"it died at {died}"
            following = report.ear.sound_onset_after(ended(report, 2) + 0.1)
            assert following is not None
            assert following - ended(report, 2) <= 3.0, f"it died at {died}"

    for seconds in (0.3, 0.9):
        for died in (3.6, 3.9, 4.2, 4.7, 5.5, 6.1, 6.3, 6.6, 7.0, 7.6):
            run_virtual(main(died, seconds))


@pytest.mark.parametrize("vendor", VENDORS)
def test_an_agent_that_does_not_speak_first(vendor: str) -> None:
    async def main(died: float) -> None:
        async with an_office(vendor, WAITS, "count", died) as office:
            report = await office.call(Wait(AT), Speak(something(0.6)), Wait(10), HangUp())
            assert max(silences(report, ended(report, 1))) <= 3.0, f"it died at {died}"
            assert report.ear.sound_onset_after(ended(report, 1)) is not None, f"it died at {died}"

    for died in (0.1, 0.7, 1.5, 2.9, 3.2, 3.5, 3.9):
        run_virtual(main(died))


@pytest.mark.parametrize("milliseconds", [150, 300, 600])
def test_a_cough_is_none_of_our_business_as_long_as_the_socket_is_alive(milliseconds: int) -> None:
    """The model hears nothing in it, and says so by saying nothing."""

    async def main() -> None:
        model = MemoryModel(lambda heard, history: ("Yes.", ()), deaf=True)
        async with RealtimeOffice(AGENT, model) as office:
            report = await office.call(AwaitAgentSilence(), Cough(milliseconds), Wait(12), HangUp())
            assert len(report.ear.utterances()) == 1
            assert len(model.sessions) == 1

    run_virtual(main())


def test_an_answer_that_hesitates_is_waited_for_with_a_word_and_heard_to_its_end() -> None:
    """The socket is alive, and the model thinks in the middle of its answer."""

    async def main() -> None:
        answer = "alfa four echo five golf nine kilo lima"
        model = MemoryModel(lambda heard, history: (answer, ()), hesitates=(1200, 4.5))
        async with RealtimeOffice(WAITS, model) as office:
            report = await office.call(Wait(1), Speak(speak("count")), AwaitAgentSilence(min_gap=3.1), HangUp())
            words = answer.split()
            moment = plain_words(phrases("en").one_moment)
            assert heard_words(report.heard) == [*words[:4], *moment, *words[4:]]
            first, second, third = office.said("agent")
            assert second == phrases("en").one_moment
            assert f"{first} {third}" == answer
            assert len(first.split()) in (3, 4, 5)
            assert max(silences(report, ended(report, 1))) <= 3.0
            assert len(model.sessions) == 1
            assert model.mistakes == []

    run_virtual(main())


def test_an_answer_that_went_on_is_cut_where_the_caller_broke_in() -> None:
    """The model counts from the beginning of what it said, and not from where it went on."""

    async def main() -> None:
        answer = "alfa four echo five golf nine kilo lima mike oboe papa item"
        model = MemoryModel(lambda heard, history: (answer, ()), hesitates=(1200, 4.5))
        async with RealtimeOffice(WAITS, model) as office:
            report = await office.call(
                Wait(1), Speak(speak("count")), BargeIn(speak("stop"), after=2.5), Wait(0.5), HangUp()
            )
            [session] = model.sessions
            heard = [word for word in heard_words(report.heard) if word in answer.split()]
            assert 5 <= len(heard) < 12
            [(_, told)] = session.truncations
            assert abs(told - 300 * len(heard)) <= 300
            assert session.said("assistant")[0].split() == heard
            assert model.mistakes == []

    run_virtual(main())


def test_a_greeting_that_breaks_off_is_said_to_its_end_in_the_own_voice() -> None:
    async def main() -> None:
        model = MemoryModel(lambda heard, history: ("Yes.", ()), speed=1.2)
        async with RealtimeOffice(AGENT, model) as office:
            asyncio.get_running_loop().call_later(1.0, lambda: model.sessions[-1].lose("it closed the socket: 1006"))
            report = await office.call(AwaitAgentSilence(), Wait(3), HangUp())
            assert heard_words(report.heard) == plain_words(AGENT["options"]["greeting"])
            assert len(model.sessions) == 2

    run_virtual(main())
