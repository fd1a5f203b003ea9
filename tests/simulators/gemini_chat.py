"""A local server of Gemini's ``streamGenerateContent``: it checks what we send, and misbehaves on request."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.simulators.sse_server import Reply, SseServer, data_line, serve_sse

KEY = "AIza-simulated-key"

_STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
_STATUSES |= {429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}
_FIELDS = {"contents", "systemInstruction", "tools", "generationConfig"}
_SCHEMA = {"type", "properties", "required", "description", "enum", "items", "format", "nullable", "minimum", "maximum"}
_SHARES = [{"modality": "TEXT", "tokenCount": 14}, {"modality": "AUDIO", "tokenCount": 6}]
_USAGE: dict[str, Any] = {"promptTokenCount": 20, "cachedContentTokenCount": 12, "thoughtsTokenCount": 4}
_USAGE |= {"promptTokensDetails": _SHARES}


def text(*words: str, finish: str | None = "STOP") -> list[dict[str, Any]]:
    """An answer of a chunk for each word, the last with the reason of its end: 20 tokens of input of which 12 from the
    cache, and 7 of output, 4 of them thoughts."""
    return answer(*({"text": word} for word in words), finish=finish)


def answer(*parts: Mapping[str, Any], finish: str | None = "STOP") -> list[dict[str, Any]]:
    chunks = [chunk(part) for part in parts] or [chunk()]
    if finish is not None:
        chunks[-1]["candidates"][0]["finishReason"] = finish
    chunks[-1]["usageMetadata"]["candidatesTokenCount"] = 3
    return chunks


def chunk(*parts: Mapping[str, Any]) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": list(parts)}}
    return {"candidates": [candidate], "usageMetadata": dict(_USAGE), "modelVersion": "m", "responseId": "r"}


def call(name: str, args: Any = None, call_id: str | None = None, signature: str | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"functionCall": {"name": name, **({} if args is None else {"args": args})}}
    if call_id is not None:
        made["functionCall"]["id"] = call_id
    return made if signature is None else {**made, "thoughtSignature": signature}


class GeminiServer(SseServer):
    """It remembers which signatures it gave, and wants them back with the calls that they belong to."""

    def knows(self, request: web.Request) -> bool:
        return request.headers.get("x-goog-api-key") == KEY

    def check(self, request: web.Request, body: dict[str, Any]) -> list[str]:
        found = [] if dict(request.query) == {"alt": "sse"} else ["not a request for a stream, or its key in the open"]
        if not request.path.startswith(("/v1/models/", "/v1/tunedModels/")):
            found.append(f"not a model: {request.path}")
        return found + mistakes(body, self._signed())

    def refuses(self, request: web.Request, body: dict[str, Any]) -> Reply | None:
        """What a model does not let anybody say of its thoughts."""
        match request.path.partition("/models/")[2], body.get("generationConfig", {}).get("thinkingConfig"):
            case _, None:
                return None
            case model, {"thinkingLevel": "LOW" | "HIGH" | "low" | "high"} if model.startswith("gemini-3"):
                return None
            case model, {"thinkingBudget": int(budget)} if model.startswith("gemini-2.5"):
                if "pro" not in model or budget >= 128:
                    return None
                return Reply(status=400, message="Budget 0 is invalid. This model only works in thinking mode.")
            case model, _:
                return Reply(status=400, message=f"Thinking is not enabled for models/{model}")

    def refusal(self, status: int, reply: Reply) -> web.Response:
        error: dict[str, Any] = {"code": status, "message": reply.message, "status": _STATUSES.get(status, "UNKNOWN")}
        if reply.details:
            error["details"] = list(reply.details)
        return web.json_response({"error": error}, status=status, headers=dict(reply.headers))

    def encode(self, event: Mapping[str, Any]) -> bytes:
        return data_line(event).replace(b"\n", b"\r\n")

    def failure(self, reply: Reply) -> Mapping[str, Any]:
        status = reply.error or "UNAVAILABLE"
        code = next(code for code, name in _STATUSES.items() if name == status)
        return {"error": {"code": code, "message": reply.message, "status": status}}

    def _signed(self) -> dict[str, str]:
        """By the name of the tool: the tests call each once."""
        parts = [part for reply in self.given for event in reply.events for part in _parts(event)]
        return {
            part["functionCall"]["name"]: part["thoughtSignature"]
            for part in parts
            if "functionCall" in part and "thoughtSignature" in part
        }


@asynccontextmanager
async def serve_gemini_chat() -> AsyncGenerator[GeminiServer, None]:
    server = GeminiServer([Reply(text("Hello", " there", "."))])
    async with serve_sse(server, "/{resource:.+}:streamGenerateContent"):
        yield server


def mistakes(body: dict[str, Any], signed: Mapping[str, str]) -> list[str]:
    """What Gemini would refuse in a request, and what we always ask for."""
    found = [f"no such field: {name}" for name in sorted(body.keys() - _FIELDS)]
    if not 0 <= body.get("generationConfig", {}).get("temperature", 1) <= 2:
        found.append("temperature is out of range")
    match body.get("systemInstruction"):
        case None:
            pass
        case {"parts": [{"text": str(said)}]} if said.strip():
            pass
        case prompt:
            found.append(f"not a prompt: {prompt}")
    for described in body.get("tools") or ():
        found += [wrong for one in described["functionDeclarations"] for wrong in _declaration_mistakes(one)]
    return found + _contents_mistakes(body.get("contents") or [], signed)


def _declaration_mistakes(described: dict[str, Any]) -> list[str]:
    match described:
        case {"name": str(), "description": str(), **rest} if rest.keys() <= {"parameters"}:
            return _schema_mistakes(described["parameters"]) if rest else []
        case _:
            return [f"not a function: {described}"]


def _schema_mistakes(schema: dict[str, Any]) -> list[str]:
    found = [f"no word of a schema: {word}" for word in sorted(schema.keys() - _SCHEMA)]
    if str(schema.get("type", "")).lower() == "object" and not schema.get("properties"):
        found.append("an object needs properties")
    for inner in schema.get("properties", {}).values():
        found += _schema_mistakes(inner)
    return found


def _contents_mistakes(contents: list[Any], signed: Mapping[str, str]) -> list[str]:
    found: list[str] = []
    expected, calls = "user", list[dict[str, Any]]()
    for said in contents:
        parts = said.get("parts")
        if said.get("role") != expected or not parts:
            found.append(f"not a content of the {expected}: {said}")
        answers = [part["functionResponse"] for part in parts if "functionResponse" in part]
        if [_identity(made) for made in calls] != [_identity(made) for made in answers]:
            found.append(f"the calls {calls} are not answered, each once, in the next content: {said}")
        calls = [part["functionCall"] for part in parts if "functionCall" in part]
        for part in parts:
            found += _part_mistakes(part, expected, signed)
        expected = "model" if expected == "user" else "user"
    if not contents or expected == "user":
        found.append("the last content is the user's")
    return found


def _part_mistakes(part: dict[str, Any], role: str, signed: Mapping[str, str]) -> list[str]:
    match part:
        case {"text": str(said), **rest} if said.strip() and not rest:
            return []
        case {"functionCall": {"name": str(name), "args": dict(), **more}, **rest} if (
            role == "model" and more.keys() <= {"id"} and rest.keys() <= {"thoughtSignature"}
        ):
            right = rest.get("thoughtSignature") == signed.get(name)
            return [] if right else [f"the signature of {name} is missing, or another one"]
        case {"functionResponse": {"name": str(), "response": dict(), **more}, **rest} if (
            role == "user" and more.keys() <= {"id"} and not rest
        ):
            return []
        case _:
            return [f"not a part of the {role}: {part}"]


def _identity(made: Mapping[str, Any]) -> tuple[str | None, str | None]:
    return made.get("id"), made.get("name")


def _parts(event: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    for candidate in event.get("candidates", ()):
        yield from candidate.get("content", {}).get("parts", ())
