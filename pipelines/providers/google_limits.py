"""When a stream to Google's recogniser is ended, and how: the times, and the decisions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds. ``ask``: from a pause to the end of waiting for words. ``answer``: what it may take to say them and end.
    ``recycle``: the age from which a stream is replaced at the next pause; ``latest``: or even in the middle of a word.
    ``idle``: without sound, a stream is ended. ``stuck``: unsent sound that nobody takes. ``wordless``: of speech
    without a word of it, after which a stream that should have some is asked for them.

    A stream that says nothing is found out in time: another one can hear all that was said, and before the turn machine
    gives the caller's turn up."""

    ask: float = 0.4
    answer: float = 1.2
    recycle: float = 240.0
    latest: float = 290.0
    idle: float = 4.0
    stuck: float = 2.0
    wordless: float = 3.0
    overlap: float = 0.3
    """Of silence, what the next stream hears again: the beginning of a word may be in it, unnoticed yet."""

    half_word: float = 0.4
    """A word that ends so close to where a stream was cut in the middle of speech may be half a word."""


LIMITS = Limits()


class Verdict(Enum):
    """What is to be done with a stream. FINISH: send what is left, and no more. REPLACE: break it off, what it says is
    not wanted. GIVE_UP: break it off, it does not answer."""

    GO_ON = "go on"
    FINISH = "finish"
    REPLACE = "replace"
    GIVE_UP = "give up"
