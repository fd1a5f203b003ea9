"""A simulated call and our protocol on one line, without a socket and with a clock of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, TypeVar

from pipelines.realtime.model import AudioCame, Outgoing, RealtimeEvent, Setup, WordsCame
from tests.simulators.codeword import speak
from tests.simulators.ultravox_call import Close, Out, Reply, SimulatedCall
from tests.simulators.ultravox_request import mistakes
from ultravox.calls import call_request
from ultravox.protocol import UltravoxProtocol

FRAME = 320
"""Bytes of 20 ms at 8 kHz."""

E = TypeVar("E")


class Line:
    """The agent speaks in codewords: 300 ms each. ``events`` are (time, event)."""

    def __init__(self, setup: Setup, *, reply: Reply, heard: Sequence[str] = (), **settings: Any) -> None:
        request = call_request(setup, model="ultravox-v0.7", rate=8000, max_seconds=settings.pop("longest", 3600.0))
        assert mistakes(request) == []
        self.now = 100.0
        self.call = SimulatedCall("call", request, reply=reply, voice=speak, heard=deque(heard), **settings)
        self.protocol = UltravoxProtocol(interruptible=setup.interruptible)
        self.events: list[tuple[float, RealtimeEvent]] = []
        self.closed: int | None = None
        self.send(self.protocol.opened())
        self._take(self.call.join(self.now))

    def silence(self, for_seconds: float) -> None:
        self.speak(bytes(FRAME * round(for_seconds * 50)))

    def speak(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), FRAME):
            self.send([self.protocol.audio(pcm[start : start + FRAME])])
            self.wait(0.02)

    def wait(self, for_seconds: float) -> None:
        """No sound is sent."""
        for _ in range(round(for_seconds * 50)):
            self.now += 0.02
            self._take(self.call.tick(self.now))

    def send(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            self._take(self.call.receive(message, self.now))

    def of(self, kind: type[E]) -> list[E]:
        return [event for _, event in self.events if isinstance(event, kind)]

    def when(self, kind: type[E], index: int = 0) -> float:
        return [at for at, event in self.events if isinstance(event, kind)][index]

    @property
    def kinds(self) -> list[str]:
        """The names of the events in order, without sound, and what repeats itself once."""
        names = [type(event).__name__ for _, event in self.events if not isinstance(event, AudioCame)]
        return [name for index, name in enumerate(names) if index == 0 or names[index - 1] != name]

    def words(self, response: str) -> str:
        return "".join(event.text for event in self.of(WordsCame) if event.response == response)

    def sound(self, response: str) -> bytes:
        return b"".join(event.data for event in self.of(AudioCame) if event.response == response)

    def _take(self, messages: Sequence[Out]) -> None:
        for message in messages:
            if isinstance(message, Close):
                self.closed = message.code
                continue
            events, replies = self.protocol.receive(message)
            self.events += [(self.now, event) for event in events]
            self.send(replies)
