"""OpenAPI 3.1 of the operations, made from the models that validate; and its page."""

from __future__ import annotations

import asyncio
import copy
import re
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Any, Literal, NotRequired

from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from gateway.api import examples
from gateway.api.docs_page import PAGE
from gateway.api.operations import Operation

REFERENCE = "#/components/schemas/{model}"
_MEANING = {
    400: "What was sent is wrong; the error names the field.",
    401: "No API key or bearer token, or one that is not good.",
    403: "The key is not good for this.",
    404: "There is no such thing, or it belongs to somebody else.",
    408: "The body did not come in time.",
    409: "It is in use.",
    410: "The call is over.",
    412: "It is of the wrong kind.",
    413: "The body is too large.",
    429: "Too many requests with this key (Retry-After says when to try again), or no place for another call.",
    500: "Something went wrong in the service.",
    501: "This is not possible here.",
    503: "The database, or the issuer of the bearer token, cannot be reached just now.",
}
_ALWAYS = (401, 403, 429, 500, 503)


class Error(TypedDict):
    """What is wrong, as a sentence; a code for programs; and more of it, where there is more. ``scope``: whose limit of
    calls was reached."""

    error: str
    code: str
    details: Any
    scope: NotRequired[Literal["instance", "user", "organisation", "process"]]


def routes(operations: Sequence[Operation]) -> list[web.RouteDef]:
    async def openapi_json(_request: web.Request) -> web.Response:
        # Tens of milliseconds the first time: calls are going on in this process.
        return web.json_response(await asyncio.to_thread(document, tuple(operations)))

    async def docs(_request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    return [web.get("/openapi.json", openapi_json), web.get("/docs", docs), web.get("/api-docs", openapi_json)]


@cache
def document(operations: tuple[Operation, ...]) -> dict[str, Any]:
    """The OpenAPI document of ``operations``."""
    schemas, components = _schemas(operations)
    for operation in operations:
        if operation.partial:
            for model in operation.body:
                partial = copy.deepcopy(components[model.__name__])
                partial.pop("required", None)
                components[f"{model.__name__}Changes"] = partial
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(f"/api{operation.path}", {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Trunkline", "version": version("trunkline"), "description": "Telephone agents over REST."},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key."}},
        },
        "security": [{"key": []}],
    }


def _schemas(operations: Sequence[Operation]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """The schema of each type by its id and use, and the components that they refer to."""
    inputs: list[tuple[Any, Any, TypeAdapter[Any]]] = [("Error", "serialization", TypeAdapter(Error))]
    for operation in operations:
        inputs += [((operation.id, model), "validation", TypeAdapter(model)) for model in operation.body]
        if operation.answer is not None:
            inputs.append(((operation.id, "answer"), "serialization", TypeAdapter(operation.answer)))
    schemas, definitions = TypeAdapter.json_schemas(inputs, ref_template=REFERENCE)
    components = definitions["$defs"]
    return {key: schema for (key, _mode), schema in schemas.items()}, components


def _operation(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "description": operation.description,
        "parameters": [
            _parameter(name, "path", {"type": "string"}, required=True)
            for name in re.findall(r"\{(\w+)\}", operation.path)
        ],
        "responses": _responses(operation, schemas),
    }
    if operation.query is not None:
        made["parameters"] += _query(operation.query)
    for header in operation.headers:
        parameter = _parameter(header.name, "header", header.schema(), required=False)
        made["parameters"].append({**parameter, "description": header.description})
    if operation.body:
        suffix = "Changes" if operation.partial else ""
        bodies = [{"$ref": REFERENCE.format(model=model.__name__ + suffix)} for model in operation.body]
        schema = bodies[0] if len(bodies) == 1 else {"anyOf": bodies}
        content = {"schema": schema}
        if operation.id in examples.BODIES:
            content["example"] = examples.BODIES[operation.id]
        required = not operation.partial and not any(map(_takes_nothing, operation.body))
        made["requestBody"] = {"required": required, "content": {"application/json": content}}
    if operation.deprecated:
        made["deprecated"] = True
    return made


def _takes_nothing(model: type[BaseModel]) -> bool:
    """An empty body is an empty object."""
    try:
        model.model_validate({})
    except ValidationError:
        return False
    return True


def _query(model: Any) -> list[dict[str, Any]]:
    properties = model.model_json_schema()["properties"]
    return [_parameter(name, "query", schema, required=False) for name, schema in properties.items()]


def _parameter(name: str, place: str, schema: Any, *, required: bool) -> dict[str, Any]:
    made = {"name": name, "in": place, "required": required, "schema": schema}
    if name not in examples.PARAMETERS:
        return made
    example = examples.PARAMETERS[name]
    return {**made, "example": [example] if schema.get("type") == "array" else example}


def _responses(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    fine: dict[str, Any] = {"description": "Done."}
    if operation.answer is not None:
        content = {"schema": schemas[operation.id, "answer"]}
        if operation.id in examples.ANSWERS:
            content["example"] = examples.ANSWERS[operation.id]
        fine["content"] = {"application/json": content}
    for media in operation.media:
        fine.setdefault("content", {})[media] = {"schema": {"type": "string", "format": "binary"}}
    responses = {str(operation.status): fine}
    body_errors = (400, 408, 413) if operation.body else ()
    for status in sorted({*operation.errors, *_ALWAYS, *body_errors}):
        content = {"schema": schemas["Error"], "example": {"details": None, **examples.ERRORS[status]}}
        responses[str(status)] = {"description": _MEANING[status], "content": {"application/json": content}}
    return responses
