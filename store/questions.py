"""Functions that clients answer, between processes: which sockets answer, what they are asked, and what they say.

A socket belongs to its process, a question to the process of its call, and each goes with its row there. Messages only
wake (:mod:`store.wakeups`): whoever was asked, or has asked, reads it here. With SQLite there is one process, which
needs none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import sqlalchemy as sa

from store.database import Database
from store.rows import clock
from store.tables import client_questions as questions
from store.tables import client_sockets as sockets
from store.wakeups import tell_clients

MOST_SOCKETS = 200
"""Of one listener that are looked at, the newest first."""


@dataclass(frozen=True, slots=True)
class ClientSocket:
    """``names``: the functions that it answers, None is all; ``call_id``: of this call only."""

    id: str
    organisation_id: str
    listener_id: str
    names: Sequence[str] | None
    call_id: str | None


@dataclass(frozen=True, slots=True)
class Question:
    """``message`` is what the socket is sent."""

    id: str
    socket_id: str
    organisation_id: str
    listener_id: str
    message: Mapping[str, Any]


KEPT = timedelta(minutes=1)
"""A question that is over is gone by then."""

Verdict = Literal["taken", "answered", "late", "unknown"]
"""What became of an answer."""


class Questions:
    """``node`` is this process."""

    def __init__(self, database: Database, node: str) -> None:
        self._database = database
        self._node = node

    async def open(self, socket: ClientSocket) -> None:
        async with self._database.write() as connection:
            row = {"process_id": self._node, "created_at": await clock(connection)}
            names = None if socket.names is None else list(socket.names)
            await connection.execute(
                sa.insert(sockets).values(
                    **row,
                    id=socket.id,
                    organisation_id=socket.organisation_id,
                    listener_id=socket.listener_id,
                    names=names,
                    call_id=socket.call_id,
                )
            )

    async def close(self, socket_id: str) -> None:
        async with self._database.write() as connection:
            await connection.execute(sa.delete(sockets).where(sockets.c.id == socket_id))

    async def newest(self, organisation_id: str, listener_id: str, call_id: str, name: str) -> tuple[str, str] | None:
        """The process and the id of the socket that answers this function and came last."""
        query = (
            sa.select(sockets.c.process_id, sockets.c.id, sockets.c.names)
            .where(sockets.c.organisation_id == organisation_id, sockets.c.listener_id == listener_id)
            .where(sa.or_(sockets.c.call_id.is_(None), sockets.c.call_id == call_id))
            .order_by(sockets.c.created_at.desc())
            .limit(MOST_SOCKETS)
        )
        async with self._database.read() as connection:
            for row in await connection.execute(query):
                if row.names is None or name in row.names:
                    return row.process_id, row.id
        return None

    async def put(self, question: Question, *, process_id: str, seconds: float) -> None:
        """Asked by this process; ``process_id`` has the socket. This one itself has told it already."""
        own = process_id == self._node
        async with self._database.write() as connection:
            at = await clock(connection)
            left = sa.and_(questions.c.asked_by == self._node, questions.c.expires_at < at - KEPT)
            await connection.execute(sa.delete(questions).where(left))  # what could not be dropped in its time
            await connection.execute(
                sa.insert(questions).values(
                    id=question.id,
                    asked_by=self._node,
                    process_id=process_id,
                    socket_id=question.socket_id,
                    organisation_id=question.organisation_id,
                    listener_id=question.listener_id,
                    message=dict(question.message),
                    told=own,
                    expires_at=at + timedelta(seconds=seconds),
                )
            )
            if not own:
                await tell_clients(connection, process_id, by=self._node)

    async def drop(self, question_id: str) -> None:
        async with self._database.write() as connection:
            await connection.execute(sa.delete(questions).where(questions.c.id == question_id))

    async def asked_here(self) -> Sequence[Question]:
        """What sockets of this process are to be told; each once."""
        mine = sa.and_(questions.c.process_id == self._node, questions.c.told.is_(False))
        async with self._database.write() as connection:
            rows = await connection.execute(
                sa.update(questions)
                .where(mine, questions.c.expires_at > await clock(connection))
                .values(told=True)
                .returning(
                    questions.c.id,
                    questions.c.socket_id,
                    questions.c.organisation_id,
                    questions.c.listener_id,
                    questions.c.message,
                )
            )
            return [Question(*row) for row in rows]

    async def answered_elsewhere(self) -> Mapping[str, Mapping[str, Any]]:
        """The answers to what this process has asked, by question."""
        query = sa.select(questions.c.id, questions.c.answer).where(
            questions.c.asked_by == self._node, questions.c.answer.is_not(None)
        )
        async with self._database.read() as connection:
            return {row.id: row.answer for row in await connection.execute(query)}

    async def answer(
        self, organisation_id: str, listener_id: str, question_id: str, answer: Mapping[str, Any]
    ) -> Verdict:
        """The first answer in time is the one."""
        this = sa.and_(
            questions.c.id == question_id,
            questions.c.organisation_id == organisation_id,
            questions.c.listener_id == listener_id,
        )
        async with self._database.write() as connection:
            at = await clock(connection)
            taken = await connection.execute(
                sa.update(questions)
                .where(this, questions.c.answer.is_(None), questions.c.expires_at > at)
                .values(answer=dict(answer))
                .returning(questions.c.asked_by)
            )
            asked_by = taken.scalar_one_or_none()
            if asked_by is not None:
                await tell_clients(connection, asked_by, by=self._node)
                return "taken"
            row = (await connection.execute(sa.select(questions.c.answer).where(this))).one_or_none()
        if row is None:
            return "unknown"
        return "late" if row.answer is None else "answered"
