"""Listeners: agents activated on a number, or for browser sessions."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from secrets import token_bytes
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from pipelines.agent import AgentDefinition, ModelName
from pipelines.agent.secrets import OF_METADATA, OF_RECORDING, put_in, take_out
from store.accounts import NO_LIMITS, Limits
from store.agents import definition_with_keys
from store.batches import Batches
from store.database import Database
from store.errors import NotFound
from store.leases import first_expiry
from store.numbers import take
from store.registrations import DISABLED, take_registration
from store.rows import Owner, new_id, now
from store.tables import agents, listeners, organisations, phone_numbers, phone_registrations, users
from store.vault import Vault

ROOM_KEY = "instance"
"""What the key of a listener begins with, below its base64; then follow its id and 48 random bytes."""


@dataclass(frozen=True, slots=True)
class ListenerOptions:
    """What an activation adds to the agent. ``agent_limit``: calls at once; None is no limit, 0 is none at all.
    ``ttl``: it goes after so many seconds, unless its lease is renewed; ``tied``: its progress sockets do that."""

    metadata: dict[str, Any] = field(default_factory=dict)
    agent_limit: int | None = None
    stream_log: bool = False
    recording: dict[str, Any] | None = None
    websocket: bool = False
    ttl: int | None = None
    tied: bool = False


@dataclass(frozen=True, slots=True)
class Listener:
    """``expires_at`` is None without a lease."""

    id: str
    agent_id: str
    agent_name: str | None
    type: str
    number: str | None
    options: ListenerOptions
    created_at: datetime
    expires_at: datetime | None = None
    registration_id: str | None = None
    registration_name: str | None = None


@dataclass(frozen=True, slots=True)
class ListenerForCall:
    """All that a call needs to know about who answers it. ``limits`` are its owner's, as they were when it was looked
    up: for when the database that counts is away."""

    id: str
    agent_id: str
    owner: Owner
    agent: AgentDefinition
    number: str | None
    options: ListenerOptions
    limits: Limits = NO_LIMITS


@dataclass(frozen=True, slots=True)
class Room:
    """A listener as browsers join it. ``key`` is the credential for that and nothing else; ``telephone``: it has a
    number or a registration."""

    listener: ListenerForCall
    key: str = field(repr=False)
    telephone: bool


class Listeners:
    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self._asked = Batches(self._for_numbers)

    async def create(
        self,
        owner: Owner,
        agent_id: str,
        *,
        number: str | None,
        options: ListenerOptions,
        registration_id: str | None = None,
    ) -> tuple[Listener, str]:
        """Activate an agent on ``number`` (digits, or ``*`` for any free one), on a registration, or on neither; with
        the listener comes its key. Raises :class:`NotFound`, :class:`InUse` or :class:`NotSupported`, and then nothing
        was made."""
        query = sa.select(agents.c.name, agents.c.model_name).where(
            agents.c.id == agent_id, agents.c.organisation_id == owner.organisation_id
        )
        listener_id, at = new_id(), now()
        metadata, hook = take_out(options.metadata, OF_METADATA)
        recording, recorded = take_out(options.recording or {}, OF_RECORDING)
        secrets = {"metadata": hook, "recording": recorded}
        key = b64encode(f"{ROOM_KEY}:{listener_id}:".encode() + token_bytes(48)).decode()
        async with self._database.write() as connection:
            agent = (await connection.execute(query.with_for_update(read=True, key_share=True))).one_or_none()
            if agent is None:
                raise NotFound(f"There is no agent {agent_id}")
            model = ModelName.parse(agent.model_name)
            expires = await first_expiry(connection, options.ttl)
            await connection.execute(
                sa.insert(listeners).values(
                    id=listener_id,
                    organisation_id=owner.organisation_id,
                    user_id=owner.user_id,
                    agent_id=agent_id,
                    type=model.handler,
                    key=self._vault.seal(key, f"listener {listener_id}"),
                    websocket=options.websocket,
                    stream_log=options.stream_log,
                    metadata=metadata,
                    recording=recording if options.recording is not None else None,
                    sealed_options=self._vault.seal(json.dumps(secrets), f"listener {listener_id}")
                    if any(secrets.values())
                    else None,
                    agent_limit=options.agent_limit,
                    ttl=options.ttl,
                    tied=options.tied,
                    expires_at=expires,
                    created_at=at,
                )
            )
            taken = number and await take(connection, owner, listener_id, number, model.number_pool)
            name = registration_id and await take_registration(
                connection, owner, listener_id, registration_id, model.number_pool
            )
        made = Listener(
            listener_id, agent_id, agent.name, model.handler, taken, options, at, expires, registration_id, name
        )
        return made, key

    async def list(self, owner: Owner, *, agent_id: str | None = None) -> list[Listener]:
        """Without what is secret of their options."""
        query = _SELECT.where(listeners.c.organisation_id == owner.organisation_id).order_by(
            listeners.c.created_at, listeners.c.id
        )
        if agent_id is not None:
            query = query.where(listeners.c.agent_id == agent_id)
        async with self._database.read() as connection:
            return [_listener(row) for row in await connection.execute(query)]

    async def get(self, owner: Owner, listener_id: str) -> Listener | None:
        """Likewise."""
        async with self._database.read() as connection:
            row = (await connection.execute(_of(owner, listener_id))).one_or_none()
        return _listener(row) if row is not None else None

    async def delete(self, owner: Owner, listener_id: str, *, agent_id: str | None = None) -> bool:
        """Its number is free again."""
        statement = sa.delete(listeners).where(
            listeners.c.id == listener_id, listeners.c.organisation_id == owner.organisation_id
        )
        if agent_id is not None:
            statement = statement.where(listeners.c.agent_id == agent_id)
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount > 0

    async def for_number(self, number: str) -> ListenerForCall | None:
        """Who answers ``number`` (digits). Not scoped: the caller is the telephone network. Of calls that come at once,
        those to the same number may be given the same object."""
        found = await self._asked.get(number)
        return found() if found is not None else None

    async def room(self, listener_id: str, owner: Owner | None = None) -> Room | None:
        """Without ``owner``, of any: for who shows by the key that it is theirs."""
        query = _SELECT.where(listeners.c.id == listener_id) if owner is None else _of(owner, listener_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        key = self._vault.open(row.key, f"listener {listener_id}")
        return Room(self._for_call(row), key, row.number is not None or row.registration_id is not None)

    async def for_registration(self, registration_id: str) -> ListenerForCall | None:
        """Who answers calls to the registration, if it is not disabled. Not scoped, likewise."""
        r = phone_registrations.c
        async with self._database.read() as connection:
            row = (await connection.execute(_SELECT.where(r.id == registration_id, r.status != DISABLED))).one_or_none()
        return self._for_call(row) if row else None

    async def close(self) -> None:
        await self._asked.close()

    async def _for_numbers(self, numbers: Sequence[str]) -> dict[str, Callable[[], ListenerForCall]]:
        """A definition that cannot be read fails those who ask for its number, and nobody else."""
        async with self._database.read() as connection:
            rows = (await connection.execute(_SELECT.where(phone_numbers.c.number.in_(numbers)))).all()
        return {row.number: cache(partial(self._for_call, row)) for row in rows}

    def _for_call(self, row: sa.Row[Any]) -> ListenerForCall:
        definition = definition_with_keys(self._vault, row.agent_id, row.definition, row.sealed_keys)
        secrets = json.loads(self._vault.open(row.sealed_options, f"listener {row.id}")) if row.sealed_options else {}
        return ListenerForCall(
            id=row.id,
            agent_id=row.agent_id,
            owner=Owner(row.organisation_id, row.user_id),
            agent=AgentDefinition.model_validate(definition),
            number=row.number,
            options=_options(row, secrets),
            limits=Limits(row.organisation_limit, row.user_limit),
        )


_SELECT = (
    sa.select(
        listeners,
        agents.c.name,
        agents.c.definition,
        agents.c.sealed_keys,
        phone_numbers.c.number,
        phone_registrations.c.id.label("registration_id"),
        phone_registrations.c.name.label("registration_name"),
        organisations.c.agent_limit.label("organisation_limit"),
        users.c.agent_limit.label("user_limit"),
    )
    .join(agents, agents.c.id == listeners.c.agent_id)
    .join(organisations, organisations.c.id == listeners.c.organisation_id)
    .outerjoin(users, users.c.id == listeners.c.user_id)
    .outerjoin(phone_numbers, phone_numbers.c.listener_id == listeners.c.id)
    .outerjoin(phone_registrations, phone_registrations.c.listener_id == listeners.c.id)
)


def _of(owner: Owner, listener_id: str) -> sa.Select[Any]:
    return _SELECT.where(listeners.c.id == listener_id, listeners.c.organisation_id == owner.organisation_id)


def _listener(row: sa.Row[Any]) -> Listener:
    return Listener(
        row.id,
        row.agent_id,
        row.name,
        row.type,
        row.number,
        _options(row),
        row.created_at,
        row.expires_at,
        row.registration_id,
        row.registration_name,
    )


def _options(row: sa.Row[Any], secrets: Mapping[str, Mapping[str, Any]] = MappingProxyType({})) -> ListenerOptions:
    return ListenerOptions(
        put_in(row.metadata, secrets.get("metadata", {})),
        row.agent_limit,
        row.stream_log,
        put_in(row.recording, secrets.get("recording", {})) if row.recording is not None else None,
        row.websocket,
        row.ttl,
        row.tied,
    )
