from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from structlog.testing import capture_logs

from gateway.api import pieces
from gateway.keys import RECORDINGS, SWITCHBOARD
from jambonz.simulator.caller import AwaitAgentSilence, AwaitAgentSpeech, HangUp, Wait
from store import DEFAULT_OWNER, Period
from store.recordings import StoredRecording
from tests.gateway.service import KEY, Service, serving
from tests.steady import PATIENCE

RECORDED = {"options": {"greeting": "Hello there.", "recording": {"enabled": True, "announcement": None}}}


async def ask(service: Service, method: str, path: str, key: str = KEY) -> tuple[int, str, bytes]:
    headers = {"Authorization": f"Bearer {key}"}
    async with service.http.request(method, f"{service.url}/api{path}", headers=headers) as answer:
        return answer.status, answer.content_type, await answer.read()


def sealed_in(folder: Path) -> list[Path]:
    return [*(folder / "recordings").rglob("*.sealed")]


async def recorded(service: Service) -> str:
    """The id of a call that is over, and whose recording is at its place."""
    await service.call(AwaitAgentSilence(), Wait(0.1), HangUp())
    await service.quiet()
    app = service.server.app
    assert app is not None
    recordings = app[RECORDINGS]
    while recordings._tasks:
        await next(iter(recordings._tasks))
    await app[SWITCHBOARD]._around.recorder.settled()
    [call] = await service.store.calls.of_organisation(DEFAULT_OWNER, after_index=0, limit=5, period=Period())
    assert call.recording_id is not None
    return call.id


async def test_a_recording_is_played_deleted_and_both_are_known(tmp_path: Path) -> None:
    async with serving(tmp_path, agent=RECORDED) as service:
        call_id = await recorded(service)
        path = f"/calls/{call_id}/recording"
        other = await service.store.accounts.create_organisation("other")
        await service.store.accounts.add_key(other, "other", "a-key-of-somebody-else")
        for method in ("GET", "DELETE"):
            status, _, _ = await ask(service, method, path, "a-key-of-somebody-else")
            assert status == 404

        assert await ask(service, "HEAD", path) == (200, "audio/ogg", b""), "which is no access"
        status, kind, ogg = await ask(service, "GET", path)
        assert (status, kind) == (200, "audio/ogg")
        samples, rate = soundfile.read(io.BytesIO(ogg), dtype="int16")
        assert rate == 8000
        assert np.abs(samples[:, 1]).max() > 200
        [file] = await asyncio.to_thread(sealed_in, tmp_path)

        assert (await ask(service, "DELETE", path))[0] == 204
        assert await asyncio.to_thread(sealed_in, tmp_path) == []
        assert file.parent.name == DEFAULT_OWNER.organisation_id
        assert (await ask(service, "GET", path))[0] == 404
        assert (await ask(service, "DELETE", path))[0] == 404
        known = await service.store.recordings.accesses(DEFAULT_OWNER, call_id)
        assert [(access.action, access.user_id) for access in known] == [
            ("download", DEFAULT_OWNER.user_id),
            ("delete", DEFAULT_OWNER.user_id),
        ]
        status, _, listed = await ask(service, "GET", f"{path}/accesses")
        assert status == 200
        assert listed.count(b'"action"') == 2
        call = await service.store.calls.get(DEFAULT_OWNER, call_id)
        assert call is not None
        assert call.recording_id is None
        assert await asyncio.to_thread(os.listdir, tmp_path / "recording") == []


async def test_a_recording_of_a_clients_key_is_given_as_it_is(tmp_path: Path) -> None:
    recording = {"enabled": True, "announcement": None, "key": "mine"}
    async with serving(tmp_path, agent={"options": {"greeting": "Hello.", "recording": recording}}) as service:
        call_id = await recorded(service)
        status, kind, data = await ask(service, "GET", f"/calls/{call_id}/recording")
        assert (status, kind) == (200, "application/octet-stream")
        assert b"OggS" not in data
        [row] = [await service.store.recordings.of_call(DEFAULT_OWNER, call_id)]
        assert row is not None
        assert row.key is None
        assert row.size == len(data)

        assert await service.store.retention.delete_call(DEFAULT_OWNER, call_id)
        app = service.server.app
        assert app is not None
        await app[RECORDINGS].forget()
        assert await asyncio.to_thread(sealed_in, tmp_path) == []
        assert await service.store.recordings.of_call(DEFAULT_OWNER, call_id) is None


async def test_a_live_recording_is_paused_and_resumed(tmp_path: Path) -> None:
    async with serving(tmp_path, agent=RECORDED) as service:
        answers: list[tuple[int, bytes]] = []

        async def pause() -> None:
            [call] = service.switchboard.calls
            assert service.server.app is not None
            recordings, asked = service.server.app[RECORDINGS], {"call": call.id, "command": "pause"}
            assert await recordings.on_asked({"organisation": "another", **asked}) is None, "it is none of theirs"
            assert call.recording is not None
            assert not call.recording.paused
            for what in ("pause", "pause", "resume"):
                status, _, body = await ask(service, "POST", f"/calls/{call.id}/recording/{what}")
                answers.append((status, body))
            call.end("shutdown")

        async with asyncio.TaskGroup() as group:
            group.create_task(service.call(AwaitAgentSpeech(), Wait(20), HangUp()))
            while not service.switchboard.calls or service.switchboard.calls[0].recording is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await pause()
        assert [status for status, _ in answers] == [200, 200, 200]
        assert [b'"paused": true' in body for _, body in answers] == [True, True, False]
        status, _, body = await ask(service, "POST", "/calls/nobody/recording/pause")
        assert status == 404
        assert b"is not being recorded" in body


@pytest.fixture
async def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Service, asyncio.Event]]:
    """There is a recording that is more than fits between the service and whoever asks for it; and: it was sent, or
    nobody wants more."""
    size, file, over = 12_000_000, tmp_path / "large", asyncio.Event()
    await asyncio.to_thread(file.write_bytes, bytes(size))

    async def of_call(*_: object) -> StoredRecording:
        return StoredRecording("r", "c", DEFAULT_OWNER.organisation_id, 1.0, size, None)

    async def note(*_: object) -> None: ...

    @asynccontextmanager
    async def copy(_: object) -> AsyncIterator[Path]:
        try:
            yield file
        finally:
            over.set()

    async with serving(tmp_path) as service:
        monkeypatch.setattr(service.store.recordings, "of_call", of_call)
        monkeypatch.setattr(service.store.recordings, "note", note)
        monkeypatch.setattr(service.server.app[RECORDINGS], "copy", copy)
        yield service, over


ASK = f"GET /api/calls/c/recording HTTP/1.1\nHost: x\nAuthorization: Bearer {KEY}"


async def test_who_does_not_take_a_recording_is_cut_off_and_it_is_said_why(
    large: tuple[Service, asyncio.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    service, over = large
    monkeypatch.setattr(pieces, "READER_SECONDS", 0.1)
    with capture_logs() as logged:
        async with service.asked_by_who_never_reads(ASK):
            await asyncio.wait_for(over.wait(), PATIENCE)
            await service.no_connections()
    assert [(line["event"], line["why"]) for line in logged] == [
        ("an answer was not sent to its end", "the client took longer than 0.1 s for a piece of it"),
    ]  # fmt: skip


async def test_nothing_is_wrong_where_somebody_hears_no_more_of_a_recording(
    large: tuple[Service, asyncio.Event],
) -> None:
    service, over = large
    assert service.server.runner is not None
    assert service.server.runner.server is not None
    service.server.runner.server.handler_cancellation = False  # as where it is no test
    with capture_logs() as logged:
        async with service.asked_by_who_never_reads(ASK) as peer:
            await asyncio.get_running_loop().sock_recv(peer, 1000)
        await asyncio.wait_for(over.wait(), PATIENCE)
        await ask(service, "GET", "/models")  # by then it was logged
    assert logged == []
