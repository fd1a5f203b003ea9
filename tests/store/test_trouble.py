from __future__ import annotations

import asyncio

import structlog
from structlog.testing import capture_logs

from store.trouble import Trouble
from tests.clock import run_virtual


def test_an_outage_is_told_when_it_begins_each_minute_and_when_it_is_over() -> None:
    async def main() -> None:
        trouble = Trouble(structlog.get_logger(), "cannot do it")
        trouble.over()
        for _ in range(2):
            for second in range(130):
                trouble.failed(ConnectionRefusedError("refused\nmore of it"), events=second)
                await asyncio.sleep(1)
            trouble.over()
            trouble.over()

    with capture_logs() as logged:
        run_virtual(main())
    failed = [
        {"event": "cannot do it; trying again", "error": "refused", "events": after, "log_level": "warning"}
        for after in (0, 60, 120)
    ]
    works = {"event": "works again", "what": "cannot do it", "seconds": 130.0, "log_level": "info"}
    assert logged == [*failed, works] * 2
