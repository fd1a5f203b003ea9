"""Tools of MCP servers: listed before a call begins, and called in it, through the guard of functions.

What a server lists is kept for a while, by the agent's address and key, and so is its session: neither is a call's own.
A server that fails is left out of a call, and not asked again at once.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pipelines.tools import mcp_wire as wire
from pipelines.tools.http import GuardedHttp
from pipelines.tools.mcp_wire import AnswerReader, McpFault, McpServer, McpSession, McpTool
from pipelines.tools.means import ToolFault
from pipelines.tools.request import HttpRequest

LIST_SECONDS = 2.0
"""The longest that listing tools may take, while the phone rings."""

FRESH_SECONDS = 300.0
"""A list is not asked for again for so long ..."""

KEPT_SECONDS = 3600.0
"""... and is used for so long, while another one is asked for."""

FAILED_SECONDS = 10.0
"""A server that did not answer is not asked again for so long."""

GOODBYE_SECONDS = 1.0

MOST_SERVERS = 500

_SESSION_HEADER = "mcp-session-id"

_FORGOTTEN = (400, 404)
"""The session is not known any more. The protocol has 404, and many a server that was started anew answers 400: either
way nothing of what was asked was done."""


@dataclass(slots=True)
class _Known:
    server: McpServer
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    session: McpSession = field(default_factory=McpSession)
    tools: Sequence[McpTool] | None = None
    listed_at: float = 0.0
    fault: str | None = None
    failed_at: float = 0.0
    refreshing: asyncio.Task[None] | None = None


class McpServers:
    """Those of the agents of a process."""

    def __init__(self, http: GuardedHttp) -> None:
        self._http = http
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._ids = itertools.count(1)

    async def tools(self, server: McpServer) -> Sequence[McpTool]:
        """Raises :class:`ToolFault`, within :data:`LIST_SECONDS`. Only those who ask first wait for it."""
        known, now = self._of(server), asyncio.get_running_loop().time()
        if known.tools is None or now - known.listed_at >= KEPT_SECONDS:
            return await self._refresh(server, known)
        if now - known.listed_at >= FRESH_SECONDS and (known.refreshing is None or known.refreshing.done()):
            known.refreshing = asyncio.create_task(self._try_to_refresh(server, known))
        return known.tools

    async def close(self) -> None:
        """Sessions that servers keep are ended, as far as that is possible in :data:`GOODBYE_SECONDS`."""
        for known in self._known.values():
            if known.refreshing is not None:
                known.refreshing.cancel()
                await asyncio.wait({known.refreshing})
        sessions = [one for one in self._known.values() if one.session.id is not None]
        self._known.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await asyncio.gather(*map(self._leave, sessions))

    async def call(
        self, server: McpServer, tool: str, arguments: Mapping[str, Any], *, seconds: float, meta: Mapping[str, str]
    ) -> Any:
        """What the tool returned, as JSON. Raises :class:`ToolFault`, within ``seconds``."""
        known = self._of(server)
        params = {"name": tool, "arguments": dict(arguments), "_meta": dict(meta)}
        try:
            async with asyncio.timeout(seconds):
                result = await self._ask(server, known, "tools/call", params, seconds)
        except TimeoutError:
            raise ToolFault(f"{tool} did not answer within {seconds:g} s; it may have been done or not") from None
        except McpFault as fault:
            raise ToolFault(f"the server of {tool} {fault}") from None
        return wire.value_of(result, lambda words: ToolFault(words or f"{tool} failed"))

    def _of(self, server: McpServer) -> _Known:
        known = self._known.setdefault(server.key, _Known(server))
        self._known.move_to_end(server.key)
        if len(self._known) > MOST_SERVERS:
            self._known.popitem(last=False)
        return known

    async def _leave(self, known: _Known) -> None:
        request = wire.farewell(known.server.url, known.server.headers, known.session)
        with suppress(ToolFault):  # it is not obliged to take it
            _ = await self._http.ask(request, seconds=GOODBYE_SECONDS, tenant=known.server.tenant)

    async def _try_to_refresh(self, server: McpServer, known: _Known) -> None:
        with suppress(ToolFault):  # what is known is good for a while
            await self._refresh(server, known)

    async def _refresh(self, server: McpServer, known: _Known) -> Sequence[McpTool]:
        clock = asyncio.get_running_loop().time
        began, slow = clock(), ToolFault(f"the server did not list its tools within {LIST_SECONDS:g} s")
        try:
            async with asyncio.timeout(LIST_SECONDS) as limit, known.lock:
                if known.tools is not None and known.listed_at >= began:
                    return known.tools  # others have asked meanwhile
                if known.fault is not None and clock() - known.failed_at < FAILED_SECONDS:
                    raise ToolFault(known.fault)
                try:
                    known.tools = await self._list(server, known)
                except (ToolFault, asyncio.CancelledError) as error:
                    if isinstance(error, ToolFault) or limit.expired():  # else it is the caller who is gone
                        known.fault = str(error) or str(slow)
                        known.failed_at = clock()
                    raise
                known.listed_at, known.fault = clock(), None
                return known.tools
        except TimeoutError:
            raise slow from None

    async def _list(self, server: McpServer, known: _Known) -> Sequence[McpTool]:
        tools: list[McpTool] = []
        cursor: str | None = None
        try:
            for _ in range(wire.MOST_PAGES):
                params = {"cursor": cursor} if cursor is not None else {}
                more, cursor = wire.tools_of(await self._ask(server, known, "tools/list", params, LIST_SECONDS))
                tools += more
                if cursor is None:
                    break
        except McpFault as fault:
            raise ToolFault(f"the server {fault}") from None
        return tools

    async def _ask(
        self, server: McpServer, known: _Known, method: str, params: Mapping[str, Any], seconds: float
    ) -> Mapping[str, Any]:
        """In the session that there is, or in a new one: servers forget them. Raises :class:`McpFault`."""
        if known.session.version is None:
            known.session = await self._begin(server, seconds)
        answer = await self._post(server, known.session, method, params, seconds)
        if known.session.id is not None and answer.status in _FORGOTTEN:
            known.session = await self._begin(server, seconds)
            answer = await self._post(server, known.session, method, params, seconds)
        return answer.result()

    async def _begin(self, server: McpServer, seconds: float) -> McpSession:
        """Raises :class:`McpFault`."""
        answer = await self._post(server, McpSession(), "initialize", wire.handshake(), seconds)
        try:
            result = answer.result()
        except McpFault as fault:
            modern = wire.modern_version(fault)
            if modern is None:
                raise
            return modern
        session = wire.agreed(result, answer.session_id)
        notice = wire.request(server.url, server.headers, session, "notifications/initialized")
        _ = await self._http.ask(notice, seconds=seconds, tenant=server.tenant)
        return session

    async def _post(
        self, server: McpServer, session: McpSession, method: str, params: Mapping[str, Any], seconds: float
    ) -> _Answer:
        id = next(self._ids)
        reader = AnswerReader(id)
        request: HttpRequest = wire.request(server.url, server.headers, session, method, params, id)
        answer = await self._http.ask(request, seconds=seconds, tenant=server.tenant, until=reader.push)
        message = reader.answer if answer.type == "text/event-stream" else wire.message_of(answer.text)
        return _Answer(id, answer.status, message, answer.headers.get(_SESSION_HEADER))


@dataclass(frozen=True, slots=True)
class _Answer:
    """To the request ``id``. ``message``: what of it is JSON-RPC."""

    id: int
    status: int
    message: Mapping[str, Any] | None
    session_id: str | None

    def result(self) -> Mapping[str, Any]:
        """Raises :class:`McpFault`."""
        if self.message is not None or self.status == 200:
            return wire.result_of(self.message, self.id)
        if self.status in (401, 403):
            raise McpFault(f"refused the key (status {self.status})")
        if 300 <= self.status < 400:
            raise McpFault("is at another place, and is not followed there")
        raise McpFault(f"answered with the status {self.status}")
