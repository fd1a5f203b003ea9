"""Whether there is the voice that an agent names: of the offline vendors alone all are known."""

from __future__ import annotations

from collections.abc import Iterable

from pipelines.agent.options import AgentOptions
from pipelines.agent.strict import Problem, nearest
from pipelines.catalogue.espeak import LANGUAGES, has_voice
from pipelines.providers.pico import VOICES


def missing_voices(options: AgentOptions) -> list[Problem]:
    named = [("options.tts.voice", options.tts)]
    if options.fallback is not None:
        named += [("options.fallback.tts.voice", tts) for tts in options.fallback.voices]
    found = []
    for where, tts in named:
        if tts.vendor == "pico" and tts.voice is not None and tts.voice not in VOICES:
            found.append(Problem(where, _not_there("pico", tts.voice, VOICES)))
        elif tts.vendor == "espeak" and tts.voice is not None and not has_voice(tts.voice):
            found.append(Problem(where, _not_there("espeak", tts.voice, LANGUAGES)))
    return found


def _not_there(vendor: str, voice: str, voices: Iterable[str]) -> str:
    meant = nearest(voice, voices)
    return f"is {voice!r}, which {vendor} does not have; " + (
        f"did you mean {meant}?" if meant else "GET /api/voices tells what it has"
    )
