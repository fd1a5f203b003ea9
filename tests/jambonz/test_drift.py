from __future__ import annotations

from collections.abc import Iterable

import pytest

from jambonz.drift import RateWatch

RATE = 16_000  # bytes a second: 8 kHz


def verdicts(arrivals: Iterable[tuple[float, int]]) -> list[float]:
    """What a watch says, to two digits, of audio that arrives as (seconds, bytes)."""
    watch = RateWatch(RATE, 0.0)
    said = (watch.add(size, now) for now, size in arrivals)
    return [round(ratio, 2) for ratio in said if ratio is not None]


def steady(seconds: float, size: int = 320, start: float = 0.0) -> list[tuple[float, int]]:
    return [(start + 0.02 * index, size) for index in range(1, round(seconds * 50) + 1)]


def test_the_right_rate() -> None:
    assert verdicts(steady(600)) == []


@pytest.mark.parametrize("times", [0.25, 0.5, 0.75, 1.3, 1.5, 2, 3, 6])
def test_a_wrong_rate_is_seen_within_two_seconds(times: float) -> None:
    said = verdicts(steady(2.1, size=round(320 * times)))
    assert said
    assert said[0] == pytest.approx(times, abs=0.05)


@pytest.mark.parametrize("times", [0.5, 2])
def test_half_and_double_are_seen_within_one(times: float) -> None:
    assert verdicts(steady(1.1, size=round(320 * times)))


@pytest.mark.parametrize("times", [0.9, 1.02])
def test_small_differences_are_clocks(times: float) -> None:
    assert verdicts(steady(300, size=round(320 * times))) == []


def test_gaps_are_no_drift() -> None:
    talking = [arrival for second in range(0, 60, 3) for arrival in steady(0.7, start=second)]
    assert verdicts(talking) == []


@pytest.mark.parametrize("stall", [0.5, 1, 2, 4.9])
def test_a_burst_after_a_stall_is_no_drift(stall: float) -> None:
    before = steady(7.0)
    burst = [(7.0 + stall, 320)] * round(stall * 50)
    assert verdicts([*before, *burst, *steady(20, start=7.0 + stall)]) == []


def test_a_burst_at_the_start_is_no_drift() -> None:
    assert verdicts([*[(1.5, 320)] * 75, *steady(10, start=1.5)]) == []


def test_lumps_are_no_drift() -> None:
    assert verdicts([(0.4 * index, 320 * 20) for index in range(1, 100)]) == []


def test_a_rate_that_is_right_again_is_not_told() -> None:
    assert verdicts([*steady(2.0, size=640), *steady(30, start=2.0)]) == [2.0, 2.0]


def test_it_tells_how_far_audio_is_ahead() -> None:
    watch = RateWatch(RATE, 0.0)
    for now, size in steady(3.0, size=3200):
        watch.add(size, now)
    assert watch.ahead > 10
