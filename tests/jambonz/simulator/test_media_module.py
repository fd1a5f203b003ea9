"""The simulated media server has every trap of the real one."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jambonz.simulator.media_module import MediaModule

FRAME = 0.02


def tone(ms: int, rate: int = 8000, amplitude: int = 8000) -> bytes:
    at = np.arange(rate * ms // 1000) / rate
    pcm = np.rint(amplitude * np.sin(2 * np.pi * 440 * at)).astype("<i2")
    pcm[np.isin(pcm, (-1, 0))] = -2
    return bytes(pcm.tobytes())


def silence(ms: int, rate: int = 8000) -> bytes:
    return bytes(2 * rate * ms // 1000)


class Rig:
    """A module with its grid of write frames, and what it said."""

    def __init__(self, rate: int | None = 8000, **options: Any) -> None:
        self.texts: list[dict[str, Any]] = []
        self.binaries: list[bytes] = []
        self.events: list[tuple[str, Any]] = []
        self.module = MediaModule(
            rate,
            send_text=lambda text: self.texts.append(json.loads(text)),
            send_binary=self.binaries.append,
            on_event=lambda kind, data: self.events.append((kind, data)),
            **options,
        )
        self.now = 0.0

    def run(self, ms: int) -> None:
        for _ in range(ms // 20):
            self.module.tick(self.now)
            self.now = round(self.now + FRAME, 6)

    def send(self, sound: bytes) -> None:
        """In messages of 20 ms, so that no piece of 1024 bytes is cut off from its message."""
        for start in range(0, len(sound), 320):
            self.module.receive_binary(sound[start : start + 320])

    def mark(self, name: str) -> None:
        self.module.receive_text(json.dumps({"type": "mark", "data": {"name": name}}))

    def command(self, kind: str) -> None:
        self.module.receive_text(json.dumps({"type": kind}))

    def marks(self) -> list[tuple[str, str]]:
        return [(text["data"]["name"], text["data"]["event"]) for text in self.texts]

    def heard(self) -> bytes:
        return self.module.heard.heard_audio()


# Prebuffer


def test_playout_starts_at_160_ms_and_then_goes_in_lumps_of_80() -> None:
    rig = Rig()
    for _ in range(7):
        rig.module.receive_binary(tone(20))
    assert rig.module.playout_seconds == 0
    rig.module.receive_binary(tone(20))
    assert rig.module.playout_seconds == pytest.approx(0.16)
    for _ in range(3):
        rig.module.receive_binary(tone(20))
    assert rig.module.playout_seconds == pytest.approx(0.16)
    rig.module.receive_binary(tone(20))
    assert rig.module.playout_seconds == pytest.approx(0.24)


def test_the_threshold_stays_at_80_ms_for_the_life_of_the_socket() -> None:
    rig = Rig()
    rig.module.receive_binary(tone(160))
    rig.run(10_000)
    rig.module.receive_binary(tone(80))
    assert rig.module.playout_seconds == pytest.approx(0.08)


def test_a_tail_of_60_ms_is_not_played_until_more_comes() -> None:
    rig = Rig()
    rig.module.receive_binary(tone(160))
    rig.run(200)
    rig.module.receive_binary(tone(60))
    rig.run(1500)
    assert [span.seconds for span in rig.module.heard.utterances()] == [pytest.approx(0.16)]
    rig.module.receive_binary(silence(200))
    rig.run(300)
    stuck = rig.module.heard.utterances()[-1]
    assert stuck.start == pytest.approx(1.7)
    assert stuck.seconds == pytest.approx(0.06)


def test_the_rest_of_a_message_after_its_last_whole_piece_stays_behind() -> None:
    """200 ms are 3 pieces of 1024 bytes, which are more than 160 ms and go, and 128 bytes, which stay."""
    rig = Rig()
    rig.module.receive_binary(tone(200))
    assert rig.module.playout_seconds == pytest.approx(3 * 1024 / 16000)
    assert rig.module.prebuffer_samples == 64


def test_a_frame_with_too_few_samples_is_filled_up_with_silence() -> None:
    rig = Rig()
    rig.module.receive_binary(tone(165))
    rig.run(200)
    assert rig.heard() == tone(165) + silence(35)


def test_an_odd_byte_waits_for_the_next_message() -> None:
    rig = Rig()
    sound = tone(320)
    rig.module.receive_binary(sound[:333])
    rig.module.receive_binary(sound[333:])
    rig.run(320)
    assert rig.heard() == sound


def test_after_a_lost_odd_byte_the_bytes_are_swapped_for_good() -> None:
    rig = Rig()
    rig.module.receive_binary(tone(320)[1:])
    rig.run(320)
    assert rig.heard()[:320] == tone(320)[1:321]


def test_playout_has_no_limit() -> None:
    rig = Rig()
    rig.module.receive_binary(tone(60_000))
    assert rig.module.playout_seconds > 59.9
    rig.run(60_000)
    assert rig.module.heard.utterances()[0].seconds > 59.9


@pytest.mark.parametrize(
    "options",
    [{"enabled": False}, {"streaming": False}, {"rate": None}, {"rate": 0}],
    ids=["not enabled", "not streaming", "no rate", "rate 0"],
)
def test_binary_is_swallowed_in_silence_unless_all_three_settings_are_there(options: dict[str, Any]) -> None:
    rig = Rig(**options)
    rig.module.receive_binary(tone(500))
    rig.run(600)
    assert rig.module.heard.utterances() == []
    assert rig.module.swallowed_bytes == 8000
    assert (rig.texts, rig.events) == ([], [])


# Marks


def test_marks_fire_when_playout_reaches_them() -> None:
    rig = Rig()
    rig.send(tone(320))
    rig.mark("half")
    rig.send(tone(320))
    rig.mark("end")
    rig.run(320)
    assert rig.marks() == []
    rig.run(40)
    assert rig.marks() == [("half", "playout")]
    rig.run(280)
    assert rig.marks() == [("half", "playout")]
    rig.run(40)  # the sentinel takes a sample's place, and so the last sample a frame of its own
    assert rig.marks() == [("half", "playout"), ("end", "playout")]


def test_a_mark_of_the_inventory_fires_ahead_of_sound_that_is_stuck() -> None:
    rig = Rig()
    rig.send(tone(160) + tone(60))
    rig.mark("end")
    rig.run(200)
    assert rig.marks() == [("end", "playout")]
    assert rig.module.prebuffer_samples == 480


def test_a_genuine_sample_of_minus_one_fires_a_mark_early_and_is_lost() -> None:
    sound = bytearray(tone(200))
    sound[160:162] = b"\xff\xff"
    rig = Rig()
    rig.module.receive_binary(bytes(sound) + tone(800))
    rig.mark("c2")
    rig.module.receive_binary(tone(160))
    rig.run(20)
    assert rig.marks() == [("c2", "playout")], "nearly a second early"
    assert rig.heard() == bytes(sound[:160]) + bytes(sound[162:320]) + bytes(2)


def test_minus_one_is_only_a_sample_while_no_mark_is_outstanding() -> None:
    rig = Rig()
    rig.module.receive_binary(b"\xff\xff" * 1280)
    rig.run(160)
    assert rig.heard() == b"\xff\xff" * 1280


def test_the_31st_outstanding_mark_is_dropped_without_a_word() -> None:
    rig = Rig()
    for number in range(31):
        rig.mark(f"m{number}")
    rig.module.receive_binary(tone(320))
    rig.run(400)
    assert [name for name, _ in rig.marks()] == [f"m{number}" for number in range(30)]
    assert rig.module.dropped_marks == 1
    rig.mark("later")
    rig.run(20)
    assert rig.marks()[-1] == ("later", "playout")


def test_marks_with_no_sound_after_them_fire_one_for_each_frame_of_an_empty_buffer() -> None:
    rig = Rig()
    for name in "abc":
        rig.mark(name)
    rig.run(20)
    assert rig.marks() == [("a", "playout")]
    rig.run(40)
    assert [name for name, _ in rig.marks()] == ["a", "b", "c"]


def test_a_mark_behind_sound_stuck_in_the_prebuffer_waits_with_it() -> None:
    rig = Rig()
    rig.module.receive_binary(tone(160))
    rig.mark("stuck")
    rig.module.receive_binary(tone(20))
    rig.mark("behind")
    rig.run(1000)
    assert rig.marks() == [], "an outstanding mark keeps those of the inventory from firing, too"


def test_mark_names_are_not_escaped() -> None:
    sent: list[str] = []
    module = MediaModule(send_text=sent.append)
    module.receive_text(json.dumps({"type": "mark", "data": {"name": 'a"b'}}))
    module.tick(0.0)
    with pytest.raises(json.JSONDecodeError):
        json.loads(sent[0])


@pytest.mark.parametrize("rate", [16000, 24000])
def test_marks_are_unreliable_when_the_rates_differ(rate: int) -> None:
    """The sentinels go through the resampler with the sound, and are not found again, or others are found for them."""
    rig = Rig(rate)
    expected: dict[str, float] = {}
    for second in range(10):
        rig.module.receive_binary(tone(1000, rate, amplitude=300))
        rig.mark(f"m{second + 1}")
        expected[f"m{second + 1}"] = second + 1.0
    rig.module.receive_binary(silence(400, rate))
    wrong = 0
    for _ in range(600):
        rig.run(20)
        for text in rig.texts:
            name = text["data"]["name"]
            wrong += abs(expected.pop(name) - rig.now) > 0.06
        rig.texts.clear()
    assert wrong + len(expected) >= 5


# killAudio and clearMarks


def test_kill_audio_empties_playout_at_the_next_write_frame_and_reports_marks_as_cleared() -> None:
    rig = Rig()
    rig.module.receive_binary(tone(320))
    rig.mark("in the stream")
    rig.module.receive_binary(tone(160))
    rig.mark("in the inventory")
    rig.run(100)
    rig.command("killAudio")
    assert rig.module.playout_seconds > 0
    assert rig.texts == []
    rig.run(20)
    assert rig.module.playout_seconds == 0
    assert rig.marks() == [("in the stream", "cleared"), ("in the inventory", "cleared")]
    assert rig.heard()[-320:] == silence(20)


def test_kill_audio_leaves_the_prebuffer_and_stale_sound_precedes_the_next_utterance() -> None:
    rig = Rig()
    rig.module.receive_binary(tone(160))
    rig.module.receive_binary(tone(60, amplitude=3000))
    rig.run(40)
    rig.command("killAudio")
    rig.run(100)
    assert rig.module.prebuffer_samples == 480
    rig.module.receive_binary(tone(160, amplitude=9000))
    rig.run(200)
    assert rig.heard()[140 * 16 :][: 60 * 16] == tone(60, amplitude=3000)


def test_sound_that_arrives_between_kill_audio_and_the_write_frame_is_wiped() -> None:
    rig = Rig()
    rig.module.receive_binary(tone(160))
    rig.run(20)
    rig.command("killAudio")
    rig.module.receive_binary(tone(320))
    rig.run(500)
    assert rig.module.heard.utterances()[-1].end == pytest.approx(0.02)


def test_sound_that_waits_for_the_cleared_marks_is_heard() -> None:
    rig = Rig()
    rig.module.receive_binary(tone(160))
    rig.mark("a")
    rig.command("killAudio")
    rig.run(20)
    assert rig.marks() == [("a", "cleared")]
    rig.send(tone(320))
    rig.run(340)
    assert rig.module.heard.utterances()[-1].seconds == pytest.approx(0.32)


def test_marks_whose_sentinels_were_wiped_use_up_those_of_later_marks() -> None:
    """The module keeps their names until their sentinels come by, which these never do: later marks fire late, or not
    at all, for the rest of the call."""
    rig = Rig()
    rig.module.receive_binary(tone(160))
    rig.mark("wiped")
    rig.module.receive_binary(tone(160))
    rig.run(20)
    rig.command("killAudio")
    rig.run(20)
    rig.texts.clear()
    rig.mark("next")
    rig.module.receive_binary(tone(320))
    rig.mark("second")
    rig.module.receive_binary(tone(320))
    rig.run(320)
    assert rig.marks() == []
    rig.run(700)
    assert rig.marks() == [("next", "playout")], "at the sentinel of the second, which itself never fires"


def test_clear_marks_sends_no_events() -> None:
    rig = Rig()
    rig.module.receive_binary(tone(160))
    rig.mark("a")
    rig.module.receive_binary(tone(160))
    rig.mark("b")
    rig.command("clearMarks")
    rig.run(500)
    assert rig.texts == []
    assert rig.module.heard.utterances()[0].seconds > 0.3


# Other texts


@pytest.mark.parametrize("kind", ["disconnect", "error", "transcription", "transfer"])
def test_commands_for_the_feature_server_are_handed_on(kind: str) -> None:
    rig = Rig()
    rig.module.receive_text(json.dumps({"type": kind, "data": {"a": 1}}))
    assert rig.events == [(kind, {"a": 1})]


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ('{"hello": 1}', ("json", {"hello": 1})),
        ('{"type": "json", "data": 1}', ("json", {"type": "json", "data": 1})),
        ('{"type": "flush"}', ("unsupported", {"type": "flush"})),
        ('{"type": "playAudio", "data": {}}', ("unsupported", {"type": "playAudio", "data": {}})),
        ("{", ("malformed", "{")),
    ],
)
def test_texts_it_does_not_know_do_nothing(text: str, event: tuple[str, Any]) -> None:
    rig = Rig()
    rig.module.receive_text(text)
    assert rig.events == [event]


def test_a_text_of_more_than_665600_bytes_is_discarded() -> None:
    rig = Rig()
    rig.module.receive_text(json.dumps({"type": "disconnect", "data": "x" * 665_600}))
    assert rig.events == []


# The caller's side


def test_messages_hold_one_packet_or_two_and_the_first_always_two() -> None:
    rig = Rig()
    sent = [tone(20, amplitude=1000 + i) for i in range(2000)]
    for packet in sent:
        rig.module.receive_packet(packet)
    sizes = [len(message) for message in rig.binaries]
    assert sizes[0] == 640
    assert set(sizes) == {320, 640}
    assert 10 < sizes.count(640) < 100
    assert b"".join(sent).startswith(b"".join(rig.binaries))


def test_no_packets_no_messages() -> None:
    rig = Rig(unevenness=0)
    rig.module.receive_packet(tone(20))
    rig.run(1000)
    assert len(rig.binaries) == 1


def test_on_overrun_the_whole_ring_is_dropped() -> None:
    rig = Rig(unevenness=0)
    rig.module.writable = False
    for _ in range(100):
        rig.module.receive_packet(tone(20))
    assert rig.events == []
    for _ in range(3):
        rig.module.receive_packet(silence(20))
    rig.module.writable = True
    rig.module.receive_packet(tone(20))
    assert rig.binaries == [silence(60) + tone(20)]
    assert rig.events == [("buffer_overrun", None)]


@pytest.mark.parametrize(("rate", "expected"), [(8000, 320), (16000, 640), (24000, 960), (48000, 1920)])
def test_the_callers_sound_comes_at_the_rate_asked_for(rate: int, expected: int) -> None:
    rig = Rig(listen_rate=rate, unevenness=0)
    for start in range(0, 16000, 320):
        rig.module.receive_packet(tone(1000)[start : start + 320])
    assert {len(message) for message in rig.binaries} == {expected}
    samples = np.frombuffer(b"".join(rig.binaries), "<i2")[rate // 2 :].astype(float)
    peak = np.fft.rfftfreq(samples.size, 1 / rate)[np.abs(np.fft.rfft(samples)).argmax()]
    assert peak == pytest.approx(440)
    assert samples.max() == pytest.approx(8000, rel=0.02)


def test_a_stereo_mix_has_the_caller_left_and_the_played_sound_right() -> None:
    rig = Rig(mix_type="stereo", unevenness=0)
    rig.module.receive_binary(tone(160))
    rig.run(20)
    rig.module.receive_packet(tone(20, amplitude=100))
    both = np.frombuffer(rig.binaries[0], "<i2").reshape(-1, 2)
    assert both[:, 0].tobytes() == tone(20, amplitude=100)
    assert both[:, 1].tobytes() == tone(20)


def test_a_mixed_mix_is_the_sum() -> None:
    rig = Rig(mix_type="mixed", unevenness=0)
    rig.module.receive_binary(tone(160, amplitude=30000))
    rig.run(20)
    rig.module.receive_packet(tone(20, amplitude=30000))
    assert np.frombuffer(rig.binaries[0], "<i2").max() == 32767


def test_keys_come_as_events_when_asked_for() -> None:
    rig = Rig(pass_dtmf=True)
    rig.module.press("5")
    assert rig.texts == [{"event": "dtmf", "dtmf": "5", "duration": "960"}]
    without = Rig()
    without.module.press("5")
    assert without.texts == []


@given(st.lists(st.binary(max_size=3000), max_size=30))
def test_whatever_the_message_sizes_every_byte_is_played_in_order_but_the_tail(messages: list[bytes]) -> None:
    rig = Rig()
    for message in messages:
        rig.module.receive_binary(message)
    sent = b"".join(messages)
    rig.run(20 * (len(sent) // 320 + 2))
    stuck = 2 * rig.module.prebuffer_samples + len(sent) % 2
    assert rig.heard()[: len(sent) - stuck] == sent[: len(sent) - stuck]
    assert not any(rig.heard()[len(sent) - stuck :])
