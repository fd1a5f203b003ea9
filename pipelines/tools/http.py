"""The requests of functions go out through here: to where they may, for as long and as much as they may.

The guard sits where sockets are made, and so sees the address that is connected to: names that stand for another
address the second time, and every spelling of one, meet it. To public addresses they go by https. Redirects are not
followed, proxies of the environment not asked, cookies not kept.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from pipelines.tools.addresses import Guard
from pipelines.tools.body import LARGEST_ANSWER, BadBody, Body
from pipelines.tools.means import HttpAnswer, ToolFault
from pipelines.tools.names import Names
from pipelines.tools.request import HttpRequest

__all__ = ["LARGEST_ANSWER", "GuardedHttp"]

CONNECT_SECONDS = 3.0
AT_ONCE = 10
"""Requests of one tenant under way in this process; more wait for their turn, within their own time."""

_BLOCKED = "the address is not one that functions may connect to"
_PLAIN = "the service may only be asked by https, at the port 443 or 8443"
_CHUNK = 16 * 1024


class GuardedHttp:
    """One for the process."""

    def __init__(self, guard: Guard, *, resolver: AbstractResolver | None = None) -> None:
        self._guard = guard
        self._resolver = resolver or Names()
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._under_way: dict[str, tuple[asyncio.Semaphore, int]] = {}

    async def ask(
        self,
        request: HttpRequest,
        *,
        seconds: float,
        tenant: str,
        until: Callable[[bytes], bool] | None = None,
    ) -> HttpAnswer:
        """``until``: of a stream of events, no more is read once it says so of what came. Raises :class:`ToolFault`,
        within ``seconds``."""
        url = URL(request.url, encoded=True)
        self._check(url, tenant)
        leaves = self._guard.may_leave(tenant, url.scheme, url.host or "", url.port or 0)
        try:
            async with asyncio.timeout(seconds), _Turn(self._under_way, tenant):
                return await self._ask(request, url, until, leaves=leaves)
        except TimeoutError:
            raise ToolFault(f"the service did not answer within {seconds:g} s") from None
        except BadBody as error:
            raise ToolFault(f"the request failed, or its answer {error}") from None
        except aiohttp.ClientConnectorError as error:
            why = next((why for why in (_BLOCKED, _PLAIN) if why in str(error.os_error)), None)
            raise ToolFault(why or "the service could not be reached") from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise ToolFault("the request failed, or its answer broke off") from None

    async def close(self) -> None:
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.close()
        await self._resolver.close()

    async def _ask(
        self,
        request: HttpRequest,
        url: URL,
        until: Callable[[bytes], bool] | None,
        *,
        leaves: bool,
    ) -> HttpAnswer:
        body = None if request.body is None else request.body.encode()
        async with self._opened(leaves=leaves).request(
            request.method,
            url,
            headers={**request.headers, "Accept-Encoding": "gzip, deflate"},
            data=body,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS),
        ) as response:
            reason = re.sub(r"[^\x20-\x7e]", "", response.reason or "")[:100]
            if 300 <= response.status < 400:  # its body is of no interest
                return HttpAnswer(response.status, reason, "", None)
            kept = Body(response.headers.get("Content-Encoding", ""))
            streams = until is not None and response.content_type == "text/event-stream"
            async for chunk in response.content.iter_any() if streams else response.content.iter_chunked(_CHUNK):
                new = kept.feed(chunk)
                if streams and until is not None and until(new):
                    break
            text = kept.text(response.content_type, response.charset)
            headers = {name.lower(): value for name, value in response.headers.items()}
            return HttpAnswer(response.status, reason, response.content_type[:100], text, headers)

    def _check(self, url: URL, tenant: str) -> None:
        host = (url.host or "").lower().rstrip(".")
        if url.scheme not in ("http", "https") or not host:
            raise ToolFault("the service could not be asked: its URL is none")
        if url.user is not None or url.password is not None:
            raise ToolFault("the service could not be asked: its URL has credentials in it")
        if not self._guard.may_ask(tenant, host):
            raise ToolFault("the host is not among those that functions may ask")

    def _opened(self, *, leaves: bool) -> aiohttp.ClientSession:
        """Those that may go to public addresses have connections of their own: none is used by others later."""
        if leaves not in self._sessions:
            self._sessions[leaves] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    socket_factory=lambda info: self._socket(info, leaves=leaves),
                    resolver=self._resolver,
                    use_dns_cache=False,
                    limit=200,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
            )
        return self._sessions[leaves]

    def _socket(self, info: tuple[Any, ...], *, leaves: bool) -> socket.socket:
        """Only to an address that is allowed."""
        family, kind, protocol, _, address = info
        if not self._guard.may_connect(str(address[0])):
            raise OSError(_BLOCKED)
        if not leaves and not self._guard.is_listed(str(address[0])):
            raise OSError(_PLAIN)
        return socket.socket(family, kind, protocol)


class _Turn:
    """A tenant's place among its requests; what nobody waits for is not kept."""

    def __init__(self, under_way: dict[str, tuple[asyncio.Semaphore, int]], tenant: str) -> None:
        self._under_way = under_way
        self._tenant = tenant

    async def __aenter__(self) -> None:
        semaphore, count = self._under_way.get(self._tenant, (asyncio.Semaphore(AT_ONCE), 0))
        self._under_way[self._tenant] = semaphore, count + 1
        try:
            await semaphore.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *error: object) -> None:
        self._under_way[self._tenant][0].release()
        self._leave()

    def _leave(self) -> None:
        semaphore, count = self._under_way[self._tenant]
        if count == 1:
            del self._under_way[self._tenant]
        else:
            self._under_way[self._tenant] = semaphore, count - 1
