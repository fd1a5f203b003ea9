"""When a caller who waits is consoled, and when his session is given up."""

from __future__ import annotations

from itertools import pairwise

from pipelines.realtime.patience import LOST_SECONDS, PATIENCE_SECONDS, PATIENT_SECONDS, Patience


def ticks(
    patience: Patience, begin: float, end: float, *, sounding: bool = False, answering: bool = False
) -> list[tuple[str, float]]:
    """What it wants, and when, asked ten times a second."""
    found: list[tuple[str, float]] = []
    for step in range(round(begin * 10), round(end * 10)):
        wanted = patience.tick(step / 10, sounding=sounding, answering=answering, open=True)
        if wanted is not None:
            found.append((wanted, step / 10))
    return found


def test_a_caller_is_consoled_and_then_the_session_is_lost() -> None:
    patience = Patience()
    patience.begin(10.0)
    patience.noticed = True
    assert ticks(patience, 10, 12.4) == []
    assert patience.tick(10 + PATIENCE_SECONDS, sounding=False, answering=False, open=True) == "console"
    assert ticks(patience, 12.5, 13.5, sounding=True) == []
    assert ticks(patience, 13.5, 15.7) == []
    assert patience.tick(10 + LOST_SECONDS, sounding=False, answering=False, open=True) == "lost"
    assert not patience.waiting


def test_without_a_session_there_is_none_to_be_given_up() -> None:
    patience = Patience()
    patience.begin(0.0)
    patience.noticed = True
    assert patience.tick(20.0, sounding=False, answering=False, open=False) == "console"
    assert patience.waiting


def test_the_wait_begins_when_an_earlier_answer_was_heard() -> None:
    patience = Patience()
    patience.begin(0.0)
    patience.noticed = True
    assert ticks(patience, 0, 20, sounding=True, answering=True) == []
    assert ticks(patience, 20, 22.3) == []
    assert ticks(patience, 22.3, 22.5) == [("console", 22.3)]


def test_where_nothing_was_noticed_noise_is_consoled_once_in_a_while() -> None:
    patience = Patience()
    consoled: list[float] = []
    for begin in range(0, 100, 10):
        patience.begin(float(begin))
        consoled += [at for what, at in ticks(patience, begin, begin + 5.5) if what == "console"]
    assert len(consoled) == 4
    assert min(b - a for a, b in pairwise(consoled)) >= PATIENT_SECONDS


def test_a_voice_that_takes_its_time_is_asked_once() -> None:
    patience = Patience()
    patience.begin(0.0)
    patience.noticed = True
    assert len(ticks(patience, 0, 4)) == 1


def test_an_answer_ends_the_wait() -> None:
    patience = Patience()
    patience.begin(0.0)
    patience.noticed = True
    patience.answered()
    assert not patience.noticed
    assert ticks(patience, 0, 30) == []
