"""A playout and the simulated media module, joined by a line with latency, on a clock that is stepped by hand."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable
from functools import partial
from itertools import count

import numpy as np

from jambonz.simulator.media_module import MediaModule
from media.audio import PCM_8K, AudioFormat
from media.ledger import Segment
from media.playout import Playout, PlayoutCut, PlayoutEvent, PlayoutFinished, PlayoutStarted

BASE = 4000
"""Numbers are told by small differences between loud frames: nothing in them sounds like a gap between words."""


class Line:
    """Ticks the playout every 20 ms and the media module on a grid of its own, ``phase`` later. The socket has the rate
    of ``format``, and the call's codec the same, unless ``codec_rate`` is another."""

    exact_marks = True

    def __init__(
        self,
        *,
        latency: float = 0.005,
        phase: float = 0.007,
        format: AudioFormat = PCM_8K,
        codec_rate: int | None = None,
    ) -> None:
        self.now = 0.0
        self.format = format
        self.latency = latency
        self._order = count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self.events: list[PlayoutEvent] = []
        self.frames_sent = 0
        self.max_outstanding = 0
        self._outstanding: set[str] = set()
        self.stalled_until = 0.0
        self.begun: set[int] = set()
        self.module = MediaModule(format.rate, send_text=self._from_module, codec_rate=codec_rate or format.rate)
        self.playout = Playout(self, format)
        self._phase = phase
        self._every(0.0, self._tick)
        self._every(phase, self._module_tick)

    # PlayoutSink

    def prepare(self, pcm: bytes) -> bytes:
        return pcm

    def send_audio(self, pcm: bytes) -> None:
        """Each frame is a message of its own, as a leg has it."""
        size = self.format.frame_bytes
        assert len(pcm) % size == 0
        for at in range(0, len(pcm), size):
            self.frames_sent += 1
            self._later(partial(self.module.receive_binary, pcm[at : at + size]))

    def send_mark(self, name: str) -> None:
        self._outstanding.add(name)
        self.max_outstanding = max(self.max_outstanding, len(self._outstanding))
        self._later(lambda: self.module.receive_text(json.dumps({"type": "mark", "data": {"name": name}})))

    def send_clear(self) -> None:
        self._later(lambda: self.module.receive_text('{"type":"killAudio"}'))

    # Time

    def _at(self, time: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time, next(self._order), what))

    def _later(self, what: Callable[[], None]) -> None:
        self._at(self.now + self.latency, what)

    def _every(self, first: float, what: Callable[[], None]) -> None:
        steps = count()

        def run() -> None:
            what()
            self._at(first + 0.02 * (next(steps) + 1), run)

        self._at(first, run)

    def _tick(self) -> None:
        if self.now >= self.stalled_until and self.playout.active:
            self.events += self.playout.tick(self.now)

    def _module_tick(self) -> None:
        self.module.tick(self.now)

    def _from_module(self, text: str) -> None:
        message = json.loads(text)
        name, cleared = message["data"]["name"], message["data"]["event"] == "cleared"
        self._outstanding.discard(name)
        self._later(lambda: self._mark(name, cleared))

    def _mark(self, name: str, cleared: bool) -> None:
        self.events += self.playout.mark(name, cleared, self.now)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._due and self._due[0][0] <= end:
            self.now, _, what = heapq.heappop(self._due)
            what()
        self.now = end

    def pause(self) -> None:
        self.playout.pause(self.now)

    def resume(self) -> None:
        self.playout.resume(self.now)

    def clear(self, through: int = 10_000) -> None:
        self.events += self.playout.clear(self.now, through)

    # What went in, what came out

    def say(self, generation: int, numbers: range, text: str = "words", *, finish: bool = True) -> Segment:
        """A phrase whose every frame carries its number."""
        segment = self.segment(generation, text)
        segment.write(numbered(numbers, self.format.frame_samples))
        segment.close()
        if finish:
            self.playout.finish(generation)
        return segment

    def segment(self, generation: int, text: str) -> Segment:
        if generation not in self.begun:
            self.begun.add(generation)
            self.playout.begin(generation)
        return self.playout.segment(generation, text)

    def heard_numbers(self) -> list[int]:
        """The numbers of the frames that the caller's ear got, silence left out."""
        frames = np.frombuffer(self.module.heard.heard_audio(), np.int16)
        middles = frames.reshape(-1, self.module.heard.frame_samples)[:, self.module.heard.frame_samples // 2]
        return [round((int(middle) - BASE) / 8) for middle in middles if middle]

    def of(self, kind: type[PlayoutEvent]) -> list[PlayoutEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def finished(self) -> list[PlayoutFinished]:
        return [event for event in self.events if isinstance(event, PlayoutFinished)]

    @property
    def cuts(self) -> list[PlayoutCut]:
        return [event for event in self.events if isinstance(event, PlayoutCut)]

    @property
    def started(self) -> list[PlayoutStarted]:
        return [event for event in self.events if isinstance(event, PlayoutStarted)]


def numbered(numbers: range, samples: int = 160) -> bytes:
    return b"".join(np.full(samples, BASE + 8 * number, np.int16).tobytes() for number in numbers)
