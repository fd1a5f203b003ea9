"""The sound of one call: the caller on one side, the caller's ear on the other, and between them the media module of a
listen verb, or somebody else, while there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from jambonz.simulator.caller import Caller
from jambonz.simulator.ear import Ear
from jambonz.simulator.media_module import MediaModule
from jambonz.simulator.transport import ServiceSocket
from media.audio import FRAME_SECONDS


class Party(Protocol):
    """Somebody at the other end of the line."""

    def frame(self, now: float, packet: bytes | None) -> bytes: ...


class Line:
    """What the pacer drives, one frame of 20 ms at a time, at the rate of the caller's telephone: the call's codec.

    ``said`` is the caller's sound in step with the ear's record: byte for byte the same time.
    """

    def __init__(
        self,
        caller: Caller,
        *,
        keep_audio: bool = True,
        on_speech: Callable[[float, bool], None],
        on_hang_up: Callable[[], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self.format = caller.format
        self.ear = Ear(caller.format.rate, keep_audio=keep_audio)
        self.said = bytearray()
        self.now = 0.0
        self.on_key: Callable[[str, int], None] = lambda _digit, _ms: None
        """Who else hears of keys: gather, finishOnKey."""
        self._caller = caller
        self._silence = caller.format.silence(20)
        self._keep_audio = keep_audio
        self._on_speech = on_speech
        self._on_hang_up = on_hang_up
        self._on_failure = on_failure
        self._agent_audible = False
        self._module: MediaModule | None = None
        self._socket: ServiceSocket | None = None
        self._other: Party | None = None

    def connect(self, module: MediaModule, socket: ServiceSocket) -> None:
        """From now on the module hears the caller and plays to the ear."""
        self._module, self._socket = module, socket

    def disconnect(self) -> None:
        self._module = self._socket = None

    def bridge(self, other: Party | None) -> None:
        """From now on the caller and ``other`` hear each other; None: not any more."""
        self._other = other

    # For the pacer

    def frame(self, now: float) -> None:
        self.now = now
        packet = self._caller.frame(now, self.ear, self)
        if self._keep_audio:
            self.said += packet or self._silence
        module, socket = self._module, self._socket
        if self._other is not None:
            self.ear.hear(now, self._other.frame(now, packet), 0)
        elif module is None or socket is None:
            self.ear.hear(now, self._silence, 0)
        else:
            if packet is not None:
                module.writable = socket.writable
                module.receive_packet(packet)
            module.tick(now)
        self._notice_speech(now)

    def fail(self, error: Exception) -> None:
        self._on_failure(error)

    def _notice_speech(self, now: float) -> None:
        heard = self.ear.last_audible
        audible = heard is not None and now + FRAME_SECONDS - heard < 0.3
        if audible != self._agent_audible:
            self._agent_audible = audible
            self._on_speech(now if audible or heard is None else heard, audible)

    # For the caller

    def press(self, digit: str, duration_ms: int) -> None:
        if self._module is not None:
            self._module.press(digit, duration_ms)
        self.on_key(digit, duration_ms)

    def hang_up(self) -> None:
        self._on_hang_up()
