"""What one process asks another one to do: that which has a call, where a request about the call came to this one.

A question and its answer are messages that may be lost. Who asks waits for a bounded time and may ask again, so that
what is asked for has to come to the same when it is done twice.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from store.wakeups import Wakeups

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 2.0
"""The longest wait for another process."""

EVERYBODY = "*"

Answer = Mapping[str, Any] | None
"""JSON; None where there is nothing of what was asked for."""

Handler = Callable[[Mapping[str, Any]], Awaitable[Answer]]


class Unanswered(Exception):
    """Whether it was done is not known."""


class Asking:
    """Of one process, ``node``. Without ``wakeups`` there is no other."""

    def __init__(self, wakeups: Wakeups | None, node: str) -> None:
        self._wakeups = wakeups
        self._node = node
        self._answering: dict[str, Handler] = {}
        self._asked: dict[str, asyncio.Future[Answer]] = {}
        self._replies: set[asyncio.Task[None]] = set()

    def answer(self, what: str, by: Handler) -> None:
        """``by`` answers what others ask this process."""
        self._answering[what] = by

    async def ask(self, node: str, what: str, about: Mapping[str, Any], *, seconds: float = ANSWER_SECONDS) -> Answer:
        """What the process ``node`` answers. Raises :class:`Unanswered`."""
        number = secrets.token_hex(8)
        asked = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            message = {"to": node, "ask": number, "what": what, "about": about, "seconds": seconds}
            if self._wakeups is None or not self._wakeups.tell(message):
                raise Unanswered("nobody can be asked just now")
            async with asyncio.timeout(seconds):
                answer: Answer = await asked
                return answer
        except TimeoutError:
            raise Unanswered(f"no answer within {seconds:g} s") from None
        finally:
            del self._asked[number]

    def shout(self, what: str, about: Mapping[str, Any]) -> None:
        """To every other process, none of which answers."""
        if self._wakeups is not None:
            self._wakeups.tell({"to": EVERYBODY, "ask": "", "what": what, "about": about, "seconds": ANSWER_SECONDS})

    def on_told(self, by: str, message: Mapping[str, Any]) -> None:
        """What another process says, to whomever."""
        match message:
            case {
                "to": self._node | "*",
                "ask": str(number),
                "what": str(what),
                "about": dict(about),
                "seconds": float() | int() as seconds,
            }:
                reply = asyncio.create_task(self._reply(by, number, what, about, seconds), name=f"answer {what}")
                self._replies.add(reply)
                reply.add_done_callback(self._replies.discard)
            case {"to": self._node, "answer": str(number), "is": dict() | None as answer}:
                asked = self._asked.get(number)
                if asked is not None and not asked.done():
                    asked.set_result(answer)
            case _:
                pass  # to somebody else, or by a version that knows more

    async def close(self) -> None:
        """Nobody is answered any more."""
        for reply in tuple(self._replies):
            reply.cancel()
        await asyncio.gather(*self._replies, return_exceptions=True)

    async def _reply(self, by: str, number: str, what: str, about: Mapping[str, Any], seconds: float) -> None:
        answering = self._answering.get(what)
        if answering is None or self._wakeups is None:
            return  # by a version that knows more: it is told so by silence
        try:
            async with asyncio.timeout(seconds):
                answer = await answering(about)
        except Exception as error:
            log.error("what another process asked for failed", what=what, exc_info=error)
            return
        if number and not self._wakeups.tell({"to": by, "answer": number, "is": answer}):
            log.warning("another process cannot be answered", what=what)
