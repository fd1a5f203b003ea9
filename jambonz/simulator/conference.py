"""The conference verb: whoever is in the same room hears the others."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from jambonz.simulator.specs import Properties
from media.audio import AudioFormat

if TYPE_CHECKING:
    from jambonz.simulator.call import CallSession

MOST_WAITING = 3
"""Frames that one line may be ahead of another."""


class Seat:
    """One call's, as a party at the other end of its line."""

    def __init__(self, room: Room, format: AudioFormat) -> None:
        self.heard: dict[Seat, deque[bytes]] = {}
        self._room = room
        self._silence = format.silence(20)

    def frame(self, now: float, packet: bytes | None) -> bytes:
        """20 ms: what this one says goes to the others, and what they have said comes back, mixed."""
        for other in self._room.seats:
            if other is not self:
                other.heard.setdefault(self, deque(maxlen=MOST_WAITING)).append(packet or self._silence)
        frames = [
            np.frombuffer(waiting.popleft(), "<i2").astype(np.int32) for waiting in self.heard.values() if waiting
        ]
        return np.clip(sum(frames), -32768, 32767).astype("<i2").tobytes() if frames else self._silence


class Room:
    def __init__(self) -> None:
        self.seats: list[Seat] = []
        self.over = asyncio.Event()


class Rooms:
    """Of one account, by their names: a room is there while somebody is in it."""

    def __init__(self) -> None:
        self.open: dict[str, Room] = {}

    def enter(self, name: str, format: AudioFormat) -> tuple[Room, Seat]:
        room = self.open.setdefault(name, Room())
        seat = Seat(room, format)
        room.seats.append(seat)
        return room, seat

    def leave(self, name: str, room: Room, seat: Seat, *, ends: bool) -> None:
        """``ends``: the others have to leave, too."""
        room.seats.remove(seat)
        for other in room.seats:
            other.heard.pop(seat, None)
        if ends:
            room.over.set()
        if (ends or not room.seats) and self.open.get(name) is room:
            del self.open[name]


async def conference(call: CallSession, properties: Properties) -> None:
    """Until the call is over or redirected, or somebody leaves with whom the conference ends. Who is alone hears
    nothing."""
    await call.ensure_media()
    name = str(properties["name"])
    rooms = call.settings.rooms
    room, seat = rooms.enter(name, call.line.format)
    call.line.bridge(seat)
    try:
        await call.until(room.over)
    finally:
        call.line.bridge(None)
        rooms.leave(name, room, seat, ends=properties.get("endConferenceOnExit") is True)
    await call.try_action(properties.get("actionHook"), {}, properties.get("id"))
