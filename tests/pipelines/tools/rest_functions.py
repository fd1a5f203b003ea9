"""Functions for tests."""

from __future__ import annotations

from typing import Any

from pipelines.agent import Function, Key


def rest(url: str, /, method: str = "get", required: list[str] | None = None, **parameters: Any) -> Function:
    schema = {"properties": parameters, "required": required or []}
    fields = {"name": "ask", "implementation": "rest", "url": url, "method": method, "input_schema": schema}
    return Function.model_validate(fields)


def key(location: str, **fields: Any) -> Key:
    return Key.model_validate({"name": "crm", "in": location, **fields})
