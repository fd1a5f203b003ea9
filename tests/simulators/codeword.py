"""Speech that can be read exactly: each word is so many frames of one sample value, its first frame turned negative.

A voice speaks it, a recogniser reads it back, and a test reads in the caller's ear which words were heard, and how much
of each. No part of it takes time that the clock does not see.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from media.audio import PCM_8K
from media.g711 import mulaw_to_pcm
from pipelines.parts import (
    ProviderError,
    SpeechAudio,
    SpeechEvent,
    SttStream,
    Transcript,
    TranscriptListener,
    WordTiming,
)

WORD_FRAMES = 15
"""300 ms a word."""

_FIRST = 400
_STEP = 8


class Code:
    """Which word is which sample value: in the order in which they are first spoken."""

    def __init__(self, values: Iterable[int]) -> None:
        self._left = iter(values)
        self._values: dict[str, int] = {}
        self._words: dict[int, str] = {}

    def value(self, word: str) -> int:
        if word not in self._values:
            self._values[word] = next(self._left)
            self._words[self._values[word]] = word
        return self._values[word]

    def word(self, value: int) -> str | None:
        return self._words.get(value)


CODE = Code(count(_FIRST, _STEP))


def mulaw_code() -> Code:
    """A code of values that mu-law leaves as they are: of some hundred words."""
    values = np.frombuffer(mulaw_to_pcm(bytes(range(256))), np.int16)
    return Code(sorted(int(value) for value in values if value >= _FIRST))


def plain(word: str) -> str:
    return word.strip(".,;:!?\"'—…").lower()


def plain_words(text: str) -> list[str]:
    return [plain(word) for word in text.split() if plain(word)]


def speak(text: str, frames: int = WORD_FRAMES, *, code: Code = CODE) -> bytes:
    """``text`` as sound: PCM16 at 8 kHz."""
    sound = bytearray()
    for word in plain_words(text):
        value = code.value(word)
        samples = np.full(160 * frames, value, np.int16)
        samples[:160] = -value
        sound += samples.tobytes()
    return bytes(sound)


RESUMED_WITHIN = 110
"""Frames: a word that is taken up again after a pause follows its first part within 2.2 s."""


@dataclass(frozen=True, slots=True)
class HeardWord:
    word: str
    frames: int
    whole: bool
    """Whether it was heard from its start."""
    end: int
    """The frame after it."""


def read(audio: bytes, *, code: Code = CODE) -> list[HeardWord]:
    """The words in a piece of sound, in order; noise and silence are none."""
    usable = np.frombuffer(audio[: len(audio) // 320 * 320], np.int16).reshape(-1, 160)
    words: list[HeardWord] = []
    last = 0
    for index, frame in enumerate(usable):
        # A mark's sentinel may shift the frames by a few samples, so only the middle is looked at.
        middle = int(frame[80])
        word = code.word(abs(middle))
        if word is None or not (frame[70:90] == middle).all():
            last = 0
            continue
        if last and words and (middle == last or middle == -last > 0):
            words[-1] = HeardWord(word, words[-1].frames + 1, words[-1].whole, index + 1)
        else:
            words.append(HeardWord(word, 1, middle < 0, index + 1))
        last = middle
    return words


def heard_words(audio: bytes, share: float = 0.6, frames: int = WORD_FRAMES, *, code: Code = CODE) -> list[str]:
    """The words of which at least ``share`` was heard. A word that is taken up again after a pause, from its middle or
    from its beginning, counts once."""
    found: list[str] = []
    broken: HeardWord | None = None  # the latest word, if it was not heard to its end
    for heard in read(audio, code=code):
        before = 0
        if broken is not None and broken.word == heard.word:
            before = broken.frames if heard.end - heard.frames - broken.end <= RESUMED_WITHIN else 0
        count = heard.frames if heard.whole else before + heard.frames
        if count >= share * frames > before:
            found.append(heard.word)
        broken = HeardWord(heard.word, max(before, count), heard.whole, heard.end) if count < frames else None
    return found


class CodewordVoice:
    """Text-to-speech. ``first`` seconds to the first sound, then ``per_word`` for each word; ``fail_after`` words it
    dies."""

    name = "codeword-voice"
    format = PCM_8K

    def __init__(self, *, first: float = 0.0, per_word: float = 0.0, fail_after: int | None = None) -> None:
        self.first = first
        self.per_word = per_word
        self.fail_after = fail_after
        self.spoken: list[str] = []
        self.open = 0

    async def prepare(self) -> None: ...

    async def synthesize(self, text: str) -> AsyncGenerator[SpeechEvent, None]:
        self.spoken.append(text)
        self.open += 1
        try:
            await asyncio.sleep(self.first)
            for index, word in enumerate(plain_words(text)):
                if self.fail_after is not None and index >= self.fail_after:
                    raise ProviderError(self.name, "server", "the voice is gone")
                await asyncio.sleep(self.per_word)
                start = index * WORD_FRAMES / 50
                yield WordTiming(word, start, start + WORD_FRAMES / 50)
                yield SpeechAudio(speak(word))
        finally:
            self.open -= 1

    async def close(self) -> None: ...


class CodewordRecogniser:
    """Speech-to-text, ``delay`` seconds after it is asked. ``deaf``: no transcript ever comes; ``deaf_to``: none of
    what has one of these words."""

    name = "codeword-recogniser"
    format = PCM_8K

    def __init__(self, *, delay: float = 0.12, deaf: bool = False) -> None:
        self.delay = delay
        self.deaf = deaf
        self.deaf_to: set[str] = set()
        self.open_streams = 0

    async def prepare(self) -> None: ...

    def open(self, listener: TranscriptListener, *, language: str, hints: Sequence[str] = ()) -> SttStream:
        self.open_streams += 1
        return CodewordStream(self, listener)

    def words(self, sound: bytes) -> str:
        return " ".join(heard_words(sound))

    async def close(self) -> None: ...


class CodewordStream:
    def __init__(self, recogniser: CodewordRecogniser, listener: TranscriptListener) -> None:
        self._recogniser = recogniser
        self._listener: TranscriptListener | None = listener
        self._frames: list[bytes] = []
        self._active = False
        self._segment = 0

    def push(self, pcm: bytes) -> None:
        self._frames.append(pcm)
        if not self._active:
            del self._frames[:-15]

    def speech_started(self) -> None:
        self._active = True

    def speech_paused(self) -> None:
        sound = b"".join(self._frames)
        loop = asyncio.get_running_loop()
        if not self._recogniser.deaf:
            loop.call_later(self._recogniser.delay, self._deliver, self._segment, sound)

    def end_segment(self) -> None:
        self._active = False
        self._segment += 1
        self._frames.clear()

    def _deliver(self, segment: int, sound: bytes) -> None:
        if self._listener is not None and segment == self._segment:
            text = self._recogniser.words(sound)
            if self._recogniser.deaf_to & set(text.split()):
                return
            seconds = len(sound) / 16000
            self._listener.on_transcript(Transcript(segment, text, final=False, audio_seconds=seconds))

    async def close(self) -> None:
        if self._listener is not None:
            self._listener = None
            self._recogniser.open_streams -= 1


class PeakDetector:
    """Voice activity: whatever is loud."""

    echo = None
    closely = True

    def hear(self, frame: bytes, now: float) -> bool:
        return bool(np.abs(np.frombuffer(frame, np.int16).astype(np.int32)).max() > 200)

    def hear_all(self, frames: Sequence[bytes], now: float) -> list[bool]:
        return [self.hear(frame, now) for frame in frames]
