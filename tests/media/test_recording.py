from __future__ import annotations

import random

import numpy as np
import pytest

from media.recording import GAP_SECONDS, HOLD_SECONDS, SLACK_SECONDS, TwoSides
from tests.media.line import Line, numbered

RATE = 8000
FRAME = 160


def channels(stereo: bytes) -> tuple[np.ndarray, np.ndarray]:
    both = np.frombuffer(stereo, "<i2").reshape(-1, 2)
    return both[:, 0], both[:, 1]


def starts(channel: np.ndarray) -> dict[int, float]:
    """When each value is first heard."""
    changes = np.flatnonzero(np.diff(channel, prepend=0))
    return {int(channel[at]): at / RATE for at in changes[::-1] if channel[at]}


def tone(value: int, frames: int = 1) -> bytes:
    return np.full(FRAME * frames, value, "<i2").tobytes()


# The caller


def test_the_caller_is_where_his_sound_came() -> None:
    sides = TwoSides(RATE, 5.0)
    for frame in range(100):
        sides.hear(tone(frame + 1), 5.02 + frame * 0.02)
    left, right = channels(sides.end(7.0))
    assert left.tolist() == [frame + 1 for frame in range(100) for _ in range(FRAME)]
    assert not right.any()


def test_what_was_held_up_on_its_way_has_its_own_place() -> None:
    """A stall of 200 ms: ten frames at once, then it goes on as before."""
    sides = TwoSides(RATE, 0.0)
    for frame in range(60):
        at = (frame + 1) * 0.02
        sides.hear(tone(frame + 1), max(at, 0.7) if 0.5 < at <= 0.7 else at)
        if frame % 5 == 0:
            sides.take(max(at, 0.7) if 0.5 < at <= 0.7 else at)
    left, _ = channels(sides.end(1.2))
    values = starts(np.concatenate([np.zeros(round((1.2 - len(left) / RATE) * RATE), np.int16), left]))
    late = {value: abs(start - (value - 1) * 0.02) for value, start in values.items() if value > 46}
    assert len(late) > 10
    assert max(late.values()) <= 0.02


def test_what_was_lost_is_silence_and_moves_nothing() -> None:
    sides = TwoSides(RATE, 0.0)
    for frame in [*range(20), *range(35, 60)]:
        sides.hear(tone(frame + 1), (frame + 1) * 0.02)
    left, _ = channels(sides.end(1.2))
    assert not left[20 * FRAME : 35 * FRAME].any()
    assert starts(left)[36] == pytest.approx(0.7)


@pytest.mark.parametrize("drift", [-0.001, 0.001])
def test_a_telephone_whose_clock_is_not_ours_stays_within_bounds(drift: float) -> None:
    sides, said, heard = TwoSides(RATE, 0.0), [], []
    for frame in range(3000):
        at = (frame + 1) * 0.02 * (1 + drift)
        sides.hear(tone(frame % 1000 + 1), at)
        if frame % 20 == 0:
            heard.append(sides.take(at))
        said.append(at - 0.02)
    heard.append(sides.end(61.0))
    left, _ = channels(b"".join(heard))
    changes = [int(at) for at in np.flatnonzero(np.diff(left, prepend=0)) if left[at]]
    worst = 0.0
    for at in changes[100:2900:50]:
        value = int(left[at])
        near = min(abs(said[frame] - at / RATE) for frame in range(value - 1, 3000, 1000))
        worst = max(worst, near)
    assert worst <= max(GAP_SECONDS, SLACK_SECONDS) + 0.02


# Both


def test_a_pause_is_silence_on_both_sides_and_nothing_of_it_is_kept() -> None:
    sides, taken = TwoSides(RATE, 0.0), []
    for frame in range(150):
        at = (frame + 1) * 0.02
        if frame == 50:
            sides.pause(at - 0.02)
        if frame == 100:
            sides.resume(at - 0.02)
        sides.hear(tone(7), at)
        sides.played(tone(9), at - 0.02)
        taken.append(sides.take(at))
    taken.append(sides.end(3.0))
    left, right = channels(b"".join(taken))
    for channel, value in ((left, 7), (right, 9)):
        assert (channel[: 50 * FRAME] == value).all()
        assert not channel[50 * FRAME : 100 * FRAME].any()
        assert (channel[100 * FRAME :] == value).all()


def test_four_hours_keep_no_more_than_a_moment() -> None:
    sides, most, samples = TwoSides(RATE, 0.0), 0, 0
    for second in range(4 * 3600):
        for part in range(1, 3):
            sides.hear(tone(5, 25), second + part * 0.5)
            sides.played(tone(6, 25), second + (part - 1) * 0.5)
        if second % 7 == 0:
            sides.pause(second + 0.4)
            sides.resume(second + 0.6)
        samples += len(sides.take(second + 1.0)) // 4
        most = max(most, sides.kept_bytes)
        assert len(sides._mutes) <= 2
    assert samples == (4 * 3600 - HOLD_SECONDS) * RATE
    assert most <= 2 * 2 * RATE * HOLD_SECONDS * 1.1


# The agent, by the ledger


@pytest.mark.parametrize("seed", range(6))
def test_the_agent_is_there_when_the_ear_had_him(seed: int) -> None:
    """Phrases, pauses, resumptions, barge-ins, stalls of sound: what the ear got, and when, to within a frame."""
    chance = random.Random(seed)
    line = Line(latency=chance.uniform(0.001, 0.03), phase=chance.uniform(0.0, 0.02))
    line.run(chance.uniform(0.1, 0.5))
    sides, taken, number = TwoSides(RATE, line.now), [], 0
    line.playout.ear = sides.played
    began = line.now
    for generation in range(12):
        frames = chance.randint(10, 80)
        segment = line.segment(generation, "words")
        middle = number + chance.randint(1, frames - 1)
        segment.write(numbered(range(number, middle)))
        line.run(chance.choice([0.0, 0.05, 0.9]))
        segment.write(numbered(range(middle, number + frames)))
        segment.close()
        line.playout.finish(generation)
        number += frames
        for _ in range(chance.randint(0, 2)):
            line.run(chance.uniform(0.0, 0.8))
            line.pause()
            line.run(chance.uniform(0.0, 0.5))
            line.resume()
        line.run(chance.uniform(0.1, 1.0))
        if chance.random() < 0.5:
            line.clear(generation)
            line.run(0.4)
        line.playout.account(line.now)
        taken.append(sides.take(line.now))
    line.run(3.0)
    line.playout.account(line.now)
    taken.append(sides.end(line.now))

    _, right = channels(b"".join(taken))
    ear = line.module.heard
    audio = np.frombuffer(ear.heard_audio(), np.int16).reshape(-1, FRAME)
    heard = [
        (at - began + line.latency, int(frame[80])) for at, frame in zip(ear._times, audio, strict=True) if frame[80]
    ]
    assert len(heard) > 100  # times are as they are known here, one way of the line later: the caller's are, too
    wrong = [
        (at, value)
        for at, value in heard
        if value not in right[max(0, round((at - 0.02) * RATE)) : round((at + 0.0201) * RATE)]
    ]
    extra = int(np.count_nonzero(right)) / FRAME - len(heard)
    assert len(wrong) <= 0.01 * len(heard), wrong
    assert abs(extra) <= 0.02 * len(heard)


def test_a_playout_that_nobody_records_keeps_nothing() -> None:
    line = Line()
    line.say(1, range(40))
    line.run(0.5)
    assert not line.playout._on_its_way
    line.playout.ear = lambda pcm, at: None
    line.say(2, range(40, 80))
    line.run(3.0)
    assert not line.playout._on_its_way
