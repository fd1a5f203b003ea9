from __future__ import annotations

import pytest

from pipelines.agent.telephone import digits, target


@pytest.mark.parametrize("written", ["+44 20 7946 0000", "44-20-7946-0000", "+44 (0)20 7946 0000", "+44(0)2079460000"])
def test_a_number_however_people_write_it(written: str) -> None:
    assert digits(written) == "442079460000"
    if written.startswith("+"):
        assert target(written) == "+442079460000"


def test_a_national_number_keeps_its_zero() -> None:
    assert target("(0)20 7946 0000") == "02079460000"
