"""What vendors' lists of voices say. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from pipelines.catalogue.entries import Gender, Voice
from pipelines.catalogue.reading import entries, gender_of, id_of, tags_of, text
from pipelines.catalogue.voices import kokoro_voice

CARTESIA_PAGE = 100


def elevenlabs_voices(answer: Any) -> Iterator[Voice]:
    for entry in entries(answer, "voices"):
        labels, verified = entry.get("labels"), entry.get("verified_languages")
        labels = labels if isinstance(labels, dict) else {}
        spoken = [one for one in verified if isinstance(one, dict)] if isinstance(verified, list) else []
        languages = [labels.get("language"), *(one.get("locale") or one.get("language") for one in spoken)]
        if name := id_of(entry, "voice_id"):
            more = ", ".join(filter(None, (text(entry, "name"), text(labels, "accent"))))
            yield Voice("elevenlabs", name, more or name, gender_of(labels.get("gender")), tags_of(languages))


def deepgram_voices(answer: Any) -> Iterator[Voice]:
    for entry in entries(answer, "tts"):
        name, more = id_of(entry, "canonical_name"), entry.get("metadata")
        more = more if isinstance(more, dict) else {}
        tags, languages = more.get("tags"), entry.get("languages")
        genders: list[Gender] = [gender_of(one) for one in tags] if isinstance(tags, list) else []
        gender: Gender = next((one for one in genders if one != "unknown"), "unknown")
        if name:
            yield Voice(
                "deepgram",
                name,
                ", ".join(filter(None, (text(entry, "name", "canonical_name").title(), text(more, "accent")))),
                gender,
                tags_of(languages if isinstance(languages, list) else []),
            )


def cartesia_voices(answer: Any) -> Iterator[Voice]:
    for entry in entries(answer, "data"):
        locales = entry.get("locales")
        spoken = [one.get("locale") for one in locales if isinstance(one, dict)] if isinstance(locales, list) else []
        if name := id_of(entry, "id"):
            description = text(entry, "name", "tagline", "description") or name
            languages = tags_of([entry.get("language"), *spoken])
            yield Voice("cartesia", name, description, gender_of(entry.get("gender")), languages)


def cartesia_more(answer: Any) -> str | None:
    """By the id of the last one, until a page is not full; whether there are more is not said in every version."""
    found = answer["data"]
    full = answer.get("has_more", len(found) >= CARTESIA_PAGE) is True and found
    after = id_of(found[-1], "id") if full and isinstance(found[-1], dict) else ""
    return f"/voices?limit={CARTESIA_PAGE}&starting_after={quote(after)}" if after else None


def served_voices(vendor: str) -> Callable[[Any], Iterator[Voice]]:
    """Of servers that are compatible with OpenAI's: names alone (Kokoro-FastAPI before 0.3), or objects."""

    def read(answer: Any) -> Iterator[Voice]:
        voices = answer.get("voices") if isinstance(answer, dict) else None
        if not isinstance(voices, list):
            raise ValueError("the answer has no list of voices")  # noqa: TRY004 (of the data, not of a type of ours)
        for voice in voices:
            entry = {"name": voice} if isinstance(voice, str) else voice if isinstance(voice, dict) else {}
            name, language = id_of(entry, "id", "name"), entry.get("language")
            if name and isinstance(language, str) and language != "multilingual":
                yield Voice(vendor, name, name, gender_of(entry.get("gender")), tags_of([language]))
            elif name:
                yield kokoro_voice(vendor, name)

    return read


def ultravox_voices(answer: Any) -> Iterator[Voice]:
    for entry in entries(answer, "results"):
        # A voice may be named by its id or by its name, which may hold blanks: the id is good in any case.
        if name := id_of(entry, "voiceId"):
            description = ": ".join(filter(None, (text(entry, "name"), text(entry, "description"))))
            yield Voice("ultravox", name, description or name, "unknown", tags_of([entry.get("primaryLanguage")]))
