"""The media server's side of a listen socket: a model of FreeSWITCH with mod_audio_fork, for one call.

Pure: it is given what comes from the service, what comes from the caller, and a tick for each frame of 20 ms that the
media server writes to the caller. It reproduces the module's behaviour with all its traps, because a simulator kinder
than reality hides bugs. Its numbers are those of the open mod_audio_fork (0.9.x); where a rule looks odd, it is theirs.

The way of the service's sound: binary messages arrive in pieces of at most 1024 bytes, wait in a *prebuffer* until
there is enough, move all at once to the *playout* buffer, and leave it by 20 ms for each write frame. Marks travel as
sentinel samples in that same stream.
"""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from jambonz.simulator.ear import Ear
from media.resample import Resampler

PIECE_BYTES = 1024
"""libwebsockets hands binary messages on in pieces of at most this size."""

PREBUFFER_UNIT = 320
"""Samples: the prebuffer's threshold is 4 of these for a socket's first sound and 2 ever after."""

MAX_MARKS = 30
MAX_TEXT_BYTES = 665_600
SENTINEL = b"\xff\xff"
"""A mark in the stream of samples: the value -1, which genuine sound takes too."""

RING_SECONDS = 2
"""How much of the caller's sound waits for a socket that does not take it (MOD_AUDIO_FORK_BUFFER_SECS)."""

MixType = Literal["mono", "mixed", "stereo"]

ModuleEvent = Literal[
    "disconnect",
    "kill_audio",
    "error",
    "json",
    "transcription",
    "transfer",
    "buffer_overrun",
    "unsupported",
    "malformed",
]


def _ignore(*_: Any) -> None:
    """The default of callbacks nobody asked for."""


def _samples(pcm: bytes) -> npt.NDArray[np.int16]:
    return np.frombuffer(pcm, "<i2")


class MediaModule:
    """One call's fork.

    ``rate`` is ``bidirectionalAudio.sampleRate`` and ``codec_rate`` the call's; binary is swallowed in silence unless
    ``enabled``, ``streaming`` and ``rate`` are all truthy. ``listen_rate`` and ``mix_type`` say how the caller's sound
    is sent. ``send_text`` and ``send_binary`` go to the service, ``on_event`` to the feature server.

    ``unevenness`` is the share of packets that miss their turn to be sent and so arrive two in a message, chosen by
    ``seed``; the first packet always does. At 0, every packet is one message.
    """

    def __init__(
        self,
        rate: int | None = 8000,
        *,
        send_text: Callable[[str], None] = _ignore,
        send_binary: Callable[[bytes], None] = _ignore,
        on_event: Callable[[ModuleEvent, Any], None] = _ignore,
        enabled: bool = True,
        streaming: bool = True,
        codec_rate: int = 8000,
        listen_rate: int = 8000,
        mix_type: MixType = "mono",
        pass_dtmf: bool = False,
        unevenness: float = 0.02,
        seed: int = 0,
        ear: Ear | None = None,
    ) -> None:
        self.heard = ear or Ear(codec_rate)
        self.codec_rate = codec_rate
        self.plays = bool(enabled and streaming and rate)
        self.pass_dtmf = pass_dtmf
        self.swallowed_bytes = 0
        self.dropped_marks = 0
        self.overruns = 0
        self.writable = True
        """Whether the socket takes the caller's sound just now; while not, it waits in the ring."""
        self._send_text = send_text
        self._send_binary = send_binary
        self._on_event = on_event

        # From the service to the caller
        rate = rate or codec_rate
        self._frame_bytes = 2 * (codec_rate // 50)
        self._silence = bytes(self._frame_bytes)
        self._downscale = rate // codec_rate if rate > codec_rate else 1
        self._threshold = 2 * 4 * PREBUFFER_UNIT * self._downscale
        self._resampler = Resampler(rate, codec_rate) if rate != codec_rate else None
        self._odd = b""
        self._prebuffer = bytearray()
        self._playout = bytearray()
        self._clear = False
        self._inventory: deque[str] = deque()
        self._in_use: deque[str] = deque()
        self._cleared: deque[str] = deque()
        self._last_frame = self._silence

        # From the caller to the service
        self._mix_type: MixType = mix_type
        channels = 2 if mix_type == "stereo" else 1
        self._upsamplers: list[Resampler] = []
        if listen_rate != codec_rate:
            self._upsamplers = [Resampler(codec_rate, listen_rate) for _ in range(channels)]
        self._ring = bytearray()
        self._ring_limit = 2 * listen_rate * channels * RING_SECONDS
        self._packet_bytes = 2 * channels * (listen_rate // 50)
        self._unevenness = unevenness
        self._random = random.Random(seed)
        self._hold = unevenness > 0

    @property
    def playout_seconds(self) -> float:
        """Sound in the playout buffer."""
        return len(self._playout) / 2 / self.codec_rate

    @property
    def prebuffer_samples(self) -> int:
        """Samples stuck before the threshold, at the service's rate, sentinels included."""
        return len(self._prebuffer) // 2

    @property
    def outstanding_marks(self) -> list[str]:
        return [*self._in_use, *self._inventory]

    # What the service sends

    def receive_binary(self, data: bytes) -> None:
        """Sound from the service: PCM16 at ``rate``, any length."""
        if not self.plays:
            self.swallowed_bytes += len(data)
            return
        for start in range(0, len(data), PIECE_BYTES):
            self._receive_piece(data[start : start + PIECE_BYTES])

    def _receive_piece(self, piece: bytes) -> None:
        data = self._odd + piece
        self._odd = data[len(data) & ~1 :]
        self._prebuffer += SENTINEL * len(self._inventory)
        self._in_use += self._inventory
        self._inventory.clear()
        self._prebuffer += data[: len(data) & ~1]
        if len(self._prebuffer) < self._threshold:
            return
        self._threshold = 2 * 2 * PREBUFFER_UNIT * self._downscale
        whole = len(self._prebuffer) // (2 * self._downscale) * 2 * self._downscale
        block = bytes(self._prebuffer[:whole])
        del self._prebuffer[:whole]
        self._playout += self._resampler.process(block) if self._resampler else block

    def receive_text(self, text: str) -> None:
        """A text message from the service: a command, or something for the feature server, or nothing known."""
        if len(text.encode()) > MAX_TEXT_BYTES:
            return
        try:
            message = json.loads(text)
        except ValueError:
            self._on_event("malformed", text)
            return
        kind = message.get("type") if isinstance(message, dict) else None
        data = message.get("data") if isinstance(message, dict) else None
        match kind:
            case None | "json":
                self._on_event("json", message)
            case "killAudio":
                self._clear = True
                self._on_event("kill_audio", data)
            case "mark":
                self._receive_mark(data)
            case "clearMarks":
                # The names wait for sentinels to use up, though those of the inventory never had one: the next marks
                # are taken for them. No event is sent.
                self._cleared += self._in_use
                self._cleared += self._inventory
                self._in_use.clear()
                self._inventory.clear()
            case "disconnect" | "error" | "transcription" | "transfer":
                self._on_event(kind, data)
            case _:
                self._on_event("unsupported", message)

    def _receive_mark(self, data: Any) -> None:
        name = data.get("name") if isinstance(data, dict) else None
        if not isinstance(name, str):
            return
        if len(self._in_use) + len(self._inventory) >= MAX_MARKS:
            self.dropped_marks += 1
        else:
            self._inventory.append(name)

    # What the caller hears

    def tick(self, now: float) -> None:
        """One write frame: 20 ms go to the caller, starting at ``now``."""
        if self._clear:
            self._empty_playout(now)
            return
        taken = min(len(self._playout), self._frame_bytes)
        if not taken:
            if self._inventory and not self._in_use and not self._cleared:
                self._mark_event(self._inventory.popleft(), "playout")
            self._play(now, self._silence, 0)
            return
        frame = bytes(self._playout[:taken])
        del self._playout[:taken]
        if (self._in_use or self._cleared) and SENTINEL in frame:
            frame = self._without_sentinels(frame)
        if len(frame) < self._frame_bytes:
            frame += bytes(self._frame_bytes - len(frame))
        self._play(now, frame, taken // 2)

    def _empty_playout(self, now: float) -> None:
        """killAudio takes effect: only now, on all that has arrived meanwhile too, and not on the prebuffer."""
        self._clear = False
        self._playout.clear()
        for name in (*self._in_use, *self._inventory):
            self._mark_event(name, "cleared")
        # Kept for when their sentinels come by; those that were just wiped with the buffer never will, and their names
        # use up the sentinels of later marks instead.
        self._cleared += self._in_use
        self._in_use.clear()
        self._inventory.clear()
        self.heard.cut(now)
        self._play(now, self._silence, 0)

    def _without_sentinels(self, frame: bytes) -> bytes:
        """Every sample of -1 is a mark, for as long as marks are outstanding, and is not played."""
        samples = np.frombuffer(frame, "<i2")
        sentinels = samples == -1
        for _ in range(int(np.count_nonzero(sentinels))):
            if self._cleared:
                self._cleared.popleft()
            elif self._in_use:
                self._mark_event(self._in_use.popleft(), "playout")
        return bytes(samples[~sentinels].tobytes())

    def _mark_event(self, name: str, event: Literal["playout", "cleared"]) -> None:
        # As the module writes it: the name is not escaped.
        self._send_text(f'{{"type": "mark", "data": {{"name":"{name}", "event": "{event}"}}}}')

    def _play(self, now: float, frame: bytes, taken: int) -> None:
        self._last_frame = frame
        self.heard.hear(now, frame, taken)

    # What the caller says

    def receive_packet(self, pcm: bytes) -> None:
        """An RTP packet from the caller, decoded: 20 ms of PCM16 at the codec's rate. In a gap, do not call."""
        if len(self._ring) + self._packet_bytes > self._ring_limit:
            self._ring.clear()
            self.overruns += 1
            if self.overruns == 1:
                self._on_event("buffer_overrun", None)
        self._ring += self._mixed(pcm)
        hold, self._hold = self._hold, False
        if not self.writable or hold:
            return
        self._hold = self._unevenness > 0 and self._random.random() < self._unevenness
        self._send_binary(bytes(self._ring))
        self._ring.clear()

    def _mixed(self, pcm: bytes) -> bytes:
        """The caller's sound, and what the caller hears where the mix has it, at the rate of the socket."""
        match self._mix_type:
            case "mono":
                return self._convert(0, pcm)
            case "mixed":
                total = _samples(pcm).astype(np.int32) + _samples(self._last_frame)
                return self._convert(0, np.clip(total, -32768, 32767).astype("<i2").tobytes())
            case "stereo":
                stereo = np.empty((self._packet_bytes // 4, 2), "<i2")
                stereo[:, 0] = _samples(self._convert(0, pcm))
                stereo[:, 1] = _samples(self._convert(1, self._last_frame))
                return bytes(stereo.tobytes())

    def _convert(self, channel: int, pcm: bytes) -> bytes:
        return self._upsamplers[channel].process(pcm) if self._upsamplers else pcm

    def press(self, digit: str, duration_ms: int = 120) -> None:
        """The caller presses a key; ``duration`` goes out in RTP units (8 for a millisecond), as a string."""
        if self.pass_dtmf:
            event = {"event": "dtmf", "dtmf": digit, "duration": str(8 * duration_ms)}
            self._send_text(json.dumps(event, separators=(",", ":")))
