"""A local server of Anthropic's ``/v1/messages``: it checks what we send, and misbehaves on request."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.simulators.sse_server import Reply, SseServer, data_line, serve_sse

KEY = "sk-ant-simulated-key"

_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
_TYPES |= {429: "rate_limit_error", 529: "overloaded_error"}
_FIELDS = {"model", "max_tokens", "messages", "stream", "system", "temperature", "tools", "thinking", "output_config"}
_THINKING = {
    r"claude-(opus-5-5|fable|mythos)": ("adaptive",),
    r"claude-sonnet-5-5": ("adaptive", "between_tools"),
    r"claude-(haiku|opus|sonnet)-5": ("adaptive", "disabled"),
    r"claude-(haiku|opus|sonnet)-4": ("adaptive", "enabled", "disabled"),
}
"""What models of late 2026 take, by the vendor's pages about them; the first that fits."""


def text(*words: str, index: int = 0) -> list[dict[str, Any]]:
    """A block of text."""
    return _block(index, {"type": "text", "text": ""}, [{"type": "text_delta", "text": word} for word in words])


def tool(index: int, call_id: str, name: str, *fragments: str) -> list[dict[str, Any]]:
    """A block that calls a tool; its first fragment is empty, as the vendor's is."""
    deltas = [{"type": "input_json_delta", "partial_json": fragment} for fragment in ("", *fragments)]
    return _block(index, {"type": "tool_use", "id": call_id, "name": name, "input": {}}, deltas)


def message(*blocks: Sequence[dict[str, Any]], stop: str = "end_turn") -> list[dict[str, Any]]:
    """All events of an answer: 20 tokens of input of which 12 from the cache and 5 written to it, 7 of output."""
    usage = {"input_tokens": 3, "cache_read_input_tokens": 12, "cache_creation_input_tokens": 5, "output_tokens": 1}
    head: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
    }
    return [
        {"type": "message_start", "message": {**head, "stop_reason": None, "stop_sequence": None, "usage": usage}},
        {"type": "ping"},
        *(event for block in blocks for event in block),
        {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    ]


def thinking(index: int, words: str, signature: str) -> list[dict[str, Any]]:
    """A block of thought."""
    deltas = [{"type": "thinking_delta", "thinking": words}, {"type": "signature_delta", "signature": signature}]
    return _block(index, {"type": "thinking", "thinking": "", "signature": ""}, deltas)


class MessagesServer(SseServer):
    """It remembers what it thought, and after which messages: it wants it back unchanged, and after the same."""

    def __init__(self, replies: list[Reply]) -> None:
        super().__init__(replies)
        self._thought: dict[str, tuple[str, list[Any]]] = {}

    def reply_to(self, body: dict[str, Any]) -> Reply:
        reply = super().reply_to(body)
        deltas = [event["delta"] for event in reply.events if event["type"] == "content_block_delta"]
        words = next((delta["thinking"] for delta in deltas if "thinking" in delta), "")
        signatures = (delta["signature"] for delta in deltas if "signature" in delta)
        self._thought |= dict.fromkeys(signatures, (words, body["messages"]))
        return reply

    def knows(self, request: web.Request) -> bool:
        key = request.headers.get("x-api-key") or request.headers.get("Authorization", "").removeprefix("Bearer ")
        return key == KEY

    def check(self, request: web.Request, body: dict[str, Any]) -> list[str]:
        found = [] if request.headers.get("anthropic-version") else ["no anthropic-version"]
        for at, said in enumerate(body.get("messages") or []):
            for block in said["content"]:
                if block["type"] == "thinking":
                    known = (block.get("thinking"), body["messages"][:at])
                    if known != self._thought.get(block.get("signature")):
                        found.append(f"not what was thought there: {block}")
        return found + mistakes(body)

    def refuses(self, request: web.Request, body: dict[str, Any]) -> Reply | None:
        """Models from 4.7 on have no sampling parameters; not all can be kept from thinking, and few take an effort."""
        model, thinking = body["model"], body.get("thinking", {}).get("type")
        if "temperature" in body and re.match(r"claude-\w+-(4-[7-9]|[5-9])", model):
            return Reply(status=400, message="`temperature` is deprecated for this model.")
        taken = next((types for name, types in _THINKING.items() if re.match(name, model)), ("adaptive",))
        if thinking is not None and thinking not in taken:
            return Reply(status=400, message=f'"thinking.type.{thinking}" is not supported for this model.')
        if "output_config" in body and re.match(r"claude-\w+-4-5", model):
            return Reply(status=400, message="This model does not support the effort parameter.")
        return None

    def refusal(self, status: int, reply: Reply) -> web.Response:
        error = {"type": _TYPES.get(status, "api_error"), "message": reply.message}
        return web.json_response({"type": "error", "error": error}, status=status, headers=dict(reply.headers))

    def encode(self, event: Mapping[str, Any]) -> bytes:
        return f"event: {event['type']}\n".encode() + data_line(event)

    def failure(self, reply: Reply) -> Mapping[str, Any]:
        return {"type": "error", "error": {"type": reply.error or "overloaded_error", "message": reply.message}}


@asynccontextmanager
async def serve_messages() -> AsyncGenerator[MessagesServer, None]:
    server = MessagesServer([Reply(message(text("Hello", " there", ".")))])
    async with serve_sse(server, "/v1/messages"):
        yield server


def mistakes(body: dict[str, Any]) -> list[str]:
    """What Anthropic would refuse in a request, and what we always ask for."""
    found = [f"no such field: {name}" for name in sorted(body.keys() - _FIELDS)]
    if not body.get("model") or body.get("stream") is not True:
        found.append("a request names its model, and is for a stream")
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        found.append("max_tokens is missing")
    if not 0 <= body.get("temperature", 1) <= 1:
        found.append("temperature is out of range")
    found += _system_mistakes(body.get("system"))
    found += _tools_mistakes(body.get("tools"))
    if json.dumps(body).count('"cache_control"') > 4:
        found.append("more than four marks for the cache")
    return found + _messages_mistakes(body.get("messages") or [], bool(body.get("tools")))


def _system_mistakes(system: Any) -> list[str]:
    match system:
        case None:
            return []
        case [{"type": "text", "text": str(said), "cache_control": {"type": "ephemeral"}}] if said.strip():
            return []
        case _:
            return [f"not a prompt that is cached: {system}"]


def _tools_mistakes(tools: Any) -> list[str]:
    if tools is None:
        return []
    found = [] if tools and tools[-1].get("cache_control") == {"type": "ephemeral"} else ["the tools are not cached"]
    names = [described.get("name") for described in tools]
    if len(set(names)) < len(names):
        found.append("two tools have one name")
    for described in tools:
        match described:
            case {"name": str(name), "description": str(), "input_schema": {"type": "object"}, **rest} if re.fullmatch(
                r"[a-zA-Z0-9_-]{1,128}", name
            ) and rest.keys() <= {"cache_control"}:
                pass
            case _:
                found.append(f"not a tool: {described}")
    return found


def _messages_mistakes(messages: list[Any], has_tools: bool) -> list[str]:
    found: list[str] = []
    expected, asked = "user", set[str]()
    for said in messages:
        if said.keys() != {"role", "content"} or said["role"] != expected:
            found.append(f"not a message of the {expected}: {said}")
        blocks = said.get("content")
        if not isinstance(blocks, list) or not blocks:
            found.append(f"a message says nothing: {said}")
            continue
        results = [block for block in blocks if block["type"] == "tool_result"]
        if {block["tool_use_id"] for block in results} != asked or len(results) != len(asked):
            found.append(f"the calls {sorted(asked)} are not answered, each once, in the next message: {said}")
        if blocks[: len(results)] != results:
            found.append(f"results of tools come first: {said}")
        asked = {block["id"] for block in blocks if block["type"] == "tool_use"}
        found += [f"not a block of the {expected}: {block}" for block in blocks if not _is_block(block, expected)]
        expected = "assistant" if expected == "user" else "user"
        if asked and not has_tools:
            found.append("calls of tools without tools")
    if not messages or expected == "user":
        found.append("the last message is the user's")
    return found


def _is_block(block: dict[str, Any], role: str) -> bool:
    match block:
        case {"type": "text", "text": str(said), **rest}:
            return bool(said.strip()) and not rest
        case {"type": "tool_use", "id": str(call_id), "name": str(), "input": dict(), **rest}:
            return role == "assistant" and not rest and re.fullmatch(r"[a-zA-Z0-9_-]+", call_id) is not None
        case {"type": "tool_result", "tool_use_id": str(), "content": str(), **rest}:
            return role == "user" and not rest
        case {"type": "thinking", "thinking": str(), "signature": str(), **rest}:
            return role == "assistant" and not rest
        case _:
            return False


def _block(index: int, start: dict[str, Any], deltas: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]
