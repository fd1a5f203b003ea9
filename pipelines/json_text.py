"""JSON that others have written: whatever it is, it raises nothing. Pure."""

from __future__ import annotations

import json
from typing import Any


def json_object(text: str | bytes | bytearray) -> dict[str, Any] | None:
    """None where it is no JSON, too deep, or JSON that is no object."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
