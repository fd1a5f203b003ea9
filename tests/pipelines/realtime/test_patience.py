"""When a caller who waits is consoled, and when his session is given up."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import pytest

from pipelines.realtime.patience import (
    LOST_SECONDS,
    PATIENCE_SECONDS,
    PATIENT_SECONDS,
    SUSPECT_SECONDS,
    Patience,
)

Sounding = Literal["caller", "model", "we"] | None


class Line:
    """Ticks ten times a second; what is wanted is told with its time. Where somebody sounds, he is heard."""

    def __init__(self) -> None:
        self.patience = Patience()
        self.heard = 0.0

    def until(
        self,
        begin: float,
        end: float,
        sounding: Sounding = None,
        *,
        stuck: bool = False,
        open: bool = True,
        doubt: bool = False,
    ) -> list[tuple[str, float]]:
        found: list[tuple[str, float]] = []
        for step in range(round(begin * 10), round(end * 10)):
            now = step / 10
            if sounding is not None:
                self.heard = now
            wanted = self.patience.tick(now, heard=self.heard, sounding=sounding, stuck=stuck, open=open, doubt=doubt)
            if wanted is not None:
                found.append((wanted, now))
        return found


def asked(since: float = 0.0) -> Line:
    """The model knows that the caller said something."""
    line = Line()
    line.heard = since
    line.patience.begin(since)
    line.patience.noticed = True
    return line


def test_a_caller_is_consoled_and_then_the_session_is_lost() -> None:
    line = asked(10.0)
    assert line.until(10, 12.4) == []
    assert line.until(12.4, 12.5) == [("console", 10 + PATIENCE_SECONDS)]
    assert line.until(12.5, 13.5, "we") == []
    assert line.until(13.5, 15.7) == []
    assert line.until(15.7, 16.0) == [("console", 15.8)]
    assert line.until(16.0, 17.0, "we") == [("lost", 10 + LOST_SECONDS)]
    assert line.patience.waiting


def test_without_a_session_there_is_none_to_be_given_up() -> None:
    line = asked()
    assert [what for what, _ in line.until(0, 20, open=False)] == ["console"] * 8


def test_the_wait_begins_when_an_earlier_answer_was_heard() -> None:
    line = asked()
    assert line.until(0, 20, "model") == []
    assert line.until(20, 22.3) == []
    assert line.until(22.3, 22.5) == [("console", 22.3)]


def test_a_caller_who_speaks_is_not_talked_over() -> None:
    line = asked()
    assert line.until(0, 5, "caller") == []
    assert line.until(5, 8) == [("lost", 6.0), ("console", 7.4)]


def test_what_is_asked_anew_meanwhile_gets_its_time_and_the_caller_waits_since_he_fell_silent() -> None:
    line = asked()
    assert line.until(0, 2) == []
    line.patience.begin(2.0)  # a tool has returned
    assert line.until(2, 8) == [("console", 2.4), ("console", 4.8), ("console", 7.2)]
    assert line.until(8, 8.1) == [("lost", 8.0)]


def test_where_nothing_was_noticed_noise_is_consoled_once_in_a_while() -> None:
    line = Line()
    consoled: list[float] = []
    for begin in range(0, 100, 10):
        line.patience.begin(float(begin))
        consoled += [at for what, at in line.until(begin, begin + 5.5) if what == "console"]
        line.patience.stop()
    assert len(consoled) == 4
    assert min(b - a for a, b in pairwise(consoled)) >= PATIENT_SECONDS


def test_a_voice_that_takes_its_time_is_asked_once() -> None:
    assert len(asked().until(0, 4)) == 1


def test_an_answer_ends_the_wait() -> None:
    line = asked()
    line.patience.answered()
    assert not line.patience.noticed
    assert line.until(0, 30) == []


@pytest.mark.parametrize(("doubt", "found"), [(False, []), (True, [("console", 2.4), ("console", 4.8)])])
def test_a_short_sound_is_of_interest_where_the_session_may_be_gone(
    doubt: bool, found: list[tuple[str, float]]
) -> None:
    line = Line()
    line.patience.suspect(0.0)
    assert not line.patience.waiting
    assert line.until(0, SUSPECT_SECONDS + 1, doubt=doubt) == found[: 1 if SUSPECT_SECONDS < 4.8 else 2]


def test_a_sound_that_a_live_model_had_its_time_for_was_none() -> None:
    line = Line()
    line.patience.suspect(0.0)
    assert line.patience.suspects(3.9)
    assert line.until(0, SUSPECT_SECONDS) == []
    assert line.until(SUSPECT_SECONDS, 20, doubt=True) == []
    assert not line.patience.suspects(SUSPECT_SECONDS)


def test_an_answer_that_hesitates_is_consoled_for() -> None:
    line = Line()
    assert line.until(0, 3, "model", stuck=False) == []
    assert line.until(3, 6, stuck=True) == [("console", 5.3)]
