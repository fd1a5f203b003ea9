"""The pure core of Google's recognition, and the sound that it keeps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.parts import Transcript
from pipelines.providers.google_limits import LIMITS, Verdict
from pipelines.providers.google_speech import KEPT_SECONDS, GoogleHearing
from pipelines.providers.google_wire import MOST_BYTES, Answer, Result
from pipelines.providers.kept_sound import KeptSound
from pipelines.providers.wire import Consumed
from tests.simulators.mulaw_words import RATE


def seconds(count: float) -> bytes:
    return b"\x55" * round(count * RATE)


def said(text: str, start: float, end: float, *, final: bool = True, timed: bool = True) -> Answer:
    """Words of one length, in the time of the stream."""
    words = text.split()
    each = (end - start) / len(words)
    times = tuple((word, start + each * i, start + each * (i + 1)) for i, word in enumerate(words))
    return Answer((Result(text, final, end, 0.0 if final else 0.9, times if final and timed else ()),))


def only(events: Any) -> Transcript:
    [transcript] = [event for event in events if isinstance(event, Transcript)]
    return transcript


def heard_for(count: float, *, speaking_from: float = 1.0) -> GoogleHearing:
    """A stream that was sent so many seconds; the caller speaks from ``speaking_from`` on."""
    hearing = GoogleHearing()
    hearing.begin(0.0)
    hearing.sound.push(seconds(speaking_from + 0.1))
    hearing.speech_started(speaking_from + 0.1)
    hearing.sound.push(seconds(count - speaking_from - 0.1))
    rest(hearing)
    return hearing


def rest(hearing: GoogleHearing) -> float:
    """Seconds that the stream was not sent yet; now it is."""
    return sum(len(sound) / RATE for sound in iter(lambda: hearing.sound.take(MOST_BYTES), b""))


def test_final_results_and_the_latest_supposition_are_one_text() -> None:
    hearing = heard_for(5.0)
    assert only(hearing.receive(said("i want", 1.0, 2.0, final=False), 2.1)).text == "i want"
    assert only(hearing.receive(said("i want a table", 1.0, 3.0), 3.1)).text == "i want a table"
    more = Answer((Result("for", False, 3.5, 0.9), Result("too", False, 4.0, 0.01)))
    assert only(hearing.receive(more, 4.1)).text == "i want a table for too"
    last = only(hearing.receive(said("for two", 3.0, 4.2), 4.3))
    assert (last.segment, last.text, last.final, last.over) == (0, "i want a table for two", False, False)
    assert last.audio_seconds == pytest.approx(4.2 - 1.0)


def test_a_supposition_covers_a_little_less_than_it_says() -> None:
    hearing = heard_for(3.0)
    assert only(hearing.receive(said("one two", 1.0, 2.0, final=False), 2.1)).audio_seconds == pytest.approx(0.85)
    assert only(hearing.receive(said("one two", 1.0, 2.0), 2.1)).audio_seconds == pytest.approx(1.0)


def test_words_that_come_in_time_are_not_asked_for_and_others_are() -> None:
    for answer, verdict in (
        (said("one two", 1.0, 3.0), Verdict.GO_ON),
        (said("one", 1.0, 2.0), Verdict.FINISH),
        (Answer(), Verdict.FINISH),
    ):
        hearing = heard_for(3.2)
        hearing.speech_paused(3.2)
        hearing.receive(answer, 3.3)
        assert hearing.look(3.5) is Verdict.GO_ON
        assert hearing.look(3.2 + LIMITS.ask) is verdict
        # Not once the caller goes on.
        hearing = heard_for(3.2)
        hearing.speech_paused(3.2)
        hearing.speech_started(3.4)
        assert hearing.look(3.2 + LIMITS.ask) is Verdict.GO_ON


def test_a_stream_that_does_not_answer_is_given_up() -> None:
    hearing = heard_for(3.2)
    hearing.speech_paused(3.2)
    assert hearing.look(3.6) is Verdict.FINISH
    assert hearing.due(3.6) == pytest.approx(3.6 + LIMITS.answer, abs=0.01)
    assert hearing.look(4.7) is Verdict.GO_ON
    assert hearing.look(4.81) is Verdict.GIVE_UP


@pytest.mark.parametrize(
    ("at", "speaking", "verdict"),
    [
        (239.5, False, Verdict.GO_ON),
        (240.0, False, Verdict.FINISH),
        (240.0, True, Verdict.GO_ON),
        (289.5, True, Verdict.GO_ON),
        (290.0, True, Verdict.FINISH),
    ],
)
def test_a_stream_is_replaced_in_a_pause_or_at_last_anywhere(at: float, speaking: bool, verdict: Verdict) -> None:
    hearing = GoogleHearing()
    hearing.begin(0.0)
    for second in range(int(at)):
        hearing.sound.push(seconds(1))
        hearing.sound.take(MOST_BYTES)
        if speaking and second == 1:
            hearing.speech_started(float(second))
        if speaking:
            hearing.receive(said("word", float(second), second + 0.9), second + 1.0)
        assert hearing.look(float(second)) is Verdict.GO_ON
    assert hearing.look(at) is verdict


def test_the_last_word_before_a_cut_in_speech_is_left_to_the_next_stream() -> None:
    hearing = heard_for(5.0)
    hearing.finish(5.0)
    assert hearing.receive(said("one two three four", 1.0, 5.0), 5.2) == ()
    events = hearing.finished(5.3)
    assert only(events).text == "one two three"
    assert only(events).audio_seconds == pytest.approx(3.0)
    hearing.begin(5.4)
    assert rest(hearing) == pytest.approx(1.0, abs=0.001), "from where the fourth word begins"
    assert only(hearing.receive(said("four", 0.0, 1.0), 6.0)).text == "one two three four"


def test_without_times_of_words_there_is_no_word_to_leave() -> None:
    hearing = heard_for(5.0)
    hearing.finish(5.0)
    hearing.receive(said("one two three four", 1.0, 5.0, timed=False), 5.2)
    assert only(hearing.finished(5.3)).text == "one two three four"
    hearing.begin(5.4)
    assert rest(hearing) == 0.0


def test_after_a_cut_in_a_pause_a_little_silence_is_heard_again() -> None:
    hearing = heard_for(3.2)
    hearing.speech_paused(3.2)
    hearing.sound.push(seconds(0.4))
    assert hearing.look(3.6) is Verdict.FINISH
    hearing.receive(said("one two", 1.0, 3.0), 3.8)
    assert only(hearing.finished(3.8)).took == pytest.approx(0.6)
    hearing.begin(3.8)
    assert rest(hearing) == pytest.approx(LIMITS.overlap, abs=0.001)


def test_what_a_stream_still_says_of_the_turn_before_is_not_the_next_ones() -> None:
    hearing = heard_for(3.2)
    hearing.receive(said("one two", 1.0, 3.2, final=False), 3.2)
    hearing.speech_paused(3.2)
    hearing.end_segment()
    hearing.sound.push(seconds(0.5))
    assert hearing.receive(said("one two", 1.0, 3.6, final=False), 3.7) == ()
    # The caller goes on before that is final: another stream hears it, from the pause on.
    hearing.sound.push(seconds(0.2))
    hearing.speech_started(3.9)
    assert hearing.look(3.9) is Verdict.REPLACE
    hearing.broken()
    hearing.begin(3.9)
    assert rest(hearing) == pytest.approx(0.6, abs=0.001)
    assert only(hearing.receive(said("three", 0.5, 0.7), 4.2)).text == "three"
    # Or else it is final before, and the stream goes on.
    hearing = heard_for(3.2)
    hearing.receive(said("one two", 1.0, 3.2, final=False), 3.2)
    hearing.speech_paused(3.2)
    hearing.end_segment()
    hearing.sound.push(seconds(1.0))
    assert hearing.receive(said("one two", 1.0, 3.2), 4.0) == ()
    hearing.sound.push(seconds(1.0))
    hearing.speech_started(5.2)
    assert hearing.look(5.2) is Verdict.GO_ON


def test_a_loss_is_heard_again_or_believed() -> None:
    hearing = heard_for(4.0)
    hearing.receive(said("one two", 1.0, 3.0, final=False), 3.1)
    assert hearing.broken() == (Consumed({"audio_seconds": 4.0}),)
    assert hearing.broken() == ()
    hearing.begin(4.1)
    assert rest(hearing) == pytest.approx(3.5, abs=0.001), "what is of this turn"
    assert only(hearing.receive(said("one", 0.5, 1.5, final=False), 4.5)).text == "one"

    hearing = heard_for(9.0)
    stable = Answer((Result("one two three", False, 7.0, 0.9), Result("for", False, 8.5, 0.01)))
    hearing.receive(stable, 9.0)
    hearing.broken()
    hearing.begin(9.1)
    assert rest(hearing) == pytest.approx(2.0, abs=0.001)
    assert only(hearing.receive(said("four", 0.0, 1.5), 9.5)).text == "one two three four"


# Whatever happens

_TEXTS = st.sampled_from(["", "one", "one two", "one two three"])
_RESULTS = st.builds(
    lambda text, final, end, timed: Result(
        text,
        final,
        end,
        0.5,
        tuple((w, end * i / 4, end * (i + 1) / 4) for i, w in enumerate(text.split())) if timed else (),
    ),
    _TEXTS,
    st.booleans(),
    st.floats(0, 1e6) | st.floats(0, 20),
    st.booleans(),
)
_ANSWERS = st.builds(Answer, st.lists(_RESULTS, max_size=3).map(tuple), st.none() | st.floats(0, 100))
_STEPS = st.one_of(
    st.tuples(st.just("push"), st.floats(0.02, 3)),
    st.tuples(st.just("wait"), st.floats(0.02, 100)),
    st.tuples(st.just("receive"), _ANSWERS),
    *(
        st.tuples(st.just(name), st.none())
        for name in ("started", "paused", "end", "begin", "finished", "broken", "take")
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_STEPS, max_size=40))
def test_whatever_happens_times_and_positions_are_in_order(steps: list[tuple[str, Any]]) -> None:
    hearing, now, position, segment = GoogleHearing(), 0.0, 0.0, 0
    streaming = False
    for name, value in steps:
        events: Any = ()
        match name:
            case "push":
                hearing.sound.push(seconds(value))
            case "wait":
                now += value
            case "receive" if streaming:
                events = hearing.receive(value, now)
            case "begin" if not streaming:
                hearing.begin(now)
                streaming = True
                assert hearing.sound.unsent <= KEPT_SECONDS * RATE + 1
            case "finished" | "broken" if streaming:
                events = hearing.finished(now) if name == "finished" else hearing.broken()
                streaming = False
            case "take":
                assert len(hearing.sound.take(MOST_BYTES)) <= MOST_BYTES
            case "started":
                hearing.speech_started(now)
            case "paused":
                hearing.speech_paused(now)
            case "end":
                hearing.end_segment()
            case _:
                pass
        verdict = hearing.look(now)
        assert streaming or verdict is Verdict.GO_ON
        due = hearing.due(now)
        assert (due is not None) == streaming
        assert due is None or due > now or verdict is Verdict.GIVE_UP
        position, before = hearing.sound.position, position
        assert position >= before
        for event in events:
            match event:
                case Transcript():
                    assert segment <= event.segment
                    assert 0 < event.audio_seconds <= position + 1
                    assert event.took >= 0
                    segment = event.segment
                case Consumed(units):
                    assert units["audio_seconds"] > 0
                case _:
                    pytest.fail(f"{event} is none of its events")


@given(st.lists(st.tuples(st.sampled_from(["push", "take", "end", "begin", "over"]), st.integers(1, 400)), max_size=60))
def test_kept_sound_is_taken_in_its_order(steps: list[tuple[str, int]]) -> None:
    """A hundred bytes a second, of which 2 s are kept."""
    sound = KeptSound(100, 2.0)
    every = bytearray()
    origin, taken, end = 0, bytearray(), None
    for name, value in steps:
        match name:
            case "push":
                data = bytes((len(every) + i) % 251 for i in range(value))
                every += data
                sound.push(data)
            case "take":
                before = len(every) if end is None else end
                data = sound.take(value)
                assert len(data) <= value
                if data:
                    at = before - sound.unsent - len(data)
                    assert bytes(every[at : at + len(data)]) == data
                    taken += data
            case "end":
                end = round(sound.end() * 100)
                assert end == len(every)
            case "over":
                sound.over()
                end = None
            case "begin":
                origin = round(sound.begin(0.0) * 100)
                taken, end = bytearray(), None
                assert origin >= len(every) - 200
                assert sound.unsent == len(every) - origin
            case _:
                pytest.fail(name)
        assert sound.position == len(every) / 100
        assert sound.streamed == pytest.approx(len(taken) / 100)
        assert sound.waiting or not sound.unsent
