from __future__ import annotations

import itertools

import numpy as np
import pytest

from media.audio import ALAW_8K, MULAW_8K, PCM_8K, PCM_16K, PCM_24K, PCM_48K, AudioFormat, Encoding
from media.convert import Converter
from media.g711 import alaw_to_pcm, mulaw_to_pcm, pcm_to_alaw, pcm_to_mulaw
from media.resample import Resampler

FORMATS = (PCM_8K, PCM_16K, PCM_24K, PCM_48K, MULAW_8K, ALAW_8K)
NOISE = np.random.default_rng(1).normal(0, 4000, 160).astype(np.int16).tobytes()


@pytest.mark.parametrize(("src", "dst"), list(itertools.product(FORMATS, FORMATS)), ids=str)
def test_a_frame_of_one_format_becomes_a_frame_of_the_other(src: AudioFormat, dst: AudioFormat) -> None:
    converter = Converter(src, dst)
    for _ in range(3):
        assert len(converter.process(src.silence(20))) == dst.frame_bytes
    to_pcm = Converter(dst, AudioFormat(Encoding.PCM16, dst.rate))
    silence = np.frombuffer(to_pcm.process(converter.process(src.silence(20))), np.int16)
    assert np.abs(silence).max() <= 8, "A-law has no zero: its quietest codes stand for -8 and 8"


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_equal_formats_cost_nothing(format: AudioFormat) -> None:
    frame = format.silence(20)
    assert Converter(format, format).process(frame) is frame


def test_the_steps_come_in_their_order() -> None:
    codes = pcm_to_mulaw(NOISE)
    expected = pcm_to_alaw(Resampler(16000, 8000).process(Resampler(8000, 16000).process(mulaw_to_pcm(codes))))
    up, down = Converter(MULAW_8K, PCM_16K), Converter(PCM_16K, ALAW_8K)
    assert down.process(up.process(codes)) == expected
    assert Converter(MULAW_8K, ALAW_8K).process(codes) == pcm_to_alaw(mulaw_to_pcm(codes))
    assert Converter(ALAW_8K, PCM_8K).process(codes) == alaw_to_pcm(codes)


def test_the_delay_is_the_resamplers() -> None:
    assert Converter(MULAW_8K, PCM_24K).delay_seconds == Resampler(8000, 24000).delay_seconds
    assert Converter(MULAW_8K, PCM_8K).delay_seconds == 0


def test_reset_forgets_the_stream() -> None:
    converter = Converter(PCM_8K, PCM_24K)
    first = converter.process(NOISE)
    assert converter.process(NOISE) != first
    converter.reset()
    assert converter.process(NOISE) == first
    Converter(PCM_8K, MULAW_8K).reset()
