"""Sound for the ears of tests: synthetic speech with its true edges, and what a telephone line has besides."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from media.audio import PCM_8K
from media.g711 import mulaw_to_pcm, pcm_to_mulaw
from media.resample import Resampler

RATE = 8000
Samples = NDArray[np.float64]

SENTENCES = (
    "Hello, I would like to make an appointment.",
    "Yes please, on Tuesday at three.",
    "Could you repeat that for me?",
    "Stop, that is not what I meant.",
    "When are you open on Saturday?",
    "Actually, wait a moment.",
    "Four o'clock works better.",
    "No.",
    "Thanks, goodbye.",
    "Are you still there?",
)


def amplitude(dbov: float) -> float:
    return float(32768 * 10 ** (dbov / 20))


def over_the_line(samples: Samples) -> bytes:
    """As it arrives: 16 bit samples that were mu-law on the way."""
    return mulaw_to_pcm(pcm_to_mulaw(np.clip(np.rint(samples), -32768, 32767).astype(np.int16).tobytes()))


def frames(pcm: bytes, size: int = PCM_8K.frame_bytes) -> list[bytes]:
    return [pcm[at : at + size] for at in range(0, len(pcm) - size + 1, size)]


def energies(samples: Samples) -> Samples:
    """The mean square of each 20 ms."""
    whole: Samples = samples[: len(samples) // 160 * 160]
    means: Samples = (whole.reshape(-1, 160) ** 2).mean(axis=1)
    return means


@dataclass(frozen=True)
class Utterance:
    """Speech at 8 kHz whose active frames have a level of -22 dBov."""

    text: str
    samples: Samples
    first: int
    """The first frame of speech."""
    last: int
    """The last one."""


def utterance(text: str, samples: Samples) -> Utterance:
    power = energies(samples)
    active = np.flatnonzero(power > power.max() * 1e-3)
    return Utterance(text, samples * amplitude(-22) / np.sqrt(power[active].mean()), int(active[0]), int(active[-1]))


def speak() -> list[Utterance]:
    """:data:`SENTENCES` in the voice of SVOX Pico; skips the test where that could not be built."""
    try:
        pico = importlib.import_module("ttspico")
    except ImportError:
        pytest.skip("the Pico voice is not installed (it needs a C compiler), and there is no speech without it")
    engine = pico.TtsEngine("en-GB")
    engine.rate = 80
    utterances = []
    for text in SENTENCES:
        pcm = bytes(engine.speak(text))
        at_8k = Resampler(16000, RATE).process(pcm[: len(pcm) // 640 * 640])
        utterances.append(utterance(text, np.frombuffer(at_8k, np.int16).astype(np.float64)))
    return utterances


def noise(seconds: float, dbov: float, seed: int = 1) -> Samples:
    return np.random.default_rng(seed).normal(0, amplitude(dbov), int(seconds * RATE))


def tones(frequencies: tuple[float, ...], seconds: float, dbov: float) -> Samples:
    """Their sum, each at ``dbov`` (of its peak)."""
    time = np.arange(int(seconds * RATE)) / RATE
    wave: Samples = np.sin(2 * np.pi * np.outer(frequencies, time)).sum(axis=0)
    wave *= amplitude(dbov)
    return wave


def cadence(samples: Samples, on: float, off: float) -> Samples:
    time = np.arange(len(samples)) / RATE
    gated: Samples = samples * (time % (on + off) < on)
    return gated


def digits(seconds: float) -> Samples:
    """All DTMF digits, 100 ms each with pauses of 100 ms."""
    rows, columns = (697.0, 770.0, 852.0, 941.0), (1209.0, 1336.0, 1477.0, 1633.0)
    each = [np.concatenate([tones((row, column), 0.1, -13), np.zeros(800)]) for row in rows for column in columns]
    return np.resize(np.concatenate(each), int(seconds * RATE))


def music(seconds: float, dbov: float = -28) -> Samples:
    """Three voices of plucked notes, five a second, chosen at random from a scale."""
    random = np.random.default_rng(1)
    length, note = int(seconds * RATE), RATE // 5
    sound: Samples = np.zeros(length)
    for _ in range(3):
        pitches = random.choice([220.0, 262.0, 294.0, 330.0, 392.0, 440.0, 523.0], length // note + 1)
        phase = 2 * np.pi * np.cumsum(np.repeat(pitches, note)[:length]) / RATE
        decay = np.resize(np.exp(-np.arange(note) / 900), length)
        sound += decay * np.sum([np.sin(phase * overtone) / overtone for overtone in range(1, 6)], axis=0)
    sound *= amplitude(dbov) / sound.std()
    return sound


def cough(seed: int, seconds: float = 0.1) -> Samples:
    """A burst of noise shaped by a throat: a sharp rise, a decay, a broad resonance."""
    random = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    breath = np.convolve(random.normal(0, 1, len(time)), 0.6 ** np.arange(20), "same")
    breath *= 1 + 0.7 * np.sin(2 * np.pi * random.uniform(500, 1200) * time)
    shaped: Samples = breath * np.minimum(1, time / 0.01) * np.exp(-2.5 * time / seconds)
    shaped *= amplitude(-12) / np.abs(shaped).max()
    return shaped
