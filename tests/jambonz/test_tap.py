from __future__ import annotations

import asyncio
import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jambonz.tap import AudioTap

MASK = b"\x12\x9a\x00\xff"


def frame(first: int, payload: bytes, mask: bytes = MASK) -> bytes:
    size = len(payload)
    if size < 126:
        header = bytes((first, 0x80 | size))
    elif size < 65536:
        header = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        header = struct.pack("!BBQ", first, 0x80 | 127, size)
    return header + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


class Below(asyncio.Protocol):
    def __init__(self) -> None:
        self.data = b""
        self.calls: list[str] = []

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost")

    def eof_received(self) -> bool | None:
        self.calls.append("eof")
        return True

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")


def tapped(*chunks: bytes) -> tuple[list[bytes], bytes]:
    """What came out as audio, and what went below."""
    audio: list[bytes] = []
    below = Below()
    tap = AudioTap(below, audio.append)
    for chunk in chunks:
        tap.data_received(chunk)
    return audio, below.data


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in at), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


FIRSTS = st.sampled_from([0x82, 0x82, 0x82, 0x81, 0x88, 0x89, 0x8A])
MASKS = st.binary(min_size=4, max_size=4)


@given(
    st.lists(st.tuples(FIRSTS, st.binary(max_size=400), MASKS), max_size=8), st.lists(st.integers(0, 5000), max_size=12)
)
def test_audio_and_the_rest_are_told_apart_however_the_bytes_come(
    frames: list[tuple[int, bytes, bytes]], places: list[int]
) -> None:
    wire = b"".join(frame(*one) for one in frames)
    audio, below = tapped(*cut(wire, places))
    assert audio == [payload for first, payload, _ in frames if first == 0x82]
    assert below == b"".join(frame(*one) for one in frames if one[0] != 0x82)


SAME = st.one_of(st.binary(min_size=320, max_size=320), st.binary(max_size=400), st.binary(min_size=640, max_size=640))


@given(st.lists(st.tuples(FIRSTS, SAME, MASKS), max_size=12), st.lists(st.booleans(), min_size=12, max_size=12))
def test_frames_like_the_one_before_are_as_any_other(frames: list[tuple[int, bytes, bytes]], alone: list[bool]) -> None:
    """As they come, mostly: one in each read."""
    chunks = [b""]
    for one, whole in zip(frames, alone, strict=False):
        if whole:
            chunks.append(frame(*one))
        else:
            chunks[-1] += frame(*one)
    audio, below = tapped(*chunks)
    assert audio == [payload for first, payload, _ in frames if first == 0x82]
    assert below == b"".join(frame(*one) for one in frames if one[0] != 0x82)


def test_after_a_part_of_a_message_nothing_is_taken_for_a_frame_like_the_one_before() -> None:
    usual, part = frame(0x82, b"\1" * 320), frame(0x02, b"\2" * 320)
    audio, below = tapped(usual, usual, part, usual)
    assert audio == [b"\1" * 320] * 2
    assert below == part + usual


@pytest.mark.parametrize(
    "odd",
    [
        frame(0x02, b"the first part of a message"),
        frame(0x80, b"a continuation"),
        frame(0x83, b"an unknown opcode"),
        frame(0xC2, b"a reserved bit"),
        b"\x82\x05hello",
        frame(0x82, bytes(70_000)),
    ],
    ids=["fragment", "continuation", "opcode", "reserved bit", "no mask", "large"],
)
def test_with_a_frame_that_is_no_whole_message_everything_goes_below(odd: bytes) -> None:
    wire = frame(0x82, b"audio") + frame(0x81, b"text") + odd + frame(0x82, b"more") + b"\xff\xff\xff"
    expected = [b"audio"], frame(0x81, b"text") + odd + frame(0x82, b"more") + b"\xff\xff\xff"
    assert tapped(wire) == expected
    assert tapped(*(wire[at : at + 1] for at in range(len(wire)))) == expected


def test_a_frame_of_64_kb_is_audio() -> None:
    assert tapped(frame(0x82, bytes(65535))) == ([bytes(65535)], b"")


def test_all_but_data_is_no_matter_of_the_taps() -> None:
    below = Below()
    tap = AudioTap(below, lambda _: None)
    tap.pause_writing()
    tap.resume_writing()
    assert tap.eof_received() is True
    tap.connection_lost(None)
    assert below.calls == ["pause", "resume", "eof", "lost"]
