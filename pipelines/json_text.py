"""JSON that others have written, and what stands in it as text: whatever it is, it raises nothing. Pure."""

from __future__ import annotations

import json
import re
from typing import Any


def json_object(text: str | bytes | bytearray) -> dict[str, Any] | None:
    """None where it is no JSON, too deep, or JSON that is no object."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def duration_seconds(value: object) -> float | None:
    """Of a duration as protobuf's JSON has it, such as ``12.5s``; None where it is none."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)s", value) if isinstance(value, str) else None
    return float(found[1]) if found else None
