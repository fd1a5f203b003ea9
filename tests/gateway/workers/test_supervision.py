from __future__ import annotations

import random

import pytest

from gateway.workers.supervision import (
    FIRST_PAUSE,
    LEAVE_SECONDS,
    LONGEST_PAUSE,
    SILENT_SECONDS,
    START_SECONDS,
    STEADY_SECONDS,
    Announce,
    Drain,
    Exit,
    Kill,
    Order,
    Release,
    Start,
    Stop,
    Supervision,
)

DRAIN_SECONDS = 600.0


def up(workers: int = 3) -> Supervision:
    """At 0, with all workers ready."""
    core = Supervision(workers, DRAIN_SECONDS)
    core.begin(0.0)
    for slot in range(workers):
        core.ready(slot, 0.0)
    return core


def test_the_first_starts_alone_and_the_service_is_up_when_all_are_ready() -> None:
    core = Supervision(3, DRAIN_SECONDS)
    assert core.begin(0.0) == [Start(0, False)]
    assert core.ready(0, 1.0) == [Start(1, False), Start(2, False)]
    assert core.ready(2, 2.0) == []
    assert core.ready(1, 2.0) == [Announce()]
    assert core.due == 1.0 + SILENT_SECONDS
    assert core.ready(1, 3.0) == [], "said twice"


@pytest.mark.parametrize("workers", [2, 5])
def test_a_service_whose_first_worker_cannot_start_ends(workers: int) -> None:
    core = Supervision(workers, DRAIN_SECONDS)
    core.begin(0.0)
    assert core.died(0, 1.0) == [Exit(1)]


def test_so_does_one_of_which_another_cannot_start() -> None:
    core = Supervision(3, DRAIN_SECONDS)
    core.begin(0.0)
    core.ready(0, 1.0)
    assert core.died(1, 2.0) == [Stop(0), Stop(2)]
    assert core.died(2, 2.5) == []
    assert core.died(0, 3.0) == [Exit(1)]


def test_a_worker_that_takes_too_long_to_start_is_killed() -> None:
    core = Supervision(2, DRAIN_SECONDS)
    core.begin(0.0)
    assert core.due == START_SECONDS
    assert core.tick(START_SECONDS - 0.1) == []
    assert core.tick(START_SECONDS) == [Kill(0)]
    assert core.due is None
    assert core.died(0, START_SECONDS) == [Exit(1)]


def test_a_worker_that_dies_is_started_again_after_pauses_that_grow_to_a_bound() -> None:
    core, now, pauses = up(), 0.0, []
    for _ in range(10):
        assert core.died(1, now) == []
        for other in (0, 2):
            core.alive(other, now)
        due = core.due
        assert due is not None
        pauses.append(due - now)
        assert core.tick(due - 0.01) == []
        assert core.tick(due) == [Start(1, True)]
        now = due
    assert pauses[:4] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE
    core.ready(1, now)
    for other in (0, 2):
        core.alive(other, now + STEADY_SECONDS)
    core.died(1, now + STEADY_SECONDS)
    assert core.due == now + STEADY_SECONDS + FIRST_PAUSE


def test_one_that_was_ready_for_a_moment_has_not_proved_itself() -> None:
    core = up()
    core.died(0, 1.0)
    core.tick(1.0 + FIRST_PAUSE)
    core.ready(0, 2.0)
    for other in (1, 2):
        core.alive(other, 40.0)
    core.died(0, 2.0 + STEADY_SECONDS - 0.1)
    assert core.due == pytest.approx(2.0 + STEADY_SECONDS - 0.1 + 2 * FIRST_PAUSE)


def test_a_worker_that_hangs_is_killed_and_replaced() -> None:
    core = up(2)
    core.alive(0, 5.0)
    core.alive(1, 5.0)
    core.alive(0, 10.0)
    assert core.due == 5.0 + SILENT_SECONDS
    assert core.tick(5.0 + SILENT_SECONDS) == [Kill(1)]
    assert core.died(1, 5.0 + SILENT_SECONDS) == []
    assert core.tick(5.0 + SILENT_SECONDS + FIRST_PAUSE) == [Start(1, True)]


def test_after_a_stop_of_the_host_nobody_is_to_blame() -> None:
    core = up(2)
    assert core.tick(3600.0) == []
    assert core.due == 3600.0 + SILENT_SECONDS
    assert core.tick(3600.0 + SILENT_SECONDS) == [Kill(0), Kill(1)]


def test_while_it_drains_a_worker_has_its_time_and_no_less() -> None:
    """Whatever it says, or does not."""
    core = up(2)
    core.signalled(10.0)
    assert core.due == 10.0 + DRAIN_SECONDS + LEAVE_SECONDS
    core.alive(0, 20.0)
    assert core.tick(20.0 + SILENT_SECONDS) == []
    assert core.due == 10.0 + DRAIN_SECONDS + LEAVE_SECONDS


def test_all_drain_and_nobody_goes_before_all_have() -> None:
    core = up()
    assert core.signalled(10.0) == [Drain(0), Drain(1), Drain(2)]
    assert core.drained(0, 11.0) == []
    assert core.drained(2, 12.0) == []
    assert core.drained(1, 13.0) == [Release(0), Release(1), Release(2)]
    assert core.died(0, 14.0) == []
    assert core.died(1, 14.0) == []
    assert core.died(2, 14.0) == [Exit(0)]


def test_one_that_dies_while_all_drain_is_not_waited_for_and_not_started_again() -> None:
    core = up()
    core.signalled(10.0)
    core.drained(0, 11.0)
    assert core.died(1, 12.0) == []
    assert core.tick(1000.0) == [Kill(0), Kill(2)], "their time is over"
    core = up(2)
    core.signalled(10.0)
    core.drained(0, 11.0)
    assert core.died(1, 12.0) == [Release(0)]
    assert core.died(0, 13.0) == [Exit(0)]
    assert core.due is None


def test_a_second_signal_ends_the_calls_and_a_third_changes_nothing() -> None:
    core = up()
    core.signalled(10.0)
    core.drained(0, 11.0)
    assert core.signalled(12.0) == [Stop(0), Stop(1), Stop(2)]
    assert core.signalled(13.0) == []
    assert core.due == 12.0 + LEAVE_SECONDS
    assert core.tick(12.0 + LEAVE_SECONDS) == [Kill(0), Kill(1), Kill(2)]


def test_one_that_starts_when_all_drain_breaks_that_off() -> None:
    core = Supervision(2, DRAIN_SECONDS)
    core.begin(0.0)
    assert core.signalled(1.0) == [Drain(0)]
    assert core.due == 1.0 + LEAVE_SECONDS
    assert core.died(0, 2.0) == [Exit(0)]


def test_one_that_is_just_ready_when_all_drain_has_its_time_as_the_others_do() -> None:
    core = up(2)
    core.died(0, 1.0)
    assert core.tick(1.0 + FIRST_PAUSE) == [Start(0, True)]
    assert core.signalled(2.0) == [Drain(0), Drain(1)]
    assert core.drained(1, 3.0) == [], "it may have taken calls"
    assert core.ready(0, 4.0) == [], "it was told"
    assert core.due == 2.0 + DRAIN_SECONDS + LEAVE_SECONDS
    assert core.drained(0, 4.5) == [Release(0), Release(1)]


def test_one_that_waits_to_be_started_again_is_not() -> None:
    core = up(2)
    core.died(0, 1.0)
    assert core.signalled(1.1) == [Drain(1)]
    assert core.tick(100.0) == []
    core.drained(1, 101.0)
    assert core.died(1, 102.0) == [Exit(0)]


def test_with_nobody_there_a_signal_ends_it_at_once() -> None:
    core = up(2)
    core.died(0, 1.0)
    core.died(1, 1.0)
    assert core.signalled(1.1) == [Exit(0)]


def test_a_worker_that_somebody_else_has_drained_is_replaced() -> None:
    core = up()
    assert core.drained(1, 5.0) == [Release(1)]
    assert core.due == 5.0 + LEAVE_SECONDS
    core.died(1, 6.0)
    assert core.due == 6.0 + FIRST_PAUSE
    assert core.tick(6.0 + FIRST_PAUSE) == [Start(1, True)]
    assert core.tick(6.0 + FIRST_PAUSE) == []


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_in_whatever_order_it_comes_to_an_end(seed: int) -> None:
    """A world in which workers die whenever they like, and at last all is told to stop."""
    chance, now = random.Random(seed), 0.0
    core = Supervision(3, 20.0)
    alive: set[int] = set()
    ended: list[int] = []

    def obey(orders: list[Order]) -> None:
        for order in orders:
            match order:
                case Start(slot):
                    assert slot not in alive
                    assert not ended
                    alive.add(slot)
                case Kill(slot):
                    alive.remove(slot)
                    obey(core.died(slot, now))
                case Drain(slot) | Stop(slot) | Release(slot):
                    assert slot in alive
                case Announce():
                    assert len(alive) == 3
                case Exit(status):
                    assert not alive
                    ended.append(status)

    obey(core.begin(now))
    signals = sorted(chance.uniform(0, 100) for _ in range(2))
    while not ended:
        now += chance.uniform(0, 1.0)
        assert now < 100 + 20 + 2 * LEAVE_SECONDS + START_SECONDS, "it never ends"
        if signals and now >= signals[0]:
            signals.pop(0)
            obey(core.signalled(now))
        elif alive:
            slot = chance.choice(sorted(alive))
            what = chance.random()
            if what > 0.7:
                core.alive(slot, now)
            elif what < 0.05:
                alive.remove(slot)
                obey(core.died(slot, now))
            elif what < 0.5:
                obey(core.ready(slot, now))
            elif what < 0.55:
                obey(core.drained(slot, now))
        if not ended:
            obey(core.tick(now))
    assert len(ended) == 1
