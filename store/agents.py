"""Agents: stored as they were sent, their secrets encrypted apart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from pipelines.agent import AgentDefinition
from pipelines.agent.secrets import put_in
from store.database import Database
from store.rows import Owner, Page, new_id, now
from store.tables import agents
from store.vault import Vault

SearchField = Literal["all", "name", "model"]


@dataclass(frozen=True, slots=True)
class Agent:
    """A row. ``definition`` is the JSON that was sent, without ``keys`` and other secrets."""

    id: str
    owner: Owner
    definition: dict[str, Any]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class AgentSummary:
    id: str
    name: str | None
    description: str | None
    model_name: str
    created_at: datetime
    updated_at: datetime


class Agents:
    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def create(self, owner: Owner, definition: AgentDefinition) -> Agent:
        at = now()
        agent = Agent(new_id(), owner, definition.as_stored(), at, at)
        async with self._database.write() as connection:
            await connection.execute(
                sa.insert(agents).values(
                    id=agent.id,
                    organisation_id=owner.organisation_id,
                    user_id=owner.user_id,
                    created_at=at,
                    updated_at=at,
                    **self._columns(agent.id, definition),
                )
            )
        return agent

    async def get(self, owner: Owner, agent_id: str) -> Agent | None:
        async with self._database.read() as connection:
            row = (await connection.execute(_select(owner, agent_id))).one_or_none()
        return _agent(row) if row else None

    async def for_call(self, owner: Owner, agent_id: str) -> AgentDefinition | None:
        """With its keys. Raises ``ValidationError`` where it was stored by another version, and is none for this."""
        async with self._database.read() as connection:
            row = (await connection.execute(_select(owner, agent_id))).one_or_none()
        if row is None:
            return None
        return AgentDefinition.model_validate(
            definition_with_keys(self._vault, row.id, row.definition, row.sealed_keys)
        )

    async def list(
        self, owner: Owner, page: Page, *, search: str = "", field: SearchField = "all"
    ) -> list[AgentSummary]:
        """The newest change first."""
        query = (
            sa.select(
                agents.c.id,
                agents.c.name,
                agents.c.definition["description"].label("description"),
                agents.c.model_name,
                agents.c.created_at,
                agents.c.updated_at,
            )
            .where(agents.c.organisation_id == owner.organisation_id)
            .order_by(agents.c.updated_at.desc(), agents.c.id)
            .limit(page.limit)
            .offset(page.offset)
        )
        if search:
            by_name = agents.c.name.icontains(search, autoescape=True)
            by_model = agents.c.model_name.icontains(search, autoescape=True)
            query = query.where({"name": by_name, "model": by_model, "all": sa.or_(by_name, by_model)}[field])
        async with self._database.read() as connection:
            return [AgentSummary(*row) for row in await connection.execute(query)]

    async def update(
        self, owner: Owner, agent_id: str, change: Callable[[dict[str, Any]], AgentDefinition]
    ) -> Agent | None:
        """Replace the definition by what ``change`` makes of it (keys included), as one step that nobody comes between.

        ``change`` is called in a thread: what it makes may take its time to be read. None if there is no such agent; an
        error that ``change`` raises leaves the agent as it was.
        """
        async with self._database.write() as connection:
            row = (await connection.execute(_select(owner, agent_id).with_for_update())).one_or_none()
            if row is None:
                return None
            stored = definition_with_keys(self._vault, row.id, row.definition, row.sealed_keys)
            changed = await asyncio.to_thread(change, stored)
            at = now()
            await connection.execute(
                sa.update(agents)
                .where(agents.c.id == agent_id)
                .values(updated_at=at, **self._columns(agent_id, changed))
            )
        return Agent(agent_id, owner, changed.as_stored(), row.created_at, at)

    async def delete(self, owner: Owner, agent_id: str) -> bool:
        """Its listeners go with it, and their numbers are free again."""
        async with self._database.write() as connection:
            done = await connection.execute(
                sa.delete(agents).where(agents.c.id == agent_id, agents.c.organisation_id == owner.organisation_id)
            )
        return done.rowcount > 0

    def _columns(self, agent_id: str, definition: AgentDefinition) -> dict[str, Any]:
        secrets = {"keys": definition.secrets(), "options": definition.option_secrets()}
        return {
            "name": definition.name,
            "model_name": definition.model_name,
            "definition": definition.as_stored(),
            "sealed_keys": self._vault.seal(json.dumps(secrets), _context(agent_id)) if any(secrets.values()) else None,
        }


def definition_with_keys(vault: Vault, agent_id: str, stored: dict[str, Any], sealed: str | None) -> dict[str, Any]:
    """The definition as it was sent, secrets and all: for validation and for calls, never for answers."""
    if sealed is None:
        return stored
    secrets = json.loads(vault.open(sealed, _context(agent_id)))
    if isinstance(secrets, list):  # of a version that sealed the keys alone
        secrets = {"keys": secrets, "options": {}}
    whole = {**stored, "keys": secrets["keys"]}
    return {**whole, "options": put_in(stored["options"], secrets["options"])} if secrets["options"] else whole


def _context(agent_id: str) -> str:
    return f"agent {agent_id}"


def _select(owner: Owner, agent_id: str) -> sa.Select[Any]:
    return sa.select(agents).where(agents.c.id == agent_id, agents.c.organisation_id == owner.organisation_id)


def _agent(row: sa.Row[Any]) -> Agent:
    return Agent(row.id, Owner(row.organisation_id, row.user_id), row.definition, row.created_at, row.updated_at)
