"""Requests to addresses that users name: with the guard of functions, so that nobody reaches by us what only we can.

An address is judged as it is connected to, whatever its name was. Neither redirects nor proxies are followed.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from pipelines.tools.addresses import Guard
from pipelines.tools.names import Names

CONNECTIONS = 100
CONNECTIONS_OF_A_HOST = 10


POST_SECONDS = 5.0
"""The longest that whoever is posted to may take: the reference's."""

AGAIN = frozenset({408, 425, 429})
"""Statuses below 500 that may be others a moment later."""


class Poster(Protocol):
    async def post(self, url: str, body: Mapping[str, Any], *, seconds: float) -> int:
        """The status of the answer. Raises :class:`Refused`, TimeoutError, OSError and ValueError."""
        ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """To post something. ``error`` says what was wrong; None if it was taken. ``again``: it is worth another one."""

    status: int | None = None
    error: str | None = None
    again: bool = False


async def attempt(poster: Poster, url: str, body: Mapping[str, Any]) -> Attempt:
    try:
        status = await poster.post(url, body, seconds=POST_SECONDS)
    except Refused as error:
        return Attempt(error=str(error))
    except TimeoutError:
        return Attempt(error=f"no answer within {POST_SECONDS:g} s", again=True)
    except (OSError, ValueError) as error:
        return Attempt(error=str(error), again=True)
    if 200 <= status < 300:
        return Attempt(status)
    return Attempt(status, f"answered with {status}", status >= 500 or status in AGAIN)


class Refused(Exception):
    """The address is none that may be reached; a sentence."""


class _Blocked(OSError):
    """It is not public."""


class Outside:
    """``resolver`` stands in for the system's."""

    def __init__(self, guard: Guard, *, resolver: AbstractResolver | None = None) -> None:
        self._guard = guard
        self._resolver = resolver or Names()
        self._http: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: Mapping[str, Any], *, seconds: float) -> int:
        """The status of the answer, whose body is not read. Raises :class:`Refused`, TimeoutError and OSError."""
        try:
            timeout = aiohttp.ClientTimeout(total=seconds)
            async with self._session().post(url, json=body, allow_redirects=False, timeout=timeout) as answer:
                return answer.status
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, _Blocked):
                host = URL(url).host
                raise Refused(f"{host} has no public address; TRUNKLINE_TOOL_NETWORKS can allow others") from None
            raise OSError(str(error)) from None
        except aiohttp.ClientError as error:
            raise OSError(str(error) or type(error).__name__) from None

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()
        await self._resolver.close()

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=CONNECTIONS,
                    limit_per_host=CONNECTIONS_OF_A_HOST,
                    resolver=self._resolver,
                    socket_factory=self._socket,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "Trunkline"},
            )
        return self._http

    def _socket(self, info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, address = info
        if not self._guard.may_connect(str(address[0])):
            raise _Blocked(0, "not a public address")
        return socket.socket(family, kind, protocol)
