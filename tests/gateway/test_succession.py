from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.succession import AnotherAgent, OtherModels, Succession, Successor, Telephone
from pipelines.agent import AgentDefinition

LIVE = "openai/gpt-realtime"


def agent(own: str = "openai/gpt-4o", /, **fallback: Any) -> AgentDefinition:
    options = {"fallback": fallback} if fallback else {}
    return AgentDefinition.model_validate({"modelName": own, "prompt": "x", "options": options})


def all_of(succession: Succession, *, setup: bool) -> list[Successor]:
    found: list[Successor] = []
    while (successor := succession.next(setup=setup)) is not None:
        found.append(successor)
    assert not succession.left
    return found


ALL: dict[str, Any] = {"agent": "a", "model": ["openai/b", "groq/c"], "number": "+44 20 7946 0999"}
PHONE = Telephone("442079460999")
BOTH = OtherModels(("openai/b", "groq/c"))


@pytest.mark.parametrize(
    ("own", "setup", "expected"),
    [
        (agent(), True, []),
        (agent(**ALL), True, [AnotherAgent("a"), BOTH, PHONE]),
        (agent(**ALL), False, [AnotherAgent("a"), PHONE]),  # the cascade has asked the models by itself
        (agent(model=["openai/b"], number="+44207"), True, [Telephone("44207")]),  # and at set-up, too
        (agent(LIVE, **ALL), True, [AnotherAgent("a"), BOTH, PHONE]),
        (agent(LIVE, **ALL), False, [BOTH, AnotherAgent("a"), PHONE]),
        (
            agent(LIVE, model=["openai/gpt-realtime-2", "google/gemini-x-live", "openai/b", "groq/c"]),
            False,
            [OtherModels(("openai/gpt-realtime-2",)), OtherModels(("google/gemini-x-live",)), BOTH],
        ),
    ],
)
def test_the_order(own: AgentDefinition, setup: bool, expected: list[Successor]) -> None:
    succession = Succession(own)
    assert succession.left == bool(expected)
    assert all_of(succession, setup=setup) == expected


def test_another_agent_brings_its_own_telephone_and_no_agent() -> None:
    succession = Succession(agent(**ALL))
    assert succession.next(setup=False) == AnotherAgent("a")
    succession.took_over(agent(agent="b", number="+44111"))
    assert all_of(succession, setup=False) == [Telephone("44111")]


def test_another_agent_without_a_telephone_has_the_first_ones() -> None:
    succession = Succession(agent(LIVE, **ALL))
    assert succession.next(setup=True) == AnotherAgent("a")
    succession.took_over(agent(LIVE, model="openai/d"))
    assert all_of(succession, setup=False) == [OtherModels(("openai/d",)), PHONE]


def test_another_agent_comes_before_models_at_set_up_only_while_there_is_one() -> None:
    succession = Succession(agent(**ALL))
    assert succession.agent_first
    succession.next(setup=True)
    assert not succession.agent_first


FALLBACKS = st.fixed_dictionaries(
    {},
    optional={
        "agent": st.sampled_from("ab"),
        "model": st.lists(st.sampled_from([LIVE, "openai/b", "groq/c"]), max_size=5, unique=True),
        "number": st.just("+44207"),
    },
)


@given(st.sampled_from([LIVE, "openai/x"]), FALLBACKS, FALLBACKS, st.lists(st.booleans(), max_size=30))
def test_everybody_is_asked_once_at_most(own: str, first: Any, other: Any, setups: list[bool]) -> None:
    succession = Succession(agent(own, **first))
    seen: list[Any] = []
    while succession.left:
        successor = succession.next(setup=setups.pop() if setups else False)
        if successor is None:
            break
        if isinstance(successor, AnotherAgent):
            succession.took_over(agent(LIVE, **other))
            seen.append("agent")
        elif isinstance(successor, Telephone):
            seen.append("telephone")
        else:
            seen.append(successor.names)
    assert seen.count("agent") <= 1
    assert seen.count("telephone") <= 1
    assert len(seen) <= 12
    assert succession.next(setup=False) is None
