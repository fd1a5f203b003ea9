"""What an agent's definition means for a session."""

from __future__ import annotations

from typing import Any

import pytest

from media.audio import PCM_8K
from pipelines.agent import AgentDefinition
from pipelines.history import History
from pipelines.realtime.model import Capabilities
from pipelines.realtime.setup import LEAST_SECONDS, setup_of, silence_of


def agent(**turns: Any) -> AgentDefinition:
    return AgentDefinition.model_validate(
        {"modelName": "openai/gpt-realtime-2.1", "prompt": "Be brief.", "options": {"turns": turns}}
    )


@pytest.mark.parametrize(
    ("endpointing", "seconds"),
    [
        ({}, None),
        ({"minDelay": 0.4}, 0.4),
        ({"maxDelay": 2.4}, 1.2),
        ({"minDelay": 0.3, "maxDelay": 1.5}, 0.9),
        ({"minDelay": 0}, 0.2),
        ({"minDelay": 0.3, "maxDelay": 0.3}, 0.3),
    ],
)
def test_a_pause_is_as_long_as_the_agent_says_and_otherwise_the_vendors_business(
    endpointing: dict[str, float], seconds: float | None
) -> None:
    found = silence_of(agent(endpointing=endpointing))
    assert found == (seconds if seconds is None else pytest.approx(seconds))
    stored = AgentDefinition.model_validate(agent(endpointing=endpointing).as_stored())
    assert silence_of(stored) == found, "what is stored is what was set, without the defaults"


def test_it_reaches_the_session() -> None:
    can = Capabilities(PCM_8K, PCM_8K)
    definition = agent(endpointing={"minDelay": 0.6})
    assert setup_of(definition, can, (), History("Be brief."), first=True).silence_seconds == 0.6


@pytest.mark.parametrize(("spent", "left"), [(0.0, 305.0), (100.0, 205.0), (400.0, LEAST_SECONDS)])
def test_a_session_that_goes_on_has_what_is_left_of_the_longest_call(spent: float, left: float) -> None:
    can = Capabilities(PCM_8K, PCM_8K)
    definition = AgentDefinition.model_validate(
        {"modelName": "openai/gpt-realtime", "prompt": "Be brief.", "options": {"maxDuration": "305s"}}
    )
    assert setup_of(definition, can, (), History(""), first=False, spent=spent).longest_seconds == left
