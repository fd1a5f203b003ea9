"""The service in this process, as its connections have it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.app import open_to_all
from gateway.cli import service
from gateway.settings import Settings
from tests.gateway.service import CodewordFactory
from tests.simulators.replies import ReplyModel, always
from tests.steady import PATIENCE


@pytest.mark.parametrize("sent", [b"", b"GET /ping HTTP/1.1\r\nHost: x\r\nX: slow"])
async def test_who_brings_no_request_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(service, "KEEPALIVE_SECONDS", 0.05)
    factory = CodewordFactory(ReplyModel(always("Yes.")))
    settings = Settings(data_dir=tmp_path, port=0, admin_key="a" * 16)
    async with service.serving(settings, factory=factory) as running:
        reader, writer = await asyncio.open_connection(running.url.host, running.url.port)
        writer.write(sent)
        async with asyncio.timeout(PATIENCE):
            assert await reader.read() == b""
        writer.close()


async def test_a_second_service_on_a_file_of_sqlites_does_not_start(tmp_path: Path) -> None:
    """It would end the calls of the first."""
    factory = CodewordFactory(ReplyModel(always("Yes.")))
    settings = Settings(data_dir=tmp_path, port=0, admin_key="a" * 16)
    async with service.serving(settings, factory=factory):
        with pytest.raises(OSError, match=r"another process has .*sqlite3\.lock: SQLite is for one service"):
            async with service.serving(settings, factory=factory):
                pass
    async with service.serving(settings, factory=factory):
        pass


def test_that_anybody_can_post_webhooks_is_told_where_anybody_can() -> None:
    assert open_to_all(Settings()) is None
    everywhere = Settings(host="0.0.0.0")  # noqa: S104
    assert open_to_all(everywhere) == "whoever reaches 0.0.0.0 can post webhooks: set JAMBONZ_WEBHOOK_SECRET"
    assert open_to_all(everywhere.model_copy(update={"jambonz_webhook_secret": SecretStr("s")})) is None
