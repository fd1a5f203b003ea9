"""A caller who waits, on the test's own clock."""

from __future__ import annotations

from pipelines.agent.options import Fillers
from pipelines.phrasebook import phrases
from pipelines.waiting import HURRY_SECONDS, PATIENCE_SECONDS, WaitingCaller

EN = phrases("en")


def test_patience_ends_after_so_much_silence_and_again_after_as_much() -> None:
    caller = WaitingCaller(Fillers(), "en")
    caller.begin(10.0)
    assert not caller.impatient(10.0 + HURRY_SECONDS - 0.01)
    assert caller.impatient(10.0 + HURRY_SECONDS)
    assert caller.words(10.0 + PATIENCE_SECONDS - 0.01, acting=False) is None
    said = []
    now = 10.0
    for _ in range(3):
        now += PATIENCE_SECONDS + 0.01
        said.append(caller.words(now, acting=False))
        caller.consoled(now)
        assert caller.words(now + 1, acting=False) is None
    assert said == [EN.one_moment, EN.still_here, EN.still_here]


def test_whoever_is_heard_ends_the_silence_but_not_the_waiting() -> None:
    caller = WaitingCaller(Fillers(), "en")
    caller.begin(0.0)
    caller.consoled(3.0)
    caller.heard(4.0)
    assert caller.words(4.0 + PATIENCE_SECONDS - 0.01, acting=False) is None
    assert caller.words(4.01 + PATIENCE_SECONDS, acting=False) == EN.still_here
    caller.begin(20.0)
    assert caller.words(20.01 + PATIENCE_SECONDS, acting=False) == EN.one_moment


def test_fillers_are_said_in_turn_and_escalate() -> None:
    fillers = Fillers(delay=1.0, phrases=["a", "b"], escalation=["c", "d"])
    caller = WaitingCaller(fillers, "en")
    said = []
    for now in range(1, 7):
        said.append(caller.words(now, acting=True))
        caller.consoled(now)
    assert said == ["a", "b", "c", "d", "c", "d"]
    assert caller.words(6.01 + PATIENCE_SECONDS, acting=False) == EN.still_here, "where no tool runs they are not said"
