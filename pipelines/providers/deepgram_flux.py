"""Deepgram's Flux on ``/v2/listen``: it detects turns itself. Pure.

A turn of ours may be more than one of its turns (the caller went on after all), or less (our silence was long enough
before it was sure: then it is told so by ``ForceEndTurn``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from media.audio import MULAW_8K
from pipelines.providers.deepgram_wire import AUDIO, CLOSE_STREAM, fault_of, words
from pipelines.providers.segment import Segment
from pipelines.providers.wire import HearingEvent, Malformed, Strange, number, parse, text

ENGLISH, MULTILINGUAL = "flux-general-en", "flux-general-multi"
FORCE_END_TURN = '{"type":"ForceEndTurn"}'

NO_WORDS_SECONDS = 0.5
"""Heard so much after the caller's pause without finding a word, it will find none."""

MOST_KEYTERMS = 100

EAGER = "0.5"
"""How sure it is when it says that a turn is likely over, of 0.3 to 0.9; at 0.7 it ends the turn. Lower is earlier,
and wrong more often."""


class FluxProtocol:
    """See :class:`pipelines.providers.wire.HearingProtocol`. ``first`` is the number of its first segment; ``eager``
    asks for likely ends of turns, too."""

    path = "/v2/listen"
    idle: str | bytes | None = MULAW_8K.silence(20)
    """There is no other way to keep the socket."""

    goodbye: str | None = CLOSE_STREAM
    reports_usage = False

    def __init__(
        self, language: str, hints: Sequence[str], *, first: int = 0, model: str | None = None, eager: bool = False
    ) -> None:
        self._language = language.lower().split("-")[0]
        self._model = model or (ENGLISH if self._language in ("", "en") else MULTILINGUAL)
        self._hints = hints[:MOST_KEYTERMS]
        self._eager = eager
        self._segment = Segment(first)
        self._origin = 0.0
        self._turn = 0  # the latest of its turns in this segment
        self._open = False  # it began, and did not end
        self._done = -1  # turns up to this one belong to segments that are over
        self._over = False  # the latest turn ended, and nothing was said since
        self._likely: str | None = None  # all of the turn, as it is likely over
        self._paused_at = 0.0  # when, by the clock
        self.settled = 0.0

    def query(self) -> list[tuple[str, str]]:
        hinted = self._language and self._model == MULTILINGUAL
        return [
            ("model", self._model),
            *([("language_hint", self._language)] if hinted else []),
            *AUDIO,
            *([("eager_eot_threshold", EAGER)] if self._eager else []),
            *(("keyterm", hint) for hint in self._hints),
        ]

    def connected(self, origin: float) -> Sequence[str]:
        self._origin = origin
        self._turn, self._open, self._done = 0, False, -1
        self._over, self._likely = False, None
        self._segment.suppose("")
        return ()

    def audio(self, pcm: bytes) -> str | bytes:
        return pcm

    def replayed(self) -> Sequence[str]:
        return ()

    def speech_started(self, at: float) -> Sequence[str]:
        self._segment.speech_started(at)
        return ()

    def speech_paused(self, at: float, now: float) -> Sequence[str]:
        """Nothing is asked for: it tells all that it knows as it learns it."""
        self._segment.paused = at
        self._paused_at = now
        return ()

    def end_segment(self, at: float) -> Sequence[str]:
        self._segment.end(at)
        self._over, self._likely = False, None
        if not self._open:
            return ()
        return self._give_up(self._turn)

    def receive(self, message: str | bytes, now: float) -> Sequence[HearingEvent]:
        try:
            data = parse(message)
            match data["type"]:
                case "TurnInfo":
                    return self._turn_info(data, now)
                case "Connected" | "ConfigureSuccess" | "ConfigureFailure" | "Warning":
                    return ()
                case "Error":
                    return (fault_of(data),)
                case kind:
                    return (Strange(f"a message {kind:.40}"),)
        except Malformed as error:
            return (Strange(str(error)),)

    def _give_up(self, turn: int) -> Sequence[str]:
        self._done, self._open = turn, False
        return (FORCE_END_TURN,)

    def _turn_info(self, data: dict[str, Any], now: float) -> Sequence[HearingEvent]:
        segment = self._segment
        event, said, timed = text(data, "event"), text(data, "transcript"), words(data)
        turn, end = int(number(data, "turn_index")), self._origin + number(data, "audio_window_end")
        if event not in ("Update", "StartOfTurn", "EagerEndOfTurn", "TurnResumed", "EndOfTurn"):
            return (Strange(f"a turn's event {event:.40}"),)
        ended = event == "EndOfTurn"
        if ended:
            self.settled = max(self.settled, end)
        if turn <= self._done:
            return ()  # of a segment that is over
        self._turn, self._open = turn, not ended and (event != "Update" or bool(said))
        if event == "EagerEndOfTurn":
            self._likely = said
        elif event != "Update" or said != self._likely:
            self._likely = None
        self._over = ended or (self._over and not said)
        if end <= segment.begins:
            return ()
        mine = segment.mine(said, timed, self._origin)
        if ended:
            segment.settle(mine, end)
        else:
            segment.suppose(mine)
        if segment.text:
            likely = self._likely is not None
            return (segment.transcript(end, took=self._took(now), over=self._over, likely=likely),)
        if segment.paused is None or end < segment.paused + NO_WORDS_SECONDS:
            return ()
        return (segment.transcript(end, took=self._took(now)),)

    def _took(self, now: float) -> float:
        return now - self._paused_at if self._segment.paused is not None else 0.0
