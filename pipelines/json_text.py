"""JSON that others have written, and what stands in it as text: whatever it is, it raises nothing, and what comes of it
can be stored and sent on. Pure."""

from __future__ import annotations

import json
import re
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


def duration_seconds(value: object) -> float | None:
    """Of a duration as protobuf's JSON has it, such as ``12.5s``; None where it is none."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)s", value) if isinstance(value, str) else None
    return float(found[1]) if found else None
