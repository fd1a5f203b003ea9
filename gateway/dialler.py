"""Has Jambonz ring somebody, and stop: by its REST API, as the application that calls come in by.

So a call that is placed comes back as others come, by webhooks or by a socket, with the credentials and the voices that
the account's owner has set there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import structlog

from jambonz.outgoing import Body
from jambonz.provisioning.perform import account_of
from jambonz.provisioning.wanted import Application
from jambonz.rest import Api, Refused, Unavailable, create_call, stop_ringing

log = structlog.get_logger(__name__)


class CannotDial(Exception):
    """Nobody rings, as far as it is known; the message is a sentence. ``nowhere``: there is no Jambonz; ``refused``: it
    does not want to; ``away``: it cannot just now."""

    def __init__(self, sentence: str, kind: Literal["nowhere", "refused", "away"] = "away") -> None:
        super().__init__(sentence)
        self.kind = kind


class Dialler:
    """``public_url`` names the application: there is one for each address of the service. ``account_sid`` may be left
    to the key, which sees one account."""

    def __init__(self, api: Api, account_sid: str | None, public_url: str) -> None:
        self._api = api
        self._account = account_sid
        self._name = Application.at(public_url).name
        self._application: str | None = None

    async def place(self, body: Body) -> str:
        """Returns the call's sid. ``body`` is of :func:`jambonz.outgoing.new_call`; the application is ours. Raises
        :class:`CannotDial`. Two requests where they are the first, and four at the most: each has its own deadline, and
        whoever waits for all of them has one, too."""
        try:
            known = self._application is not None
            account, application = await self._place()
            try:
                return await create_call(self._api, account, {**body, "application_sid": application})
            except Refused as refused:
                if not known or refused.status != 400 or "application_sid" not in str(refused):
                    raise
            log.info("Jambonz has the application no longer; it is looked for again")
            self._application = None
            account, application = await self._place()
            return await create_call(self._api, account, {**body, "application_sid": application})
        except Refused as refused:
            raise CannotDial(f"Jambonz does not place the call: {refused}", _kind(refused)) from None
        except Unavailable as error:
            raise CannotDial(f"Jambonz cannot place the call: {error}") from None

    async def stop(self, call_sid: str) -> None:
        """Of a call that rings. Raises :class:`CannotDial`."""
        try:
            account = self._account = self._account or await account_of(self._api)
            await stop_ringing(self._api, account, call_sid)
        except (Refused, Unavailable) as error:
            raise CannotDial(f"Jambonz could not be told to stop the ringing: {error}") from None

    async def _place(self) -> tuple[str, str]:
        """The account, and the sid of our application there."""
        account = self._account = self._account or await account_of(self._api)
        if self._application is None:
            rows = await self._api.request("GET", f"/Applications?account_sid={account}")
            self._application = _sid_of(rows, self._name)
        if self._application is None:
            raise CannotDial(f"Jambonz has no application {self._name!r} yet; `trunkline numbers sync` makes it")
        return account, self._application


def _kind(refused: Refused) -> Literal["refused", "away"]:
    """480 is that there is no feature server just now."""
    return "away" if refused.status == 480 else "refused"


def _sid_of(rows: Any, name: str) -> str | None:
    found = (
        [row for row in rows if isinstance(row, Mapping) and row.get("name") == name] if isinstance(rows, list) else []
    )
    return str(found[0]["application_sid"]) if found and found[0].get("application_sid") else None
