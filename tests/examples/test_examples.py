"""The examples of the documentation: what is on their pages is what happens."""

from __future__ import annotations

import pytest

from gateway.parts import cascade_parts
from gateway.realtime import RealtimeModels
from pipelines.agent import AgentDefinition
from pipelines.breaker import Breakers
from pipelines.providers.registry import Registry
from tests.examples.page import FOLDER, AgentSays, CallerSays, Rings, read
from tests.examples.player import play
from tests.simulators.codeword import heard_words, plain_words

NAMES = sorted(path.stem for path in FOLDER.glob("*.md"))
CALLS = [(name, title) for name in NAMES for title in read(name)]
ACCOUNTS = {f"{vendor}_API_KEY": "key" for vendor in ("OPENAI", "DEEPGRAM", "ELEVENLABS")}


@pytest.mark.usefixtures("by_both")
@pytest.mark.parametrize(("name", "title"), CALLS)
def test_the_call_of_the_page_is_the_call_that_is_heard(name: str, title: str) -> None:
    example = read(name)[title]
    office, report, services = play(example)
    assert services.left == []
    heard = [row.text if isinstance(row, AgentSays) else row.says for row in example.of(AgentSays, Rings)]
    assert heard_words(report.heard) == [word for text in heard for word in plain_words(text)]
    said = [plain_words(text) for text in office.said("user", report)]
    assert said == [plain_words(row.text) for row in example.of(CallerSays)]
    assert office.said("error", report) == []

    rings: list[Rings] = example.of(Rings)
    assert [dialled.party for dialled in report.dials] == [ring.number for ring in rings]
    through = bool(rings) and rings[-1].outcome == "answered"
    verbs = ["listen", *(verb for ring in rings for verb in ("dial", "listen"))][: -1 if through else None]
    assert report.verbs == [*verbs, "hangup"]
    [call] = [call for call in office.store.started.values() if call.parent_id is None]
    assert (report.ended_by, office.store.ended[call.id][1]) == ("jambonz", "transferred" if through else "agent")


@pytest.mark.parametrize("name", NAMES)
def test_the_definition_of_the_page_is_one_that_the_service_takes(name: str) -> None:
    """With an account at the vendors that it names."""
    example = next(iter(read(name).values()))
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
    assert set(NAMES) == {"orders", "appointments", "receptionist"}
    assert len(CALLS) == 4
