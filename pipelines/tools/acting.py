"""What functions do that takes its time: ask a service, a client, a function in Python, or a tool of an MCP server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from pipelines.agent import Function, Key
from pipelines.events import PipelineEvent, RestCalled
from pipelines.functions import PythonFunction, RunContext
from pipelines.messages import NotReachable
from pipelines.parts import ToolCall
from pipelines.tools.discovery import Discovered, LeftOut, discover
from pipelines.tools.mcp_wire import McpServer, McpTool
from pipelines.tools.means import HttpAnswer, Mcp, Means, ToolFault, ToolMemory
from pipelines.tools.parameters import text_of
from pipelines.tools.request import build, headers_of, secrets_of
from pipelines.tools.results import Outcome, parsed

SECONDS = 10.0
"""The longest that a function may take which does not say how long."""

SHORTEST_SECRET = 6
"""Characters: what is shorter may stand in an answer by chance, and is none that keeps anything."""


class Acting:
    """For the functions of one agent, in one call. ``metadata`` is all that functions may know of it."""

    def __init__(
        self, means: Means, memory: ToolMemory, metadata: Mapping[str, Any], tell: Callable[[PipelineEvent], None]
    ) -> None:
        self._means = means
        self._memory = memory
        self._metadata = metadata
        self._tell = tell
        self._listed: dict[str, Sequence[McpTool]] = {}  # by server
        self.become((), ())

    def become(self, functions: Sequence[Function], keys: Sequence[Key]) -> None:
        """These functions from here on."""
        self._keys = {key.name: key for key in keys}
        self._python = {one.name: self._python_of(one) for one in functions if one.implementation == "python"}
        self._servers = {self._server(one).key for one in functions if one.implementation == "mcp"}
        self._redacted = {one.name for one in functions if one.redact}
        self._tools: dict[str, tuple[McpServer, str]] = {}

    def runs(self, function: Function) -> bool:
        """Whether it is of a kind that is run here, and is there."""
        match function.implementation:
            case "rest":
                return self._means.http is not None
            case "client":
                return self._means.clients is not None
            case "python":
                return self._python.get(function.name) is not None
            case "mcp":
                return function.name in self._tools
            case "stub" | "builtin":
                return False

    def described(self, function: Function) -> tuple[str, Mapping[str, Any] | None]:
        """What the model is told of it, and the schema that whoever implements it gives it."""
        python = self._python.get(function.name)
        if python is None:
            return function.description, None
        return function.description or python.description, python.schema

    async def perform(self, function: Function, values: Mapping[str, Any], call: ToolCall) -> Outcome:
        """Raises :class:`ToolFault` and :class:`~pipelines.tools.parameters.BadArguments`, in bounded time."""
        means, seconds = self._means, function.timeout or SECONDS
        python = self._python.get(function.name)
        if python is not None and means.python is not None:
            seconds = function.timeout or python.seconds or SECONDS
            return Outcome(await means.python.run(python, values, self._context(function, call), seconds))
        if function.implementation == "client" and means.clients is not None:
            return Outcome(await means.clients.ask(function.name, values, seconds=seconds))
        if function.name in self._tools and means.mcp is not None:
            server, tool = self._tools[function.name]
            meta = {"trunkline/callId": means.call_id, "trunkline/idempotencyKey": self._key_of(call)}
            return await self._ask_tool(means.mcp, server, tool, values, seconds, meta, secrets_of(self._key(function)))
        return await self._ask_service(function, values, call, seconds)

    # MCP servers

    async def ask_servers(self, functions: Collection[Function]) -> None:
        """Learns which tools they have, in bounded time: what does not answer is done without."""
        await asyncio.gather(*(self._ask_server(function, self._keys) for function in _servers(functions)))

    async def ask_more_servers(self, functions: Collection[Function], keys: Sequence[Key]) -> None:
        """Those that are not known yet. One that was done without until now may go on being so; for one that is new,
        raises :class:`NotReachable`."""
        by_name = {key.name: key for key in keys}
        servers = {one.name: self._server(one, by_name).key for one in _servers(functions)}
        unknown = [one for one in _servers(functions) if servers[one.name] not in self._listed]
        faults = await asyncio.gather(*(self._ask_server(function, by_name) for function in unknown))
        for function, fault in zip(unknown, faults, strict=True):
            if fault is not None and servers[function.name] not in self._servers:
                raise NotReachable(f"The MCP server {function.name} cannot be used: {fault}. Nothing was changed")

    def tools(self, functions: Sequence[Function]) -> Iterator[Discovered]:
        """Of the servers that were asked: functions of their own from here on."""
        taken = {function.name for function in functions}
        for function in functions:
            if function.implementation != "mcp":
                continue
            server = self._server(function)
            for found in discover(function, self._listed.get(server.key, ()), taken):
                if isinstance(found, LeftOut):
                    about = {"server": function.name, "tool": found.tool, "why": found.why}
                    self._means.log.warning("a tool is done without", **about)
                    continue
                taken.add(found.function.name)
                self._tools[found.function.name] = server, found.tool
                yield found

    async def _ask_server(self, function: Function, keys: Mapping[str, Key]) -> str | None:
        """Why its tools are not known; None where they are."""
        server = self._server(function, keys)
        if self._means.mcp is None:
            return "this service asks none"
        try:
            self._listed[server.key] = await self._means.mcp.tools(server)
        except ToolFault as error:
            fault = _masked(str(error), secrets_of(self._key(function, keys)))
            self._means.log.warning("an MCP server is done without", server=function.name, error=fault)
            return fault
        return None

    async def _ask_tool(
        self,
        mcp: Mcp,
        server: McpServer,
        tool: str,
        values: Mapping[str, Any],
        seconds: float,
        meta: Mapping[str, str],
        secrets: Sequence[str],
    ) -> Outcome:
        try:
            value = await mcp.call(server, tool, values, seconds=seconds, meta=meta)
        except ToolFault as fault:
            raise ToolFault(_masked(str(fault), secrets)) from None
        text = text_of(value)
        masked = _masked(text, secrets)
        return Outcome(value if masked == text else parsed(masked))

    def _server(self, function: Function, keys: Mapping[str, Key] | None = None) -> McpServer:
        """``keys`` in place of those that there are."""
        return McpServer(function.url or "", self._means.tenant, headers_of(self._key(function, keys)))

    # Functions in Python

    def _python_of(self, function: Function) -> PythonFunction | None:
        return None if self._means.python is None else self._means.python.get(function.python or function.name)

    def _context(self, function: Function, call: ToolCall) -> RunContext:
        return RunContext(
            function=function.name,
            call_id=self._means.call_id,
            organisation_id=self._means.tenant,
            metadata=deepcopy(dict(self._metadata)),
            data=self._memory.data,
            log=self._means.log,
            idempotency_key=self._key_of(call),
        )

    # Services

    async def _ask_service(
        self, function: Function, values: Mapping[str, Any], call: ToolCall, seconds: float
    ) -> Outcome:
        http, key = self._means.http, self._key(function)
        if http is None:
            raise ToolFault(f"{function.name} cannot be run here")
        hidden = self._hidden(function)
        request = build(function, values, key, idempotency_key=self._key_of(call), hidden=hidden)
        self._tell(RestCalled(request.shown))
        answer = await http.ask(request, seconds=seconds, tenant=self._means.tenant)
        return _outcome(function.name, _without(secrets_of(key), answer))

    def _hidden(self, function: Function) -> set[str]:
        """Parameters that have what functions with ``redact`` returned."""
        origins = {name: str(p.origin).split(".") for name, p in function.parameters.items() if p.source == "metadata"}
        return {name for name, path in origins.items() if self._is_redacted(path)}

    def _is_redacted(self, path: Sequence[str]) -> bool:
        if path[0] != "toolsCalls":
            return False
        return len(path) == 1 or (path[1] in self._redacted and path[2:3] != ["parameter"])

    def _key(self, function: Function, keys: Mapping[str, Key] | None = None) -> Key | None:
        return (self._keys if keys is None else keys).get(function.key) if function.key is not None else None

    def _key_of(self, call: ToolCall) -> str:
        """The same for the same call of a function."""
        return f"{self._means.call_id}:{call.id}"


def _servers(functions: Collection[Function]) -> Sequence[Function]:
    return [function for function in functions if function.implementation == "mcp"]


def _without(secrets: Sequence[str], answer: HttpAnswer) -> HttpAnswer:
    """Services repeat the key that they were given, above all where they refuse it: the model is not to know it."""
    text = None if answer.text is None else _masked(answer.text, secrets)
    return replace(answer, reason=_masked(answer.reason, secrets), text=text)


def _masked(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***") if len(secret) >= SHORTEST_SECRET else text
    return text


def _outcome(name: str, answer: HttpAnswer) -> Outcome:
    value = None if answer.text is None else parsed(answer.text)
    if 200 <= answer.status < 300:
        if answer.text is None:
            return Outcome(f"(an answer of the type {answer.type}, which cannot be read)")
        return Outcome(value)
    if 300 <= answer.status < 400:
        return Outcome(
            error=f"{name} was sent to another place, and does not go there", about={"status": answer.status}
        )
    error = f"{name} was answered with the status {answer.status}"
    return Outcome(value, error, {"status": answer.status, "statusText": answer.reason})
