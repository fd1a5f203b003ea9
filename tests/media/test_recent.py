from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from media.audio import MULAW_8K, PCM_16K, Clip
from media.recent import RecentAudio


def frame(number: int) -> bytes:
    return bytes([number % 256]) * MULAW_8K.frame_bytes


@given(pushed=st.integers(0, 60), asked=st.none() | st.integers(0, 80), less=st.integers(0, 80))
def test_it_gives_back_the_end_of_what_was_pushed(pushed: int, asked: int | None, less: int) -> None:
    recent = RecentAudio(MULAW_8K, seconds=0.8)
    frames = [frame(number) for number in range(pushed)]
    for each in frames:
        recent.push(each)
    wanted = [
        each
        for age, each in zip(range(pushed - 1, -1, -1), frames, strict=True)
        if less <= age < min(40, 40 if asked is None else asked)
    ]
    got = recent.last(None if asked is None else asked * 0.02, less=less * 0.02)
    assert got == Clip(MULAW_8K, b"".join(wanted))


def test_it_keeps_the_frames_themselves_and_no_more_than_asked() -> None:
    recent = RecentAudio(PCM_16K)
    sound = bytes(PCM_16K.frame_bytes)
    for _ in range(1000):
        recent.push(sound)
    assert recent.last().seconds == 8.0
    assert recent.last(-1.0).data == b""


def test_what_was_cleared_is_gone() -> None:
    recent = RecentAudio(MULAW_8K)
    recent.push(frame(1))
    recent.clear()
    recent.push(frame(2))
    assert recent.last().data == frame(2)
