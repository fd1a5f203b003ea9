"""The answers of a realtime model on their way to the caller's ear.

An answer is a generation of the playout, each part ("item") of it a segment. Sound comes in bursts far ahead of the
ear, its words before, with or after it. Pure: no clock, no socket.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from media.audio import FRAME_SECONDS, AudioFormat
from media.convert import Converter
from media.framer import Framer
from media.ledger import Heard, Segment
from media.playout import Playout
from pipelines.events import EndReason
from pipelines.history import Step
from pipelines.realtime.model import ItemHeard

MOST_UNHEARD_SECONDS = 300.0
"""What comes of answers beyond this is let go: nobody listens for so long, and it would not end."""


MOST_FRAMES = 50
"""Converted at once, which takes many times their size."""

WORD_SECONDS = 0.3
"""How long a word is spoken, where it has to be guessed."""


@dataclass(frozen=True, slots=True)
class Before:
    """Of a part of an answer that goes on as another one: ``milliseconds`` of its sound came before, and ``words`` of
    what sounds yet."""

    milliseconds: float
    words: str


@dataclass(slots=True)
class Timing:
    """When things happened in the turn that an answer is for."""

    speech_ended: float
    decided: float

    @property
    def transcribed(self) -> float:
        """The model hears by itself: it is not known any better."""
        return self.decided


class Item:
    """One part of an answer: its segment, and the way of its sound there."""

    __slots__ = ("_converter", "_framer", "milliseconds", "segment", "words")

    def __init__(self, segment: Segment, source: AudioFormat, leg: AudioFormat) -> None:
        self.segment = segment
        segment.in_step = True
        self.words = ""
        self.milliseconds = 0.0
        """Of sound that came."""
        self._framer = Framer(source)
        self._converter = Converter(source, leg)

    def write(self, data: bytes, source: AudioFormat) -> bool:
        frames, most = self._framer.whole(data), MOST_FRAMES * source.frame_bytes
        self.milliseconds += 1000 * len(data) / source.bytes_per_second
        kept = True
        for start in range(0, len(frames), most):
            kept = self.segment.write(self._converter.process(frames[start : start + most])) and kept
        return kept

    def add_words(self, text: str) -> None:
        self.words += text
        self.segment.spoken.text = self.words.strip()

    def finish(self) -> None:
        rest = self._framer.flush()
        if rest:
            self.segment.write(self._converter.process(b"".join(rest)))
        self.segment.close()

    def take_back_words(self) -> str:
        """Words may be ahead of the sound, and no more of it comes: those that are."""
        words, segment = self.words.split(), self.segment
        seconds = segment.frames * FRAME_SECONDS
        said = len(segment.spoken.heard(bytes(segment.audio), seconds, whole=None).split())
        self.words = ""
        self.add_words(" ".join(words[:said]))
        return " ".join(words[said:])


@dataclass(slots=True, eq=False)
class Answer:
    """``response`` is the model's name for it, empty once its session is no more; None for what is said in the
    service's own voice."""

    number: int
    response: str | None
    saying: str | None = None
    """What the model was told to say ..."""
    asked: float = 0.0
    """... and when."""
    protected: bool = False
    ends: EndReason | None = None
    timing: Timing | None = None
    items: dict[str, Item] = field(default_factory=dict)
    before: Mapping[str, Before] = field(default_factory=dict)
    """What came of its parts before it went on as this one."""
    steps: list[Step] = field(default_factory=list)
    after: list[Step] = field(default_factory=list)
    """The tools it asked for, and what they returned."""
    first_audio: float | None = None
    began: float | None = None
    done: bool = False
    """The model will add nothing."""
    cut: bool = False
    """It was interrupted: what comes late of it is dropped."""
    talked_over: bool = False
    """It may be whole, and the caller spoke when it ended: nobody says that it was interrupted, or that it was not."""
    broken_off: bool = False
    """What it was to say is said by another one; its words are what was said."""
    place: int | None = None
    """Of what was heard, in the history."""

    @property
    def is_under_way(self) -> bool:
        """The model may add to it, and what it adds is wanted."""
        return self.response is not None and not (self.done or self.cut)

    @property
    def has_sound(self) -> bool:
        return any(item.milliseconds for item in self.items.values())

    @property
    def is_heard(self) -> bool:
        """Whether the caller has heard all that came of it, if anything did."""
        return all(item.segment.heard >= item.segment.frames for item in self.items.values())

    @property
    def is_unsaid(self) -> bool:
        """It was to say something, and there is no sound of it yet."""
        return self.saying is not None and not (self.cut or self.has_sound)

    def item(self, name: str, playout: Playout, source: AudioFormat) -> Item:
        if name not in self.items:
            for earlier in self.items.values():
                earlier.finish()
            segment = playout.segment(self.number, "", len(self.items))
            self.items[name] = Item(segment, source, playout.format)
            if name in self.before and self.before[name].words:
                self.items[name].add_words(f"{self.before[name].words} ")
            self.steps.append(Step())
        return self.items[name]

    def break_in_two(self) -> dict[str, Before]:
        """It is over as far as it came; it may go on as another one."""
        before = {}
        for name, item in self.items.items():
            over = item.segment.closed
            item.finish()
            earlier = self.before[name].milliseconds if name in self.before else 0.0
            before[name] = Before(earlier + item.milliseconds, "" if over else item.take_back_words())
        return before

    def take_back_words(self) -> None:
        """No more of its sound comes: words that are ahead of that were not said."""
        for item in self.items.values():
            if not item.segment.closed:
                item.take_back_words()

    def finish(self) -> None:
        for item in self.items.values():
            item.finish()

    def record(self) -> list[Step]:
        """Its steps with all that was said, for the history to cut to what was heard."""
        for step, item in zip(self.steps, self.items.values(), strict=False):
            step.text = item.words.strip()
        return [*self.steps, *self.after]

    @property
    def text(self) -> str:
        return " ".join(text for text in (item.words.strip() for item in self.items.values()) if text)

    def break_off(self) -> str:
        """The model broke off in :attr:`saying`: what of it is missing. Words that are ahead of their sound, or come
        yet, were not said."""
        words, said = (self.saying or "").split(), self._said
        self.broken_off = True
        for number, item in enumerate(self.items.values()):
            item.words = ""
            item.add_words(" ".join(words[:said]) if number == 0 else "")
        return " ".join(words[said:])

    @property
    def is_said(self) -> bool:
        """All that it was to say has come."""
        return self.saying is not None and self._said >= len(self.saying.split())

    @property
    def _said(self) -> int:
        """Words that have come with their sound."""
        seconds = sum(item.milliseconds for item in self.items.values()) / 1000
        return min(len(self.text.split()), round(seconds / WORD_SECONDS))

    def heard(self, summary: Heard) -> list[ItemHeard]:
        """Of each part that was not heard whole: how much was. Never more than came."""
        parts = []
        for name, item in self.items.items():
            if summary.complete or not item.milliseconds:
                continue
            heard = min(item.segment.heard * 20, int(item.milliseconds))
            if not (self.done or item.segment.closed) or heard < int(item.milliseconds):
                earlier = int(self.before[name].milliseconds) if name in self.before else 0
                parts.append(ItemHeard(name, earlier + heard))
        return parts
