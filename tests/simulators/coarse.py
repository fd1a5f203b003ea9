"""Speech that can be read after G.711 and after another rate, too: each word is 300 ms of one level of µ-law, its first
20 ms turned negative."""

from __future__ import annotations

import numpy as np

from media.g711 import mulaw_to_pcm
from tests.simulators.codeword import WORD_FRAMES, plain_words

_LEVELS = sorted(level for level in np.frombuffer(mulaw_to_pcm(bytes(range(128, 256))), np.int16) if level > 500)
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
    for frame in [*np.frombuffer(audio[: len(audio) // 320 * 320], np.int16).reshape(-1, 160), np.zeros(160)]:
        level = float(np.median(frame))
        nearest = int(np.argmin([abs(known - abs(level)) for known in _LEVELS]))
        known = abs(_LEVELS[nearest] - abs(level)) < 12 and nearest < len(words)
        heard = words[nearest] if known else ""
        if heard and heard == word and level > 0:
            frames += 1
            continue
        if word and frames >= share * WORD_FRAMES:
            found.append(word)
        word, frames = heard, 1
    return found
