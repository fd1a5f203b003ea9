from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.audio import ALAW_8K, MULAW_8K, PCM_8K, PCM_24K, AudioFormat
from media.framer import Framer

FORMATS = st.sampled_from([PCM_8K, PCM_24K, MULAW_8K, ALAW_8K])


@given(FORMATS, st.lists(st.binary(max_size=2500), max_size=20))
def test_whole_frames_come_out_in_order_and_nothing_is_lost(format: AudioFormat, chunks: list[bytes]) -> None:
    framer = Framer(format)
    frames = [frame for chunk in chunks for frame in framer.push(chunk)]
    assert all(len(frame) == format.frame_bytes for frame in frames)
    sound = b"".join(chunks)
    assert b"".join(frames) == sound[: len(sound) // format.frame_bytes * format.frame_bytes]
    assert len(framer.pending) == len(sound) % format.frame_bytes


@given(st.lists(st.integers(1, 700), max_size=30))
def test_each_frame_comes_with_the_chunk_that_completes_it(sizes: list[int]) -> None:
    framer = Framer(PCM_8K)
    fed = given_out = 0
    for size in sizes:
        fed += size
        given_out += len(framer.push(bytes(size)))
        assert given_out == fed // PCM_8K.frame_bytes


def test_a_chunk_that_is_a_frame_is_handed_through() -> None:
    frame = bytes(range(160))
    assert Framer(MULAW_8K).push(frame)[0] is frame


@pytest.mark.parametrize(
    ("format", "tail", "flushed"),
    [
        (PCM_8K, b"\x01\x02\x03\x04", b"\x01\x02\x03\x04" + bytes(316)),
        (PCM_8K, b"\x01\x02\x03", b"\x01\x02" + bytes(318)),
        (MULAW_8K, b"\x01\x02\x03", b"\x01\x02\x03" + b"\xff" * 157),
        (ALAW_8K, b"\x01", b"\x01" + b"\xd5" * 159),
    ],
)
def test_flush_fills_the_last_frame_with_silence(format: AudioFormat, tail: bytes, flushed: bytes) -> None:
    framer = Framer(format)
    framer.push(format.silence(20) + tail)
    assert framer.flush() == [flushed]
    assert framer.flush() == []


@pytest.mark.parametrize("tail", [b"", b"\x01"])
def test_flush_gives_nothing_where_no_sound_waits(tail: bytes) -> None:
    framer = Framer(PCM_8K)
    framer.push(tail)
    assert framer.flush() == []
    assert framer.push(bytes(320)) == [bytes(320)]


def test_clear_forgets_what_waits() -> None:
    framer = Framer(MULAW_8K)
    framer.push(b"stale")
    framer.clear()
    assert framer.push(bytes(160)) == [bytes(160)]
