"""JSON that others have written, and what stands in it as text: whatever it is, it raises nothing, and what comes of it
can be stored and sent on. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

_ODD = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_ODD_BYTES = re.compile(_ODD.pattern.encode())


def json_object(text: str | bytes | bytearray) -> dict[str, Any] | None:
    """None where it is no JSON, too deep, or JSON that is no object. Its strings are without NUL and halves of
    characters, which JSON can spell (where a stream is cut in the middle of one), and UTF-8 and PostgreSQL do not take.
    """
    try:
        value = json.loads(text)
        if _ODD.search(text) if isinstance(text, str) else _ODD_BYTES.search(text):
            value = whole(value)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def whole(value: Any) -> Any:
    """What was read from JSON, without NUL and halves of characters."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode().replace("\0", "")
        case list():
            return [whole(one) for one in value]
        case dict():
            return {whole(name): whole(one) for name, one in value.items()}
        case _:
            return value


MOST_DEEP = 32


def plain(value: Any, deep: int = MOST_DEEP) -> Any:
    """A value of JSON as anybody can read it again: what a model wrote may have numbers that are none (``NaN``, which
    Python takes), and be so deep that it cannot be written. The former are text here, and the latter is left out."""
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case Mapping() if deep:
            return {name: plain(one, deep - 1) for name, one in value.items()}
        case list() | tuple() if deep:
            return [plain(one, deep - 1) for one in value]
        case Mapping() | list() | tuple():
            return "…"
        case _:
            return value


def duration_seconds(value: object) -> float | None:
    """Of a duration as protobuf's JSON has it, such as ``12.5s``; None where it is none."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)s", value) if isinstance(value, str) else None
    return float(found[1]) if found else None
