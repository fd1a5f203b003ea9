"""The tables against ITU-T G.711 as the standard states it: decision values and output values, all 65 536 samples."""

from __future__ import annotations

import importlib
import warnings
from bisect import bisect_right
from itertools import pairwise
from types import ModuleType

import numpy as np
import pytest

from media.g711 import alaw_to_pcm, mulaw_to_pcm, pcm_to_alaw, pcm_to_mulaw

EVERY_CODE = bytes(range(256))
EVERY_SAMPLE = np.arange(-32768, 32768).astype(np.int16)


def mulaw_decisions() -> list[int]:
    """G.711 table 2, scaled from 14 to 16 bits: where each of the 128 intervals of one sign begins."""
    values = [0, 1]
    for segment in range(8):
        values += [values[-1] + (2 << segment) * (n + 1) for n in range(15 if segment == 0 else 16)]
    assert values[128] == 8159
    return [4 * value for value in values[:128]]


def alaw_decisions() -> list[int]:
    """G.711 table 1, scaled from 13 to 16 bits."""
    values = [0]
    for step in (2, 2, 4, 8, 16, 32, 64, 128):
        values += [values[-1] + step * (n + 1) for n in range(16)]
    assert values[128] == 4096
    return [8 * value for value in values[:128]]


def mulaw_code(sample: int) -> int:
    interval = bisect_right(mulaw_decisions_table, abs(sample)) - 1
    return (0x7F if sample < 0 else 0xFF) - interval


def alaw_code(sample: int) -> int:
    interval = bisect_right(alaw_decisions_table, sample if sample >= 0 else -sample - 1) - 1
    return (interval | (0x80 if sample >= 0 else 0)) ^ 0x55


mulaw_decisions_table = mulaw_decisions()
alaw_decisions_table = alaw_decisions()


def test_every_sample_gets_the_code_of_its_mulaw_interval() -> None:
    assert pcm_to_mulaw(EVERY_SAMPLE.tobytes()) == bytes(mulaw_code(int(sample)) for sample in EVERY_SAMPLE)


def test_every_sample_gets_the_code_of_its_alaw_interval() -> None:
    assert pcm_to_alaw(EVERY_SAMPLE.tobytes()) == bytes(alaw_code(int(sample)) for sample in EVERY_SAMPLE)


def test_mulaw_output_values_lie_in_the_middle_of_their_intervals() -> None:
    edges = [*mulaw_decisions_table, 4 * 8159]
    middles = [0, *((low + high) // 2 for low, high in pairwise(edges[1:]))]
    expected = [-middles[0x7F - code] if code < 0x80 else middles[0xFF - code] for code in range(256)]
    assert np.frombuffer(mulaw_to_pcm(EVERY_CODE), np.int16).tolist() == expected


def test_alaw_output_values_lie_in_the_middle_of_their_intervals() -> None:
    edges = [*alaw_decisions_table, 8 * 4096]
    middles = [(low + high) // 2 for low, high in pairwise(edges)]
    expected = [(1 if code & 0x80 else -1) * middles[(code ^ 0x55) & 0x7F] for code in range(256)]
    assert np.frombuffer(alaw_to_pcm(EVERY_CODE), np.int16).tolist() == expected


def test_codes_survive_a_round_trip() -> None:
    assert pcm_to_alaw(alaw_to_pcm(EVERY_CODE)) == EVERY_CODE
    negative_zero, zero = b"\x7f", b"\xff"
    assert pcm_to_mulaw(mulaw_to_pcm(EVERY_CODE)) == EVERY_CODE.replace(negative_zero, zero)


@pytest.mark.parametrize("convert", [mulaw_to_pcm, alaw_to_pcm, pcm_to_mulaw, pcm_to_alaw])
def test_no_sound_is_no_sound(convert: object) -> None:
    assert callable(convert)
    assert convert(b"") == b""


def audioop() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return importlib.import_module("audioop")
        except ModuleNotFoundError:
            pytest.skip("this Python has no audioop (removed in 3.13)")


def test_python_agreed_while_it_had_codecs_of_its_own() -> None:
    judge = audioop()
    assert mulaw_to_pcm(EVERY_CODE) == judge.ulaw2lin(EVERY_CODE, 2)
    assert alaw_to_pcm(EVERY_CODE) == judge.alaw2lin(EVERY_CODE, 2)
    samples = EVERY_SAMPLE.tobytes()
    assert pcm_to_alaw(samples) == judge.lin2alaw(samples, 2)
    # Below zero audioop rounds mu-law magnitudes up where G.711 mirrors the intervals: at most one code apart.
    assert pcm_to_mulaw(samples[65536:]) == judge.lin2ulaw(samples[65536:], 2)
    ours = np.frombuffer(pcm_to_mulaw(samples[:65536]), np.uint8).astype(int)
    theirs = np.frombuffer(judge.lin2ulaw(samples[:65536], 2), np.uint8).astype(int)
    assert np.abs(ours - theirs).max() == 1
