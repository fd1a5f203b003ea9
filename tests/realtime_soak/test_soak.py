"""Of many calls nothing is left: ``python -m tests.realtime_soak`` does the same with a thousand."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from media.audio import PCM_8K
from media.playout import Playout
from tests.realtime_soak.soak import soaking, what_is_left


@pytest.mark.realtime
async def test_calls_leave_nothing_behind(tmp_path: Path) -> None:
    """In real time: real sockets have no clock that could be handed in, and what is left of them is in question."""
    async with soaking(tmp_path) as soak:
        await soak.at_once(25)
        before = await what_is_left()
        assert before.objects == {}
        await soak.one_after_another(100)
        await soak.at_once(50)
        assert (await what_is_left()).more_than(before) == []


async def test_what_is_left_is_found() -> None:
    """The test above would see a leak."""
    before = await what_is_left()
    kept, sleeping, line = Playout(_Nowhere(), PCM_8K), asyncio.create_task(asyncio.sleep(60)), socket.socket()
    with line:
        found = (await what_is_left()).more_than(before)
        sleeping.cancel()
    assert found == ["1 objects: Playout", "1 tasks: sleep", "1 sockets"]
    del kept
    assert (await what_is_left()).more_than(before) == []


class _Nowhere:
    def prepare(self, pcm: bytes) -> bytes:
        return pcm

    def send_audio(self, pcm: bytes) -> None: ...

    def send_mark(self, name: str) -> None: ...

    def send_clear(self) -> None: ...
