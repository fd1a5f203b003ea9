"""What brings people together in the simulated Jambonz: music while it rings, REFER without an answer, conferences."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jambonz.simulator.caller import Caller, HangUp, Speak, Step, Wait
from jambonz.simulator.ear import peak_of
from jambonz.simulator.outcomes import DialOutcome, Outcomes, ReferOutcome
from jambonz.simulator.report import CallReport
from tests.clock import run_virtual
from tests.jambonz.simulator.service import Service
from tests.jambonz.simulator.test_feature_server import call
from tests.simulators.codeword import heard_words, speak

DIAL = {"verb": "dial", "target": [{"type": "phone", "number": "1"}], "actionHook": "/next"}


@pytest.mark.parametrize(
    ("music", "seconds"), [(None, 60.0), ("http://music/x.wav", 60.0), ("http://music/x.wav", 1.0)]
)
def test_who_is_answered_hears_music_while_it_rings_once_or_nothing(music: str | None, seconds: float) -> None:
    service = Service([{"verb": "answer"}, DIAL | ({"dialMusic": music} if music else {})])
    outcomes = Outcomes(dials=(DialOutcome("busy", 486, ring_seconds=3.0),), music_seconds=seconds)
    report = call(service, jambonz=service.jambonz(outcomes=outcomes))
    first, last = report.heard[16000 * 1 // 2 : 14000], report.heard[16000 * 2 : 16000 * 3]
    assert (peak_of(first) > 2000) == (music is not None)
    assert (peak_of(last) > 2000) == (music is not None and seconds > 3)


def test_a_refer_that_nobody_answers_is_sent_for_32_s_and_no_hook_tells() -> None:
    refer = {"verb": "sip:refer", "referTo": "+44123", "actionHook": "/next", "eventHook": "/next"}
    service = Service([{"verb": "answer"}, refer, {"verb": "hangup"}])
    report = call(service, Wait(60), jambonz=service.jambonz(outcomes=Outcomes(refers=(ReferOutcome(None),))))
    assert report.ended == pytest.approx(32.0, abs=0.1)
    assert not service.posted("/next")
    assert "was not answered" in "\n".join(report.notes)


@pytest.mark.parametrize("early", [False, True])
def test_the_far_end_of_a_refer_hangs_up_after_its_news_or_before(early: bool) -> None:
    refer = {"verb": "sip:refer", "referTo": "+44123", "actionHook": "/next", "eventHook": "/event"}
    service = Service([{"verb": "answer"}, refer, {"verb": "hangup"}])
    report = call(service, Wait(60), jambonz=service.jambonz(outcomes=Outcomes(refers=(ReferOutcome(early=early),))))
    assert [hook["call_status"] for hook in service.posted("/event")] == [100, 200]
    assert all("call_sid" not in hook for hook in service.posted("/event")), "it does not say whose it is"
    [over] = service.posted("/next")
    assert over["call_status"] == ("completed" if early else "in-progress")
    assert report.ended_by == "caller"


def meet(*people: list[Step], verb: dict[str, Any]) -> list[CallReport]:
    async def main() -> list[CallReport]:
        service = Service([verb, {"verb": "hangup"}])
        jambonz = service.jambonz()
        calls = [
            jambonz.place_call(to="+44207", from_=f"+44{number}", caller=Caller(steps, patience=30.0))
            for number, steps in enumerate(people)
        ]
        reports = await asyncio.gather(*calls)
        assert not jambonz._settings.rooms.open
        assert len(service.posted("/next")) == len(people)
        return list(reports)

    return run_virtual(main())


ROOM = {"verb": "conference", "name": "room", "endConferenceOnExit": True, "actionHook": "/next"}


def test_two_in_a_conference_hear_each_other_and_leave_together() -> None:
    one, two = meet([Wait(1), Speak(speak("one two")), Wait(5)], [Wait(3), Speak(speak("three")), HangUp()], verb=ROOM)
    assert heard_words(one.heard) == ["three"]
    assert heard_words(two.heard) == ["one", "two"]
    assert (one.ended_by, two.ended_by) == ("jambonz", "caller")
    assert one.ended == pytest.approx(two.ended, abs=0.1)


def test_a_conference_goes_on_without_those_who_do_not_end_it() -> None:
    one, two = meet([Wait(6), HangUp()], [Wait(1), HangUp()], verb=ROOM | {"endConferenceOnExit": False})
    assert (one.ended_by, two.ended_by) == ("caller", "caller")
    assert one.ended is not None
    assert two.ended is not None
    assert one.ended > two.ended + 4


def test_three_are_mixed_and_nobody_hears_himself() -> None:
    a, b, c = meet(
        [Wait(1), Speak(speak("red")), Wait(4), HangUp()],
        [Wait(2), Speak(speak("green")), Wait(9)],
        [Wait(9)],
        verb=ROOM,
    )
    assert [len(one.ear.utterances()) for one in (a, b, c)] == [1, 1, 2]
