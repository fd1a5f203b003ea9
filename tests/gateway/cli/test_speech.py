from __future__ import annotations

from gateway.cli.speech import stretches, trimmed
from jambonz.simulator.ear import Ear
from media.audio import PCM_8K, PCM_16K, Clip

TONE, SILENCE = b"\x00\x10\x00\xf0" * 80, bytes(320)  # 20 ms at 8 kHz
LOUD = b"\x00\x10\x00\xf0" * 160  # at 16 kHz


def test_silence_about_speech_is_trimmed_and_pauses_within_it_are_not() -> None:
    quiet = PCM_16K.silence(20)
    assert trimmed(Clip(PCM_16K, quiet * 9 + LOUD + quiet * 5 + LOUD + quiet * 7)).data == LOUD + quiet * 5 + LOUD
    assert trimmed(Clip(PCM_16K, LOUD + quiet[:100])).data == LOUD


def test_of_silence_nothing_is_left() -> None:
    assert trimmed(Clip(PCM_16K, PCM_16K.silence(100))).data == b""
    assert trimmed(Clip(PCM_16K, b"")).data == b""


def ear_that_heard(sound: bytes, start: float = 100.0) -> Ear:
    ear = Ear()
    for number in range(len(sound) // 320):
        ear.hear(start + number * 0.02, sound[number * 320 : number * 320 + 320], 160)
    return ear


def test_stretches_are_cut_where_the_agent_was_silent_for_long() -> None:
    one, other = TONE * 30 + SILENCE * 20 + TONE * 30, TONE * 10
    sound = SILENCE * 50 + one + SILENCE * 40 + other + SILENCE * 4
    margin = SILENCE * 10
    first, second = stretches(ear_that_heard(sound))
    assert first == Clip(PCM_8K, margin + one + margin)
    assert second == Clip(PCM_8K, margin + other + SILENCE * 4)


def test_a_stretch_may_begin_with_the_call() -> None:
    [stretch] = stretches(ear_that_heard(TONE * 10))
    assert stretch.data == TONE * 10


def test_an_ear_that_heard_nothing_has_no_stretches() -> None:
    assert stretches(Ear()) == []
