"""Voices for simulated realtime models: a text becomes sound, and where each word is in it is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np

from media.audio import PCM_8K, PCM_16K, PCM_24K, AudioFormat
from media.convert import Converter
from media.words import TimedWord
from pipelines.parts import SpeechAudio, TextToSpeech
from tests.simulators.codeword import WORD_FRAMES, plain_words, speak

WORD_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Voiced:
    """``sound`` in ``format``, whole frames of 20 ms."""

    format: AudioFormat
    sound: bytes
    words: tuple[TimedWord, ...] = ()

    def encoded(self, format: AudioFormat) -> bytes:
        return Converter(self.format, format).process(self.sound)


Voice = Callable[[str], Voiced]


def tones(text: str) -> Voiced:
    """300 ms of a tone for each word: quick, and loud enough for any voice activity by energy."""
    words = text.split()
    samples = round(WORD_SECONDS * PCM_24K.rate)
    tone = (8000 * np.sin(2 * np.pi * 300 * np.arange(samples) / PCM_24K.rate)).astype(np.int16).tobytes()
    return Voiced(PCM_24K, tone * len(words), _even(words, WORD_SECONDS))


def hiss(text: str) -> Voiced:
    """300 ms of noise for each word: any value of a sample comes up in it, as in a voice."""
    words = text.split()
    noise = np.random.default_rng(len(words)).normal(0, 2000, round(WORD_SECONDS * PCM_24K.rate) * len(words))
    return Voiced(PCM_24K, noise.astype(np.int16).tobytes(), _even(words, WORD_SECONDS))


def codewords(text: str) -> Voiced:
    """The words of :mod:`tests.simulators.codeword`, which can be read back from what the caller hears."""
    words = plain_words(text)
    return Voiced(PCM_8K, speak(text), _even(words, WORD_FRAMES / 50))


async def spoken(voice: TextToSpeech, texts: Iterable[str]) -> Voice:
    """A real voice for these texts, made beforehand. Words are taken to last as long as they are written."""
    voice.format.require(PCM_16K, "the simulated model's voice")
    made: dict[str, Voiced] = {}
    for text in texts:
        async with aclosing(voice.synthesize(text)) as events:
            sound = b"".join([event.data async for event in events if isinstance(event, SpeechAudio)])
        sound += bytes(-len(sound) % PCM_16K.frame_bytes)
        made[text] = Voiced(PCM_16K, sound, _by_letters(text.split(), PCM_16K.seconds(sound)))
    return made.__getitem__


def _even(words: list[str], seconds: float) -> tuple[TimedWord, ...]:
    return tuple(TimedWord(word, i * seconds, (i + 1) * seconds) for i, word in enumerate(words))


def _by_letters(words: list[str], seconds: float) -> tuple[TimedWord, ...]:
    letters = sum(len(word) + 1 for word in words)
    timed, at = [], 0.0
    for word in words:
        lasts = seconds * (len(word) + 1) / letters
        timed.append(TimedWord(word, at, at + lasts))
        at += lasts
    return tuple(timed)
