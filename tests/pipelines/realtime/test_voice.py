"""The caller's turns, as they are let through to a model without detection of its own."""

from __future__ import annotations

from pipelines.realtime.voice import MOST_HELD_FRAMES, PRE_ROLL_FRAMES, TurnGate


def through(gate: TurnGate, numbers: range, *, speaking: bool) -> list[int]:
    return [frame[0] for number in numbers for frame in gate.hear(bytes([number % 256]), speaking=speaking)]


def test_a_turn_comes_with_what_was_before_it_and_the_pause_after() -> None:
    gate = TurnGate()
    assert through(gate, range(100), speaking=False) == []
    assert through(gate, range(100, 110), speaking=True) == []
    gate.take()
    assert through(gate, range(110, 150), speaking=True) == list(range(100 - PRE_ROLL_FRAMES, 150))
    assert through(gate, range(150, 153), speaking=False) == []


def test_what_was_no_turn_is_let_go() -> None:
    gate = TurnGate()
    through(gate, range(40), speaking=True)
    through(gate, range(40, 60), speaking=False)
    gate.take()
    assert through(gate, range(60, 62), speaking=True) == [*range(60 - PRE_ROLL_FRAMES, 60), 60, 61]


def test_a_turn_does_not_open_the_gate_for_the_next() -> None:
    gate = TurnGate()
    gate.take()
    assert through(gate, range(3), speaking=True) == [0, 1, 2]
    through(gate, range(3, 4), speaking=False)
    assert through(gate, range(4, 9), speaking=True) == []


def test_what_is_held_is_bounded() -> None:
    gate = TurnGate()
    through(gate, range(5 * MOST_HELD_FRAMES), speaking=True)
    gate.take()
    assert len(gate.hear(b"x", speaking=True)) == MOST_HELD_FRAMES + 1
