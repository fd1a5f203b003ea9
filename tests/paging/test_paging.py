from __future__ import annotations

import pytest

from tests.paging.__main__ import kinds_of_pages, measure_all


async def test_the_measurement_asks_for_every_kind_of_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """How long they take is not looked at here: it says nothing with so few calls, on a machine with so much else."""
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    assert await measure_all(300, 2) > 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(kinds_of_pages(["agent"])) + 1
    assert lines[-1].startswith("PostgreSQL: not measured")
