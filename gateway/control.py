"""What can be done to a call at any moment, whatever its verb: by commands on the call's application socket, or, where
it came by webhooks, by Jambonz's REST API."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol
from urllib.parse import quote

from jambonz import commands
from jambonz.application import MessageTooLarge, encode
from jambonz.commands import Command, RecordAction
from jambonz.rest import Api, Refused, Unavailable
from jambonz.verbs import Verb, VerbError
from pipelines.keys import TONE_MS

RECONNECT_SECONDS = 5.0
"""How long a command waits for a call's socket to come back. Jambonz tries again after 0.5, 1, 2 and 4 s."""


class ControlFailed(Exception):
    """A command that could not be given; the message is a sentence."""


class CallControl(Protocol):
    """Each raises :class:`ControlFailed`. That a command was given does not mean that it was done: Jambonz tells of its
    effects by hooks, or not at all."""

    async def redirect(self, verbs: Sequence[Verb]) -> None:
        """Other verbs in place of all that are left, the running one included. An action hook of that one still comes,
        and is to be answered with nothing."""
        ...

    async def whisper(self, verbs: Sequence[Verb]) -> None:
        """Say or play something over what the caller hears, while our socket or a bridge is up."""
        ...

    async def dtmf(self, digits: str, *, milliseconds: int = TONE_MS) -> None:
        """Press keys, one after the other; ``w`` is half a second of pause, ``p`` two. Returns once all are pressed."""
        ...

    async def record(
        self,
        action: RecordAction,
        *,
        recording_id: str | None = None,
        siprec_server: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Jambonz's own recording, by SIPREC."""
        ...

    async def hang_up(self) -> None:
        """At once: whatever is being said is cut off."""
        ...


class Line(Protocol):
    """An open application socket."""

    async def send(self, text: str) -> None:
        """Raises ConnectionError or TimeoutError, when it is not open any more or the peer does not read."""
        ...


class _ByCommands(ABC):
    """:class:`CallControl`, whatever carries the commands."""

    async def redirect(self, verbs: Sequence[Verb]) -> None:
        await self._give(lambda: commands.redirect(verbs))

    async def whisper(self, verbs: Sequence[Verb]) -> None:
        await self._give(lambda: commands.whisper(verbs))

    async def dtmf(self, digits: str, *, milliseconds: int = TONE_MS) -> None:
        try:
            presses = list(commands.pressed(digits, milliseconds=milliseconds))
        except VerbError as error:
            raise ControlFailed(str(error)) from None
        for command, seconds in presses:
            if command is not None:
                await self._send(command)
            await asyncio.sleep(seconds)

    async def record(
        self,
        action: RecordAction,
        *,
        recording_id: str | None = None,
        siprec_server: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        await self._give(
            lambda: commands.record(action, recording_id=recording_id, siprec_server=siprec_server, headers=headers)
        )

    async def hang_up(self) -> None:
        await self._give(commands.hang_up)

    async def _give(self, build: Callable[[], Command]) -> None:
        try:
            command = build()
        except VerbError as error:
            raise ControlFailed(str(error)) from None
        await self._send(command)

    @abstractmethod
    async def _send(self, command: Command) -> None:
        """Raises :class:`ControlFailed`."""


class SocketControl(_ByCommands):
    """:class:`CallControl` by the call's application socket; of one call, whose sockets may follow each other."""

    def __init__(self) -> None:
        self._line: Line | None = None
        self._connected = asyncio.Event()
        """Or it is over, and no socket comes any more."""

    def connect(self, line: Line) -> None:
        """This is the call's socket from now on."""
        self._line = line
        self._connected.set()

    def disconnect(self, line: Line, *, over: bool) -> bool:
        """``line`` is closed; with ``over``, for good. Whether it was the call's."""
        if self._line is not line:
            return False
        self._line = None
        if not over:
            self._connected.clear()
        return True

    async def notify_of_verbs(self, wanted: bool = True) -> None:
        """Whether the call's log is to tell when a verb begins and ends. Sockets only."""
        await self._give(lambda: commands.notify_of_verbs(wanted))

    async def _send(self, command: Command) -> None:
        what = command["command"]
        try:
            text = encode(command)
            async with asyncio.timeout(RECONNECT_SECONDS):
                await self._connected.wait()
            if self._line is None:
                raise ControlFailed(f"{what} cannot be given: Jambonz has closed the call's socket")
            await self._line.send(text)
        except MessageTooLarge as error:
            raise ControlFailed(str(error)) from None
        except (ConnectionError, TimeoutError):
            raise ControlFailed(f"{what} could not be given: the call's socket is lost") from None


class RestControl(_ByCommands):
    """:class:`CallControl` by Jambonz's REST API. Other verbs are not sent, but fetched: from ``redirect_url``, where
    Jambonz gets what :attr:`redirected` is."""

    def __init__(self, api: Api, account_sid: str, call_sid: str, redirect_url: str) -> None:
        self.redirected: Sequence[Verb] | None = None
        self._api = api
        self._path = f"/Accounts/{quote(account_sid, safe='')}/Calls/{quote(call_sid, safe='')}"
        self._redirect_url = redirect_url
        self._siprec_server: str | None = None

    async def _send(self, command: Command) -> None:
        what, body = command["command"], command["data"]
        if what == "redirect":
            self.redirected = body
            body = {"call_hook": {"url": self._redirect_url, "method": "POST"}}
        elif what == "record":
            # It is asked for with every action, and not only with the first.
            self._siprec_server = body.get("siprecServerURL", self._siprec_server)
            body = {"record": {**body, "siprecServerURL": self._siprec_server}}
        try:
            await self._api.request("PUT", self._path, body)
        except (Refused, Unavailable) as error:
            raise ControlFailed(f"{what} could not be given: {error}") from None
