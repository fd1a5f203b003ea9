"""A local server of OpenAI's ``/v1/responses``: it checks what we send, and misbehaves on request."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.simulators.sse_server import Reply, SseServer, data_line, serve_sse

KEY = "sk-simulated-responses-key"

_FIELDS = {
    "model", "input", "instructions", "tools", "stream", "store", "temperature", "reasoning", "include", "text",
    "service_tier", "max_output_tokens", "parallel_tool_calls", "prompt_cache_key", "prompt_cache_options",
}  # fmt: skip
_EFFORTS = {
    r"gpt-5(-mini|-nano)?$": ("minimal", "low", "medium", "high"),
    r"gpt-5\.\d-pro": ("medium", "high", "xhigh"),
    r"gpt-(5\.\d|6)": ("none", "low", "medium", "high", "xhigh"),
    r"o\d": ("low", "medium", "high"),
}
"""As they were found out by others, for the models of some time ago."""


def text(*words: str) -> list[dict[str, Any]]:
    """A message."""
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    where = {"item_id": "msg_1", "content_index": 0}
    whole = {**part, "text": "".join(words)}
    return [
        {"type": "response.output_item.added", "item": item},
        {"type": "response.content_part.added", **where, "part": part},
        *({"type": "response.output_text.delta", **where, "delta": word, "logprobs": []} for word in words),
        {"type": "response.output_text.done", **where, "text": whole["text"], "logprobs": []},
        {"type": "response.content_part.done", **where, "part": whole},
        {"type": "response.output_item.done", "item": {**item, "status": "completed", "content": [whole]}},
    ]


def refusal(words: str) -> list[dict[str, Any]]:
    where = {"item_id": "msg_1", "content_index": 0}
    return [{"type": "response.refusal.delta", **where, "delta": words}]


def tool(call_id: str, name: str, *fragments: str, status: str = "completed") -> list[dict[str, Any]]:
    """A call of a tool."""
    item = {"id": f"fc_{call_id}", "type": "function_call", "call_id": call_id, "name": name, "arguments": ""}
    whole = {**item, "arguments": "".join(fragments), "status": status}
    where = {"item_id": item["id"]}
    return [
        {"type": "response.output_item.added", "item": {**item, "status": "in_progress"}},
        *({"type": "response.function_call_arguments.delta", **where, "delta": piece} for piece in fragments),
        {"type": "response.function_call_arguments.done", **where, "name": name, "arguments": whole["arguments"]},
        {"type": "response.output_item.done", "item": whole},
    ]


def thought(id: str, *, sealed: bool = True) -> list[dict[str, Any]]:
    item: dict[str, Any] = {"id": id, "type": "reasoning", "summary": []}
    done = {**item, **({"encrypted_content": f"sealed {id}"} if sealed else {}), "status": "completed"}
    return [{"type": "response.output_item.added", "item": item}, {"type": "response.output_item.done", "item": done}]


def response(*items: Sequence[dict[str, Any]], ends: str = "completed", **more: Any) -> list[dict[str, Any]]:
    """All events of an answer: 20 tokens of input of which 12 from the cache and 5 written to it, 7 of output of which
    4 thoughts."""
    usage = {"input_tokens": 20, "output_tokens": 7, "total_tokens": 27}
    details = {
        "input_tokens_details": {"cached_tokens": 12, "cache_write_tokens": 5},
        "output_tokens_details": {"reasoning_tokens": 4},
    }
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": _response("in_progress")},
        {"type": "response.in_progress", "response": _response("in_progress")},
    ]
    output = []
    for index, item in enumerate(items):
        events += [{**event, "output_index": index} for event in item]
        output += [event["item"] for event in item if event["type"] == "response.output_item.done"]
    done = {**_response(ends), "output": output, "usage": {**usage, **details}, **more}
    events.append({"type": f"response.{ends}", "response": done})
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def _response(status: str) -> dict[str, Any]:
    fixed = {"id": "resp_1", "object": "response", "created_at": 1.0, "model": "m", "output": [], "tools": []}
    return {**fixed, "status": status, "parallel_tool_calls": True, "tool_choice": "auto", "error": None}


class ResponsesServer(SseServer):
    """It remembers which thoughts it sealed, and wants no others back."""

    def knows(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") == f"Bearer {KEY}"

    def check(self, request: web.Request, body: dict[str, Any]) -> list[str]:
        events = [event for reply in self.given for event in reply.events]
        items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
        return mistakes(body, {item["id"]: item for item in items if item["type"] == "reasoning"})

    def refuses(self, request: web.Request, body: dict[str, Any]) -> Reply | None:
        model, effort = body["model"], body.get("reasoning", {}).get("effort")
        efforts = next((efforts for name, efforts in _EFFORTS.items() if re.match(name, model)), ())
        if effort is not None and effort not in efforts:
            return _refused(
                f"Unsupported value: '{effort}' is not supported with the '{model}' model.", "reasoning.effort"
            )
        if "include" in body and not efforts:
            return _refused("Encrypted content is not supported with this model.", "include")
        if "temperature" in body and (efforts and (effort != "none" or model >= "gpt-5.6")):
            return _refused("Unsupported parameter: 'temperature' is not supported with this model.", "temperature")
        return None

    def refusal(self, status: int, reply: Reply) -> web.Response:
        error = {"message": reply.message, "type": "invalid_request_error", "code": reply.error or None, "param": None}
        error.update(*reply.details)
        return web.json_response({"error": error}, status=status, headers=dict(reply.headers))

    def encode(self, event: Mapping[str, Any]) -> bytes:
        return f"event: {event['type']}\n".encode() + data_line(event)

    def failure(self, reply: Reply) -> Mapping[str, Any]:
        error = {"code": reply.error or "server_error", "message": reply.message, "param": None}
        return {"type": "error", "sequence_number": 99, **error}


def _refused(message: str, param: str) -> Reply:
    return Reply(status=400, message=message, details=[{"param": param}])


@asynccontextmanager
async def serve_responses() -> AsyncGenerator[ResponsesServer, None]:
    """``base_url`` is with ``/v1``."""
    server = ResponsesServer([Reply(response(text("Hello", " there", ".")))])
    async with serve_sse(server, "/v1/responses"):
        server.base_url += "/v1"
        yield server


def mistakes(body: dict[str, Any], sealed: Mapping[str, dict[str, Any]]) -> list[str]:
    """What OpenAI would refuse in a request, and what we always ask for."""
    found = [f"no such field: {name}" for name in sorted(body.keys() - _FIELDS)]
    if not body.get("model") or body.get("stream") is not True or body.get("store") is not False:
        found.append("a request names its model, is for a stream, and leaves nothing behind")
    if not 0 <= body.get("temperature", 1) <= 2:
        found.append("temperature is out of range")
    if "instructions" in body and not str(body["instructions"]).strip():
        found.append("instructions of nothing")
    if body.get("reasoning", {}).get("effort", "none") != "none" and body.get("include") is None:
        found.append("thoughts would be lost")
    for described in body.get("tools", ()):
        match described:
            case {
                "type": "function",
                "name": str(),
                "description": str(),
                "parameters": {"type": "object"},
                "strict": False,
                **rest,
            } if not rest:
                pass
            case _:
                found.append(f"not a tool: {described}")
    return found + _input_mistakes(body.get("input"), sealed)


def _input_mistakes(items: Any, sealed: Mapping[str, dict[str, Any]]) -> list[str]:
    found: list[str] = []
    asked: set[str] = set()
    for number, item in enumerate(items):
        match item:
            case {"role": "user" | "assistant" | "developer", "content": str(said), **rest} if said and not rest:
                pass
            case {"type": "function_call", "call_id": str(id), "name": str(), "arguments": str(said), **rest} if (
                not rest and isinstance(json.loads(said), dict)
            ):
                asked.add(id)
            case {"type": "function_call_output", "call_id": str(id), "output": str(), **rest} if (
                id in asked and not rest
            ):
                asked.remove(id)
            case {"type": "reasoning", "id": str(id), "encrypted_content": str(said), "summary": []}:
                if id not in sealed or said != sealed[id].get("encrypted_content"):
                    found.append(f"not a thought of ours: {item}")
                if number + 1 == len(items) or items[number + 1].get("role") == "user":
                    found.append("a thought without what followed it")
            case _:
                found.append(f"not an item: {item}")
    if asked:
        found.append(f"no output for the calls {sorted(asked)}")
    return found
