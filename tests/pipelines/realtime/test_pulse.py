"""When a socket that says nothing is asked, and when it is given up."""

from __future__ import annotations

import pytest

from pipelines.realtime.pulse import Pulse


def run(*, awaited: bool, answers: bool, seconds: float = 12.0) -> list[tuple[str, float]]:
    """What it wants, and when, of a socket that last said something at 0. With ``answers`` pongs come after 100 ms."""
    pulse, heard, pong, found = Pulse(0.0), 0.0, 1e9, list[tuple[str, float]]()
    for step in range(1, round(seconds * 20)):
        now = step / 20
        wanted = pulse.tick(now, heard, awaited=awaited)
        if wanted == "ask" and answers:
            pong = now + 0.1
        if now >= pong:
            heard, pong = now, 1e9
        if wanted is not None:
            found.append((wanted, now))
            if wanted == "lost":
                break
    return found


@pytest.mark.parametrize(("awaited", "asked", "lost"), [(True, 0.6, 2.6), (False, 3.0, 6.0)])
def test_a_dead_socket_is_found_out(awaited: bool, asked: float, lost: float) -> None:
    assert run(awaited=awaited, answers=False) == [("ask", asked), ("lost", lost)]


@pytest.mark.parametrize(("awaited", "asked"), [(True, 18), (False, 4)])
def test_a_live_one_is_asked_now_and_then(awaited: bool, asked: int) -> None:
    wanted = run(awaited=awaited, answers=True)
    assert all(what == "ask" for what, _ in wanted)
    assert abs(len(wanted) - asked) <= 2


def test_one_that_says_something_all_the_time_is_never_asked() -> None:
    pulse = Pulse(0.0)
    assert [pulse.tick(step / 20, step / 20 - 0.1, awaited=True) for step in range(1, 200)] == [None] * 199


def test_an_answer_in_the_same_millisecond_is_one() -> None:
    pulse = Pulse(0.0)
    assert pulse.tick(0.6, 0.0, awaited=True) == "ask"
    assert [pulse.tick(0.6 + step / 20, 0.6, awaited=True) for step in range(1, 12)] == [None] * 11
    assert pulse.tick(1.21, 0.6, awaited=True) == "ask"


def test_what_came_while_we_were_away_counts() -> None:
    """It is read after the first tick, where timers go before sockets."""
    pulse = Pulse(0.0)
    assert pulse.tick(0.65, 0.0, awaited=True) == "ask"
    assert pulse.tick(5.0, 0.0, awaited=True) is None
    assert pulse.tick(5.05, 5.01, awaited=True) is None
    assert pulse.tick(5.65, 5.01, awaited=True) == "ask"


def test_it_is_lost_all_the_same_where_nothing_had_come() -> None:
    pulse = Pulse(0.0)
    assert pulse.tick(0.65, 0.0, awaited=True) == "ask"
    wanted = [pulse.tick(5.0 + step / 20, 0.0, awaited=True) for step in range(60)]
    assert wanted.index("lost") == 40


def test_nobody_waits_any_more_and_it_gets_more_time() -> None:
    pulse = Pulse(0.0)
    assert pulse.tick(0.6, 0.0, awaited=True) == "ask"
    assert [pulse.tick(0.6 + step / 20, 0.0, awaited=False) for step in range(1, 60)] == [None] * 59
    assert pulse.tick(3.65, 0.0, awaited=False) == "lost"


def test_doubt_comes_before_loss() -> None:
    pulse = Pulse(0.0)
    assert not pulse.doubtful(0.5)
    pulse.tick(0.6, 0.0, awaited=True)
    assert not pulse.doubtful(1.5)
    assert pulse.doubtful(1.6)
    pulse.tick(1.65, 1.62, awaited=True)
    assert not pulse.doubtful(1.65)
