"""Who answers a call: the listener of the registration that it came by, or of the number that was called."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog
from pydantic import ValidationError

from gateway import metrics
from gateway.known import KnownListeners
from jambonz.hooks import CallHook
from jambonz.provisioning.wanted import registration_of
from store import Store
from store.errors import StoreError, reason
from store.listeners import ListenerForCall

log = structlog.get_logger(__name__)

LOOK_UP_SECONDS = 2.0
"""The longest that it may take: Jambonz gives a webhook 10 s, and an application socket 5."""


@dataclass(frozen=True, slots=True)
class Nobody:
    """Answers: ``status`` and ``phrase`` are SIP's."""

    status: int
    phrase: str
    reason: str


class Lookup:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._known = KnownListeners()

    async def find(self, hook: CallHook) -> ListenerForCall | Nobody:
        """Without the database: whoever answered before."""
        registration = registration_of(hook.originating_sip_trunk_name)
        wanted = registration or hook.to
        if wanted is None:
            return Nobody(404, "Not Found", "no_number")
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                listener = await self._listener(registration, hook.to)
        except Exception as error:  # noqa: BLE001 - whatever a database fails with
            # What is there, and cannot be read, is not what answered before.
            unreadable = isinstance(error, StoreError | ValidationError)
            known, sentence = (None, str(error)) if unreadable else (self._known.recall(wanted), reason(error))
            if known is None:
                log.error("cannot look up who answers", call_sid=hook.call_sid, error=sentence)
                return Nobody(480, "Temporarily Unavailable", "store")
            metrics.calls_without_store.inc()
            log.warning("the database is away; who answered before does", call_sid=hook.call_sid, error=sentence)
            return known
        self._known.remember(wanted, listener)
        return listener if listener is not None else Nobody(404, "Not Found", "no_listener")

    async def _listener(self, registration: str | None, called: str | None) -> ListenerForCall | None:
        found = await self._store.find_listener_of_registration(registration) if registration else None
        return found if found is not None or called is None else await self._store.find_listener(called)
