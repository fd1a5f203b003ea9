from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cursors import MOST_PROCESSES, TICK, Seen

MOMENTS = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(
    st.integers(0, 10**18 - 1), st.dictionaries(st.from_regex(r"\A[0-9a-f]{16}\Z"), MOMENTS, max_size=MOST_PROCESSES)
)
def test_a_cursor_is_read_as_it_was_given(position: int, moments: dict[str, datetime]) -> None:
    seen = Seen(position, moments)
    again = Seen.parse(str(seen))
    assert str(again) == str(seen)
    assert again.position == position
    for node, at in moments.items():
        assert again.had(f"host/{node}", at)
        assert not again.had(f"host/{node}", at + TICK)
        assert not again.had("another", at)


@pytest.mark.parametrize(
    "given", ["", "x", "-1", "1.5", "٣", "1" * 19, "1-a", "1-a-", "1-a-1-b", "1--1", "1-ä-1", "1-a-1\n"]
)
def test_what_is_no_cursor(given: str) -> None:
    with pytest.raises(ValueError, match="since is no cursor"):
        Seen.parse(given)


def test_a_moment_never_goes_back_and_the_latest_are_kept() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    seen = Seen()
    seen.tell("a", at)
    seen.tell("a", at - TICK)
    assert seen.had("a", at)
    for n in range(MOST_PROCESSES - 1):
        seen.tell(f"host/{n}", at)
    seen.tell("a", at + TICK)
    seen.tell("one more", at)
    assert seen.had("a", at + TICK)
    assert not seen.had("0", at)
    assert seen.had("1", at)
    assert str(seen).count("-") == 2 * MOST_PROCESSES
