from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from media.resample import Resampler

RATES = (8000, 16000, 24000, 48000)
PAIRS = list(itertools.permutations(RATES, 2))
REJECTED = 12000 * 10 ** (-70 / 20)
ODD_PAIRS = [(22050, 8000), (22050, 16000), (8000, 22050), (44100, 24000)]
every_pair = pytest.mark.parametrize(("src", "dst"), PAIRS + ODD_PAIRS)


def tone(frequency: float, rate: int, seconds: float = 0.5, amplitude: float = 12000.0) -> bytes:
    time = np.arange(int(rate * seconds)) / rate
    return np.rint(amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.int16).tobytes()


def resample(pcm: bytes, src: int, dst: int) -> NDArray[np.float64]:
    """Through the resampler frame by frame."""
    resampler, size = Resampler(src, dst), src // 50 * 2
    out = b"".join(resampler.process(pcm[at : at + size]) for at in range(0, len(pcm), size))
    return np.frombuffer(out, np.int16).astype(np.float64)


def spectrum(samples: NDArray[np.float64], rate: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies, and the amplitude at each in full-scale samples; the first 20 ms are left out."""
    steady = samples[rate // 50 :]
    window = np.blackman(len(steady))
    amplitudes: NDArray[np.float64] = np.abs(np.fft.rfft(steady * window)) / window.sum() * 2
    return np.arange(len(amplitudes)) * rate / len(steady), amplitudes


def level(samples: NDArray[np.float64], rate: int, frequency: float) -> float:
    """Decibels of the strongest line within 20 Hz of ``frequency``, against the 12000 of :func:`tone`."""
    frequencies, amplitudes = spectrum(samples, rate)
    return float(20 * np.log10(amplitudes[np.abs(frequencies - frequency) < 20].max() / 12000))


@every_pair
def test_20_ms_in_are_exactly_20_ms_out_from_the_first_frame_on(src: int, dst: int) -> None:
    resampler = Resampler(src, dst)
    for _ in range(3):
        assert len(resampler.process(tone(300, src, 0.02))) == dst // 50 * 2


@every_pair
def test_the_pass_band_is_flat(src: int, dst: int) -> None:
    lower = min(src, dst)
    for share in (0.0375, 0.125, 0.25, 0.375):
        assert level(resample(tone(share * lower, src), src, dst), dst, share * lower) == pytest.approx(0, abs=0.1)


def test_the_telephone_band_ends_gently() -> None:
    assert level(resample(tone(3300, 24000), 24000, 8000), 8000, 3300) > -0.1
    assert level(resample(tone(3400, 24000), 24000, 8000), 8000, 3400) > -0.3


@pytest.mark.parametrize(("src", "dst"), [(src, dst) for src, dst in PAIRS if src > dst])
def test_aliases_are_rejected(src: int, dst: int) -> None:
    for share in (0.575, 0.62, 0.75, 0.9):
        if share * dst < src / 2:
            out = resample(tone(share * dst, src), src, dst)
            assert spectrum(out, dst)[1].max() < REJECTED


@pytest.mark.parametrize(("src", "dst"), [(src, dst) for src, dst in PAIRS if src < dst])
def test_images_are_rejected(src: int, dst: int) -> None:
    for share in (0.05, 0.2, 0.375, 0.425):
        frequencies, amplitudes = spectrum(resample(tone(share * src, src), src, dst), dst)
        beside = np.abs(frequencies - share * src) > 50
        assert amplitudes[beside].max() < REJECTED


@every_pair
def test_an_impulse_comes_out_after_the_delay_it_tells(src: int, dst: int) -> None:
    impulse = np.zeros(src // 10, np.int16)
    impulse[src // 20] = 30000
    out = resample(impulse.tobytes(), src, dst)
    centre = float(np.dot(np.arange(len(out)), out) / out.sum()) / dst
    delay = Resampler(src, dst).delay_seconds
    assert centre - src // 20 / src == pytest.approx(delay, abs=20e-6)
    assert 0 < delay < 0.002


@every_pair
def test_a_constant_stays_what_it_is(src: int, dst: int) -> None:
    out = resample(np.full(src // 10, -1234, np.int16).tobytes(), src, dst)
    assert set(out[dst // 50 :]) <= ({-1234} if dst > src else {-1235, -1234, -1233})


@every_pair
def test_loud_sound_saturates_and_never_wraps_around(src: int, dst: int) -> None:
    square = np.where(np.arange(src // 5) // (src // 800) % 2, 32767, -32768).astype(np.int16)
    out = resample(square.tobytes(), src, dst)
    assert out.max() == 32767
    assert out.min() == -32768
    smooth = np.convolve(out, np.ones(5) / 5, "valid")
    assert np.abs(np.diff(smooth)).max() < 40000, "a sample of the wrong sign"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PAIRS + ODD_PAIRS), st.integers(0, 2**32 - 1), st.data())
def test_the_same_bits_come_out_however_the_stream_is_cut(
    pair: tuple[int, int], seed: int, data: st.DataObject
) -> None:
    sizes = data.draw(st.lists(st.integers(0, 40), max_size=12))
    whole, cut = Resampler(*pair), Resampler(*pair)
    block = whole.block_bytes
    pcm = np.random.default_rng(seed).integers(-32768, 32768, sum(sizes) * block // 2).astype(np.int16).tobytes()
    pieces, at = [], 0
    for size in sizes:
        pieces.append(cut.process(pcm[at : at + size * block]))
        at += size * block
    assert b"".join(pieces) == whole.process(pcm)


@every_pair
def test_sums_are_exact_so_that_no_chunking_can_round_them_otherwise(src: int, dst: int) -> None:
    """With 16 bit samples, and fewer than 2**9 coefficients of less than 1, they stay within the 53 bits of a float."""
    coefficients = Resampler(src, dst)._matrix * 2**24
    assert np.array_equal(coefficients, np.rint(coefficients))
    assert np.abs(coefficients).sum(axis=0).max() * 32768 < 2**53


def test_reset_forgets_the_stream() -> None:
    used, fresh = Resampler(16000, 8000), Resampler(16000, 8000)
    used.process(tone(440, 16000, 0.02))
    used.reset()
    assert used.process(tone(440, 16000, 0.02)) == fresh.process(tone(440, 16000, 0.02))


def test_what_cannot_be_resampled_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="leave the resampler out"):
        Resampler(8000, 8000)
    with pytest.raises(ValueError, match="multiples of 50"):
        Resampler(11025, 8000)
    with pytest.raises(ValueError, match="a chunk of 4 bytes is not a multiple of 6"):
        Resampler(24000, 8000).process(bytes(4))
    with pytest.raises(ValueError, match="a chunk of 321 bytes"):
        Resampler(8000, 16000).process(bytes(321))
