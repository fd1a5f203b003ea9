"""Questions to the ear."""

from __future__ import annotations

import pytest

from jambonz.simulator.ear import Ear, Span

LOUD = b"\x00\x10" * 160
QUIET = bytes(320)


def ear_of(frames: str, **options: bool) -> Ear:
    """``#`` sound, ``.`` silence out of the buffer, ``_`` nothing in the buffer, ``h`` half a frame of sound,
    ``x`` nothing because it was cut."""
    ear = Ear(**options)
    for index, kind in enumerate(frames):
        at = round(index * 0.02, 6)
        if kind == "x":
            ear.cut(at)
        frame = {"#": LOUD, "h": LOUD[:160] + QUIET[:160]}.get(kind, QUIET)
        ear.hear(at, frame, {"#": 160, ".": 160, "h": 80}.get(kind, 0))
    return ear


def rounded(spans: list[Span]) -> list[tuple[float, float]]:
    return [(round(span.start, 6), round(span.end, 6)) for span in spans]


def test_speaking_at() -> None:
    ear = ear_of("_##__")
    assert [ear.speaking_at(t) for t in (0.0, 0.019, 0.02, 0.05, 0.06, 9.0)] == [False, False, True, True, False, False]
    assert not Ear().speaking_at(0.0)


def test_silence_onset_is_where_the_sound_stops_for_good() -> None:
    ear = ear_of("##_##" + "_" * 10)
    assert ear.silence_onset_after(0.0) == pytest.approx(0.1)
    assert ear.silence_onset_after(0.0, min_gap=0.02) == pytest.approx(0.04)
    assert ear.silence_onset_after(0.15) == pytest.approx(0.15)


def test_there_is_no_silence_onset_while_the_sound_goes_on() -> None:
    assert ear_of("__####").silence_onset_after(0.05) is None
    assert ear_of("__####_").silence_onset_after(0.05) == pytest.approx(0.12)


def test_sound_onset() -> None:
    ear = ear_of("__##__#")
    assert ear.sound_onset_after(0.0) == pytest.approx(0.04)
    assert ear.sound_onset_after(0.07) == pytest.approx(0.12)
    assert ear.sound_onset_after(0.13) is None


def test_utterances_bridge_short_pauses() -> None:
    assert rounded(ear_of("_##__##" + "_" * 20 + "#").utterances()) == [(0.02, 0.14), (0.54, 0.56)]


def test_an_underrun_is_a_hole_with_more_to_come() -> None:
    assert rounded(ear_of("_###__##").underruns()) == [(0.08, 0.12)]
    assert rounded(ear_of("_###h_##").underruns()) == [(0.09, 0.12)]


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ("_####____", "nothing came after"),
        ("__________####", "nothing came before"),
        ("###" + "_" * 20 + "###", "the next comes 400 ms later"),
        ("###....__###", "the utterance was ended with its 80 ms of silence"),
        ("###x_###", "it was cut on purpose"),
    ],
)
def test_no_underrun(frames: str, why: str) -> None:
    assert ear_of(frames).underruns() == [], why


def test_without_audio_the_questions_are_still_answered() -> None:
    ear = ear_of("_##__", keep_audio=False)
    assert ear.heard_audio() == b""
    assert ear.speaking_at(0.03)
    assert ear.last_audible == pytest.approx(0.06)
    assert ear.started == 0.0
    assert ear.seconds == pytest.approx(0.1)
