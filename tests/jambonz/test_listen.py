from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jambonz.listen import (
    CLEAR,
    DISCONNECT,
    MAX_IGNORED_PER_MINUTE,
    MAX_TEXT,
    MAX_TEXTS_PER_SECOND,
    ListenProtocol,
    ListenRefused,
    Refusal,
    mark,
    safe_samples,
)
from media.audio import MULAW_8K, PCM_8K, PCM_16K, AudioFormat
from tests.jambonz.listeners import Notes

START = {
    "sampleRate": 8000,
    "mixType": "mono",
    "callSid": "c-1",
    "direction": "inbound",
    "from": "+442079460000",
    "callId": "sip-call-id",
    "customerData": {"ticket": "42"},
    "trunkline_leg": "7",
}
START_TEXT = json.dumps(START)
FRAME = bytes(range(256)) + bytes(64)


class Socket:
    """A protocol with its notes; a millisecond passes between frames."""

    def __init__(self, format: AudioFormat = PCM_8K, *, started: bool = True) -> None:
        self.notes = Notes()
        self.now = 100.0
        self.drifts: list[float] = []
        self.protocol = ListenProtocol(self.notes, format, now=self.now, on_drift=self.drifts.append)
        if started:
            self.text({**START, "sampleRate": format.rate})
            self.notes.heard.clear()

    def text(self, message: Any, *, after: float = 0.001) -> None:
        self.now += after
        self.protocol.receive_text(message if isinstance(message, str) else json.dumps(message), self.now)

    def audio(self, data: bytes, *, after: float = 0.02) -> None:
        self.now += after
        self.protocol.receive_binary(data, self.now)


def refused(act: Any) -> ListenRefused:
    with pytest.raises(ListenRefused) as refusal:
        act()
    return refusal.value


# The start


def test_the_first_text_introduces_the_call() -> None:
    socket = Socket(started=False)
    socket.text(START)
    started = socket.notes.started
    assert started is not None
    assert (started.call_sid, started.sample_rate, started.metadata) == ("c-1", 8000, {"leg": "7"})
    assert started.attributes == START


def test_audio_before_the_first_text_waits_for_it() -> None:
    socket = Socket(started=False)
    socket.audio(FRAME + FRAME[:100])
    socket.audio(FRAME[100:])
    assert socket.notes.heard == []
    socket.text(START)
    socket.audio(FRAME)
    assert socket.notes.heard == ["started", "audio", "audio", "audio"]
    assert socket.notes.frames == [FRAME] * 3


@pytest.mark.parametrize(
    ("first", "refusal", "words"),
    [
        ({"sampleRate": 8000}, Refusal.NO_CALL, "no callSid"),
        ({**START, "callSid": 5}, Refusal.NO_CALL, "no callSid"),
        ({**START, "callSid": ""}, Refusal.NO_CALL, "no callSid"),
        ({**START, "sampleRate": 16000}, Refusal.WRONG_RATE, "not asked for: 16000, not 8000"),
        ({**START, "sampleRate": "fast" * 50}, Refusal.WRONG_RATE, "'fast"),
        ({**START, "sampleRate": [[8000]]}, Refusal.WRONG_RATE, "list, not 8000"),
        ({"callSid": "c-1"}, Refusal.WRONG_RATE, "NoneType, not 8000"),
        ({**START, "mixType": "stereo"}, Refusal.WRONG_MIX, "'stereo'"),
        ({**START, "mixType": None}, Refusal.WRONG_MIX, "NoneType"),
    ],
)
def test_a_wrong_introduction(first: dict[str, Any], refusal: Refusal, words: str) -> None:
    socket = Socket(started=False)
    error = refused(lambda: socket.text(first))
    assert error.refusal is refusal
    assert words in str(error)
    assert not socket.protocol.started


@pytest.mark.parametrize("first", [{}, {"callId": "x"}, {"callSid": "c-1"}, {"sampleRate": 8000}, {"streamUrl": "x"}])
def test_a_client_that_was_told_of_its_call_may_leave_that_out(first: dict[str, Any]) -> None:
    notes = Notes()
    protocol = ListenProtocol(notes, now=0.0, told={"callSid": "c-1", "sampleRate": 8000})
    protocol.receive_text('{"type": "mark"}', 0.1)
    assert not protocol.started
    protocol.receive_text(json.dumps(first), 0.2)
    assert protocol.started
    assert notes.started is not None
    assert (notes.started.call_sid, notes.started.sample_rate) == ("c-1", 8000)


def test_what_it_says_of_its_call_has_to_be_right_all_the_same() -> None:
    protocol = ListenProtocol(Notes(), now=0.0, told={"callSid": "c-1", "sampleRate": 8000})
    with pytest.raises(ListenRefused) as refused:
        protocol.receive_text('{"sampleRate": 16000}', 0.1)
    assert refused.value.refusal is Refusal.WRONG_RATE


def test_an_introduction_without_mix_type_is_mono() -> None:
    socket = Socket(started=False)
    socket.text({"sampleRate": 8000, "callSid": "c-1"})
    assert socket.protocol.started


def test_what_comes_before_the_introduction_is_not_one() -> None:
    socket = Socket(started=False)
    for early in (
        {},
        {"hello": 1},
        {"type": "mark", "data": {"name": "a", "event": "playout"}},
        {"event": "dtmf", "dtmf": "5"},
    ):
        socket.text(early)
    assert socket.notes.heard == []
    assert socket.protocol.ignored == 4
    socket.text(START)
    assert socket.notes.heard == ["started"]


def test_other_formats() -> None:
    socket = Socket(PCM_16K)
    socket.audio(FRAME)
    assert socket.notes.frames == []
    socket.audio(FRAME)
    assert socket.notes.frames == [FRAME + FRAME]
    with pytest.raises(ValueError, match="16-bit PCM"):
        ListenProtocol(Notes(), MULAW_8K, now=0.0)


# Audio


@given(st.lists(st.integers(min_value=0, max_value=1500), max_size=30))
def test_audio_cut_anywhere_comes_out_in_whole_frames(sizes: Sequence[int]) -> None:
    sizes = [size for size in sizes if size]
    sound = np.random.default_rng(1).bytes(sum(sizes))
    socket = Socket()
    at = 0
    for size in sizes:
        socket.audio(sound[at : at + size], after=size / 16000)
        at += size
    assert {len(frame) for frame in socket.notes.frames} <= {320}
    assert b"".join(socket.notes.frames) == sound[: len(sound) - len(sound) % 320]


def test_an_empty_frame_lets_go_of_what_waits() -> None:
    socket = Socket()
    socket.audio(FRAME[:101])
    assert socket.notes.frames == []
    socket.audio(b"")
    assert socket.notes.frames == [FRAME[:100] + bytes(220)]
    socket.audio(b"")
    socket.audio(FRAME)
    assert socket.notes.frames[1:] == [FRAME]


def test_a_full_ring_comes_through() -> None:
    socket = Socket()
    socket.audio(FRAME * 250, after=5.0)
    assert len(socket.notes.frames) == 250
    assert socket.drifts == []


def test_a_wrong_rate_is_told() -> None:
    socket = Socket()
    for _ in range(110):
        socket.audio(FRAME[:160])
    assert socket.drifts == [pytest.approx(0.5, abs=0.02)] * 2
    assert len(socket.notes.frames) == 55


# DTMF and marks


@pytest.mark.parametrize(
    ("duration", "milliseconds"),
    [
        ("960", 120), (1600, 200), (800.0, 100), (None, None), ("", None), ("long", None), (-5, None), (0, None),
        ("١٢", None), ("9" * 5000, None), (10**30, None), (float("inf"), None), (float("nan"), None), ([1], None),
    ],
)  # fmt: skip
def test_dtmf(duration: object, milliseconds: int | None) -> None:
    socket = Socket()
    socket.text({"event": "dtmf", "dtmf": "5", "duration": duration})
    assert socket.notes.digits == [("5", milliseconds)]


def test_dtmf_without_duration() -> None:
    socket = Socket()
    for digit in "0123456789*#ABCD":
        socket.text({"event": "dtmf", "dtmf": digit})
    assert socket.notes.digits == [(digit, None) for digit in "0123456789*#ABCD"]


def test_marks() -> None:
    socket = Socket()
    for event in ("playout", "cleared"):
        socket.text({"type": "mark", "data": {"name": "m-1", "event": event}})
    assert socket.notes.marks == [("m-1", False), ("m-1", True)]
    assert socket.protocol.ignored == 0


# Texts that mean nothing


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "{",
        '{"callSid":"c-1"',
        "[]",
        "null",
        "17",
        '"mark"',
        "1" * 5000,
        "[" * 5000,
        "{}",
        START_TEXT,
        '{"event":"dtmf"}',
        '{"event":"dtmf","dtmf":""}',
        '{"event":"dtmf","dtmf":"55"}',
        '{"event":"dtmf","dtmf":5}',
        '{"event":"dtmf","dtmf":"X"}',
        '{"event":"vad","speech":true}',
        '{"event":{"a":1}}',
        '{"type":"mark"}',
        '{"type":"mark","data":null}',
        '{"type":"mark","data":{"event":"playout"}}',
        '{"type":"mark","data":{"name":7,"event":"playout"}}',
        '{"type":"mark","data":{"name":"m","event":"exploded"}}',
        '{"type":"playDone","data":{"id":"1"}}',
        '{"type":["mark"]}',
    ],
)
def test_texts_that_mean_nothing_are_counted_and_ignored(text: str) -> None:
    socket = Socket()
    socket.text(text)
    assert socket.notes.heard == []
    assert socket.protocol.ignored == 1
    socket.audio(FRAME)
    assert socket.notes.heard == ["audio"]


@given(st.text(max_size=200) | st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=20),
       lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["type", "event", "data", "name", "dtmf",
                                                                       "callSid", "sampleRate", "x"]), inner)),
       st.booleans())  # fmt: skip
def test_no_text_does_worse_than_be_refused(message: Any, started: bool) -> None:
    socket = Socket(started=started)
    try:
        socket.text(message)
    except ListenRefused as refused:
        assert refused.refusal in (Refusal.NO_CALL, Refusal.WRONG_RATE, Refusal.WRONG_MIX)  # noqa: PT017


# The table: what closes a socket


def early_audio(socket: Socket) -> None:
    socket.audio(bytes(16_000))
    socket.audio(b"\x00")


def text_flood(socket: Socket) -> None:
    for _ in range(MAX_TEXTS_PER_SECOND + 1):
        socket.text({"type": "mark", "data": {"name": "m", "event": "playout"}})


def nonsense(socket: Socket) -> None:
    for _ in range(MAX_IGNORED_PER_MINUTE + 1):
        socket.text({"event": "news"}, after=0.5)


def audio_flood(socket: Socket) -> None:
    for _ in range(200):
        socket.audio(FRAME * 10)


@pytest.mark.parametrize(
    ("started", "act", "refusal", "code"),
    [
        (False, early_audio, Refusal.AUDIO_FIRST, 1008),
        (False, lambda socket: socket.text({**START, "callSid": None}), Refusal.NO_CALL, 1008),
        (False, lambda socket: socket.text({**START, "sampleRate": 24000}), Refusal.WRONG_RATE, 1003),
        (False, lambda socket: socket.text({**START, "mixType": "mixed"}), Refusal.WRONG_MIX, 1003),
        (False, text_flood, Refusal.NOT_UNDERSTOOD, 1008),
        (True, text_flood, Refusal.TEXT_FLOOD, 1008),
        (True, nonsense, Refusal.NOT_UNDERSTOOD, 1008),
        (True, lambda socket: socket.text("x" * (MAX_TEXT + 1)), Refusal.TEXT_SIZE, 1009),
        (True, audio_flood, Refusal.AUDIO_FLOOD, 1008),
    ],
)
def test_refused(started: bool, act: Any, refusal: Refusal, code: int) -> None:
    socket = Socket(started=started)
    error = refused(lambda: act(socket))
    assert error.refusal is refusal
    assert refusal.code == code
    assert str(error).startswith(refusal.sentence)
    assert len(str(error).encode()) <= 123


def test_many_texts_over_time_are_no_flood() -> None:
    socket = Socket()
    for _ in range(10 * MAX_TEXTS_PER_SECOND):
        socket.text({"type": "mark", "data": {"name": "m", "event": "playout"}}, after=1.1 / MAX_TEXTS_PER_SECOND)
    for _ in range(10 * MAX_IGNORED_PER_MINUTE):
        socket.text({"event": "news"}, after=61 / MAX_IGNORED_PER_MINUTE)
    assert socket.protocol.ignored == 10 * MAX_IGNORED_PER_MINUTE


@pytest.mark.parametrize("refusal", Refusal)
def test_sentences_fit_into_a_close_frame(refusal: Refusal) -> None:
    assert len(refusal.sentence.encode()) <= 123


def test_labels_are_distinct() -> None:
    assert len({refusal.label for refusal in Refusal}) == len(Refusal)


def test_the_end_is_told_once() -> None:
    socket = Socket()
    socket.protocol.closed(1000, "bye")
    socket.protocol.closed(1006, "lost")
    assert socket.notes.closed == [(1000, "bye")]


# What we send


def test_texts() -> None:
    assert json.loads(CLEAR) == {"type": "killAudio"}
    assert json.loads(DISCONNECT) == {"type": "disconnect"}
    assert json.loads(mark("g-1_a")) == {"type": "mark", "data": {"name": "g-1_a"}}


@pytest.mark.parametrize("name", ["", 'a"b', "a b", "ä", "a" * 65, "a\n", "a|b"])
def test_mark_names(name: str) -> None:
    with pytest.raises(ValueError, match="a mark's name"):
        mark(name)


def test_harmless_sound_is_not_copied() -> None:
    quiet = np.array([0, 1, -2, 255, -256, 0x7FFF, -0x8000], "<i2").tobytes()
    assert safe_samples(quiet) is quiet
    straddling = np.array([-256, 255], "<i2").tobytes()  # 00 ff ff 00: not a sample of -1
    assert safe_samples(straddling) is straddling
    assert safe_samples(b"") == b""


def test_odd_sound_is_an_error() -> None:
    with pytest.raises(ValueError, match="3 bytes"):
        safe_samples(b"abc")


@given(st.lists(st.sampled_from([-1, -1, -2, 0, 255, -256]) | st.integers(-32768, 32767), max_size=400))
def test_no_sample_is_a_mark(samples: list[int]) -> None:
    made = np.frombuffer(safe_samples(np.array(samples, "<i2").tobytes()), "<i2").tolist()
    assert made == [-2 if sample == -1 else sample for sample in samples]
