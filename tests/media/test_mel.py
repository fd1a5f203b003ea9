"""Log-mel features against a second, slow formulation of the same definition, and against what can be told by hand."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from media.mel import BANDS, HOP, RATE, WINDOW, log_mel

Samples = NDArray[np.float64]


def features(samples: Samples) -> Samples:
    return log_mel(samples.astype(np.float32)).astype(np.float64)


def sine(hertz: float, amplitude: float = 0.5, seconds: float = 0.2) -> Samples:
    wave: Samples = amplitude * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)
    return wave


def mel(hertz: float) -> float:
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * math.log(hertz / 1000, 6.4)


def hertz(number: int) -> float:
    """Where band ``number`` has its peak, found by bisection; 1 is the lowest band."""
    wanted, low, high = number * mel(RATE / 2) / (BANDS + 1), 0.0, RATE / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if mel(middle) < wanted else (low, middle)
    return low


def slowly(samples: Samples) -> list[list[float]]:
    """Sample by sample, bin by bin, band by band, in columns."""
    half = WINDOW // 2
    mirrored = [*samples[half:0:-1], *samples, *samples[-2 : -half - 2 : -1]]
    columns = []
    for column in range(len(samples) // HOP):
        frame = mirrored[column * HOP : column * HOP + WINDOW]
        tapered = [sample * math.sin(math.pi * at / WINDOW) ** 2 for at, sample in enumerate(frame)]
        powers = []
        for k in range(half + 1):
            turn = cmath.exp(-2j * math.pi * k / WINDOW)
            powers.append(abs(sum(sample * turn**at for at, sample in enumerate(tapered))) ** 2)
        bands = []
        for band in range(1, BANDS + 1):
            left, peak, right = hertz(band - 1), hertz(band), hertz(band + 1)
            heard = 0.0
            for k, power in enumerate(powers):
                at = k * RATE / WINDOW
                slope = (at - left) / (peak - left) if at < peak else (right - at) / (right - peak)
                heard += power * max(0.0, slope) * 2 / (right - left)
            bands.append(math.log10(max(heard, 1e-10)))
        columns.append(bands)
    loudest = max(max(bands) for bands in columns)
    return [[(max(value, loudest - 8) + 4) / 4 for value in bands] for bands in columns]


def test_it_is_what_the_definition_says() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, 4 * HOP + 7)
    sound = noise * np.linspace(0.01, 1, len(noise)) + sine(440, 0.2)[: len(noise)]
    assert features(sound) == pytest.approx(np.transpose(slowly(sound)), abs=1e-5)


def test_silence_is_the_floor() -> None:
    assert features(np.zeros(RATE)) == pytest.approx(-1.5)


@pytest.mark.parametrize("band", [5, 20, 40, 60, 79])
def test_a_tone_is_loudest_in_its_band(band: int) -> None:
    middle = features(sine(hertz(band)))[:, 10]
    assert middle.argmax() == band - 1


def test_a_factor_of_ten_is_half_a_unit() -> None:
    quiet, loud = (features(sine(1000, amplitude)) for amplitude in (0.05, 0.5))
    assert loud - quiet == pytest.approx(0.5, abs=1e-4)


def test_nothing_is_more_than_eight_decades_below_the_loudest() -> None:
    sound = np.concatenate([np.zeros(RATE), sine(1000)])
    heard = features(sound)
    assert heard.max() - heard.min() == pytest.approx(2.0)
    assert np.all(heard[:, :90] == heard.min())


@pytest.mark.parametrize("samples", [6 * HOP, 19 * HOP, 20 * HOP, 41 * HOP, 8 * RATE])
def test_every_ten_milliseconds_are_a_column(samples: int) -> None:
    sound = sine(300, seconds=8.0)[:samples]
    heard = features(sound)
    assert heard.shape == (BANDS, samples // HOP)
    steady = heard[:, 2:-2]
    assert np.ptp(steady[7]) < 1e-3
