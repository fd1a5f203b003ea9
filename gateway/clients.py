"""Functions that clients answer, over progress sockets that said so, whichever process these are connected to.

The socket that came last is asked, and no other: what it does is to happen once. Whoever may watch the listener may
answer, on any socket, until the function's time is over: a client whose socket was lost comes again, and answers.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from gateway.client_messages import Answer, Misunderstood, parse, question, refusal
from gateway.progress import Event
from pipelines.tools.means import ToolFault
from store import Owner, Store
from store.errors import reason
from store.listeners import ListenerForCall
from store.questions import ClientSocket, Question
from store.trouble import Trouble

log = structlog.get_logger(__name__)

STORE_SECONDS = 2.0
RETRY_SECONDS = 1.0
MOST_WAITING = 64
"""Messages that wait to be sent to one socket: with more, it is asked no more."""

MOST_OVER = 1000
"""Questions that are over, and of which it is known what became of them."""

NOBODY = "nobody is there who answers this function just now"
_REFUSED = {
    "answered": "This call of a function was answered already.",
    "late": "This call of a function is over: its time has passed, or the caller interrupted it.",
    "unknown": "There is no call of a function with this id that waits for an answer.",
}


@dataclass(eq=False, slots=True)
class Line:
    """One progress socket's own. ``names``: the functions it answers; None is all, and none is no answers at all."""

    owner: Owner
    listener_id: str
    call_id: str | None
    names: Sequence[str] | None
    clients: Clients
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    outbox: asyncio.Queue[Event] = field(default_factory=lambda: asyncio.Queue(MOST_WAITING))

    @property
    def shown(self) -> ClientSocket:
        """To other processes."""
        return ClientSocket(self.id, self.owner.organisation_id, self.listener_id, self.names, self.call_id)

    async def hear(self, text: str) -> bool:
        """What the socket sent. Whether it was about functions."""
        said = parse(text)
        for one in said or ():
            if self.names == ():
                one = Misunderstood("This socket does not answer functions: open it with ?functions=*.", one.id)
            elif isinstance(one, Answer):
                why = await self.clients.answer(self.owner, self.listener_id, one)
                if why is None:
                    continue
                one = Misunderstood(why, one.id)
            self.offer(refusal(one))
        return said is not None

    def offer(self, event: Event) -> bool:
        """Whether it can be sent."""
        try:
            self.outbox.put_nowait(event)
        except asyncio.QueueFull:
            return False
        return True

    def answers(self, question: _Asked) -> bool:
        return (
            self.owner.organisation_id == question.organisation_id
            and self.listener_id == question.listener_id
            and self.call_id in (None, question.call_id)
            and (self.names is None or question.name in self.names)
        )


@dataclass(frozen=True, eq=False, slots=True)
class _Asked:
    organisation_id: str
    listener_id: str
    call_id: str
    name: str
    answer: asyncio.Future[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class ClientsOfCall:
    """Of one call."""

    clients: Clients
    listener: ListenerForCall
    call_id: str

    async def ask(self, name: str, arguments: Mapping[str, Any], *, seconds: float) -> Any:
        return await self.clients.ask(self.listener, self.call_id, name, arguments, seconds=seconds)


class Clients:
    """Those of this process. :meth:`run` it in a task."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._shared = store.wakeups is not None
        self._lines: list[Line] = []  # in the order in which they came
        self._waiting: dict[str, _Asked] = {}
        self._over: OrderedDict[str, tuple[str, str]] = OrderedDict()  # by id: of which listener, and what became of it
        self._news = asyncio.Event()
        self._chores: set[asyncio.Task[None]] = set()

    def of_call(self, listener: ListenerForCall, call_id: str) -> ClientsOfCall:
        return ClientsOfCall(self, listener, call_id)

    def revive(self) -> None:
        """This process was taken for dead: its sockets are told to the others once more."""
        if self._shared:
            for line in self._lines:
                self._beside(self._store.questions.open(line.shown))

    def wake(self) -> None:
        """There may be something from other processes."""
        self._news.set()

    async def run(self) -> None:
        """For ever: hears of other processes what is for this one."""
        trouble = Trouble(log, "cannot read what clients are asked")
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                async with asyncio.timeout(STORE_SECONDS):
                    await self._look()
            except Exception as error:  # noqa: BLE001 - whatever a database fails with: it is tried again
                trouble.failed(error)
                await asyncio.sleep(RETRY_SECONDS)
                self._news.set()
            else:
                trouble.over()

    async def close(self) -> None:
        if self._chores:
            await asyncio.wait(self._chores, timeout=STORE_SECONDS)

    @asynccontextmanager
    async def line(
        self, owner: Owner, listener_id: str, names: Sequence[str] | None, call_id: str | None = None
    ) -> AsyncIterator[Line]:
        """While a progress socket is open."""
        line = Line(owner, listener_id, call_id, names, self)
        if names == ():
            yield line
            return
        self._lines.append(line)
        try:
            if self._shared:
                await self._try(self._store.questions.open(line.shown))
            yield line
        finally:
            self._lines.remove(line)
            if self._shared:
                self._beside(self._store.questions.close(line.id))

    async def ask(
        self, listener: ListenerForCall, call_id: str, name: str, arguments: Mapping[str, Any], *, seconds: float
    ) -> Any:
        """What a client answers. Raises :class:`ToolFault`, within ``seconds``, and at once where nobody is there."""
        id = secrets.token_urlsafe(12)
        future = asyncio.get_running_loop().create_future()
        asked = _Asked(listener.owner.organisation_id, listener.id, call_id, name, future)
        message = question(id, call_id, name, arguments, seconds, datetime.now(UTC))
        self._waiting[id] = asked
        try:
            async with asyncio.timeout(seconds):
                await self._put(id, asked, message, seconds)
                said = await future
        except TimeoutError:
            raise ToolFault(f"nobody answered within {seconds:g} s; it may have been done or not") from None
        finally:
            del self._waiting[id]
            self._over[id] = (asked.listener_id, "answered" if future.done() and not future.cancelled() else "late")
            if len(self._over) > MOST_OVER:
                self._over.popitem(last=False)
            if self._shared:
                self._beside(self._store.questions.drop(id))
        if "error" in said:
            raise ToolFault(str(said["error"]))
        return said.get("result")

    async def answer(self, owner: Owner, listener_id: str, answer: Answer) -> str | None:
        """None, or a sentence: why it cannot be taken."""
        asked = self._waiting.get(answer.id)
        if asked is not None:
            if (asked.organisation_id, asked.listener_id) != (owner.organisation_id, listener_id):
                return _REFUSED["unknown"]
            if asked.answer.done():
                return _REFUSED["answered"]
            asked.answer.set_result(answer.said)
            return None
        of, became = self._over.get(answer.id, ("", ""))
        if of == listener_id:
            return _REFUSED[became]
        if not self._shared:
            return _REFUSED["unknown"]
        try:
            async with asyncio.timeout(STORE_SECONDS):
                verdict = await self._store.questions.answer(owner.organisation_id, listener_id, answer.id, answer.said)
        except Exception as error:  # noqa: BLE001 - whatever a database fails with
            log.warning("cannot pass on what a client answered", error=reason(error))
            return "The answer cannot be passed on just now: send it again."
        return None if verdict == "taken" else _REFUSED[verdict]

    async def _put(self, id: str, asked: _Asked, message: Event, seconds: float) -> None:
        """To the socket that came last, of all processes. Raises :class:`ToolFault` where there is none."""
        line = next((line for line in reversed(self._lines) if line.answers(asked)), None)
        process, socket = (self._store.node, line.id) if line is not None else ("", "")
        if self._shared:
            newest = self._store.questions.newest(asked.organisation_id, asked.listener_id, asked.call_id, asked.name)
            found = await self._try(newest)
            if found is not None and (found[0] != self._store.node or line is None):
                process, socket = found
        own = next((line for line in self._lines if line.id == socket), None)
        if not process or (process == self._store.node and own is None):
            raise ToolFault(NOBODY)
        if self._shared:  # put down before it is told: the answer may come by another process, and at once
            put = Question(id, socket, asked.organisation_id, asked.listener_id, message)
            done = await self._try(self._put_down(put, process, seconds))
            if not done and own is None:
                raise ToolFault(NOBODY)
        if own is not None and not own.offer(message):
            raise ToolFault(NOBODY)

    async def _put_down(self, question: Question, process: str, seconds: float) -> bool:
        await self._store.questions.put(question, process_id=process, seconds=seconds)
        return True

    async def _look(self) -> None:
        store = self._store.questions
        for asks in await store.asked_here():
            line = next((line for line in self._lines if line.id == asks.socket_id), None)
            if line is None or not line.offer(dict(asks.message)):
                await store.answer(asks.organisation_id, asks.listener_id, asks.id, {"error": NOBODY})
        if self._waiting:
            for id, said in (await store.answered_elsewhere()).items():
                asked = self._waiting.get(id)
                if asked is not None and not asked.answer.done():
                    asked.answer.set_result(said)

    async def _try(self, work: Coroutine[Any, Any, Any]) -> Any:
        """None where the database does not answer in time: then it goes without."""
        try:
            async with asyncio.timeout(STORE_SECONDS):
                return await work
        except Exception as error:  # noqa: BLE001 - whatever a database fails with
            log.warning("clients of other processes cannot be asked", error=reason(error))
            return None

    def _beside(self, work: Coroutine[Any, Any, Any]) -> None:
        async def do() -> None:
            await self._try(work)

        task = asyncio.create_task(do())
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)
