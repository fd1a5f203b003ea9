from __future__ import annotations

import pytest

from pipelines.digits import DigitCollector


def press(collector: DigitCollector, keys: str, start: float = 0.0, step: float = 0.2) -> list[str | None]:
    return [collector.press(key, start + index * step) for index, key in enumerate(keys)]


def test_the_terminator_ends_the_input() -> None:
    assert press(DigitCollector(1.5, "#"), "123#") == [None, None, None, "123"]


def test_time_ends_the_input() -> None:
    collector = DigitCollector(1.5, "#")
    press(collector, "12")
    assert collector.tick(1.69) is None
    assert collector.tick(1.71) == "12"
    assert collector.tick(99.0) is None, "once"


def test_each_key_puts_it_off() -> None:
    collector = DigitCollector(1.5, "#")
    for index in range(10):
        assert collector.press("1", float(index)) is None
        assert collector.tick(index + 0.99) is None
    assert collector.tick(10.5) == "1" * 10


def test_the_terminator_alone_is_no_input() -> None:
    collector = DigitCollector(1.5, "#")
    assert collector.press("#", 0.0) is None
    assert collector.tick(9.0) is None


@pytest.mark.parametrize(("terminator", "keys"), [(None, "1#2"), ("*", "1#2*")])
def test_another_terminator_or_none(terminator: str | None, keys: str) -> None:
    collector = DigitCollector(1.5, terminator)
    answers = press(collector, keys)
    assert (answers[-1] or collector.tick(9.0)) == "1#2"


def test_a_new_input_begins_after_the_last() -> None:
    collector = DigitCollector(1.5, "#")
    press(collector, "12#")
    assert press(collector, "34#", 1.0)[-1] == "34"
