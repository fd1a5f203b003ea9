"""Circuit breakers and who steps in, on a clock of the test's own."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.breaker import FAILURES, OPEN_SECONDS, WINDOW_SECONDS, Breaker, Breakers
from pipelines.parts import ProviderError, ProviderFault
from pipelines.standby import Standby


@dataclass(frozen=True)
class Part:
    name: str


def error(kind: ProviderFault = "server") -> ProviderError:
    return ProviderError("somebody", kind, "it is broken")


def test_it_opens_after_failures_in_a_row_and_lets_one_attempt_through() -> None:
    breaker = Breaker()
    for n in range(FAILURES - 1):
        assert not breaker.failed("server", n)
        assert breaker.allows(n)
    assert breaker.failed("timeout", FAILURES), "this one opens it"
    assert breaker.state(FAILURES) == "open"
    assert not breaker.allows(FAILURES + OPEN_SECONDS - 0.1)
    then = FAILURES + OPEN_SECONDS
    assert breaker.state(then) == "half_open"
    assert breaker.allows(then), "one attempt"
    assert not breaker.allows(then), "and no second one meanwhile"
    assert breaker.allows(then + OPEN_SECONDS), "an attempt that nothing was heard of again is none"
    assert not breaker.failed("server", then + OPEN_SECONDS + 1), "it was open: that is no news"
    assert breaker.state(then + OPEN_SECONDS + 2) == "open"
    breaker.worked()
    assert breaker.state(then + OPEN_SECONDS + 2) == "closed"


def test_failures_far_apart_do_not_open_it() -> None:
    breaker = Breaker()
    for n in range(20):
        breaker.failed("server", n * WINDOW_SECONDS / (FAILURES - 1) * 1.01)
        assert breaker.allows(n * WINDOW_SECONDS)


def test_a_success_in_between_counts() -> None:
    breaker = Breaker()
    for n in range(20):
        breaker.failed("server", n)
        if n % (FAILURES - 1) == FAILURES - 2:
            breaker.worked()
        assert breaker.allows(n)


def test_a_refused_key_opens_it_at_once_and_a_bad_request_never() -> None:
    breaker = Breaker()
    for n in range(20):
        assert not breaker.failed("bad_request", n / 10)
    assert breaker.allows(3)
    assert breaker.failed("auth", 3)
    assert not breaker.allows(4)


def test_the_first_of_preference_is_current_and_whoever_steps_in_stays() -> None:
    now = [0.0]
    standby = Standby("llm", [Part("a"), Part("b"), Part("c")], clock=lambda: now[0])
    assert standby.current.name == "a"
    assert standby.failed(error())
    assert standby.current.name == "b"
    standby.worked()
    assert standby.current.name == "b"
    assert standby.failed(error())
    assert standby.failed(error())
    assert standby.current.name == "a", "in turn"


def test_calls_share_what_they_learnt() -> None:
    now, opened = [0.0], list[tuple[str, str]]()
    breakers = Breakers(lambda part, provider: opened.append((part, provider)))

    def call() -> Standby[Part]:
        return Standby("tts", [Part("a"), Part("b")], breakers=breakers, clock=lambda: now[0])

    for _ in range(FAILURES):
        standby = call()
        assert standby.current.name == "a"
        standby.failed(error())
    assert opened == [("tts", "a")]
    assert call().current.name == "b"
    assert Standby("llm", [Part("a"), Part("b")], breakers=breakers).current.name == "a", (
        "another part is another thing"
    )
    now[0] = OPEN_SECONDS + 0.1
    first, second = call(), call()
    assert (first.current.name, second.current.name) == ("a", "b"), "one call tries"
    first.worked()
    assert call().current.name == "a"


def test_where_nobody_may_be_asked_somebody_is() -> None:
    breakers = Breakers()
    breakers.failed("stt", "a", "auth", 0.0)
    breakers.failed("stt", "b", "auth", 0.0)
    standby = Standby("stt", [Part("a"), Part("b")], breakers=breakers)
    assert standby.current.name == "a"
    assert standby.failed(error())
    assert standby.current.name == "b"


def test_one_alone_has_nobody() -> None:
    standby = Standby("stt", [Part("a")])
    assert not standby.failed(error("auth"))
    assert standby.current.name == "a"
    with pytest.raises(ValueError, match="stt"):
        Standby("stt", list[Part]())


@given(st.lists(st.sampled_from(["works", "server", "auth", "bad_request", "wait"]), max_size=60), st.integers(2, 4))
def test_there_is_always_somebody_and_a_failure_always_moves_on(events: list[str], count: int) -> None:
    now = [0.0]
    parts = [Part(str(n)) for n in range(count)]
    breakers = Breakers()
    standby = Standby("llm", parts, breakers=breakers, clock=lambda: now[0])
    for event in events:
        before = standby.current
        match event:
            case "works":
                standby.worked()
            case "wait":
                now[0] += 7
            case kind:
                moved = standby.failed(error(kind))  # type: ignore[arg-type]
                assert moved == (standby.current != before)
                others = [part for part in parts if part is not before]
                allowed = [part for part in others if breakers.of("llm", part.name).state(now[0]) == "closed"]
                assert moved or not allowed, "somebody who may be asked is asked"
        assert standby.current in parts
