"""Speech that can be read after G.711 and after another rate, too: each word is 300 ms of one level of µ-law, its first
20 ms turned negative."""

from __future__ import annotations

import numpy as np

from media.g711 import mulaw_to_pcm
from tests.simulators.codeword import WORD_FRAMES, plain_words

_LEVELS = sorted(level for level in np.frombuffer(mulaw_to_pcm(bytes(range(128, 256))), np.int16) if level > 500)
_KNOWN = np.array(_LEVELS, float)
_vocabulary: dict[str, int] = {}


def speak_coarsely(text: str, rate: int = 8000) -> bytes:
    """``text`` as sound: PCM16."""
    samples = rate // 50
    sound = bytearray()
    for word in plain_words(text):
        level = _LEVELS[_vocabulary.setdefault(word, len(_vocabulary))]
        spoken = np.full(samples * WORD_FRAMES, level, np.int16)
        spoken[:samples] = -level
        sound += spoken.tobytes()
    return bytes(sound)


def read_coarsely(audio: bytes, share: float = 0.6) -> list[str]:
    """The words in sound at 8 kHz, of which at least ``share`` was heard. What is said again after a pause is there
    twice."""
    words = list(_vocabulary)
    found: list[str] = []
    word, frames = "", 0
    levels = np.median(np.frombuffer(audio[: len(audio) // 320 * 320], np.int16).reshape(-1, 160), axis=1)
    loudness = np.abs(levels)
    above = np.searchsorted(_LEVELS, loudness).clip(1, len(_LEVELS) - 1)
    nearest = np.where(loudness - _KNOWN[above - 1] <= _KNOWN[above] - loudness, above - 1, above)
    known = (np.abs(_KNOWN[nearest] - loudness) < 12) & (nearest < len(words))
    for level, index in zip([*levels, 0], [*np.where(known, nearest, -1), -1], strict=True):
        heard = words[index] if index >= 0 else ""
        if heard and heard == word and level > 0:
            frames += 1
            continue
        if word and frames >= share * WORD_FRAMES:
            found.append(word)
        word, frames = heard, 1
    return found
