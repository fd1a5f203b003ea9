"""What is known of OpenAI's models by their names, and what an agent may ask of them in the vendor's words. Data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pipelines.providers.compatible import OTHER_PARTS

Api = Literal["responses", "chat"]

_REASONS = re.compile(r"o\d|gpt-(?:[5-9]|\d\d)")
"""All from GPT-5 on, and the series o: names of models to come included."""

SETTINGS = frozenset(
    {
        "api",
        "max_output_tokens",
        "parallel_tool_calls",
        "prompt_cache_key",
        "prompt_cache_options",
        "reasoning",
        "service_tier",
        "text",
    }
)
"""What an agent may set as ``vendorSpecific.openai`` for models of text: fields of the Responses API, and which API."""

_CHAT_NAMES = {"max_output_tokens": "max_completion_tokens"}


def api_for(model: str) -> Api:
    """Responses for models that reason: from GPT-5.4 on they refuse functions in chat completions unless reasoning is
    off, and what they have thought before a call of a function can be given back to them in Responses alone."""
    return "responses" if _REASONS.match(model) else "chat"


def quickest_effort(model: str) -> str | None:
    """The least reasoning that a model takes: on the telephone each second of it is silence. None where it is better
    not to name any."""
    if not _REASONS.match(model) or "chat" in model or "-pro" in model:
        return None
    if re.match(r"o\d", model) or "codex" in model:
        return "low"
    return "minimal" if re.match(r"gpt-5(?![.\d])", model) else "none"


def model_settings(vendor_specific: Mapping[str, Any]) -> Mapping[str, Any]:
    """Those of :data:`SETTINGS` that the agent has. Raises ValueError for what cannot be set."""
    options = vendor_specific.get("openai", {})
    if not isinstance(options, Mapping):
        raise ValueError("options.vendorSpecific.openai is no object; it takes fields of the Responses API")  # noqa: TRY004
    if unknown := sorted(set(options) - SETTINGS - OTHER_PARTS):
        allowed = ", ".join(sorted(SETTINGS | OTHER_PARTS))
        raise ValueError(f"options.vendorSpecific.openai has no {', '.join(unknown)}; it takes {allowed}")
    settings = {name: value for name, value in options.items() if name in SETTINGS}
    if settings.get("api") not in (None, "responses", "chat"):
        raise ValueError(f"options.vendorSpecific.openai.api is {settings['api']!r}; it is responses or chat")
    for name in ("reasoning", "text", "prompt_cache_options"):
        if not isinstance(settings.get(name, {}), Mapping):
            raise ValueError(f"options.vendorSpecific.openai.{name} is no object")  # noqa: TRY004
    return settings


def responses_fields(model: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of a request to Responses."""
    fields = {name: value for name, value in settings.items() if name != "api"}
    effort = quickest_effort(model)
    if "reasoning" not in fields and effort is not None:
        fields["reasoning"] = {"effort": effort}
    return fields


def chat_fields(model: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a request for a chat completion, by the names that they have there."""
    fields = responses_fields(model, settings)
    reasoning, text = fields.pop("reasoning", {}), fields.pop("text", {})
    fields = {_CHAT_NAMES.get(name, name): value for name, value in fields.items()}
    if "effort" in reasoning:
        fields["reasoning_effort"] = reasoning["effort"]
    if "verbosity" in text:
        fields["verbosity"] = text["verbosity"]
    return fields
