"""What a caller's line carries besides his voice: tones, music, keyboards, doors, coughs, people in the background."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tests.media.speech import RATE, Samples, amplitude, cadence, cough, digits, music, tones
from tests.turnbench.line import line_noise
from tests.turnbench.voices import Spoken, band_limited

Random = np.random.Generator


def levelled(samples: Samples, dbov: float) -> Samples:
    """At ``dbov`` over those 20 ms that are less than 40 dB below the loudest."""
    power = (samples[: len(samples) // 160 * 160].reshape(-1, 160) ** 2).mean(axis=1)
    louder: Samples = samples * (amplitude(dbov) / np.sqrt(power[power > power.max() * 1e-4].mean()))
    return louder


def signalling(seconds: float) -> dict[str, Samples]:
    """A network's own tones, as loud as they are (ITU-T E.180), the keys of a telephone, a fax machine."""
    information = np.concatenate([tones((frequency,), 0.33, -16) for frequency in (950, 1400, 1800)])
    return {
        "dial tone": tones((350, 440), seconds, -16),
        "European dial tone": tones((425,), seconds, -13),
        "ringing": cadence(tones((440, 480), seconds, -19), 2, 4),
        "British ringing": cadence(cadence(tones((400, 450), seconds, -19), 0.4, 0.2), 1.0, 2.0),
        "European ringing": cadence(tones((425,), seconds, -16), 1, 4),
        "busy": cadence(tones((480, 620), seconds, -24), 0.5, 0.5),
        "congestion": cadence(tones((480, 620), seconds, -24), 0.25, 0.25),
        "British busy": cadence(tones((400,), seconds, -19), 0.375, 0.375),
        "European busy": cadence(tones((425,), seconds, -13), 0.48, 0.48),
        "Chinese busy": cadence(tones((450,), seconds, -10), 0.35, 0.35),
        "call waiting": cadence(tones((440,), seconds, -13), 0.3, 2.7),
        "special information": cadence(np.resize(information, int(seconds * RATE)), 0.99, 0.99),
        "DTMF": digits(seconds),
        "fax": cadence(tones((1100,), seconds, -12), 0.5, 3.0),
    }


def ambience(seconds: float, random: Random) -> Samples:
    """A room, a street: noise that falls by 3 dB an octave, swells and sinks, with a hum."""
    length = int(seconds * RATE)
    spectrum = np.fft.rfft(random.normal(0, 1, length))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    pink = np.fft.irfft(spectrum, length)
    knots = random.normal(0, 4, int(seconds) + 2)
    swell = 10 ** (np.interp(np.arange(length) / RATE, np.arange(len(knots)), knots) / 20)
    hum = tones((100, 200, 300), seconds, -40)[:length]
    return band_limited(pink / pink.std() * swell + hum / hum.std() * 0.5)


def hold_music(seconds: float, random: Random) -> Samples:
    """Plucked notes over drums, at a tempo of its own."""
    melody = np.roll(music(seconds), int(random.integers(RATE)))
    beat = int(RATE * random.uniform(0.4, 0.6))
    drum = np.zeros(len(melody))
    hit = random.normal(0, 1, RATE // 8) * np.exp(-np.arange(RATE // 8) / 150)
    for at in range(0, len(drum) - len(hit), beat):
        drum[at : at + len(hit)] += hit
    return band_limited(melody / melody.std() + 0.3 * drum / drum.std())


def keyboard(seconds: float, random: Random) -> Samples:
    """Six keys a second: each a click as it goes down, and a softer one as it comes up."""
    sound = np.zeros(int(seconds * RATE))
    at = 0.3
    while at < seconds - 0.3:
        for offset, loudness in ((0.0, 1.0), (random.uniform(0.06, 0.12), 0.4)):
            size = int(RATE * random.uniform(0.006, 0.02))
            ring = np.cos(2 * np.pi * random.uniform(1200, 3000) * np.arange(size) / RATE)
            click = random.normal(0, 1, size) * (1 + ring) * np.exp(-np.arange(size) / (size / 4))
            first = int((at + offset) * RATE)
            sound[first : first + size] += loudness * random.uniform(0.5, 1.0) * click
        at += random.exponential(0.12) + 0.08
    return band_limited(sound)


def doors(seconds: float, random: Random) -> Samples:
    """A bang every 3 s or so: a thud that shakes, and its echoes in the room."""
    sound = np.zeros(int(seconds * RATE) + RATE)
    at = 0.8
    while at < seconds - 0.8:
        bang = door(random)
        first = int(at * RATE)
        sound[first : first + len(bang)] += bang
        at += random.uniform(2.0, 4.5)
    return sound[: int(seconds * RATE)]


def door(random: Random) -> Samples:
    size = int(RATE * random.uniform(0.15, 0.3))
    time = np.arange(size) / RATE
    shape = np.exp(-time / random.uniform(0.02, 0.06))
    thud = sum(np.sin(2 * np.pi * f * time) for f in random.uniform(90, 500, 4))
    return band_limited((2 * thud + random.normal(0, 1, size)) * shape * np.minimum(1, time / 0.003))


def coughs(seconds: float, random: Random) -> Samples:
    """Every 3 s one, two or three of them."""
    sound = np.zeros(int(seconds * RATE) + RATE)
    at = 0.8
    while at < seconds - 1.5:
        bout = fit_of_coughing(random)
        first = int(at * RATE)
        sound[first : first + len(bout)] += bout
        at += len(bout) / RATE + random.uniform(2.0, 3.5)
    return sound[: int(seconds * RATE)]


def fit_of_coughing(random: Random) -> Samples:
    parts: list[Samples] = []
    for _ in range(int(random.integers(1, 4))):
        parts += [
            cough(int(random.integers(1 << 30)), random.uniform(0.08, 0.2)),
            np.zeros(int(random.uniform(800, 1600))),
        ]
    return band_limited(np.concatenate(parts[:-1]))


def babble(seconds: float, speech: Sequence[Spoken], random: Random) -> Samples:
    """Five people talk at once somewhere in the room."""
    sound = np.zeros(int(seconds * RATE))
    for _ in range(5):
        at = int(random.integers(RATE))
        while at < len(sound):
            spoken = speech[int(random.integers(len(speech)))].samples
            piece = spoken[: len(sound) - at]
            sound[at : at + len(piece)] += piece * 10 ** (random.uniform(-6, 0) / 20)
            at += len(spoken) + int(random.exponential(0.4) * RATE)
    return sound


KINDS: dict[str, Callable[[float, Random], Samples]] = {
    "ambience": ambience,
    "music": hold_music,
    "keyboard": keyboard,
    "doors": doors,
    "coughs": coughs,
}


def at_level(sound: Samples, dbov: float, random: Random) -> Samples:
    """On a line."""
    return levelled(sound, dbov) + line_noise(len(sound), -68.0, random)
