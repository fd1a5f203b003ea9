"""Which voices the service has for a caller whom no pipeline has."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from gateway.parts import voices_of
from pipelines.agent import AgentDefinition
from pipelines.providers.registry import OFFLINE_VOICES, Registry

pytestmark = pytest.mark.skipif(
    not (find_spec("ttspico") or find_spec("espeakng_loader")), reason="there is no offline voice"
)


def names(env: dict[str, str], model: str = "openai/gpt-4o", **options: Any) -> list[str]:
    agent = AgentDefinition.model_validate({"modelName": model, "prompt": "x", "options": options})
    return [voice.name for voice in voices_of(agent, Registry(env))]


def test_the_agents_voices_come_first_and_one_that_needs_nobody_last() -> None:
    tts = [{"vendor": "cartesia", "voice": "v"}, {"vendor": "deepgram"}]
    found = names(
        {"DEEPGRAM_API_KEY": "k", "CARTESIA_API_KEY": "k"},
        tts={"vendor": "deepgram"},
        fallback={"tts": tts},
    )
    assert found[:3] == ["deepgram", "cartesia", "deepgram"]
    assert found[3] in OFFLINE_VOICES
    assert len(found) == 4


def test_voices_that_cannot_be_had_are_left_out() -> None:
    [own] = names({}, tts={"vendor": "deepgram"})
    assert own in OFFLINE_VOICES
    [own] = names({}, tts={"vendor": "openai"}, fallback={"tts": {"vendor": "cartesia", "voice": "v"}})
    assert own in OFFLINE_VOICES


def test_an_agent_with_an_offline_voice_has_that_alone() -> None:
    [own] = names({}, tts={"language": "en-GB"})
    assert own in OFFLINE_VOICES
