"""What is said to vendors of realtime models in their own words is looked at when an agent is saved."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipelines.agent import AgentDefinition
from pipelines.agent.strict import problems
from pipelines.agent.vendor_specific import OPENAI_REALTIME, said_to

REALTIME, LIVE, GEMINI, ULTRAVOX = (
    "openai/gpt-realtime-2.1",
    "openai/gpt-live-1",
    "google/gemini-3.8-live",
    "ultravox:ultravox/ultravox-v0.7",
)


def define(model: str, vendor_specific: Any) -> AgentDefinition:
    options = {"vendorSpecific": vendor_specific}
    return AgentDefinition.model_validate({"modelName": model, "prompt": "Be brief.", "options": options})


def refused(model: str, vendor_specific: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        define(model, vendor_specific)
    return "; ".join(map(str, problems(caught.value)))


@pytest.mark.parametrize(
    ("model", "vendor_specific", "sentence"),
    [
        (REALTIME, {"openai": {"reasonning": {}}}, "openai.reasonning is not known; did you mean reasoning?"),
        (REALTIME, {"openai": {"xyz": 1}}, "openai.xyz is not known; known here: audio, include, "),
        (REALTIME, {"openai": {"voice": "marin"}}, "voice is set by the service itself; write it as options.tts.voice"),
        (REALTIME, {"openai": {"audio": {"inputs": {}}}}, "openai.audio.inputs is not known; did you mean input?"),
        (
            REALTIME,
            {"openai": {"audio": {"input": {"format": {}}}}},
            "input.format is set by the service itself; leave it",
        ),
        (REALTIME, {"openai": {"audio": []}}, "openai.audio has to be an object"),
        (REALTIME, {"openai": "low"}, "openai has to be an object"),
        (REALTIME, {"openay": {}}, "vendorSpecific.openay names no vendor; did you mean openai?"),
        (LIVE, {"openai": {"reasoning": {}}}, "openai.reasoning is not known; known here: delegation"),
        (LIVE, {"openai": {"delegation": {"modle": "x"}}}, "delegation.modle is not known; did you mean model?"),
        (
            GEMINI,
            {"google": {"thinking_config": {}}},
            "google.thinking_config is not known; did you mean thinkingConfig?",
        ),
        (
            GEMINI,
            {"google": {"temperature": 1}},
            "google.temperature is set by the service itself; write it as options.",
        ),
        (ULTRAVOX, {"ultravox": {"vadSetings": {}}}, "ultravox.vadSetings is not known; did you mean vadSettings?"),
        (ULTRAVOX, {"ultravox": {"vadSettings": 1}}, "ultravox.vadSettings has to be an object"),
        (ULTRAVOX, {"ultravox": {"metadata": {"a": 1}}}, "metadata.a has to be text, under a name of your own"),
        ("scripted/echo", {"ultravocks": {}}, "vendorSpecific.ultravocks names no vendor; did you mean ultravox?"),
    ],
)
def test_a_name_that_there_is_not_is_told_with_the_nearest(model: str, vendor_specific: Any, sentence: str) -> None:
    assert sentence in refused(model, vendor_specific)


def test_all_that_is_wrong_is_told_at_once() -> None:
    said = refused(REALTIME, {"openai": {"reasonning": {}, "tooling": 1}, "openay": {}})
    assert all(name in said for name in ("reasonning", "tooling", "openay"))


@pytest.mark.parametrize(
    ("model", "vendor_specific"),
    [
        (REALTIME, {"openai": {"reasoning": {"effort": "low"}, "audio": {"input": {"noise_reduction": None}}}}),
        (REALTIME, {"openai": {"speech": {"speed": 1.1}}}),
        (REALTIME, {"google": {"anything": 1}, "ultravox": {"anything": 1}}),
        (LIVE, {"openai": {"delegation": {"reasoning": {"effort": "low"}, "model": "gpt-5.6-luna"}}}),
        (GEMINI, {"google": {"thinkingConfig": {"thinkingBudget": 0}, "safetySettings": []}}),
        (
            ULTRAVOX,
            {"ultravox": {"experimentalSettings": {"anyThing": [1]}, "httpTools": True, "metadata": {"a": "b"}}},
        ),
        ("openai/gpt-4o", {"openai": {"anything": 1}}),
    ],
)
def test_what_there_is_and_what_is_of_others_passes(model: str, vendor_specific: Any) -> None:
    assert define(model, vendor_specific).options.vendor_specific == vendor_specific


def test_what_is_for_the_voice_is_not_for_the_model() -> None:
    assert said_to("openai", OPENAI_REALTIME, {"openai": {"speech": {}, "include": []}}) == {"include": []}
