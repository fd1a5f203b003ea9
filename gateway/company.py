"""A caller who waits is not left in silence: somebody says what is going on, while no pipeline has the call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from gateway.floor import Floor
from gateway.surroundings import Surroundings
from gateway.waiting import first_of, unless
from pipelines.interlude import Interlude

if TYPE_CHECKING:
    from gateway.session import CallSession

T = TypeVar("T")

QUIET_SECONDS = 1.6
"""The caller has heard nothing for so long, and somebody is being made ready: an interlude says so ..."""

AGAIN_SECONDS = 2.0
"""... and again after as much silence."""


class Company:
    """Of one call."""

    def __init__(self, call: CallSession, around: Surroundings, floor: Floor) -> None:
        self._call = call
        self._around = around
        self._floor = floor
        self._clock = asyncio.get_running_loop().time

    @asynccontextmanager
    async def interlude(self) -> AsyncIterator[Interlude | None]:
        """Somebody who can speak, if there is a voice."""
        interlude = self._around.factory.interlude(self._call.listener, self._call)
        if interlude is None:
            yield None
            return
        try:
            self._floor.take(interlude)
            yield interlude
        except Exception as error:
            self._call.log.error("the caller is left in silence", exc_info=error)
        finally:
            await self._floor.leave(interlude)

    async def announce(self, what: Literal["connecting", "cannot_go_on"]) -> None:
        async with self.interlude() as interlude:
            if interlude is not None:
                await interlude.say(getattr(interlude.words, what))

    async def during(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What ``work`` returns, while the caller is not left alone; None where the call is over sooner."""
        enough = asyncio.Event()
        company = asyncio.ensure_future(self._keep(enough))
        try:
            return await unless(work, self._call.over)
        finally:
            enough.set()
            if self._call.over.is_set():
                company.cancel()
            await asyncio.wait((company,))
            if not company.cancelled():
                company.result()

    async def _keep(self, enough: asyncio.Event) -> None:
        """Until it is ``enough``, and what was begun to be said was said."""
        await first_of(self._call.attached, enough)
        quiet = self._clock() - max(self._call.attached_at, self._floor.quiet_since)
        await first_of(enough, self._call.over, seconds=max(0.0, QUIET_SECONDS - quiet))
        if enough.is_set() or self._call.leg is None:
            return
        async with self.interlude() as interlude:
            if interlude is None:
                return
            await interlude.say(interlude.words.one_moment)
            while not enough.is_set():
                await first_of(enough, seconds=AGAIN_SECONDS)
                if not enough.is_set():
                    await interlude.say(interlude.words.still_here)
