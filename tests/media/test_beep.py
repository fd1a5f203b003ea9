"""What is a beep, and what is not."""

from __future__ import annotations

import numpy as np
import pytest

from media.audio import PCM_8K, PCM_16K, AudioFormat
from media.beep import BeepDetector


def tone(*hertz: float, seconds: float, amplitude: float = 6000, format: AudioFormat = PCM_8K) -> np.ndarray:
    at = np.arange(round(seconds * format.rate)) / format.rate
    return sum(amplitude / len(hertz) * np.sin(2 * np.pi * one * at) for one in hertz)  # type: ignore[return-value]


def beeps(sound: np.ndarray, *, noise: float = 20, format: AudioFormat = PCM_8K) -> list[float]:
    """When beeps ended, in seconds. The sound begins and ends in a quiet room."""
    room = np.zeros(format.rate // 2)
    samples = np.concatenate([room, sound, room])
    samples = samples + np.random.default_rng(1).normal(0, noise, len(samples))
    pcm = np.clip(samples, -32768, 32767).astype("<i2").tobytes()
    detector, size = BeepDetector(format), format.frame_bytes
    return [at / size * 0.02 - 0.5 for at in range(0, len(pcm) - size + 1, size) if detector.hear(pcm[at : at + size])]


@pytest.mark.parametrize("format", [PCM_8K, PCM_16K])
@pytest.mark.parametrize("hertz", [523, 850, 1004, 1400, 2100])
@pytest.mark.parametrize("seconds", [0.2, 0.5, 1.0])
def test_a_beep_is_told_when_it_ends(format: AudioFormat, hertz: float, seconds: float) -> None:
    [ended] = beeps(tone(hertz, seconds=seconds, format=format), format=format)
    assert ended == pytest.approx(seconds, abs=0.05)


def test_a_faint_one_in_a_noisy_room() -> None:
    assert len(beeps(tone(1000, seconds=0.4, amplitude=1500), noise=150)) == 1


@pytest.mark.parametrize(
    "sound",
    [
        tone(440, 480, seconds=2.0),
        tone(400, 450, seconds=0.4),
        tone(697, 1209, seconds=0.2),
        tone(425, seconds=1.0),
        tone(480, 620, seconds=0.5),
        tone(1100, seconds=3.0),
        tone(1000, seconds=0.06),
        tone(1000, seconds=0.4, amplitude=60),
        tone(180, 360, 540, 720, 900, seconds=0.5),
        tone(700, 2100, seconds=0.5),
        np.concatenate([tone(hertz, seconds=0.05) for hertz in range(600, 2000, 150)]),
        np.zeros(8000),
        np.random.default_rng(2).normal(0, 3000, 8000),
    ],
    ids=[
        "ring-back", "british ring-back", "a key", "dial tone", "busy", "fax", "click", "faint", "a voice",
        "two tones", "a melody", "silence", "noise",
    ],
)  # fmt: skip
def test_what_is_none(sound: np.ndarray) -> None:
    assert beeps(sound) == []
