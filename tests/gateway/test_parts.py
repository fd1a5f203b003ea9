from __future__ import annotations

import pytest

from gateway.parts import cascade_parts
from pipelines.agent import AgentDefinition
from pipelines.breaker import Breakers
from pipelines.providers.registry import Registry


@pytest.mark.parametrize("preemptive", [True, False])
async def test_likely_ends_of_turns_are_asked_for_where_answers_are_prepared(preemptive: bool) -> None:
    agent = AgentDefinition.model_validate(
        {
            "modelName": "scripted/echo",
            "prompt": "",
            "options": {
                "stt": {"vendor": "deepgram-flux"},
                "turns": {"preemptiveGeneration": preemptive},
                "fallback": {"stt": {"vendor": "deepgram-flux", "model": "flux-general-multi"}},
            },
        }
    )
    registry = Registry({"DEEPGRAM_API_KEY": "key"})
    parts = cascade_parts(agent, registry, lambda failed: None, breakers=Breakers(), semantic=None)
    assert parts.stt is registry.speech_to_text("deepgram-flux", eager=preemptive)
    [other] = parts.more_stts
    assert other is registry.speech_to_text("deepgram-flux", model="flux-general-multi", eager=preemptive)
    await registry.close_all()
