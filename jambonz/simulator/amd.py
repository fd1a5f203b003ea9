"""Answering-machine detection as a feature server does it: by counting the words that a recogniser hears, and by a tone
detector beside it. Pure: what is heard and the time come in, the bodies of its hooks go out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

Told = dict[str, Any]
"""What an action hook is told, beside the call's attributes."""

AFTER_BEEP_SECONDS = 1.0
"""Of silence, that end a greeting whose beep was heard."""

TONE_HERTZ = 1000


@dataclass(frozen=True, slots=True)
class Heard:
    """What the recogniser makes of the callee, ``at`` seconds after the answer."""

    at: float
    text: str
    final: bool = True


class AnsweringMachineDetector:
    """``options`` are createCall's ``amd``, ``now`` is when the call was answered. It decides once; after a machine was
    found it only waits for it to stop speaking."""

    def __init__(self, options: Mapping[str, Any], now: float, *, hints: Sequence[str] = ()) -> None:
        timers = options.get("timers") or {}
        self._words = int(options.get("thresholdWordCount") or 9)
        self._digits = int(options.get("digitCount") or 0)
        self._language = str((options.get("recognizer") or {}).get("language") or "en-US")
        self._hints = hints
        self._completion = _seconds(timers, "greetingCompletionTimeoutMs", 2.0)
        self._beeped = False
        self.decision: str | None = None
        self.over = False
        self._no_speech_at = now + _seconds(timers, "noSpeechTimeoutMs", 5.0)
        self._decide_at = now + _seconds(timers, "decisionTimeoutMs", 15.0)
        self._tone_at = now + _seconds(timers, "toneTimeoutMs", 20.0)
        self._complete_at = inf

    @property
    def due(self) -> float:
        """When :meth:`tick` is to be called."""
        return inf if self.over else min(self._no_speech_at, self._decide_at, self._tone_at, self._complete_at)

    def hear(self, text: str, final: bool, now: float) -> list[Told]:
        if self.over:
            return []
        if self.decision is not None:
            self._complete_at = now + (AFTER_BEEP_SECONDS if self._beeped else self._completion)
            return []
        self._no_speech_at = inf
        words, told = len(text.split(" ")), {"language": self._language}
        hint = next((one for one in self._hints if one.lower() in text.lower()), None)
        if hint is not None:
            return self._machine({"reason": "hint", "hint": hint} | told, now)
        if self._digits and "".join(filter(str.isdigit, text)).__len__() >= self._digits:
            return self._machine({"reason": "digit count", "greeting": text} | told, now)
        if words >= self._words:
            return self._machine({"reason": "long greeting", "greeting": text} | told, now)
        if final:
            self._decide("amd_human_detected")
            return [{"type": self.decision, "reason": "short greeting", "greeting": text} | told, *self._stop()]
        return []

    def beep(self, now: float) -> list[Told]:
        """The tone detector runs until it hears one, and no longer than the rest."""
        if self.over or self._beeped:
            return []
        self._beeped, self._tone_at = True, inf
        return [{"type": "amd_tone_detected", "frequency": TONE_HERTZ, "variance": 1}]

    def tick(self, now: float) -> list[Told]:
        """A tone that does not come ends all of it, without a word but ``amd_stopped``."""
        if self.over or now < self.due - 1e-9:
            return []
        if now >= self._complete_at - 1e-9:
            return [{"type": "amd_machine_stopped_speaking"}, *self._stop()]
        if now >= self._no_speech_at - 1e-9:
            self._decide("amd_no_speech_detected")
            return [{"type": self.decision}, *self._stop()]
        if now >= self._decide_at - 1e-9:
            self._decide("amd_decision_timeout")
            return [{"type": self.decision}, *self._stop()]
        return self._stop()

    def _machine(self, told: Told, now: float) -> list[Told]:
        self._decide("amd_machine_detected")
        self._complete_at = now + (AFTER_BEEP_SECONDS if self._beeped else self._completion)
        return [{"type": self.decision} | told]

    def _decide(self, decision: str) -> None:
        self.decision = decision
        self._decide_at = self._no_speech_at = inf

    def _stop(self) -> list[Told]:
        self.over = True
        return [{"type": "amd_stopped"}]


def _seconds(timers: Mapping[str, Any], name: str, default: float) -> float:
    value = timers.get(name)
    return default if value is None else float(value) / 1000
