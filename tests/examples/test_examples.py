"""The examples of the documentation: what is on their pages is what happens."""

from __future__ import annotations

import pytest

from gateway.parts import cascade_parts
from gateway.realtime import RealtimeModels
from jambonz.simulator.report import VerbStarted
from pipelines.agent import AgentDefinition
from pipelines.breaker import Breakers
from pipelines.providers.registry import Registry
from tests.examples.page import FOLDER, AgentSays, CallerSays, read
from tests.examples.player import play
from tests.simulators.codeword import heard_words, plain_words

NAMES = sorted(path.stem for path in FOLDER.glob("*.md"))
ACCOUNTS = {f"{vendor}_API_KEY": "key" for vendor in ("OPENAI", "DEEPGRAM", "ELEVENLABS")}


@pytest.mark.parametrize("name", NAMES)
def test_the_call_of_the_page_is_the_call_that_is_heard(name: str) -> None:
    example = read(name)
    office, report, services = play(example)
    assert services.left == []
    assert heard_words(report.heard) == [word for row in example.of(AgentSays) for word in plain_words(row.text)]
    assert [plain_words(text) for text in office.said("user")] == [
        plain_words(row.text) for row in example.of(CallerSays)
    ]
    assert (report.ended_by, office.ending()) == ("jambonz", "agent")
    assert [event.verb for event in report.events if isinstance(event, VerbStarted)] == ["listen", "hangup"]
    assert office.said("error") == []


@pytest.mark.parametrize("name", NAMES)
def test_the_definition_of_the_page_is_one_that_the_service_takes(name: str) -> None:
    """With an account at the vendors that it names."""
    example = read(name)
    agent = AgentDefinition.model_validate(example.agent)
    assert {**agent.as_stored(), "keys": agent.secrets()} == example.agent
    if agent.model.is_realtime:
        assert RealtimeModels(ACCOUNTS).model(agent, wideband=False).name == agent.model.provider
    else:
        parts = cascade_parts(agent, Registry(ACCOUNTS), lambda event: None, breakers=Breakers(), semantic=None)
        assert (parts.llm.name, parts.stt.name, parts.tts.name) == (
            agent.model.provider,
            agent.options.stt.vendor,
            agent.options.tts.vendor,
        )


def test_there_is_an_example_of_each_kind() -> None:
    assert {"orders", "appointments"} <= set(NAMES)
