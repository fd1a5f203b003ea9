"""The workers as one of them sees them: who has a call, who is to have it, and how to reach him.

Workers talk over Unix sockets in a folder that nobody else can enter, by HTTP: each serves there what it serves to all,
and what :mod:`gateway.workers.switching` adds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import structlog
from yarl import URL

from gateway import metrics
from gateway.workers.routing import Report, Standing, Told, order, partner_takes

log = structlog.get_logger(__name__)

ASK_SECONDS = 1.0
"""The longest that another worker may take to say what it knows: it looks into its memory."""

PLACE_SECONDS = 3.0
"""The same of a home that is to say who takes a call: it has to ask, too, and may get no answer."""

PAUSES = (0.0, 0.01, 0.04)
"""Before a home offers a call, and offers it again where nobody had a place: of those who ring in the same instant,
some have a place at two workers for a moment."""

DEAF_SECONDS = 5.0
"""One that did not answer in time is not asked for so long."""

PLACED_SECONDS = 15.0
"""A home remembers for so long whom it gave a call: Jambonz asks again within that, and the call may not be known yet
where it is to be."""

PROMISED_SECONDS = 5.0
"""A place is kept for so long for a call that was placed here, and whose hook is still on its way."""

INSIDE = URL("http://worker")
"""The host is not looked at: the connector has the way."""


class Desk(Protocol):
    """What a worker knows of its own calls."""

    @property
    def max_calls(self) -> int: ...

    @property
    def taken(self) -> int:
        """Of :attr:`max_calls` places."""
        ...

    @property
    def draining(self) -> bool: ...

    def knows(self, call_sid: str) -> bool:
        """Whether a call with this sid is under way here, about to be, or over since not long."""
        ...

    def has(self, call_id: str) -> bool:
        """Whether a call with this id is under way here, or being placed, or its caller is still to be put through."""
        ...

    def genuine(self, body: bytes, signature: str | None) -> bool:
        """Whether a webhook is Jambonz's."""
        ...

    @property
    def under_way(self) -> int:
        """How many calls."""
        ...


class Crew:
    """As the worker of ``slot`` sees it; ``workers`` are there altogether. Its :attr:`desk` is to be set before anybody
    is served."""

    desk: Desk

    def __init__(self, slot: int, workers: int, directory: Path) -> None:
        self.slot = slot
        self.workers = workers
        self._directory = directory
        self._sessions: dict[int, aiohttp.ClientSession] = {}
        self._deaf: dict[int, float] = {}
        self._placing: dict[str, asyncio.Task[int]] = {}
        self._placed: dict[str, tuple[float, int]] = {}
        self._promised: dict[str, float] = {}

    @property
    def others(self) -> list[int]:
        return [slot for slot in range(self.workers) if slot != self.slot]

    def socket_path(self, slot: int) -> Path:
        return self._directory / f"{slot}.http"

    def handover_path(self, slot: int) -> Path:
        return self._directory / f"{slot}.sockets"

    def session(self, slot: int) -> aiohttp.ClientSession:
        """For requests to another worker."""
        session = self._sessions.get(slot)
        if session is None:
            connector = aiohttp.UnixConnector(str(self.socket_path(slot)), limit=0)
            session = self._sessions[slot] = aiohttp.ClientSession(connector=connector)
        return session

    async def close(self) -> None:
        for task in tuple(self._placing.values()):
            task.cancel()
        await asyncio.gather(*self._placing.values(), return_exceptions=True)
        await asyncio.gather(*(session.close() for session in self._sessions.values()))

    # This one

    def here(self, sid: str | None) -> Standing:
        """With the calls that are to come, for which there are places, too."""
        now, desk = asyncio.get_running_loop().time(), self.desk
        for one in [one for one, until in self._promised.items() if until < now or desk.knows(one)]:
            del self._promised[one]
        taken = desk.taken + len(self._promised)
        knows = sid is not None and (sid in self._promised or desk.knows(sid))
        return Standing(knows, taken / desk.max_calls, not desk.draining and taken < desk.max_calls)

    def consider(self, sid: str, home: Standing) -> bool:
        """Whether this one takes a call that its home offers; then there is a place for it."""
        own = self.here(sid)
        takes = partner_takes(home, own)
        if takes and not own.knows:
            self._promise(sid)
        return takes

    def _promise(self, sid: str) -> None:
        self._promised[sid] = asyncio.get_running_loop().time() + PROMISED_SECONDS

    # Calls by their sids

    async def whose(self, told: Told, *, begins: bool, call_id: str | None = None) -> int | None:
        """The worker that has the call which a hook is about; None where nobody has. With ``begins`` there may be none
        yet, and then it is the one that takes it. ``call_id`` is the one in the hook's path."""
        slot = None
        if told.tag is not None:
            # We have placed it, at the worker that was asked to; Jambonz has made up its sid only then.
            slot = await self.with_call(told.tag)
        if slot is None and (told.tag is not None or not begins):
            slot = await self.find(told.sids, everywhere=told.tag is not None)
        if slot is None and begins:
            return await self.place(told.sids[0]) if told.sids else None
        return await self.with_call(call_id) if slot is None and call_id is not None else slot

    async def find(self, sids: Sequence[str], *, everywhere: bool = False) -> int | None:
        """The worker that knows a call with one of these sids; None where nobody does. ``everywhere``: also one that
        is not of the first two of their order."""
        if any(self.here(sid).knows for sid in sids):
            return self.slot
        for sid in sids:
            asked = await (self._all(sid) if everywhere else self._first_two(sid))
            for slot, standing in asked:
                if standing.knows:
                    return slot
        return None

    async def home_of(self, key: str) -> int:
        """The worker for whatever has this key, so that the same finds the same; the next where that takes no calls."""
        for slot in order(key, self.workers):
            standing = self.here(None) if slot == self.slot else await self.standing(slot, None)
            if standing is not None and standing.open:
                return slot
        return self.slot

    async def place(self, sid: str) -> int:
        """The worker that has the call with this sid, or is to take it."""
        if self.here(sid).knows:
            return self.slot
        for slot in order(sid, self.workers):
            if slot == self.slot:
                return await self.place_as_home(sid)
            told = await self._ask(slot, "/worker/place", {"sid": sid}, seconds=PLACE_SECONDS)
            if told is not None:
                return int(told["slot"])
        return self.slot

    async def place_as_home(self, sid: str) -> int:
        """However many ask at once, there is one answer."""
        now = asyncio.get_running_loop().time()
        while self._placed and next(iter(self._placed.values()))[0] < now:
            del self._placed[next(iter(self._placed))]
        remembered = self._placed.get(sid, (0.0, None))[1]
        if remembered is not None and (remembered == self.slot or await self.standing(remembered, sid) is not None):
            return remembered
        placing = self._placing.get(sid)
        if placing is None:
            placing = self._placing[sid] = asyncio.create_task(self._place(sid))
            placing.add_done_callback(lambda _: self._placing.pop(sid, None))
        return await asyncio.shield(placing)

    async def _place(self, sid: str) -> int:
        slot = self.slot
        for pause in PAUSES:
            await asyncio.sleep(pause)
            home = self.here(None)
            if self.here(sid).knows:
                break
            if home.open:
                self._promise(sid)  # until another takes it: those who ring in the same instant are to see each other
            taker = await self._taker(sid, home)
            if taker is not None:
                slot = taker
                self._promised.pop(sid, None)
            if taker is not None or home.open:
                break
        self._placed[sid] = asyncio.get_running_loop().time() + PLACED_SECONDS, slot
        return slot

    async def _taker(self, sid: str, home: Standing) -> int | None:
        """The next in the order, if it takes the call; ``home`` is how this one stands without it."""
        about = {"sid": sid, "load": str(home.load), "open": str(int(home.open))}
        for other in order(sid, self.workers):
            told = await self._ask(other, "/worker/offer", about) if other != self.slot else None
            if told is not None:
                return other if told["takes"] else None
        return None

    async def _first_two(self, sid: str) -> list[tuple[int, Standing]]:
        """Those of the call's order who can be reached: one of them has the call, if anybody has. After one that knows
        it nobody is asked."""
        reached: list[tuple[int, Standing]] = []
        for slot in order(sid, self.workers):
            standing = self.here(sid) if slot == self.slot else await self.standing(slot, sid)
            if standing is not None:
                reached.append((slot, standing))
                if standing.knows or len(reached) == 2:
                    break
        return reached

    async def _all(self, sid: str) -> list[tuple[int, Standing]]:
        told = await asyncio.gather(*(self.standing(slot, sid) for slot in self.others))
        return [(slot, one) for slot, one in zip(self.others, told, strict=True) if one is not None]

    # The others

    async def standing(self, slot: int, sid: str | None) -> Standing | None:
        """What another worker says of itself; None where it cannot be reached."""
        told = await self._ask(slot, "/worker/standing", {"sid": sid} if sid is not None else {})
        return Standing(told["knows"], told["load"], told["open"]) if told is not None else None

    async def least_busy(self) -> int:
        """The worker that is to take a call which nobody knows yet."""
        own = self.here(None)
        told = await asyncio.gather(*(self.standing(slot, None) for slot in self.others))
        best, best_standing = self.slot, own
        for slot, standing in zip(self.others, told, strict=True):
            if standing is not None and partner_takes(best_standing, standing):
                best, best_standing = slot, standing
        return best

    async def with_call(self, call_id: str) -> int | None:
        """The worker that has the call with this id."""
        if self.desk.has(call_id):
            return self.slot
        asked = self.others
        told = await asyncio.gather(*(self._ask(slot, "/worker/call", {"id": call_id}) for slot in asked))
        return next((slot for slot, one in zip(asked, told, strict=True) if one is not None and one["has"]), None)

    async def tell(self, slot: int, path: str, told: Any, *, seconds: float) -> tuple[int, Any]:
        """The status and the JSON of its answer. Raises ConnectionError or TimeoutError."""
        try:
            async with asyncio.timeout(seconds), self.session(slot).post(INSIDE.with_path(path), json=told) as answer:
                metrics.workers_passed.labels("request").inc()
                return answer.status, await answer.json()
        except aiohttp.ClientError as error:
            metrics.workers_unreached.labels("away").inc()
            raise ConnectionResetError(f"the other worker cannot be reached: {error}") from None

    async def reports(self) -> list[Report]:
        """Of each of the others that can be reached."""
        told = await asyncio.gather(*(self._ask(slot, "/worker/report", {}) for slot in self.others))
        return [Report(one["calls"], one["draining"]) for one in told if one is not None]

    async def _ask(
        self, slot: int, path: str, query: Mapping[str, str], *, seconds: float | None = None
    ) -> dict[str, Any] | None:
        """None where it cannot be reached."""
        loop, seconds = asyncio.get_running_loop(), seconds or ASK_SECONDS
        if self._deaf.get(slot, 0.0) > loop.time():
            return None
        try:
            url = INSIDE.with_path(path).with_query(query)
            async with asyncio.timeout(seconds), self.session(slot).get(url) as answer:
                answer.raise_for_status()
                told: dict[str, Any] = await answer.json()
                return told
        except TimeoutError:
            self._deaf[slot] = loop.time() + DEAF_SECONDS
            metrics.workers_unreached.labels("too_slow").inc()
            log.warning("another worker does not answer", other=slot, seconds=seconds)
        except (aiohttp.ClientError, OSError) as error:
            metrics.workers_unreached.labels("away").inc()
            log.debug("another worker is not there", other=slot, why=str(error))
        return None
