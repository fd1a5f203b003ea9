from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.recordings import places
from gateway.recordings.places import Bucket, Folder, PlaceError, place_at
from tests.simulators.s3 import ACCESS, REGION, SECRET, SimulatedS3, serve_s3

SOUND = bytes(range(256)) * 1000


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "sound"
    path.write_bytes(SOUND)
    return path


async def test_a_bucket_keeps_gives_and_deletes(sound: Path, tmp_path: Path) -> None:
    simulation = SimulatedS3()
    data, back = await asyncio.to_thread(sound.read_bytes), tmp_path / "back"
    async with serve_s3(simulation) as url:
        bucket = await asyncio.to_thread(place_at, "s3://calls/recorded", url)
        await asyncio.to_thread(bucket.put, "tenant/one.ogg.sealed", sound)
        assert simulation.objects == {"recorded/tenant/one.ogg.sealed": data}
        assert await asyncio.to_thread(bucket.get, "tenant/one.ogg.sealed", back)
        assert await asyncio.to_thread(back.read_bytes) == data
        await asyncio.to_thread(bucket.delete, "tenant/one.ogg.sealed")
        assert simulation.objects == {}
        assert not await asyncio.to_thread(bucket.get, "tenant/one.ogg.sealed", back)
        await asyncio.to_thread(bucket.delete, "tenant/one.ogg.sealed")
    assert simulation.mistakes == []


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """Of a call of hours: more than boto3 sends at once."""
    path = tmp_path / "long"
    path.write_bytes(SOUND * 48)
    return path


async def test_a_long_recording_goes_and_comes_in_parts(long: Path, tmp_path: Path) -> None:
    simulation = SimulatedS3()
    data, back = await asyncio.to_thread(long.read_bytes), tmp_path / "back"
    async with serve_s3(simulation) as url:
        bucket = await asyncio.to_thread(Bucket, "s3://calls", url)
        await asyncio.to_thread(bucket.put, "long", long)
        assert simulation.objects == {"long": data}
        assert [method for method, _ in simulation.requests] == ["POST", "PUT", "PUT", "POST"]
        assert await asyncio.to_thread(bucket.get, "long", back)
        assert await asyncio.to_thread(back.read_bytes) == data
    assert (simulation.mistakes, simulation.uploads) == ([], {})


async def test_a_part_that_is_refused_is_sent_again(long: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "ATTEMPTS", 2)
    simulation = SimulatedS3()
    simulation.refuse_after, simulation.refuse = 2, 1
    async with serve_s3(simulation) as url:
        bucket = await asyncio.to_thread(Bucket, "s3://calls", url)
        await asyncio.to_thread(bucket.put, "long", long)
    assert simulation.objects == {"long": await asyncio.to_thread(long.read_bytes)}
    assert simulation.uploads == {}


async def test_an_upload_that_is_given_up_leaves_no_parts(long: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that nobody puts together cost money for ever."""
    monkeypatch.setattr(places, "ATTEMPTS", 2)
    simulation = SimulatedS3()
    simulation.refuse_after, simulation.refuse = 2, 2
    async with serve_s3(simulation) as url:
        bucket = await asyncio.to_thread(Bucket, "s3://calls", url)
        with pytest.raises(PlaceError, match="did not take the recording"):
            await asyncio.to_thread(bucket.put, "long", long)
    assert (simulation.objects, simulation.uploads, simulation.mistakes) == ({}, {}, [])


@pytest.mark.parametrize(
    ("where", "said"), [("s3://another", "NoSuchBucket"), ("s3://calls/recorded", "NoSuchKey|404|does not")]
)
async def test_what_is_not_there(where: str, said: str, sound: Path, tmp_path: Path) -> None:
    async with serve_s3(SimulatedS3()) as url:
        bucket = await asyncio.to_thread(Bucket, where, url)
        if "another" in where:
            with pytest.raises(PlaceError, match=said):
                await asyncio.to_thread(bucket.put, "one", sound)
        assert not await asyncio.to_thread(bucket.get, "one", tmp_path / "back")


async def test_a_bucket_that_is_away_is_asked_again_and_not_for_ever(
    sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "ATTEMPTS", 2)
    simulation = SimulatedS3()
    async with serve_s3(simulation) as url:
        bucket = await asyncio.to_thread(Bucket, "s3://calls", url)
        simulation.refuse = 1
        await asyncio.to_thread(bucket.put, "one", sound)
        assert simulation.objects == {"one": SOUND}
        simulation.refuse = 100
        with pytest.raises(PlaceError, match="did not take the recording"):
            await asyncio.to_thread(bucket.put, "two", sound)
        assert simulation.refuse == 98


async def test_a_secret_that_is_wrong_is_said_and_not_shown(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    async with serve_s3(SimulatedS3()) as url:
        bucket = await asyncio.to_thread(Bucket, "s3://calls", url)
        with pytest.raises(PlaceError, match="SignatureDoesNotMatch") as refused:
            await asyncio.to_thread(bucket.put, "one", sound)
    assert "another-secret" not in str(refused.value)


def test_a_folder_keeps_gives_and_deletes(sound: Path, tmp_path: Path) -> None:
    folder = place_at(str(tmp_path / "kept"))
    assert isinstance(folder, Folder)
    back = tmp_path / "back"
    folder.put("tenant/one", sound)
    folder.put("tenant/one", sound)
    assert folder.get("tenant/one", back)
    assert back.read_bytes() == SOUND
    assert (tmp_path / "kept/tenant/one").stat().st_mode & 0o077 == 0
    assert [path.name for path in (tmp_path / "kept/tenant").iterdir()] == ["one"]
    folder.delete("tenant/one")
    folder.delete("tenant/one")
    assert not folder.get("tenant/one", back)


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file")
    (tmp_path / "sound").write_bytes(b"sound")
    with pytest.raises(PlaceError, match="could not be written to the folder"):
        Folder(tmp_path / "kept").put("tenant/one", tmp_path / "sound")
