"""What a progress socket and the service say to each other about functions that clients answer. Pure.

A question is ``{"function_calls": [{"id", "name", "arguments"}], "isFinal": false, "callId", "timestamp", "seconds"}``;
an answer is ``{"function_results": [{"id", "result"}]}``, or has ``error``, a sentence for the model, in place of it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

MOST_NAMES = 128
MOST_RESULTS = 20
"""In one message."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_LONGEST_ID = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """``said`` has ``result`` or ``error``."""

    id: str
    said: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Misunderstood:
    """A sentence for whoever sent it."""

    why: str
    id: str | None = None


def names_of(text: str) -> Sequence[str] | None:
    """``*`` is all of them: None. Raises ValueError with a sentence."""
    names = [name.strip() for name in text.split(",")]
    if names == ["*"]:
        return None
    if len(names) > MOST_NAMES or not all(_NAME.fullmatch(name) for name in names):
        raise ValueError("Write the functions that this socket answers as ?functions=one,two, or * for all.")
    return names


def question(id: str, call_id: str, name: str, arguments: Mapping[str, Any], seconds: float, at: datetime) -> Any:
    return {
        "function_calls": [{"id": id, "name": name, "arguments": dict(arguments)}],
        "isFinal": False,
        "callId": call_id,
        "timestamp": at.isoformat(),
        "seconds": seconds,
    }


def refusal(why: Misunderstood) -> dict[str, Any]:
    """What the socket is told of what it sent."""
    return {"error": why.why, "isFinal": False, **({"id": why.id} if why.id is not None else {})}


def parse(text: str) -> Sequence[Answer | Misunderstood] | None:
    """None: nothing about functions."""
    try:
        message = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or "function_results" not in message:
        return None
    results = message["function_results"]
    if not isinstance(results, list) or not 0 < len(results) <= MOST_RESULTS:
        return [Misunderstood(f"function_results has to be a list of 1 to {MOST_RESULTS} results.")]
    return [_answer(result) for result in results]


def _refuse(number: str) -> Any:
    raise ValueError(f"{number} is no number of JSON's, or none that it could be given back as")


def _finite(written: str) -> float:
    number = float(written)
    return number if math.isfinite(number) else _refuse(written)


def _answer(result: Any) -> Answer | Misunderstood:
    if not isinstance(result, dict):
        return Misunderstood("A result has to be an object with the id of the function's call.")
    id = result.get("id")
    if not isinstance(id, str) or not 0 < len(id) <= _LONGEST_ID:
        return Misunderstood("A result has to have the id that the function's call had.")
    error = result.get("error")
    if error is not None:
        if not isinstance(error, str) or not error.strip():
            return Misunderstood("An error has to be a sentence for the model.", id)
        return Answer(id, {"error": error})
    if "result" not in result:
        return Misunderstood("A result has to have its result, or an error.", id)
    return Answer(id, {"result": result["result"]})
