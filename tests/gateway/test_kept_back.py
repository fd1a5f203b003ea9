"""Keys that no log of a call may have."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.kept_back import MOST_INPUTS, KeptBack


def of(*inputs: str) -> KeptBack:
    kept = KeptBack()
    for keys in inputs:
        kept.keep_back(keys)
    return kept


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("4917", "****"),
        ("your card is 4917.", "your card is ****."),
        ("4 9 1 7 or 49-17", "* * * * or **-**"),
        ('{"card":"4917"}', '{"card":"****"}'),
        ("14917 49170 +4424917", "14917 49170 +4424917"),
        ([{"name": "pay", "arguments": {"card": "4917", "pence": 4917, "ok": True, "of": [None, 4.5]}}],
         [{"name": "pay", "arguments": {"card": "****", "pence": "****", "ok": True, "of": [None, 4.5]}}]),
        (49170, 49170),
    ],
)  # fmt: skip
def test_they_are_stars_wherever_they_stand(data: Any, shown: Any) -> None:
    assert of("4917").out_of(data) == shown


def test_keys_that_are_no_digits() -> None:
    assert of("12*#").out_of("I have 12*# and 12") == "I have **** and 12"


def test_a_choice_in_a_menu_is_nothing_to_be_kept_back() -> None:
    kept = of("1", "123")
    assert not kept
    assert kept.out_of("123") == "123"


def test_each_of_several_and_no_more_than_are_good() -> None:
    kept = of("4917", "0000")
    assert kept.out_of("4917, 0000") == "****, ****"
    kept = of(*(f"{number:04}" for number in range(2 * MOST_INPUTS)))
    assert len(kept._patterns) == MOST_INPUTS
