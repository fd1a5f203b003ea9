"""The Model Context Protocol over streamable HTTP, as far as a client needs it that calls tools. Pure.

JSON-RPC is posted; the answer is JSON, or a stream of events of which one is the answer. Servers of up to 2025-11-25
begin with a handshake, and may want their session's id in each request; later ones have neither, and are told with each
request what the handshake had told.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.json_text import json_object
from pipelines.providers.sse import SseReader
from pipelines.tools.request import USER_AGENT, HttpRequest
from pipelines.tools.results import parsed

HANDSHAKE_VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
MODERN_VERSIONS = ("2026-07-28",)
"""The newest first."""

UNSUPPORTED_VERSION = -32022
"""The code of an error whose ``data.supported`` lists what the server speaks."""

CLIENT = {"name": USER_AGENT, "version": "1"}
_META = "io.modelcontextprotocol/"
_NAMED = {"tools/call": "name"}
"""Methods whose parameter is a header, too, for what stands between."""

MOST_TOOLS = 64
MOST_PAGES = 10
LONGEST_DESCRIPTION = 2000


class McpFault(Exception):
    """The message is the rest of a sentence: what is wrong with the server. ``code`` and ``data`` are of its error."""

    def __init__(self, message: str, code: int | None = None, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


@dataclass(frozen=True, slots=True)
class McpServer:
    """One of an agent's. ``headers`` may hold secrets."""

    url: str
    tenant: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def key(self) -> str:
        parts = [self.tenant, self.url, *(f"{name}:{value}" for name, value in sorted(self.headers.items()))]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class McpSession:
    """``version`` None: before the handshake."""

    version: str | None = None
    id: str | None = None

    @property
    def modern(self) -> bool:
        return self.version in MODERN_VERSIONS


@dataclass(frozen=True, slots=True)
class McpTool:
    """``schema`` is of its arguments, as the server has it."""

    name: str
    description: str
    schema: Mapping[str, Any] = field(default_factory=dict)


def request(
    url: str,
    headers: Mapping[str, str],
    session: McpSession,
    method: str,
    params: Mapping[str, Any] | None = None,
    id: int | None = None,
) -> HttpRequest:
    """Without ``id`` it is a notification, which nothing answers."""
    sent: dict[str, Any] = dict(params or {})
    ours = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "User-Agent": USER_AGENT,
    }
    if session.version is not None:
        ours["MCP-Protocol-Version"] = session.version
    if session.id is not None:
        ours["Mcp-Session-Id"] = session.id
    if session.modern:
        about = {"protocolVersion": session.version, "clientInfo": CLIENT, "clientCapabilities": {}}
        sent["_meta"] = {**sent.get("_meta", {}), **{_META + name: value for name, value in about.items()}}
        ours["Mcp-Method"] = method
        if method in _NAMED:
            ours["Mcp-Name"] = str(sent[_NAMED[method]])
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, **({"params": sent} if sent else {})}
    if id is not None:
        message["id"] = id
    body = json.dumps(message, ensure_ascii=False)
    return HttpRequest("POST", url, {**ours, **headers}, body, {})


def farewell(url: str, headers: Mapping[str, str], session: McpSession) -> HttpRequest:
    """Nobody goes on with the session."""
    ours = {"User-Agent": USER_AGENT, "Mcp-Session-Id": session.id or "", "MCP-Protocol-Version": session.version or ""}
    return HttpRequest("DELETE", url, {**ours, **headers}, None, {})


def handshake() -> Mapping[str, Any]:
    """The parameters of ``initialize``."""
    return {"protocolVersion": HANDSHAKE_VERSIONS[0], "capabilities": {}, "clientInfo": CLIENT}


def agreed(result: Mapping[str, Any], session_id: str | None) -> McpSession:
    """What the server answered to ``initialize``. Raises :class:`McpFault`."""
    version = result.get("protocolVersion")
    if version not in HANDSHAKE_VERSIONS:
        raise McpFault("speaks a version of the protocol that is not known here")
    return McpSession(str(version), session_id)


def modern_version(fault: McpFault) -> McpSession | None:
    """What to speak with a server that refused the handshake, if there is something."""
    supported = fault.data.get("supported") if isinstance(fault.data, Mapping) else None
    known = [one for one in MODERN_VERSIONS if isinstance(supported, list) and one in supported]
    return McpSession(known[0]) if known and fault.code == UNSUPPORTED_VERSION else None


class AnswerReader:
    """Finds the answer to a request in a stream of events. ``push`` says whether it has come."""

    def __init__(self, id: int) -> None:
        self._id = id
        self._events = SseReader()
        self.answer: Mapping[str, Any] | None = None

    def push(self, data: bytes) -> bool:
        for event in self._events.push(data):
            message = json_object(event.data)
            if message is not None and message.get("id") == self._id and ("result" in message or "error" in message):
                self.answer = message
        return self.answer is not None


def result_of(message: Mapping[str, Any] | None, id: int) -> Mapping[str, Any]:
    """Raises :class:`McpFault`."""
    if message is None or message.get("jsonrpc") != "2.0":
        raise McpFault("answered what is no answer of the protocol")
    error = message.get("error")
    if isinstance(error, Mapping):
        code = error.get("code")
        words = str(error.get("message", ""))[:300]
        raise McpFault(f"refused it: {words}", code if isinstance(code, int) else None, error.get("data"))
    result = message.get("result")
    if message.get("id") != id or not isinstance(result, Mapping):
        raise McpFault("answered what is no answer of the protocol")
    return result


def message_of(text: str | None) -> Mapping[str, Any] | None:
    """JSON-RPC, if it is."""
    return None if text is None else json_object(text)


def tools_of(result: Mapping[str, Any]) -> tuple[Sequence[McpTool], str | None]:
    """A page of the list, and the cursor of the next one. Tools that are none are left out."""
    listed = result.get("tools")
    if not isinstance(listed, list):
        raise McpFault("answered without a list of tools")
    tools = [tool for one in listed if (tool := _tool(one)) is not None]
    cursor = result.get("nextCursor")
    return tools, cursor if isinstance(cursor, str) and cursor else None


def value_of(result: Mapping[str, Any], tell: Callable[[str], Exception]) -> Any:
    """What a tool returned. Raises ``tell`` of its words where it failed."""
    content = result.get("content")
    parts = [_words(part) for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []
    text = "\n".join(parts)
    if result.get("isError") is True:
        raise tell(text)
    if result.get("resultType", "complete") != "complete":
        raise tell("it wants to be told more, which cannot be done here")
    structured = result.get("structuredContent")
    if structured is None or structured == {"result": text}:  # which is how the SDK wraps what is no object
        return parsed(text)
    return structured


def _tool(one: Any) -> McpTool | None:
    if not isinstance(one, Mapping) or not isinstance(one.get("name"), str):
        return None
    description, schema = one.get("description"), one.get("inputSchema")
    if not isinstance(schema, Mapping):
        return None
    return McpTool(one["name"], description[:LONGEST_DESCRIPTION] if isinstance(description, str) else "", schema)


def _words(part: Mapping[str, Any]) -> str:
    if part.get("type") == "text":
        return str(part.get("text", ""))
    resource = part.get("resource")
    if isinstance(resource, Mapping) and isinstance(resource.get("text"), str):
        return str(resource["text"])
    return f"({str(part.get('type'))[:32]}: it cannot be read)"
