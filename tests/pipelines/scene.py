"""Turn-taking on a clock moved by hand: a script of what the caller does, and the events that follow, with their times.

The script's lines, or parts between semicolons, one after the other:

====================  ==================================================================
``speech 300``        300 ms of frames with voice
``silence 700``       700 ms of frames without
``frames 1.11.``      a frame for each character: ``1`` is voice
``gone 700``          700 ms without frames, as when no RTP comes: time passes
``says hello you``    a transcript of all that was said so far
``says#1 and you``    the same, of the recogniser's second segment
``says@300 hello``    a transcript that covers 300 ms of sound
``likely hello``      a transcript of all, and the recogniser holds the turn for likely over
``over hello``        the same, and it holds it for over
``thinks 90``         the semantic detector holds it for 90 % likely that the turn is over
``expects digits``    the agent's question asks for digits
``agent``             the agent takes the floor; ``protected``: so that nobody may interrupt; ``quiet``: gives it back
``commit``            somebody says that the turn is over; ``nothing`` is told where there is none
``close``             the call is ending
====================  ==================================================================

Events are told as ``60 started@0``: at 60 ms, speech that began at 0 ms.
"""

from __future__ import annotations

import re
from dataclasses import replace

from pipelines.completeness import Expects, Judgement
from pipelines.endpointing import Endpointing
from pipelines.parts import Transcript
from pipelines.turn_events import (
    Interrupted,
    PauseAgent,
    ResumeAgent,
    SpeechDropped,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    TurnEnded,
    TurnEvent,
    TurnLikely,
    TurnUnlikely,
)
from pipelines.turns import TurnMachine, TurnSettings

FRAME_MS = 20


def plain_judge(text: str, expects: Expects, digits: int | None) -> Judgement:
    """``open`` says that it is; ``maybe`` that nobody can tell; all else is complete."""
    last = text.split()[-1]
    kind = "open" if last == "open" else "uncertain" if last == "maybe" else "complete"
    return Judgement(kind, "trailing_word" if kind == "open" else "sentence_end")  # type: ignore[arg-type]


class Scene:
    """The delays are 0.5, 1 and 1.5 s, unless ``settings`` has others; who is told of likely turns is ``guessing``."""

    def __init__(self, settings: TurnSettings | None = None, *, guessing: bool = False) -> None:
        self.guessing = guessing
        settings = settings or TurnSettings()
        if settings.endpointing == Endpointing():
            settings = replace(settings, endpointing=Endpointing(0.5, 1.5))
        self.machine = TurnMachine(settings, plain_judge)
        self.ms = 0
        self.told: list[str] = []
        self.raw: list[TurnEvent] = []

    def play(self, script: str) -> list[str]:
        for line in re.split(r"[;\n]", script):
            if line.strip():
                self._do(*re.match(r"\s*(\w+)(?:#(\d+))?(?:@(\d+))?\s*(.*?)\s*$", line).groups())  # type: ignore[union-attr]
        return self.told

    def _do(self, what: str, segment: str | None, covered: str | None, rest: str) -> None:
        match what:
            case "speech" | "silence":
                self._frames(str(int(what == "speech")) * (int(rest) // FRAME_MS))
            case "frames":
                self._frames(rest)
            case "gone":
                for _ in range(int(rest) // FRAME_MS):
                    self.ms += FRAME_MS
                    self._tell(self.machine.tick(self.ms / 1000))
            case "says" | "likely" | "over":
                seconds = int(covered or 0) / 1000
                opinion = {what: True} if what != "says" else {}
                transcript = Transcript(int(segment or 0), rest, False, seconds, **opinion)
                self._tell(self.machine.transcript(transcript, self.ms / 1000))
            case "agent" | "protected" | "quiet":
                self.machine.floor(what != "quiet", protected=what == "protected")
            case "thinks":
                self._tell(self.machine.semantic(int(rest) / 100, self.ms / 1000))
            case "expects":
                self.machine.expect(rest)  # type: ignore[arg-type]
            case "commit":
                events = self.machine.commit(self.ms / 1000)
                if events is None:
                    self.told.append(f"{self.ms} nothing")
                self._tell(events or ())
            case "close":
                self.machine.close()
            case _:
                raise ValueError(f"a scene has no {what!r}")

    def _frames(self, voiced: str) -> None:
        for character in voiced:
            self.ms += FRAME_MS
            self._tell(self.machine.hear(character == "1", self.ms / 1000))
            self._tell(self.machine.tick(self.ms / 1000))

    def _tell(self, events: object) -> None:
        for event in events:  # type: ignore[attr-defined]
            if isinstance(event, TurnLikely | TurnUnlikely) and not self.guessing:
                continue
            self.raw.append(event)
            self.told.append(f"{self.ms} {_word(event)}")


def _word(event: TurnEvent) -> str:
    match event:
        case SpeechStarted(at):
            return f"started@{round(at * 1000)}"
        case SpeechPaused():
            return "paused"
        case SpeechResumed():
            return "resumed"
        case SpeechDropped(deaf):
            return "deaf" if deaf else "dropped"
        case PauseAgent(since):
            return f"agent-pauses@{round(since * 1000)}"
        case ResumeAgent():
            return "agent-resumes"
        case Interrupted(since):
            return f"interrupted@{round(since * 1000)}"
        case TurnLikely(text):
            return f"likely({text})"
        case TurnUnlikely():
            return "unlikely"
        case TurnEnded(text, ended, transcribed, _, cut):
            return f"{'cut ' if cut else ''}turn({text}) of {round(ended * 1000)}, known at {round(transcribed * 1000)}"
