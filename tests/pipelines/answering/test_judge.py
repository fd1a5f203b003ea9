"""Who is there, by what is heard of them, on a clock of the test's own."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.answering.judge import Judge, Who

GREETING = "you have reached ann please leave a message after the tone"


def about(seconds: float) -> Any:
    """To within two frames."""
    return pytest.approx(seconds, abs=0.041)


class Scene:
    """``heard`` is a judge with words, or without."""

    def __init__(self, *, hears: bool = True, words: int = 9, max_wait: float = 60.0) -> None:
        self.now = 100.0
        self.judge = Judge(self.now, words=words, max_wait=max_wait, hears=hears)
        self.found: list[tuple[float, Who]] = []
        self.ready: float | None = None

    def _step(self, voice: bool) -> None:
        self.now += 0.02
        self.judge.hear(voice, self.now)
        self._look()

    def _look(self) -> None:
        finding = self.judge.finding
        if finding is not None and (not self.found or self.found[-1][1] != finding.who):
            self.found.append((round(self.now - 100.0, 2), finding.who))
        if self.judge.ready and self.ready is None:
            self.ready = round(self.now - 100.0, 2)

    def quiet(self, seconds: float) -> Scene:
        for _ in range(round(seconds / 0.02)):
            self._step(False)
        return self

    def speak(self, seconds: float) -> Scene:
        for _ in range(round(seconds / 0.02)):
            self._step(True)
        return self

    def words(self, text: str) -> Scene:
        self.judge.understand(text, self.now)
        self._look()
        return self

    def beep(self) -> Scene:
        self.judge.beep(self.now)
        self._look()
        return self

    def told(self, kind: str, text: str = "", reason: str = "") -> Scene:
        self.judge.told(kind, reason, text, self.now)
        self._look()
        return self

    @property
    def who(self) -> list[Who]:
        return [who for _, who in self.found]


def test_a_few_words_and_a_pause_are_a_person() -> None:
    scene = Scene().quiet(0.5).speak(0.6).quiet(0.5).words("hello").quiet(1.0)
    assert scene.found == [(about(1.9), "person")]
    assert scene.ready == about(1.9)
    assert scene.judge.text == "hello"


def test_words_that_come_late_are_waited_for_and_not_for_ever() -> None:
    assert Scene().speak(0.6).quiet(1.5).words("hello").quiet(0.5).found == [(about(2.12), "person")]
    assert Scene().speak(0.6).quiet(3.0).found == [(about(2.6), "person")]


def test_without_words_it_is_the_length_that_tells() -> None:
    assert Scene(hears=False).speak(1.2).quiet(2.0).found == [(about(2.0), "person")]
    assert Scene(hears=False).speak(3.5).quiet(2.0).who == ["machine"]
    assert Scene(hears=False).speak(8.0).found == [(about(4.52), "machine")]


def test_who_has_many_words_is_a_machine_before_it_has_ended() -> None:
    scene = Scene().speak(2.0).words("hello this is the office of a dentist in town").speak(1.0)
    assert scene.found == [(about(2.0), "machine")]
    assert scene.ready is None
    scene.quiet(2.1)
    assert scene.ready == about(5.0)
    assert Scene(words=20).speak(2.0).words("hello this is the office of a dentist in town").quiet(1.0).who == [
        "person"
    ]


def test_a_promised_tone_is_waited_for() -> None:
    scene = Scene().speak(3.0).words(GREETING).quiet(3.0)
    assert scene.who == ["machine"]
    assert scene.ready is None
    assert scene.beep().ready == about(6.0)
    late = Scene().speak(3.0).words(GREETING).quiet(6.0)
    assert late.ready == about(8.0)


def test_a_beep_alone_is_a_machine() -> None:
    scene = Scene().quiet(1.0).beep()
    assert (scene.who, scene.ready) == (["machine"], 1.0)


def test_nobody_says_anything() -> None:
    assert Scene().quiet(5.0).found == [(about(4.0), "unknown")]


def test_a_pause_within_a_greeting_does_not_end_it() -> None:
    scene = (
        Scene().speak(1.0).words("hi").quiet(0.6).speak(1.5).words("hi you have reached ann leave a message").quiet(1)
    )
    assert scene.who == ["machine"]


def test_what_is_heard_later_corrects_what_was_thought() -> None:
    long = "hi the person you are calling is using a"
    scene = Scene().speak(2.0).words(long).speak(1.0).words(f"{long} screening service say your name").quiet(1.0)
    assert scene.who == ["machine", "screener"]
    assert scene.ready == about(3.7)
    full = Scene().speak(3.0).words(GREETING).speak(1.0).words(f"{GREETING} the mailbox is full").quiet(0.1)
    assert full.who == ["machine", "nobody"]
    assert full.ready is not None


def test_a_screener_is_answered_and_a_person_comes() -> None:
    scene = Scene().speak(2.0).words("please say your name").quiet(1.0)
    assert (scene.who, scene.ready) == (["screener"], about(2.7))
    scene.judge.replied(scene.now)
    scene.quiet(1.0).speak(1.0).words("thanks please stay on the line").quiet(8.0)
    assert scene.judge.finding is None, "silence is no person, once somebody is waited for"
    scene.speak(0.5).words("hello").quiet(1.0)
    assert scene.who[-1] == "person"


def test_a_screener_who_asks_on_and_on_is_left() -> None:
    scene, who = Scene(), None
    for _ in range(3):
        scene.speak(2.0).words("who is calling please").quiet(1.0)
        who = scene.judge.finding.who if scene.judge.finding else None
        scene.judge.replied(scene.now)
    assert who == "nobody"


def test_after_a_screener_a_machine_may_come_or_nobody() -> None:
    scene = Scene(max_wait=30.0).speak(2.0).words("state your name").quiet(1.0)
    scene.judge.replied(scene.now)
    scene.speak(2.0).words("please leave a message").quiet(2.5)
    assert scene.who[-1] == "machine"
    alone = Scene(max_wait=30.0).speak(2.0).words("state your name").quiet(1.0)
    alone.judge.replied(alone.now)
    alone.quiet(30.0)
    assert alone.found[-1] == (about(30.0), "nobody")


def test_a_machine_that_never_ends_is_left() -> None:
    scene = Scene(max_wait=20.0).speak(25.0)
    assert scene.who == ["machine", "nobody"]
    assert scene.found[-1][0] == about(20.0)


def test_jambonz_may_be_the_first_to_know() -> None:
    scene = Scene(hears=False).speak(0.8).quiet(0.2).told("amd_human_detected", "hello ann here", "short greeting")
    assert (scene.who, scene.ready, scene.judge.text) == (["person"], 1.0, "hello ann here")
    machine = (
        Scene(hears=False).speak(3.0).told("amd_machine_detected", "you have reached the office of", "long greeting")
    )
    assert (machine.who, machine.ready) == (["machine"], None)
    assert machine.quiet(1.0).told("amd_machine_stopped_speaking").ready == 4.0
    beeped = Scene(hears=False).speak(3.0).told("amd_machine_detected", GREETING).told("amd_machine_stopped_speaking")
    assert beeped.ready is None, "a tone was promised"
    assert beeped.told("amd_tone_detected").ready == 3.0
    screened = Scene(hears=False).speak(3.0).told("amd_machine_detected", "go ahead and say your name and why you call")
    assert screened.who == ["screener"]


def test_jambonz_does_not_change_what_is_decided() -> None:
    scene = (
        Scene().speak(0.6).words("hello").quiet(1.0).told("amd_machine_detected", GREETING).told("amd_tone_detected")
    )
    assert scene.who == ["person"]
    silent = Scene(hears=False).speak(1.0).told("amd_no_speech_detected")
    assert silent.who == [], "we have heard somebody"
    assert Scene().quiet(1.0).told("amd_no_speech_detected").who == ["unknown"]
    assert Scene().told("amd_something_new").told("amd_stopped").who == []


def test_what_cannot_be_told_is_for_the_agent() -> None:
    scene = Scene(hears=False)
    for _ in range(40):
        scene.speak(0.1).quiet(0.5)
    assert scene.who in (["machine"], ["unknown"])
    assert scene.found[0][0] <= 15.1


def test_words_that_come_after_a_long_greeting_are_waited_for() -> None:
    """A recogniser that is busy may take its time over them."""
    scene = Scene().speak(7.0).quiet(3.0)
    assert (scene.who, scene.ready) == (["machine"], None)
    scene.words("if you record your name and reason for calling i will see if this person is available")
    assert scene.quiet(0.1).who == ["machine", "screener"]
    assert scene.ready is not None
    assert Scene().speak(7.0).quiet(5.5).ready == about(12.0)
