"""Deepgram's Nova on ``/v1/listen``: what is sent, and what its results mean. Pure.

Turns are ours: its own endpointing is off, and each pause is answered with ``Finalize``, so that the words come at
once. A result is a window of sound; the final ones of a segment, and the latest supposition after them, are its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipelines.providers.deepgram_wire import AUDIO, CLOSE_STREAM, fault_of, words
from pipelines.providers.segment import Segment
from pipelines.providers.wire import HearingEvent, Malformed, Strange, number, parse, text

KEEP_ALIVE = '{"type":"KeepAlive"}'
FINALIZE = '{"type":"Finalize"}'

MOST_KEYTERMS = 100


class NovaProtocol:
    """See :class:`pipelines.providers.wire.HearingProtocol`. ``first`` is the number of its first segment."""

    path = "/v1/listen"
    idle: str | bytes | None = KEEP_ALIVE

    goodbye: str | None = CLOSE_STREAM
    reports_usage = False

    def __init__(self, model: str, language: str, hints: Sequence[str], *, first: int = 0) -> None:
        self._model, self._language = model, language
        self._hints = hints[:MOST_KEYTERMS]
        self._segment = Segment(first)
        self._origin = 0.0
        self._asked: tuple[float, float] | None = None  # the position and the time of a Finalize not answered yet
        self.settled = 0.0

    def query(self) -> list[tuple[str, str]]:
        return [
            ("model", self._model),
            *([("language", self._language)] if self._language else []),
            *AUDIO,
            ("channels", "1"),
            ("interim_results", "true"),
            ("endpointing", "false"),
            ("punctuate", "true"),
            *(("keyterm", hint) for hint in self._hints),
        ]

    def connected(self, origin: float) -> Sequence[str]:
        self._origin = origin
        self._segment.suppose("")
        return ()

    def audio(self, pcm: bytes) -> str | bytes:
        return pcm

    def replayed(self) -> Sequence[str]:
        return (FINALIZE,) if self._asked is not None else ()

    def speech_started(self, at: float) -> Sequence[str]:
        self._segment.speech_started(at)
        return ()

    def speech_paused(self, at: float, now: float) -> Sequence[str]:
        self._segment.paused = at
        self._asked = (at, now)
        return (FINALIZE,)

    def end_segment(self, at: float) -> Sequence[str]:
        """What was said and not transcribed is not asked for any more."""
        self._segment.end(at)
        self._asked = None
        return ()

    def receive(self, message: str | bytes, now: float) -> Sequence[HearingEvent]:
        try:
            data = parse(message)
            match data["type"]:
                case "Results":
                    return self._results(data, now)
                case "Metadata" | "SpeechStarted" | "UtteranceEnd" | "ConfigureSuccess" | "ConfigureFailure":
                    return ()
                case "Error":
                    return (fault_of(data),)
                case kind:
                    return (Strange(f"a message {kind:.40}"),)
        except Malformed as error:
            return (Strange(str(error)),)

    def _results(self, data: dict[str, Any], now: float) -> Sequence[HearingEvent]:
        segment = self._segment
        said, timed = _best(data)
        start = number(data, "start")
        end = self._origin + start + number(data, "duration")
        final = data.get("is_final") is True
        took = 0.0
        if final:
            self.settled = max(self.settled, end)
        if data.get("from_finalize") is True and self._asked is not None:
            at, since = self._asked
            if end >= at - 1.0 or segment.onset is not None:
                took, self._asked, end = now - since, None, max(end, at)
        if end <= segment.begins:
            return ()  # of a segment that is over
        mine = segment.mine(said, timed, self._origin)
        if final:
            segment.settle(mine, end)
        else:
            segment.suppose(mine)
            if not mine:
                return ()
            # What is only supposed may lack the latest words: it covers the words that it has.
            end = max(self.settled, self._origin + timed[-1][2]) if timed else self.settled
        if segment.onset is None and not segment.text:
            return ()
        return (segment.transcript(end, took=took),)


def _best(data: dict[str, Any]) -> tuple[str, list[tuple[str, float, float]]]:
    channel = data.get("channel")
    alternatives = channel.get("alternatives") if isinstance(channel, dict) else None
    if not isinstance(alternatives, list) or not alternatives or not isinstance(alternatives[0], dict):
        raise Malformed("results without alternatives")
    return text(alternatives[0], "transcript"), words(alternatives[0])
