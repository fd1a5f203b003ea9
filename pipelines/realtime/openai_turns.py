"""When a new answer may be asked for: never while one is under way, and not while the caller's turn makes one anyway.

OpenAI Realtime refuses a ``response.create`` while a response is active. With detection of its own it makes responses
by itself, which may cross ours on the wire: one that was refused is asked for again when the active one is done.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal


class State(Enum):
    IDLE = auto()
    ASKED = auto()
    """We asked for a response, and it has not begun."""
    ACTIVE = auto()


@dataclass(slots=True)
class Request:
    """A response to be asked for. ``text``: is said as it stands. ``turn``: the caller's turn is answered. ``results``:
    tools' results are.

    ``unseen`` are the items that it is to answer, as far as the model has not yet taken them in: a response that begins
    after that answers them, too.
    """

    id: str
    message: str
    kind: Literal["text", "turn", "results"]
    unseen: set[str] = field(default_factory=set)


class Responses:
    """The responses of one session. Methods that can free the way return the request to be sent now, if any."""

    __slots__ = ("_by_server", "_cancelled", "_id", "_interrupts", "_sent", "_turn", "_wanted", "state")

    def __init__(self, *, by_server: bool, interrupts: bool) -> None:
        """``by_server``: the model answers the caller's turn by itself. ``interrupts``: and cancels an answer when the
        caller begins to speak."""
        self.state = State.IDLE
        self._by_server = by_server
        self._interrupts = interrupts
        self._id: str | None = None
        self._cancelled = False
        self._turn = False
        """The caller has begun a turn which the model will answer by itself."""
        self._sent: Request | None = None
        self._wanted: list[Request] = []

    @property
    def waiting(self) -> int:
        return len(self._wanted)

    def want(self, request: Request) -> Request | None:
        self._wanted.append(request)
        return self._next()

    def seen(self, items: Iterable[str]) -> None:
        """The model has taken these items into the conversation."""
        for request in (*self._wanted, *([self._sent] if self._sent is not None else [])):
            request.unseen.difference_update(items)

    def caller_speaks(self) -> None:
        self._turn = self._by_server
        if self._interrupts and self.state is not State.IDLE:
            self._cancelled = True

    def committed(self) -> bool:
        """The caller's turn is over. Whether it has to be asked for: with a response active, the model makes none."""
        if not self._by_server or self.state is not State.ACTIVE or self._cancelled:
            return False
        self._turn = False
        return True

    def created(self, id: str) -> None:
        self.state, self._id = State.ACTIVE, id
        self._cancelled = self._turn = False
        self._wanted = [request for request in self._wanted if request.kind == "text" or request.unseen]

    def done(self, id: str) -> Request | None:
        if self.state is State.ACTIVE and self._id in (None, id):
            self.state, self._id = State.IDLE, None
        return self._next()

    def refused(self, id: str | None, *, active: bool) -> Request | None:
        """The model refuses the message with this id, because a response is active, or for another reason. None: it
        does not say which message; a request that it says no more of must not hold up the others."""
        sent = self._sent
        if sent is None or id not in (sent.id, None) or (id is None and self.state is not State.ASKED):
            return None
        if active:
            self._sent = None
            self._wanted.insert(0, sent)
            if self.state is State.ASKED:
                self.state = State.ACTIVE
            return None if self.state is State.ACTIVE else self._next()
        if self.state is State.ASKED:
            self.state = State.IDLE
            return self._next()
        return None

    def interrupt(self) -> bool:
        """Whether the response has to be cancelled. What was to be said after it is not said any more."""
        self._wanted = [request for request in self._wanted if request.kind == "results"]
        if self.state is State.IDLE or self._cancelled:
            return False
        self._cancelled = True
        return True

    def _next(self) -> Request | None:
        if self.state is not State.IDLE:
            return None
        chosen = next((request for request in self._wanted if request.kind == "text" or not self._turn), None)
        if chosen is None:
            return None
        self._wanted.remove(chosen)
        if chosen.kind != "text":  # one answer is for all that wait for one
            for other in [request for request in self._wanted if request.kind != "text"]:
                chosen.unseen |= other.unseen
                chosen.kind = "results" if other.kind == "results" else chosen.kind
                self._wanted.remove(other)
        self.state, self._sent, self._cancelled = State.ASKED, chosen, False
        return chosen
