"""What vendors' lists of models say. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from pipelines.catalogue.entries import Model
from pipelines.catalogue.models import described
from pipelines.catalogue.reading import entries, id_of, text

_NO_CHAT = (
    "audio", "babbage", "codex", "computer-use", "dall-e", "davinci", "deep-research", "embed", "guard", "image",
    "banana", "moderation", "rerank", "safeguard", "search", "sora", "speech", "transcribe", "translate", "tts",
    "whisper",
)  # fmt: skip
"""In the names of models that do not converse in text."""


def _converses(id: str) -> bool:
    return not any(part in id.lower() for part in _NO_CHAT)


def chat_models(provider: str) -> Callable[[Any], Iterator[Model]]:
    def read(answer: Any) -> Iterator[Model]:
        for entry in entries(answer, "data"):
            id = id_of(entry, "id")
            audio = provider == "openai" and id.startswith(("gpt-realtime", "gpt-live"))
            if id and _converses(id):
                yield described(provider, id, audio=audio)

    return read


def anthropic_models(answer: Any) -> Iterator[Model]:
    for entry in entries(answer, "data"):
        if (id := id_of(entry, "id")) and entry.get("lifecycle") != "retired":
            yield described("anthropic", id, text(entry, "display_name"))


def anthropic_more(answer: Any) -> str | None:
    last = answer.get("last_id")
    return f"/v1/models?limit=1000&after_id={quote(last)}" if answer.get("has_more") is True and last else None


def gemini_models(answer: Any) -> Iterator[Model]:
    for entry in entries(answer, "models"):
        id = id_of(entry, "name").removeprefix("models/")
        methods = entry.get("supportedGenerationMethods")
        live = "-live" in id  # by its name it is run as one
        method = "bidiGenerateContent" if live else "generateContent"
        if id and isinstance(methods, list) and method in methods and (live or _converses(id)):
            yield described("google", id, text(entry, "displayName"), functions="gemma" not in id, audio=live)


def gemini_more(answer: Any) -> str | None:
    token = answer.get("nextPageToken")
    return f"/v1beta/models?pageSize=1000&pageToken={quote(token)}" if isinstance(token, str) and token else None


def ultravox_models(answer: Any) -> Iterator[Model]:
    for entry in entries(answer, "results"):
        maker, slash, id = id_of(entry, "name").rpartition("/")
        if id and (not slash or maker in ("ultravox", "fixie-ai")):
            yield described(maker or "ultravox", id, audio=True)
