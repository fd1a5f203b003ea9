"""One open database, and the queries on it by what they are about."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa

from pipelines.agent import AgentDefinition
from store.accounts import Accounts
from store.agents import Agents
from store.calls import Calls
from store.database import Database
from store.errors import CannotOpen, reason
from store.events import ListenerEvents
from store.invocations import InvocationLogs
from store.leases import Leases
from store.listeners import ListenerForCall, Listeners
from store.migrate import migrate
from store.numbers import Numbers
from store.places import Places
from store.processes import Processes
from store.provisioning import Provisioning
from store.questions import Questions
from store.recordings import Recordings
from store.registrations import Registrations
from store.retention import Retention
from store.rows import Owner
from store.sealed import SealedRows
from store.trunks import Trunks
from store.vault import Vault, load_or_make_key
from store.wakeups import Wakeups


class Store:
    """Open it with :meth:`open`; every method may be called from many tasks at once."""

    def __init__(self, database: Database, vault: Vault, node: str) -> None:
        self._database = database
        self.node = node
        self.accounts = Accounts(database)
        self.agents = Agents(database, vault)
        self.numbers = Numbers(database)
        self.trunks = Trunks(database)
        self.registrations = Registrations(database, vault)
        self.provisioning = Provisioning(database, vault, node)
        self.listeners = Listeners(database, vault)
        self.leases = Leases(database)
        self.calls = Calls(database, node)
        self.recordings = Recordings(database, vault)
        self.listener_events = ListenerEvents(database)
        self.wakeups = None if database.file is not None else Wakeups(database, node)
        self.questions = Questions(database, node)
        self.invocation_logs = InvocationLogs(database)
        self.retention = Retention(database)
        self.sealed = SealedRows(database, vault)
        self.places = Places(database, node)
        self.processes = Processes(database, self.places, node)

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        data_dir: Path,
        credentials_key: str | None = None,
        other_key: str | None = None,
        node: str | None = None,
    ) -> Store:
        """Connect, and bring the tables up to date.

        ``url`` is ``sqlite:///path`` or ``postgresql://…``. Secrets are encrypted with ``credentials_key``; without
        one, with a key that is kept in ``data_dir``. ``other_key`` opens what was sealed with it. ``node`` names this
        process among those on the same database, as no process was named before. Raises :class:`CannotOpen`, or
        OSError for what is on a disk.
        """
        database, vault = await asyncio.to_thread(_prepare, url, data_dir, credentials_key, other_key)
        store = cls(database, vault, node or f"{socket.gethostname()}/{secrets.token_hex(8)}")
        try:
            await database.reach()
            await migrate(database)
        except (sa.exc.SQLAlchemyError, OSError) as error:
            await database.close()
            raise CannotOpen(f"{database.shown} cannot be brought up to date: {reason(error)}") from error
        except BaseException:
            await database.close()
            raise
        return store

    async def find_listener(self, number: str) -> ListenerForCall | None:
        """Who answers the number: E.164 digits, with or without ``+``."""
        return await self.listeners.for_number(number.removeprefix("+"))

    async def find_listener_of_registration(self, registration_id: str) -> ListenerForCall | None:
        """Who answers calls to the registration."""
        return await self.listeners.for_registration(registration_id)

    async def find_agent(self, owner: Owner, agent_id: str) -> AgentDefinition | None:
        """An agent of the owner's, for a call."""
        return await self.agents.for_call(owner, agent_id)

    async def close(self) -> None:
        await self.listeners.close()
        await self._database.close()


def _prepare(url: str, data_dir: Path, credentials_key: str | None, other_key: str | None) -> tuple[Database, Vault]:
    """What touches the disk; not for the event loop."""
    database = Database(url)
    if database.file is not None:
        Path(database.file).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Nobody else's to read; SQLite gives the files beside it the same mode. One that is there is left alone:
        # closing it would end what locks SQLite has on it in this process.
        with suppress(FileExistsError):
            os.close(os.open(database.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return database, Vault(credentials_key or load_or_make_key(data_dir), *([other_key] if other_key else []))
