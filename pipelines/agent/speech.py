"""Whether there are the vendors and the voices of speech that an agent names. Of the offline vendors alone all voices
are known; the others have new ones every day."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from pipelines.agent.options import AgentOptions, Stt, Tts
from pipelines.agent.strict import Problem, nearest
from pipelines.catalogue.espeak import LANGUAGES, has_voice
from pipelines.providers.pico import VOICES

_MOST_NAMED = 20


def missing_speech(options: AgentOptions, *, talks: bool) -> Iterator[Problem]:
    """``talks``: the model speaks itself, with the voice of ``options.tts``, whose vendor is the service's."""
    # Needed here and not sooner: the registry reads scripts, which are checked as agents are.
    from pipelines.providers.registry import SPEECH_TO_TEXT, TEXT_TO_SPEECH

    for where, part in _parts(options):
        vendors = SPEECH_TO_TEXT if isinstance(part, Stt) else TEXT_TO_SPEECH
        if part.vendor is not None and part.vendor not in vendors:
            yield Problem(f"{where}.vendor", _not_there(part.vendor, "and there is no such vendor", vendors))
        elif isinstance(part, Tts) and part.voice is not None and not (talks and part is options.tts):
            if part.vendor == "pico" and part.voice not in VOICES:
                yield Problem(f"{where}.voice", _not_there(part.voice, "which pico does not have", VOICES))
            elif part.vendor == "espeak" and not has_voice(part.voice):
                yield Problem(f"{where}.voice", _not_there(part.voice, "which espeak does not have", LANGUAGES))


def _parts(options: AgentOptions) -> Iterator[tuple[str, Stt | Tts]]:
    yield "options.stt", options.stt
    yield "options.tts", options.tts
    if options.fallback is not None:
        yield from _each("options.fallback.stt", options.fallback.stt)
        yield from _each("options.fallback.tts", options.fallback.tts)


def _each(where: str, parts: Any) -> Iterator[tuple[str, Any]]:
    """One, or several in a list."""
    if isinstance(parts, list):
        yield from ((f"{where}[{i}]", part) for i, part in enumerate(parts))
    elif parts is not None:
        yield where, parts


def _not_there(name: str, why: str, known: Collection[str]) -> str:
    meant = nearest(name, known)
    if meant is not None:
        return f"is {name!r}, {why}; did you mean {meant}?"
    there = f"there are {', '.join(known)}" if len(known) <= _MOST_NAMED else "GET /api/voices tells what there is"
    return f"is {name!r}, {why}; {there}"
