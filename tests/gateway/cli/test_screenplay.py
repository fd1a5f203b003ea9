from __future__ import annotations

from typing import Any

from gateway.cli.comparison import Utterance, compare
from gateway.cli.screenplay import Line, Screenplay, problems, steps
from jambonz.simulator.caller import AwaitAgentSilence, AwaitAgentSpeech, BargeIn, Cough, Speak, Wait
from jambonz.simulator.report import CallReport
from media.audio import PCM_16K, Clip
from tests.gateway.cli.test_speech import ear_that_heard

LINES = (
    Line("I need an appointment.", "Which day"),
    Line("When are you open?", "We are open"),
    Line("Tuesday.", "booked", interrupt_after=1.0),
    Line("Goodbye.", "Goodbye", cough_after=0.5),
)
SAID = [
    Utterance("Good morning."),
    Utterance("Which day would you like?"),
    Utterance("We are open from Monday to", interrupted=True),
    Utterance("It is booked."),
    Utterance("Thank you. Goodbye."),
]


def wrong(said: list[Utterance] = SAID, heard: list[str] | None = None, **values: Any) -> list[str]:
    outcome: dict[str, Any] = {"answered": 1.0, "ended_by": "jambonz", **values}
    report = CallReport("sid", 0.0, ear_that_heard(b""), **outcome)
    return problems(LINES, report, said, compare(said, heard or [one.text for one in said]))


def test_a_good_call_has_no_problems() -> None:
    assert wrong() == []


def test_a_call_that_was_not_answered() -> None:
    assert wrong(answered=None, sip_status=486, reason="Busy Here") == ["The call was not answered: 486 Busy Here"]


def test_a_line_that_was_not_understood() -> None:
    said = [*SAID[:3], Utterance("I am sorry?"), SAID[4]]
    assert wrong(said) == ['The caller said "Tuesday.", and did not hear "booked".']


def test_answers_have_to_come_in_the_order_of_the_lines() -> None:
    said = [SAID[0], SAID[2], SAID[1], *SAID[3:]]
    assert wrong(said) == ['The caller said "When are you open?", and did not hear "We are open".']


def test_an_agent_who_cannot_be_interrupted() -> None:
    said = [Utterance(one.text) for one in SAID]
    assert wrong(said) == ["The caller broke in, and the agent was not interrupted."]


def test_a_goodbye_that_was_cut_off() -> None:
    said = [*SAID[:4], Utterance("Thank you. Goodbye", interrupted=True)]
    assert wrong(said) == ["The agent's last words were not heard to the end."]


def test_a_call_that_the_agent_did_not_end() -> None:
    assert wrong(ended_by="caller") == ["It was not the agent who ended the call."]


def test_a_log_that_is_not_what_was_heard() -> None:
    heard = [one.text for one in SAID]
    heard[2] = "we are open from monday to friday at eight"
    assert wrong(heard=heard) == [f'The log has "{SAID[2].text}", and the caller heard "{heard[2]}".']


def test_what_the_caller_does() -> None:
    clips = [Clip(PCM_16K, bytes([number, 0])) for number in range(len(LINES))]
    silence = AwaitAgentSilence(0.8, 20.0)
    assert steps(LINES, clips) == [
        *(silence, Speak(clips[0])),
        *(silence, Speak(clips[1])),
        BargeIn(clips[2], 1.0, 20.0),
        *(AwaitAgentSpeech(20.0), Wait(0.5), Cough(100), silence, Speak(clips[3])),
    ]


def test_the_screenplay_has_an_interruption_a_cough_and_a_goodbye() -> None:
    lines = Screenplay.read().lines
    assert any(line.interrupt_after for line in lines)
    assert any(line.cough_after for line in lines)
    assert lines[-1].expect == "Goodbye"
