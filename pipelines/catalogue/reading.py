"""What the readers of vendors' lists have in common: they take what they can use, and pass over the rest. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from pipelines.catalogue.entries import ANY_LANGUAGE, Gender, tag

_LONGEST = 300

_GENDERS: Mapping[str, Gender] = {
    "male": "male", "masculine": "male", "female": "female", "feminine": "female", "neutral": "neutral",
    "non-binary": "neutral", "gender_neutral": "neutral",
}  # fmt: skip


def entries(answer: Any, key: str) -> Iterator[Mapping[str, Any]]:
    found = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise ValueError(f"the answer has no list of {key}")  # noqa: TRY004 (of the data, not of a type of ours)
    return (one for one in found if isinstance(one, dict))


def text(entry: Mapping[str, Any], *keys: str) -> str:
    """The first of ``keys`` that is a text, in one line; empty if none is."""
    for key in keys:
        value = entry.get(key)
        if isinstance(value, str) and value.strip():
            return " ".join(value.split())[:_LONGEST]
    return ""


def id_of(entry: Mapping[str, Any], *keys: str) -> str:
    """As :func:`text`, for what goes into an agent: empty if it could not."""
    for key in keys:
        value = entry.get(key)
        if isinstance(value, str) and value and len(value) <= _LONGEST and value.isprintable() and " " not in value:
            return value
    return ""


def gender_of(value: Any) -> Gender:
    return _GENDERS.get(value.lower(), "unknown") if isinstance(value, str) else "unknown"


def tags_of(values: Sequence[Any]) -> tuple[str, ...]:
    """Language tags, each once; those with a region, where there are any, for they say more."""
    tags = tuple(dict.fromkeys(tag(value) for value in values if isinstance(value, str) and 1 < len(value) <= 40))
    return tuple(one for one in tags if "-" in one) or tags or (ANY_LANGUAGE,)


def cursor_of(path: str) -> Callable[[Any], str | None]:
    """For vendors that give the next page's whole address, of which only the cursor is believed."""

    def more(answer: Any) -> str | None:
        following = answer.get("next")
        cursors = parse_qs(urlsplit(following).query).get("cursor") if isinstance(following, str) else None
        return f"{path}&cursor={quote(cursors[0], safe='')}" if cursors else None

    return more
