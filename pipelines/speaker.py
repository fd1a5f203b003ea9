"""Phrases of one generation on their way to the ear: synthesised, written to the playout, by another voice if need be.

A voice that dies in the middle of a phrase has said some of it: another one says the rest, from the first word that
was not made any more.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from media.audio import FRAME_SECONDS
from media.convert import Converter
from media.framer import Framer
from media.ledger import Segment
from media.words import TimedWord
from pipelines.aloud import aloud
from pipelines.bounded import Patience
from pipelines.events import PartFailed, UsageReported
from pipelines.parts import (
    ProviderError,
    SpeechAudio,
    SpeechEvent,
    SpeechUsed,
    TextToSpeech,
    ToldWhatWasHeard,
    WordTiming,
)
from pipelines.spoken import spoken

if TYPE_CHECKING:
    from pipelines.generation import Generation, Stage

SPEECH_SECONDS = 10.0
"""The longest wait for the synthesiser's next sound, where nobody else could speak."""

FIRST_SOUND_SECONDS = 1.5
NEXT_SOUND_SECONDS = 2.0
"""Where somebody else can: from the request to the first sound, and between sounds."""

STUCK_SECONDS = 0.6
"""A caller sits in silence, and the voice has sent nothing for so long: it is not waited for any more, if there is
another."""

NOTICE_WORDS = 3
"""By so many words at the end of a phrase it is known that a notice has begun."""


class WordTimings:
    """From the times of the words that were said to those of the words that were written."""

    def __init__(self, written: Sequence[str], forms: Sequence[str]) -> None:
        self._left = [(word, len(form.split())) for word, form in zip(written, forms, strict=True)][::-1]
        self._begun: float | None = None
        self._count = 0

    def push(self, start: float, end: float) -> TimedWord | None:
        """The times of the next word that was said; a written word, once all of it was."""
        if not self._left:
            return None
        if self._begun is None:
            self._begun = start
        self._count += 1
        word, count = self._left[-1]
        if self._count < count:
            return None
        timed = TimedWord(word, self._begun, end)
        self._left.pop()
        self._begun, self._count = None, 0
        return timed


class Speaker:
    """``on_sound`` is told of each piece of sound that was made."""

    def __init__(self, generation: Generation, stage: Stage, on_sound: Callable[[], None]) -> None:
        self._generation = generation
        self._stage = stage
        self._on_sound = on_sound
        self._patience: Patience | None = None
        self._said = ""

    @property
    def speaking(self) -> bool:
        """Whether a phrase is being made."""
        return self._patience is not None

    def hurry(self) -> None:
        """The caller hears nothing: a voice that makes nothing is not waited for."""
        if self._patience is not None and self._stage.voices.count > 1:
            self._patience.end(STUCK_SECONDS)

    async def say(self, text: str, step: int) -> None:
        """Synthesise one phrase: what is said, counted as heard and remembered is one text. Raises
        :class:`ProviderError` where nobody can say it."""
        stage, generation = self._stage, self._generation
        text = spoken(text)
        if not text:
            return
        self._said += f" {text}"
        if any(_has_begun(self._said, notice) for notice in stage.notices):
            stage.on_protected(generation)
        if generation.guess is None:
            stage.host.on_saying(text)
        else:
            generation.withheld.append(text)
        rest, forms = text, aloud(text, stage.language)
        for attempt in range(1, stage.voices.count + 1):
            segment = stage.playout.segment(generation.number, rest, step)
            voice = stage.voices.current
            try:
                await self._synthesize(voice, rest, forms, segment)
            except ProviderError as error:
                rest = segment.break_off()
                forms = forms[len(forms) - len(rest.split()) :]  # the rest of a number is said as one, too
                stage.host.on_event(PartFailed("tts", error.provider, error.kind, str(error)))
                if not stage.voices.failed(error) or attempt == stage.voices.count:
                    raise
                if not rest:
                    return
            else:
                stage.voices.worked()
                return
            finally:
                segment.close(broken=True)  # unless it is closed already: cancelled, or failed, in the middle

    async def _synthesize(self, voice: TextToSpeech, text: str, forms: Sequence[str], segment: Segment) -> None:
        stage = self._stage
        alone = stage.voices.count == 1
        first, then = (SPEECH_SECONDS, SPEECH_SECONDS) if alone else (FIRST_SOUND_SECONDS, NEXT_SOUND_SECONDS)
        self._patience = Patience(first, then)
        segment.spoken.forms, timings = forms, WordTimings(text.split(), forms)
        text = " ".join(forms)
        framer, converter = Framer(voice.format), Converter(voice.format, stage.format)
        heard_of = False
        used: dict[str, float] = {"characters": len(text)}
        try:
            sound = self._patience.of(_speech(voice, text, segment), voice.name, "the voice did not go on")
            async with aclosing(sound) as events:
                async for event in events:
                    match event:
                        case SpeechAudio(data):
                            heard_of = self._write(segment, converter, framer.push(data)) or heard_of
                        case WordTiming(_, start, end):
                            if (timed := timings.push(start, end)) is not None:
                                segment.add_word(timed)
                        case SpeechUsed(units):
                            used.update(units)
            heard_of = self._write(segment, converter, framer.flush()) or heard_of
        except ProviderError:
            if not segment.frames:
                used.clear()  # nobody pays for what was refused
            raise
        finally:
            self._patience = None
            if used:
                stage.host.on_event(UsageReported("tts", voice.name, used))
        if not heard_of and not segment.cancelled and any(character.isalnum() for character in text):
            raise ProviderError(voice.name, "protocol", "the voice made no sound of a phrase")
        segment.close()

    def _write(self, segment: Segment, converter: Converter, frames: list[bytes]) -> bool:
        """Whether there was sound to write, and somebody to hear it."""
        if not frames or not segment.write(converter.process(b"".join(frames))):
            return False
        self._on_sound()
        return True


def _has_begun(said: str, notice: str) -> bool:
    """Whether a notice was said, or the last words were its first ones: it may go on in the next phrase."""
    if notice in said:
        return True
    words, wanted = said.split(), notice.split()
    counts = range(NOTICE_WORDS, min(len(words), len(wanted)) + 1)
    return any(words[-count:] == wanted[:count] for count in counts)


def _speech(voice: TextToSpeech, text: str, segment: Segment) -> AsyncGenerator[SpeechEvent, None]:
    if isinstance(voice, ToldWhatWasHeard):
        return voice.synthesize_heard(text, lambda: segment.heard * FRAME_SECONDS)
    return voice.synthesize(text)
