from __future__ import annotations

import math
from typing import Any

import pytest

from pipelines.events import UsageReported
from pipelines.usage import Tally


def test_reports_add_up_by_part_and_provider() -> None:
    tally = Tally()
    for part, tokens in (("llm", 2), ("llm", 3), ("tts", 1)):
        tally.add(UsageReported(part, "openai", {"input_tokens": tokens}))  # type: ignore[arg-type]
    assert [(one.part, one.units) for one in tally.sums] == [
        ("llm", {"input_tokens": 5.0}),
        ("tts", {"input_tokens": 1.0}),
    ]


@pytest.mark.parametrize("strange", ["12", None, [1], -1, 0, math.nan, math.inf, 10**400])
def test_what_is_no_amount_is_not_counted(strange: Any) -> None:
    """Servers that are compatible with a vendor's report what they like, and no call ends for that."""
    tally = Tally()
    assert tally.add(UsageReported("llm", "openai", {"input_tokens": strange, "output_tokens": 3})) == {
        "output_tokens": 3.0
    }
