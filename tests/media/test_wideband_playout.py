"""Playout on a socket of 16 kHz, at a far end whose codec has that rate, too, and at one whose codec has half of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from jambonz.listen import safe_samples
from media.audio import FRAME_SECONDS, PCM_8K, PCM_16K, AudioFormat
from media.farend import FarEnd
from media.playout import Playout
from tests.media.line import Line

CODECS = [16000, 8000]


class Uncertain(Line):
    exact_marks = False


def line(codec_rate: int) -> Line:
    return Uncertain(format=PCM_16K, codec_rate=codec_rate)


class Hissing(Uncertain):
    """Says noise, in which any value comes up, and sends none of -1."""

    def prepare(self, pcm: bytes) -> bytes:
        return safe_samples(pcm)

    def hiss(self, generation: int, loudness: int) -> None:
        samples = np.random.default_rng(generation).normal(0, loudness, 150 * self.format.frame_samples)
        segment = self.segment(generation, "noise")
        segment.write(np.clip(samples, -32768, 32767).astype(np.int16).tobytes())
        segment.close()
        self.playout.finish(generation)

    def frames_heard(self) -> int:
        peaks = self.module.heard._peaks
        return sum(peak > 100 for peak in peaks)


@pytest.mark.parametrize("codec_rate", CODECS)
@pytest.mark.parametrize("frames", [1, 2, 3, 5, 7, 9, 15, 40])
def test_the_end_of_a_word_is_heard(codec_rate: int, frames: int) -> None:
    wire = line(codec_rate)
    wire.say(1, range(frames))
    wire.run(2)
    assert wire.heard_numbers() == list(range(frames))
    [finished] = wire.finished
    assert finished.heard.complete


def test_the_far_end_begins_to_play_after_half_the_time() -> None:
    wire = line(16000)
    segment = wire.segment(1, "word")
    segment.write(bytes([1, 40] * PCM_16K.frame_samples * 4))
    wire.run(0.06)
    assert wire.module.prebuffer_samples == 0
    assert wire.module.heard.last_audible is not None


@pytest.mark.parametrize("codec_rate", CODECS)
def test_nothing_stale_is_heard_after_an_interruption(codec_rate: int) -> None:
    for frames in range(9):
        wire = line(codec_rate)
        wire.say(0, range(frames))
        wire.run(1)
        wire.say(1, range(100, 150))
        wire.run(0.3)
        wire.clear(through=1)
        wire.run(0.5)
        heard = wire.heard_numbers()
        wire.say(2, range(1000, 1020))
        wire.run(1)
        assert wire.heard_numbers()[len(heard) :] == list(range(1000, 1020))


@pytest.mark.parametrize("after", [0.3, 0.51, 1.13, 2.6])
def test_what_was_heard_is_exact_where_the_codec_has_the_same_rate(after: float) -> None:
    wire = line(16000)
    wire.say(1, range(30))
    wire.run(1.5)
    wire.say(2, range(100, 300))
    wire.run(after)
    wire.clear(through=2)
    wire.run(0.5)
    [cut] = wire.cuts
    assert round(cut.heard.seconds / FRAME_SECONDS) == sum(number >= 100 for number in wire.heard_numbers())


def worst(rate: AudioFormat, codec_rate: int, loudness: int) -> int:
    """By how many frames what is taken for heard is off, while five things are said."""
    wire, off = Hissing(format=rate, codec_rate=codec_rate, latency=0.01), 0
    for generation in range(1, 6):
        before = wire.frames_heard()
        wire.hiss(generation, loudness)
        for _ in range(160):
            wire.run(0.02)
            heard = wire.playout.heard(wire.now)
            if heard is not None:
                off = max(off, abs(round(heard.seconds / FRAME_SECONDS) - (wire.frames_heard() - before)))
        wire.run(1)
    return off


RATES = [(PCM_16K, 16000), (PCM_16K, 8000), (PCM_8K, 16000)]


@pytest.mark.parametrize(("rate", "codec_rate"), RATES, ids=str)
@pytest.mark.parametrize("loudness", [500, 2000, 6000])
def test_what_was_heard_is_known_whatever_marks_say(rate: AudioFormat, codec_rate: int, loudness: int) -> None:
    """A noise now and then has two marks that agree by chance: by so much it may be off, for as long as it does."""
    assert worst(rate, codec_rate, loudness) <= (1 if rate.rate == codec_rate else 4)


@pytest.mark.parametrize(("rate", "codec_rate"), RATES[1:], ids=str)
def test_marks_of_another_codec_would_mislead(rate: AudioFormat, codec_rate: int) -> None:
    """The test above, where each mark is believed that may be right."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Hissing, "exact_marks", True)
        assert worst(rate, codec_rate, 2000) > 4


def without_tail(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Playout, "_push_tail", lambda *_: None)


def without_filler(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(FarEnd, "filler", 0)


@pytest.mark.parametrize("codec_rate", CODECS)
@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        (without_tail, lambda codec_rate: test_the_end_of_a_word_is_heard(codec_rate, 5)),
        (without_filler, test_nothing_stale_is_heard_after_an_interruption),
    ],
    ids=["tail", "filler"],
)
def test_silence_is_what_pushes_sound_on(
    codec_rate: int, rule: Callable[[pytest.MonkeyPatch], None], broken: Callable[[int], None]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        rule(patch)
        with pytest.raises(AssertionError):
            broken(codec_rate)
