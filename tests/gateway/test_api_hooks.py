from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr
from structlog.testing import capture_logs

from gateway import metrics
from gateway.api import setup
from gateway.keys import SETTINGS
from gateway.settings import Settings
from ultravox.webhook import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign

SECRET = "a webhook's secret"
ENDED = {"event": "call.ended", "call": {"callId": "c-1", "endReason": "hangup", "billedDuration": "12.5s"}}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[TestClient[Any, Any]]:
    async with _serving(Settings(data_dir=tmp_path, ultravox_webhook_secret=SecretStr(SECRET))) as client:
        yield client


@asynccontextmanager
async def _serving(settings: Settings) -> AsyncIterator[TestClient[Any, Any]]:
    app = web.Application()
    app[SETTINGS] = settings
    setup(app)
    async with TestClient(TestServer(app, host="127.0.0.1")) as client:
        yield client


def headers(body: bytes, secret: str = SECRET, age: float = 0.0) -> dict[str, str]:
    stamp = (datetime.now(UTC) - timedelta(seconds=age)).isoformat()
    return {TIMESTAMP_HEADER: stamp, SIGNATURE_HEADER: sign(body, stamp, secret)}


def billed() -> float:
    return float(metrics.usage.labels("llm", "ultravox", "billed_seconds")._value.get())


async def test_what_a_call_was_billed_for_is_counted(client: TestClient[Any, Any]) -> None:
    before, body = billed(), json.dumps(ENDED).encode()
    answer = await client.post("/api/hooks/ultravox", data=body, headers=headers(body))
    assert answer.status == 204
    assert billed() == before + 12.5


@pytest.mark.parametrize(
    ("body", "how", "status", "says"),
    [
        (json.dumps(ENDED).encode(), {"secret": "another"}, 403, "was not made for this body"),
        (json.dumps(ENDED).encode(), {"age": 61.0}, 403, "more than 60 seconds old"),
        (json.dumps(ENDED).encode(), {"age": -60.0}, 403, "in the future"),
        (b"not json", {}, 400, "is not JSON"),
        (b"{}", {}, 400, "no call.callId"),
    ],
)
async def test_what_is_not_to_be_believed_is_refused_in_words(
    client: TestClient[Any, Any], body: bytes, how: dict[str, Any], status: int, says: str
) -> None:
    before = billed()
    answer = await client.post("/api/hooks/ultravox", data=body, headers=headers(body, **how))
    assert answer.status == status
    assert says in (await answer.json())["error"]
    assert billed() == before
    answer = await client.post("/api/hooks/ultravox", data=body)
    assert answer.status == 403


async def test_without_a_secret_no_webhook_is_believed(tmp_path: Path) -> None:
    async with _serving(Settings(data_dir=tmp_path)) as client:
        body = json.dumps(ENDED).encode()
        answer = await client.post("/api/hooks/ultravox", data=body, headers=headers(body))
        assert answer.status == 403
        assert "ULTRAVOX_WEBHOOK_SECRET" in (await answer.json())["error"]


async def test_a_token_in_a_path_is_in_no_log(client: TestClient[Any, Any]) -> None:
    with capture_logs() as logged:
        answer = await client.post("/api/hooks/ultravox/c-1/a-secret-of-the-call/stock", json={})
    assert answer.status == 500, "nobody is there who has calls at Ultravox"
    [entry] = logged
    assert entry["path"] == "/api/hooks/ultravox/c-1/{token}/stock"
    assert "a-secret-of-the-call" not in str(logged)
