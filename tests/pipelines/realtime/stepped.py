"""A vendor's adapter and simulated session on one clock, stepped by hand: what tests of adapters share."""

from __future__ import annotations

import json
from typing import Any

from pipelines.realtime.model import RealtimeEvent, RealtimeProtocol, WordsCame
from tests.simulators.live_wire import Hangup, Out, Session, Stall, tones


class Stepped:
    """A frame of sound every 20 ms. ``rate`` is that of the model's input, which ``encode`` makes of PCM."""

    rate = 16000

    def __init__(self, protocol: RealtimeProtocol, session: Session) -> None:
        self.now = 0.0
        self.events: list[RealtimeEvent] = []
        self.ended: list[Hangup | Stall] = []
        self._adapter = protocol
        self._simulation = session
        self.send(*protocol.opened())

    def encode(self, pcm: bytes) -> bytes:
        return pcm

    def send(self, *messages: str | bytes) -> None:
        for message in messages:
            self._take(self._simulation.receive(message, self.now))

    def _take(self, outs: list[Out]) -> None:
        for out in outs:
            if isinstance(out, Hangup | Stall):
                self.ended.append(out)
                continue
            events, replies = self._adapter.receive(out)
            self.events += events
            self.send(*replies)

    def pass_(self, seconds: float, sound: bytes = b"") -> None:
        size = self.rate // 50 * 2
        for frame in range(round(seconds / 0.02)):
            pcm = sound[size * frame : size * frame + size].ljust(size, b"\0")
            self.send(self._adapter.audio(self.encode(pcm)))
            self.now += 0.02
            self._take(self._simulation.advance(self.now))

    def speak(self, words: str) -> None:
        sound = tones(words, self.rate)
        self.pass_(len(sound) / (2 * self.rate), sound)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def text(self) -> str:
        """What the model says."""
        return "".join(event.text for event in self.of(WordsCame))


def told(protocol: RealtimeProtocol, *messages: object) -> list[RealtimeEvent]:
    """What comes of messages of the model's."""
    return [event for message in messages for event in protocol.receive(json.dumps(message))[0]]
