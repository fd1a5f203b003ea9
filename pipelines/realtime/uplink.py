"""The caller's sound on its way to the model: as the model wants it, in pieces, and never less than it wants."""

from __future__ import annotations

from collections.abc import Sequence

from media.audio import FRAME_SECONDS, AudioFormat
from media.convert import Converter
from pipelines.realtime.link import Link
from pipelines.realtime.model import Capabilities
from pipelines.realtime.voice import CallerVoice, TurnGate


class Uplink:
    """``together`` frames go to the model at once. ``gate``: only turns do."""

    __slots__ = ("_continuous", "_converter", "_format", "_frames", "_gate", "_link", "_wanted", "fed", "together")

    def __init__(self, link: Link, can: Capabilities, together: int, gate: TurnGate | None) -> None:
        self._link = link
        self._wanted = can.input
        self._continuous = can.continuous
        self.together = together
        self._gate = gate
        self._frames: list[bytes] = []
        self._format: AudioFormat | None = None
        self._converter: Converter | None = None
        self.fed = 0.0  # there is sound up to here

    def start(self, format: AudioFormat, now: float) -> None:
        self._format, self.fed = format, now
        self._converter = Converter(format, self._wanted) if format != self._wanted else None

    def hear(self, frames: Sequence[bytes], caller: CallerVoice, now: float, *, turn: bool) -> None:
        """Some frames of the caller; ``turn``: what he is saying is one."""
        self.fed = now
        if self._gate is None:
            self._frames += frames
        else:
            if turn:
                self._gate.take()
            for frame in frames:
                self._frames += self._gate.hear(frame, speaking=caller.speaking)
        if len(self._frames) >= self.together:
            self.flush()

    def fill(self, now: float) -> None:
        """Silence, where the caller's line sends nothing, and the model takes that for a stall."""
        if not self._continuous or self._format is None or now - self.fed <= 3 * FRAME_SECONDS:
            return
        frames = int((now - self.fed) / FRAME_SECONDS)
        self.fed += frames * FRAME_SECONDS
        self._frames += [self._format.silence(20)] * frames
        self.flush()

    def end_turn(self) -> None:
        """What the caller is saying is a turn, and over."""
        if self._gate is not None:
            self._frames += self._gate.release()
        self.flush()

    def flush(self) -> None:
        if not self._frames:
            return
        pcm = self._frames[0] if len(self._frames) == 1 else b"".join(self._frames)
        self._frames.clear()
        self._link.send_audio(pcm if self._converter is None else self._converter.process(pcm))
