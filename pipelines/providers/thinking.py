"""How models are asked to think as little as they can: on the telephone each second of thought is silence. Data.

Sources: the SDKs of Anthropic (2.11), Google (google-genai 3.4) and Groq, and the vendors' pages about their models.
"""

from __future__ import annotations

import re
from typing import Any

_CLAUDE = re.compile(r"claude-(?P<family>[a-z]+)-(?P<major>\d{1,2})(?:-(?P<minor>\d{1,2}))?(?!\d)")


def claude_fields(model: str) -> dict[str, Any]:
    """Of a request for a message. Claude up to 4.8 thinks only if it is asked to; later ones by themselves, and how
    that is turned off depends on the model; some cannot but think."""
    named = _CLAUDE.match(model)
    if named is None or int(named["major"]) < 5:
        return {}
    family, version = named["family"], (int(named["major"]), int(named["minor"] or 0))
    match family:
        case "haiku":
            return {"thinking": {"type": "disabled"}}
        case "sonnet":
            return {"thinking": {"type": "disabled" if version < (5, 5) else "between_tools"}}
        case "opus" if version < (5, 5):
            return {"thinking": {"type": "disabled"}}
        case _:
            return {"output_config": {"effort": "low"}}


def gemini_config(model: str) -> dict[str, Any] | None:
    """``thinkingConfig``: Gemini thinks by itself from 2.5 on. None where there is nothing to say."""
    named = re.search(r"gemini-(\d+)(?:\.(\d+))?(.*)", model)
    if named is None:
        return None
    version = int(named[1]), int(named[2] or 0)
    if version >= (3, 0):
        return {"thinkingLevel": "LOW"}
    if version == (2, 5):
        return {"thinkingBudget": 128 if "pro" in named[3] else 0}  # Pro takes no less
    return None


def groq_fields(model: str) -> dict[str, Any]:
    """Of a request for a chat completion."""
    if "gpt-oss" in model:
        return {"reasoning_effort": "low"}
    return {"reasoning_effort": "none"} if "qwen3" in model else {}
