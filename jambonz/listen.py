"""The listen socket's protocol, our side of it: texts and audio come in, calls of a :class:`LegListener` come out.

Jambonz connects and sends one text frame of JSON (the call's attributes, camelCase, and our metadata among them), then
the caller's audio in binary frames of whatever has gathered: mostly 20 ms, sometimes several times that, now and then
an odd number of bytes, none while there is no RTP. In between come texts for DTMF and for marks that were reached.

We send audio in binary frames, and the texts at the end of this module. Pure: no socket; the time comes in as seconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import numpy as np

from jambonz.drift import RateWatch
from jambonz.verbs import METADATA_PREFIX
from media.audio import PCM_8K, AudioFormat, Encoding
from media.framer import Framer
from pipelines.json_text import json_object

SUBPROTOCOLS = ("audio.jambonz.org", "audio.drachtio.org")
"""What Jambonz deployments offer, and what the media module does that was built without saying."""

MAX_RING_SECONDS = 5
"""The largest binary frame holds this much sound: all that Jambonz's ring buffer can be set to hold."""

MAX_EARLY_SECONDS = 1
"""This much audio may come before the first text frame."""

MAX_TEXT = 16 * 1024
"""Characters of one text; the first has at most 8192 of metadata, besides the call's attributes."""

MAX_TEXTS_PER_SECOND = 100
MAX_IGNORED_PER_MINUTE = 50

MAX_AHEAD_SECONDS = 10.0
"""Audio this far ahead of real time is no caller's."""

MAX_MARKS = 30
"""Marks that Jambonz keeps at once; it drops further ones without a word."""


class Refusal(Enum):
    """Why we close a socket: a label for metrics, the WebSocket close code (what 1006 stands for is not sent, the
    connection is cut), and the sentence sent with it."""

    AUDIO_FIRST = "audio_first", 1008, "audio came for a second, but not the text frame that should precede it"
    NO_CALL = "no_call", 1008, "the first text frame has no callSid"
    WRONG_RATE = "wrong_rate", 1003, "the first text frame announces a sampleRate that was not asked for"
    WRONG_MIX = "wrong_mix", 1003, "the first text frame announces a mixType other than mono"
    TEXT_SIZE = "text_size", 1009, f"a text frame has at most {MAX_TEXT} characters here"
    TEXT_FLOOD = "text_flood", 1008, f"more than {MAX_TEXTS_PER_SECOND} text frames came within a second"
    NOT_UNDERSTOOD = "not_understood", 1008, "too many text frames came that mean nothing here"
    AUDIO_FLOOD = "audio_flood", 1008, "audio came faster than anybody speaks"
    NO_START = "no_start", 1008, "no text frame came with the call's attributes"
    NOT_READING = "not_reading", 1008, "the audio that we send is not being read"
    NO_PONG = "no_pong", 1006, "nothing comes any more, not even the answer to a ping"

    def __init__(self, label: str, code: int, sentence: str) -> None:
        self.label = label
        self.code = code
        self.sentence = sentence


class ListenRefused(Exception):
    """The socket is to be closed: ``refusal`` says how, the message is what to send along."""

    def __init__(self, refusal: Refusal, detail: str = "") -> None:
        super().__init__(f"{refusal.sentence}: {detail}" if detail else refusal.sentence)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Started:
    """Jambonz introduced the call. ``attributes`` is all of the first frame, ``metadata`` what we gave to the listen
    verb, ``customerData`` among the attributes what was tagged."""

    call_sid: str
    sample_rate: int
    metadata: Mapping[str, str]
    attributes: Mapping[str, Any]


class LegListener(Protocol):
    """Who hears of what comes in on a leg. Called on the event loop; ``on_audio`` 50 times a second for each call."""

    def on_started(self, started: Started) -> None: ...

    def on_audio(self, frame: bytes) -> None:
        """The caller's next 20 ms, in the leg's format."""
        ...

    def on_dtmf(self, digit: str, milliseconds: int | None) -> None: ...

    def on_mark(self, name: str, cleared: bool) -> None:
        """A mark of ours was reached by the playout (a hint: it may come early), or cleared with its audio."""
        ...

    def on_closed(self, code: int, reason: str) -> None:
        """Comes last and exactly once, whoever closed; 1006 if the socket was lost without a close frame."""
        ...


class ListenProtocol:
    """One socket, from its opening at ``now`` to its end. Both ``receive`` methods may raise :class:`ListenRefused`."""

    def __init__(
        self,
        listener: LegListener,
        format: AudioFormat = PCM_8K,
        *,
        now: float,
        on_drift: Callable[[float], None] | None = None,
        told: Mapping[str, Any] | None = None,
    ) -> None:
        """``on_drift`` hears of each second in which audio comes at so many times the announced rate. ``told`` is what
        we have told the client, where it is not Jambonz: what its first text leaves out of the call's attributes."""
        if format.encoding is not Encoding.PCM16:
            raise ValueError(f"a listen socket carries 16-bit PCM, not {format}")
        self.started = False
        self.ignored = 0
        """Text frames that meant nothing."""
        self._listener = listener
        self._format = format
        self._framer = Framer(format)
        self._frame_bytes = format.frame_bytes
        self._early = b""
        self._rate = RateWatch(format.bytes_per_second, now)
        self._texts = _Limit(MAX_TEXTS_PER_SECOND, 1.0)
        self._ignored = _Limit(MAX_IGNORED_PER_MINUTE, 60.0)
        self._on_drift = on_drift
        self._told = told
        self._closed = False

    def receive_binary(self, data: bytes, now: float) -> None:
        """The caller's audio, cut anywhere. An empty frame ends the stream: what waits for its frame is let go."""
        drift = self._rate.add(len(data), now)
        if drift is not None:
            self._drifting(drift)
        if not self.started:
            self._early += data
            if len(self._early) > MAX_EARLY_SECONDS * self._format.bytes_per_second:
                raise ListenRefused(Refusal.AUDIO_FIRST)
            return
        if len(data) == self._frame_bytes and not self._framer.pending:
            self._listener.on_audio(data)
            return
        for frame in self._framer.push(data) if data else self._framer.flush():
            self._listener.on_audio(frame)

    def receive_text(self, text: str, now: float) -> None:
        if not self._texts.allow(now):
            raise ListenRefused(Refusal.TEXT_FLOOD)
        if len(text) > MAX_TEXT:
            raise ListenRefused(Refusal.TEXT_SIZE)
        message = json_object(text)
        if message is None or not self._understood(message):
            self.ignored += 1
            if not self._ignored.allow(now):
                raise ListenRefused(Refusal.NOT_UNDERSTOOD)

    def closed(self, code: int, reason: str) -> None:
        """The socket is gone; the listener is told the first time only."""
        if not self._closed:
            self._closed = True
            self._listener.on_closed(code, reason)

    def _understood(self, message: dict[str, Any]) -> bool:
        match message:
            case {"type": "mark", "data": {"name": str(name), "event": "playout" | "cleared" as event}} if self.started:
                self._listener.on_mark(name, event == "cleared")
            case {"event": "dtmf", "dtmf": str(digit)} if self.started and digit in _DIGITS:
                self._listener.on_dtmf(digit, _milliseconds(message.get("duration")))
            case {"type": _} | {"event": _}:
                return False
            case {"callSid": _} | {"sampleRate": _} if not self.started:
                self._start(message)
            case _ if self._told is not None and not self.started:
                self._start(message)
            case _:
                return False
        return True

    def _start(self, message: dict[str, Any]) -> None:
        message = {**(self._told or {}), **message}
        call_sid, rate, mix = message.get("callSid"), message.get("sampleRate"), message.get("mixType", "mono")
        if not isinstance(call_sid, str) or not call_sid:
            raise ListenRefused(Refusal.NO_CALL)
        if rate != self._format.rate:
            raise ListenRefused(Refusal.WRONG_RATE, f"{_short(rate)}, not {self._format.rate}")
        if mix != "mono":
            raise ListenRefused(Refusal.WRONG_MIX, _short(mix))
        metadata = {
            key.removeprefix(METADATA_PREFIX): str(value)
            for key, value in message.items()
            if key.startswith(METADATA_PREFIX)
        }
        self.started = True
        self._listener.on_started(Started(call_sid, self._format.rate, metadata, message))
        early, self._early = self._early, b""
        for frame in self._framer.push(early):
            self._listener.on_audio(frame)

    def _drifting(self, drift: float) -> None:
        if self._rate.ahead > MAX_AHEAD_SECONDS:
            raise ListenRefused(Refusal.AUDIO_FLOOD)
        if self._on_drift is not None:
            self._on_drift(drift)


class _Limit:
    """At most so many in each stretch of so many seconds."""

    __slots__ = ("_count", "_maximum", "_seconds", "_since")

    def __init__(self, maximum: int, seconds: float) -> None:
        self._maximum = maximum
        self._seconds = seconds
        self._since = -math.inf
        self._count = 0

    def allow(self, now: float) -> bool:
        if now - self._since >= self._seconds:
            self._since = now
            self._count = 0
        self._count += 1
        return self._count <= self._maximum


_DIGITS = frozenset("0123456789*#ABCD")

_TICKS_PER_MS = 8
"""DTMF durations count RTP timestamps; telephone-event runs at 8 kHz."""

_MAX_DTMF_TICKS = 0xFFFF
"""The field has 16 bits (RFC 4733)."""


def _milliseconds(duration: object) -> int | None:
    """``duration`` is a string on the wire, or a number, or absent."""
    if isinstance(duration, str) and duration.isascii() and duration.isdigit() and len(duration) <= 5:
        duration = int(duration)
    if isinstance(duration, int | float) and 0 < duration <= _MAX_DTMF_TICKS:
        return round(duration / _TICKS_PER_MS)
    return None


def _short(value: object) -> str:
    """A value of the peer's for a close frame, whose reason has 123 bytes in all."""
    written = ascii(value) if isinstance(value, str | int | float) else type(value).__name__
    return written if len(written) <= 20 else written[:17] + "..."


# What we send

CLEAR = '{"type":"killAudio"}'
"""Drop what has not been played; marks under way come back as cleared. Takes effect with the next 20 ms of playout."""

DISCONNECT = '{"type":"disconnect"}'
"""End the listen verb: Jambonz closes the socket (1000, after some 45 ms) and goes on with the action hook."""

_MARK_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def mark(name: str) -> str:
    """Have the playout report when it gets to what is sent next. Jambonz does not escape the name."""
    if not _MARK_NAME.fullmatch(name):
        raise ValueError(f"a mark's name is up to 64 letters, digits, _ and -, not {name!r}")
    return f'{{"type":"mark","data":{{"name":"{name}"}}}}'


def safe_samples(pcm: bytes) -> bytes:
    """``pcm`` (16-bit samples) with -2 for every -1, which Jambonz takes for a mark; itself if there is none."""
    if len(pcm) % 2:
        raise ValueError(f"{len(pcm)} bytes are no whole number of 16-bit samples")
    if b"\xff\xff" not in pcm:
        return pcm
    samples = np.frombuffer(pcm, "<i2")
    found = samples == -1
    return (samples - found).astype("<i2", copy=False).tobytes() if found.any() else pcm
