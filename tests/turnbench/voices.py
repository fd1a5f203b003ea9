"""Speech with the true edges of its words: espeak-ng in many voices, and SVOX Pico where it is installed.

espeak-ng tells where each word and each phoneme begins. Pico does not: the edges of its phrases are found in the sound,
and words share their phrase by their length. A process of its own speaks, because espeak-ng is one for a process.
"""

from __future__ import annotations

import ctypes
import importlib
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np

from tests.media.speech import RATE, Samples, amplitude

LEVEL_DBOV = -22.0
"""The level of active speech (ITU-T P.56 has -26 for tests of codecs; calls are a little louder)."""

_HOP = RATE // 100
_EDGE = 1e-3  # speech is what is less than 30 dB below its loudest 10 ms

_SYNCHRONOUS, _PHONEME_EVENTS, _UTF8 = 2, 1, 1
_WORD, _PHONEME = 1, 7
_RATE, _PITCH = 1, 3


@dataclass(frozen=True, slots=True)
class Word:
    """Seconds from the beginning of the sound."""

    text: str
    start: float
    end: float

    def moved(self, seconds: float) -> Word:
        return Word(self.text, self.start + seconds, self.end + seconds)


@dataclass(frozen=True, slots=True)
class Spoken:
    """Speech in the telephone's band at :data:`LEVEL_DBOV`, from its first sound to its last."""

    voice: str
    samples: Samples
    words: tuple[Word, ...]

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE


@dataclass(frozen=True, slots=True)
class Voice:
    """``engine`` is espeak or pico, ``name`` its voice; ``rate`` in words a minute, or percent with Pico."""

    engine: str
    name: str
    rate: int
    pitch: int = 50


ESPEAK_VOICES = tuple(
    Voice("espeak", name, rate, pitch)
    for name, rate, pitch in (
        *(("en-us", 160, 45), ("en+f1", 150, 55), ("en-us+m3", 175, 40), ("en-us+steph2", 165, 50)),
        *(("en-gb-scotland+m7", 150, 50), ("en-us+f4", 140, 60), ("en+m2", 185, 45), ("en-gb-x-rp+steph", 170, 50)),
    )
)
"""Those that detectors trained on people take for people. Variants with breath (f2, f3, f5) are left out: they never
say a thing the same way twice."""


@lru_cache(maxsize=1)
def voices() -> tuple[Voice, ...]:
    """All that this machine has."""
    pico = (Voice("pico", "en-US", 90), Voice("pico", "en-GB", 85)) if find_spec("ttspico") else ()
    return tuple(voice for four in zip(*[iter(ESPEAK_VOICES)] * 4, strict=True) for voice in (*four, *pico))


def speak(requests: Sequence[tuple[str, Voice]]) -> list[tuple[Spoken, ...]]:
    """For each text its phrases; Pico's are spoken one by one, and espeak's cut from the whole sentence."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return list(process.map(_speak, *zip(*requests, strict=True), chunksize=16))


def _speak(text: str, voice: Voice) -> tuple[Spoken, ...]:
    phrases = [phrase.strip() for phrase in text.split("|")]
    if voice.engine == "pico":
        return tuple(_level(_pico(phrase, voice)) for phrase in phrases)
    whole = _level([_espeak(" ".join(phrases), voice)])
    return _cut(whole, np.cumsum([len(_plain(phrase)) for phrase in phrases[:-1]]).tolist())


def _plain(text: str) -> list[str]:
    return text.replace("-", " ").split()


# To the telephone


@lru_cache(maxsize=1)
def _band() -> Samples:
    """A linear-phase filter that passes 300 to 3400 Hz."""
    time = np.arange(-80, 81)
    taps: Samples = np.hamming(161) * (0.85 * np.sinc(0.85 * time) - 0.075 * np.sinc(0.075 * time))
    return taps


def band_limited(samples: Samples) -> Samples:
    return np.convolve(samples, _band(), "same") if len(samples) > 161 else samples


def edges(samples: Samples) -> tuple[int, int]:
    """The first and the last sample of speech, to 10 ms."""
    power = (samples[: len(samples) // _HOP * _HOP].reshape(-1, _HOP) ** 2).mean(axis=1)
    active = np.flatnonzero(power > power.max() * _EDGE)
    return int(active[0]) * _HOP, int(active[-1] + 1) * _HOP


def _level(spoken: Sequence[Spoken]) -> Spoken:
    (one,) = spoken
    samples = band_limited(one.samples)
    first, last = edges(samples)
    samples = samples[first:last]
    power = (samples.reshape(-1, _HOP) ** 2).mean(axis=1)
    samples = samples * (amplitude(LEVEL_DBOV) / np.sqrt(power[power > power.max() * _EDGE].mean()))
    words = [word.moved(-first / RATE) for word in one.words]
    end = len(samples) / RATE
    words = [Word(word.text, max(word.start, 0.0), min(word.end, end)) for word in words]
    words[-1] = Word(words[-1].text, words[-1].start, end)
    return Spoken(one.voice, samples, tuple(words))


def _cut(whole: Spoken, counts: Sequence[int]) -> tuple[Spoken, ...]:
    """Between words, where it is quietest near the boundary."""
    parts, first, begin = [], 0, 0
    for count in (*counts, len(whole.words)):
        if count == len(whole.words):
            cut = len(whole.samples)
        else:
            boundary = round(whole.words[count].start * RATE)
            near = whole.samples[boundary - 240 : boundary + 240]
            cut = boundary - 240 + int(np.convolve(near**2, np.ones(80), "valid").argmin()) + 40
        parts.append(_part(whole, first, count, begin, cut))
        first, begin = count, cut
    return tuple(parts)


def _part(whole: Spoken, first: int, count: int, begin: int, cut: int) -> Spoken:
    samples = whole.samples[begin:cut].copy()
    fade = np.linspace(0, 1, 24)
    samples[:24] *= fade
    samples[-24:] *= fade[::-1]
    on, off = edges(samples)
    end = (off - on) / RATE
    words = [word.moved(-(begin + on) / RATE) for word in whole.words[first:count]]
    words = [Word(word.text, min(max(word.start, 0.0), end), min(word.end, end)) for word in words]
    words[-1] = Word(words[-1].text, words[-1].start, end)
    return Spoken(whole.voice, samples[on:off], tuple(words))


def to_8k(pcm: bytes, rate: int) -> Samples:
    """By way of the spectrum: all at once, for whole clips."""
    block = rate // 50 * 64
    samples = np.frombuffer(pcm + bytes(-len(pcm) % (2 * block)), np.int16).astype(np.float64)
    length = len(samples) * RATE // rate
    resampled: Samples = np.fft.irfft(np.fft.rfft(samples)[: length // 2 + 1], length) * (length / len(samples))
    return resampled


# Pico


@lru_cache(maxsize=4)
def _pico_engine(name: str, rate: int) -> Any:
    engine = importlib.import_module("ttspico").TtsEngine(name)
    engine.rate, engine.volume = rate, 60
    return engine


def _pico(text: str, voice: Voice) -> list[Spoken]:
    samples = to_8k(bytes(_pico_engine(voice.name, voice.rate).speak(text)), 16000)
    first, last = edges(band_limited(samples))
    words = _plain(text)
    return [Spoken(f"pico {voice.name}", samples, shared(words, first / RATE, last / RATE))]


def shared(words: Sequence[str], start: float, end: float) -> tuple[Word, ...]:
    """Words of a phrase whose own edges nobody knows: each as long as it is written."""
    sizes = np.cumsum([0, *(len(word) + 1 for word in words)])
    ticks = start + (end - start) * sizes / sizes[-1]
    return tuple(Word(word, float(ticks[i]), float(ticks[i + 1])) for i, word in enumerate(words))


# espeak-ng (speak_lib.h)


class _Value(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("milliseconds", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Value),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class _Espeak:
    def __init__(self) -> None:
        import espeakng_loader

        self._lib = ctypes.CDLL(str(espeakng_loader.get_library_path()))
        data = str(espeakng_loader.get_data_path()).encode()
        self.rate: int = self._lib.espeak_Initialize(_SYNCHRONOUS, 200, data, _PHONEME_EVENTS)
        self._sound = bytearray()
        self._words: list[tuple[int, int]] = []
        self._pauses: list[int] = []
        self._callback = _CALLBACK(self._heard)
        self._lib.espeak_SetSynthCallback(self._callback)

    def _heard(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._sound += ctypes.string_at(samples, 2 * count)
        at = 0
        while events[at].type:
            event = events[at]
            if event.type == _WORD:
                self._words.append((event.position - 1, event.sample))
            elif event.type == _PHONEME and event.id.string.startswith(b"_"):
                self._pauses.append(event.sample)
            at += 1
        return 0

    def speak(self, text: str, voice: Voice) -> tuple[bytes, list[tuple[int, int]], list[int]]:
        """Sound; for each word the offset in the text and the first sample; the samples where pauses begin."""
        if self._lib.espeak_SetVoiceByName(voice.name.encode()):
            raise ValueError(f"espeak-ng has no voice {voice.name!r}")
        self._lib.espeak_SetParameter(_RATE, voice.rate, 0)
        self._lib.espeak_SetParameter(_PITCH, voice.pitch, 0)
        self._sound, self._words, self._pauses = bytearray(), [], []
        encoded = text.encode() + b"\0"
        self._lib.espeak_Synth(encoded, ctypes.c_size_t(len(encoded)), 0, 1, 0, _UTF8, None, None)
        return bytes(self._sound), self._words, self._pauses


@lru_cache(maxsize=1)
def _espeak_library() -> _Espeak:
    return _Espeak()


def _espeak(text: str, voice: Voice) -> Spoken:
    library = _espeak_library()
    pcm, starts, pauses = library.speak(text, voice)
    total = len(pcm) // 2
    at: dict[int, int] = {}
    for position, sample in starts:
        at.setdefault(position, sample)
    words = _plain(text)
    offsets, position = [], 0
    for word in words:
        position = text.replace("-", " ").index(word, position)
        offsets.append(position)
        position += len(word)
    begins = _shared_begins(words, [at.get(offset) for offset in offsets], total)
    ends = [
        min((pause for pause in pauses if begin < pause < bound), default=bound)
        for begin, bound in pairwise([*begins, total])
    ]
    rate = library.rate
    timed = (Word(word, begin / rate, end / rate) for word, begin, end in zip(words, begins, ends, strict=True))
    return Spoken(f"espeak {voice.name}", to_8k(pcm, rate), tuple(timed))


def _shared_begins(words: Sequence[str], begins: Sequence[int | None], total: int) -> list[int]:
    """espeak-ng speaks some words as one ("in the"): they share the time by their length."""
    known = [index for index, begin in enumerate(begins) if begin is not None and index] + [len(words)]
    result, first = [], 0
    for bound in known:
        start, end = begins[first] or 0, total if bound == len(words) else begins[bound] or 0
        result += [round(word.start) for word in shared(words[first:bound], start, end)]
        first = bound
    return result
