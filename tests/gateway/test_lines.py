from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import pytest
import sqlalchemy as sa
import structlog

from gateway import lines
from gateway.keys import FEEDS
from store import DEFAULT_OWNER
from store.tables import listeners
from tests.gateway.service import KEY, serving


def test_the_lines_of_a_call_are_kept_and_no_others() -> None:
    log = structlog.get_logger()
    lines.keep("a")
    log.bind(call_id="a").info("one", path=Path("x"))
    log.bind(call_id="b").info("of another call")
    log.info("of no call")
    log.bind(call_id="a").debug("below the level")
    log.bind(call_id="a").error("two", exc_info=ValueError("?"))
    text = lines.take("a") or ""
    kept = [json.loads(line) for line in text.splitlines()]
    assert [(one["event"], one["level"]) for one in kept] == [("one", "info"), ("two", "error")]
    assert lines.take("a") is None
    log.bind(call_id="a").info("afterwards")
    assert not lines._kept


def test_they_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MOST_BYTES", 1000)
    lines.keep("a")
    for n in range(100):
        structlog.get_logger().bind(call_id="a").info("line", n=n)
    kept = (lines.take("a") or "").splitlines()
    assert len(kept) < 15
    assert json.loads(kept[-1])["event"] == "more was logged than is kept"


async def test_a_call_of_a_listener_with_stream_log(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        calls: list[str] = []
        for sid, wanted in (("c-1", False), ("c-2", True)):
            async with service.store._database.write() as connection:
                await connection.execute(sa.update(listeners).values(stream_log=wanted))
            await service.ring(sid)
            calls += [call.id for call in service.switchboard.calls]
            await service.hang_up(sid)
            await service.quiet()
        await service.server.app[FEEDS].recorder.settled()
        without, kept = [await service.store.invocation_logs.of_call(DEFAULT_OWNER, call_id) for call_id in calls]
        assert without == []
        assert kept is not None
        [log] = kept
        assert [json.loads(line)["event"] for line in log.text.splitlines()][::-1][0] == "call over"
        stranger = await service.store.accounts.create_organisation("other")
        assert await service.store.invocation_logs.of_call(stranger, calls[1]) is None
        headers = {"Authorization": f"Bearer {KEY}"}
        url = f"{service.url}/api/calls/{calls[1]}/invocation-log"
        async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
            [shown] = await answer.json()
        assert (shown["callId"], shown["subsystem"], shown["log"]) == (calls[1], "gateway", log.text)
        await service.store.invocation_logs.put(calls[1], "gateway", "again")
        [again] = await service.store.invocation_logs.of_call(DEFAULT_OWNER, calls[1]) or []
        assert (again.text, again.created_at) == ("again", log.created_at)
        assert await service.store.retention.delete_call(DEFAULT_OWNER, calls[1])
        assert await service.store.invocation_logs.of_call(DEFAULT_OWNER, calls[1]) is None
