"""Answering-machine detection as a feature server has it."""

from __future__ import annotations

from typing import Any

from jambonz.simulator.amd import AnsweringMachineDetector

GREETING = "hello you have reached the office please leave a message after the tone"


def types(told: list[dict[str, Any]]) -> list[str]:
    return [one["type"].removeprefix("amd_") for one in told]


def detector(**options: Any) -> AnsweringMachineDetector:
    return AnsweringMachineDetector({"actionHook": "/amd", **options}, 10.0)


def test_few_words_are_a_person() -> None:
    amd = detector()
    assert amd.hear("hello", False, 10.5) == []
    [human, stopped] = amd.hear("hello who is it", True, 11.0)
    assert (human["type"], human["reason"], human["greeting"]) == (
        "amd_human_detected",
        "short greeting",
        "hello who is it",
    )
    assert stopped == {"type": "amd_stopped"}
    assert amd.over


def test_many_words_are_a_machine_whether_they_are_final_or_not() -> None:
    amd = detector()
    [machine] = amd.hear(GREETING, False, 12.0)
    assert (machine["type"], machine["reason"], machine["greeting"]) == (
        "amd_machine_detected",
        "long greeting",
        GREETING,
    )
    assert amd.due == 14.0
    assert amd.hear(GREETING, True, 13.0) == []
    assert types(amd.tick(14.0)) == []
    assert types(amd.tick(15.0)) == ["machine_stopped_speaking", "stopped"]


def test_a_beep_shortens_the_silence_that_ends_a_greeting() -> None:
    amd = detector()
    amd.hear(GREETING, False, 12.0)
    assert types(amd.beep(12.5)) == ["tone_detected"]
    assert amd.beep(12.6) == []
    assert amd.hear(GREETING, True, 12.8) == []
    assert types(amd.tick(13.8)) == ["machine_stopped_speaking", "stopped"]


def test_digits_and_hints_are_a_machine() -> None:
    assert types(detector(digitCount=5).hear("call 0 2 0 7 9 4", True, 11.0)) == ["machine_detected"]
    hinted = AnsweringMachineDetector({}, 0.0, hints=["voice mail"])
    assert hinted.hear("Voice mail", True, 1.0)[0]["hint"] == "voice mail"


def test_silence_and_indecision_have_their_timers() -> None:
    assert types(detector().tick(15.0)) == ["no_speech_detected", "stopped"]
    undecided = detector(timers={"decisionTimeoutMs": 3000})
    undecided.hear("well", False, 11.0)
    assert types(undecided.tick(13.0)) == ["decision_timeout", "stopped"]


def test_a_machine_that_never_beeps_is_left_after_the_tone_timer_without_a_word() -> None:
    amd = detector(timers={"toneTimeoutMs": 4000, "greetingCompletionTimeoutMs": 9000})
    amd.hear(GREETING, False, 11.0)
    assert types(amd.tick(14.0)) == ["stopped"]
    assert types(amd.tick(20.0)) == []
