from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.audio import MULAW_8K, PCM_8K
from media.playout import LEAD_FRAMES, Playout, PlayoutFinished, PlayoutUnderrun
from tests.media.line import Line, numbered


def test_an_utterance_is_heard_whole_and_in_order() -> None:
    line = Line()
    line.say(1, range(100))
    line.run(3)
    assert line.heard_numbers() == list(range(100))
    assert line.module.heard.underruns() == []
    [finished] = line.finished
    assert finished.heard.complete
    assert finished.heard.seconds == pytest.approx(2.0)
    assert finished.heard.text == "words"
    assert not line.playout.active


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 7, 8, 9])
def test_the_tail_never_stays_stuck(frames: int) -> None:
    """Trap: a tail shorter than the far end's lump is not played until more bytes come."""
    line = Line()
    line.say(1, range(frames))
    line.run(1)
    assert line.heard_numbers() == list(range(frames))
    line.say(2, range(100, 100 + frames))
    line.run(1)
    assert line.heard_numbers() == [*range(frames), *range(100, 100 + frames)]
    assert len(line.finished) == 2


def test_what_is_held_waits_whole_and_is_no_gap() -> None:
    """Something else is to be heard: nothing goes out before it is released, whatever comes."""
    line = Line()
    line.say(1, range(20))
    line.run(1)
    assert line.playout.idle(line.now)
    line.playout.hold()
    line.say(2, range(100, 130))
    assert not line.playout.idle(line.now)
    line.run(1)
    assert line.heard_numbers() == list(range(20))
    line.playout.release(line.now)
    line.run(1.5)
    assert line.heard_numbers() == [*range(20), *range(100, 130)]
    assert line.of(PlayoutUnderrun) == []
    assert [one.heard.complete for one in line.finished] == [True, True]
    assert line.playout.idle(line.now)


@pytest.mark.parametrize("then", ["clear", "pause"])
def test_what_is_held_can_be_interrupted(then: str) -> None:
    line = Line()
    line.playout.hold()
    line.say(1, range(30))
    line.run(0.5)
    if then == "clear":
        line.clear(1)
        line.run(0.5)
        line.playout.release(line.now)
        line.run(1)
        assert line.heard_numbers() == []
    else:
        line.playout.pause(line.now)
        line.playout.release(line.now)
        line.run(0.5)
        assert line.heard_numbers() == []
        line.playout.resume(line.now)
        line.run(1.5)
        assert line.heard_numbers() == list(range(30))


def test_a_phrase_that_is_being_made_is_no_silence() -> None:
    line = Line()
    segment = line.segment(1, "one two three")
    assert not line.playout.idle(line.now)
    segment.write(numbered(range(10)))
    segment.close()
    line.playout.finish(1)
    assert not line.playout.idle(line.now)
    line.run(1)
    assert line.playout.idle(line.now)


def test_audio_goes_out_a_bounded_lead_ahead() -> None:
    """Trap: the far end takes whatever it is sent, and clearing cannot give back what was buffered there."""
    line = Line()
    line.say(1, range(500))
    for _ in range(100):
        line.run(0.02)
        heard = len(line.heard_numbers())
        assert line.frames_sent - heard <= LEAD_FRAMES + 3


def test_a_stall_shorter_than_the_lead_is_not_heard() -> None:
    line = Line()
    line.say(1, range(150))
    line.run(1)
    line.stalled_until = line.now + 0.15
    line.run(3)
    assert line.heard_numbers() == list(range(150))
    assert line.module.heard.underruns() == []
    assert line.of(PlayoutUnderrun) == []


def test_a_longer_stall_is_caught_up_with_and_counted() -> None:
    line = Line()
    line.say(1, range(150))
    line.run(1)
    line.stalled_until = line.now + 0.5
    line.run(4)
    assert line.heard_numbers() == list(range(150))
    [underrun] = line.of(PlayoutUnderrun)
    assert isinstance(underrun, PlayoutUnderrun)
    assert underrun.cause == "stalled"
    assert underrun.seconds == pytest.approx(0.3, abs=0.05)
    assert line.finished[0].heard.complete


def test_sound_that_comes_late_is_an_underrun_and_nothing_is_lost() -> None:
    line = Line()
    segment = line.segment(1, "one two three")
    segment.write(numbered(range(10)))
    line.run(0.6)
    assert line.heard_numbers() == list(range(10)), "what waits for its lump must not wait for more speech"
    segment.write(numbered(range(10, 30)))
    segment.close()
    line.playout.finish(1)
    line.run(1)
    assert line.heard_numbers() == list(range(30))
    [underrun] = line.of(PlayoutUnderrun)
    assert isinstance(underrun, PlayoutUnderrun)
    assert underrun.cause == "starved"
    assert underrun.seconds == pytest.approx(0.4, abs=0.05)


def test_what_the_far_end_has_not_begun_to_play_is_no_gap() -> None:
    """The first 40 ms of a stream are not played before there is more of it, and that is a little late."""
    line = Line()
    line.playout.bursts = False
    segment = line.segment(1, "one two three")
    segment.write(numbered(range(2)))
    line.run(0.01)
    line.stalled_until = line.now + 0.06
    line.run(0.05)
    segment.write(numbered(range(2, 30)))
    segment.close()
    line.playout.finish(1)
    line.run(2)
    assert line.heard_numbers() == list(range(30))
    assert line.of(PlayoutUnderrun) == []


@pytest.mark.parametrize(("cut_at", "whole"), [(0.5, False), (1.5, True)])
def test_who_is_cut_off_in_the_silence_at_the_end_was_heard(cut_at: float, whole: bool) -> None:
    """A second of sound, and one of silence."""
    line = Line()
    segment = line.segment(1, "one two three")
    segment.write(numbered(range(50)) + bytes(16000))
    segment.close()
    line.playout.finish(1)
    line.run(cut_at)
    assert line.playout.speaking(line.now)
    assert line.playout.has_sound_left(line.now) is not whole
    line.clear()
    line.run(0.5)
    [cut] = line.cuts
    assert cut.heard.complete is whole
    assert (cut.heard.text == "one two three") is whole


@pytest.mark.parametrize("before", range(1, 9))
def test_what_the_far_end_has_yet_to_play_is_no_gap(before: int) -> None:
    """Silence of the utterance before, which waited for its lump to fill, is played with the first of the next one."""
    line = Line()
    line.playout.bursts = False
    line.say(1, range(before))
    line.run(2)
    segment = line.segment(2, "one two three")
    segment.write(numbered(range(50, 51)))
    line.run(0.025)
    line.stalled_until = line.now + 0.02
    for at in range(51, 80, 2):
        line.run(0.04)
        segment.write(numbered(range(at, at + 2)))
    segment.close()
    line.playout.finish(2)
    line.run(2)
    assert line.heard_numbers() == [*range(before), *range(50, 81)]
    assert line.of(PlayoutUnderrun) == []


@pytest.mark.parametrize("phase", [0.001, 0.007, 0.013, 0.019])
@pytest.mark.parametrize("after", [0.011, 0.3, 0.31, 0.333, 1.0, 1.987])
def test_clearing_is_silent_at_once_and_the_ledger_knows_what_was_heard(phase: float, after: float) -> None:
    line = Line(phase=phase)
    line.say(1, range(100))
    line.run(after)
    line.clear()
    line.run(0.5)
    [cut] = line.cuts
    heard = line.heard_numbers()
    assert heard == list(range(len(heard)))
    assert len(heard) <= after / 0.02 + 2, "silence within two frames of the clear"
    assert round(cut.heard.seconds / 0.02) == pytest.approx(len(heard), abs=1)
    assert cut.heard.complete == (len(heard) == 100)


def test_nothing_stale_precedes_what_is_said_after_a_clear() -> None:
    """Traps: clearing leaves the prebuffer alone, and wipes what arrives before it took effect."""
    for frames_before in range(12):
        line = Line()
        line.say(1, range(50))
        line.run(0.2 + 0.02 * frames_before)
        line.clear()
        line.say(20_000, range(1000, 1040))
        line.run(2)
        heard = line.heard_numbers()
        split = next(i for i, number in enumerate(heard) if number >= 1000)
        assert heard[split:] == list(range(1000, 1040))
        assert heard[:split] == list(range(split))


@given(
    st.floats(0.0, 0.0199),
    st.floats(0.0, 0.03),
    st.lists(st.tuples(st.floats(0.05, 0.9), st.floats(0.0, 0.6)), min_size=1, max_size=5),
)
@settings(deadline=None, max_examples=200)
def test_pauses_lose_nothing_and_repeat_nothing(
    phase: float, latency: float, pauses: list[tuple[float, float]]
) -> None:
    line = Line(phase=phase, latency=latency)
    line.say(1, range(200))
    for after, length in pauses:
        line.run(after)
        line.pause()
        line.run(length)
        line.resume()
    line.run(8)
    heard = line.heard_numbers()
    assert sorted(set(heard)) == list(range(200)), "nothing is lost"
    assert len(heard) - 200 <= 2 * len(pauses), "no seam repeats more than two frames"
    assert line.finished[0].heard.complete


def test_a_pause_then_a_clear_reports_what_was_heard_before_the_pause() -> None:
    line = Line()
    line.say(1, range(100))
    line.run(0.8)
    line.pause()
    line.run(0.3)
    count = len(line.heard_numbers())
    assert line.playout.paused
    assert not line.playout.speaking(line.now)
    line.clear()
    [cut] = line.cuts
    assert round(cut.heard.seconds / 0.02) == pytest.approx(count, abs=1)


def test_what_comes_late_of_a_cleared_generation_is_refused() -> None:
    line = Line()
    segment = line.segment(1, "one")
    line.run(0.05)
    line.clear(through=1)
    assert not segment.write(bytes(320))
    assert not line.playout.segment(1, "two").write(bytes(320))
    line.playout.finish(1)
    line.run(1)
    assert not line.playout.active
    assert line.finished == []
    assert line.frames_sent == 0


def test_marks_that_come_before_their_audio_can_have_played_are_not_believed() -> None:
    """Trap: any sample of -1 fires a mark early."""
    line = Line()
    line.say(1, range(150))
    line.run(0.1)
    marks = list(line.playout._far_end._marks)
    line.run(0.01)
    for name in marks or ["m2"]:
        line._mark(name, cleared=False)
    line.run(0.2)
    assert not line.finished
    heard = line.playout.heard(line.now)
    assert heard is not None
    assert heard.seconds == pytest.approx(len(line.heard_numbers()) * 0.02, abs=0.05)


def test_a_far_end_that_reports_no_marks_is_followed_by_the_clock() -> None:
    line = Line()
    line.module._send_text = lambda text: None
    line.say(1, range(50))
    line.run(0.5)
    line.pause()
    line.run(0.2)
    line.resume()
    line.run(2)
    heard = line.heard_numbers()
    assert sorted(set(heard)) == list(range(50))
    assert len(heard) <= 52
    assert line.finished[0].heard.complete


def test_marks_under_way_stay_few() -> None:
    """Trap: the 31st outstanding mark is dropped."""
    line = Line(latency=0.2)
    for number in range(40):
        line.say(1, range(number * 2, number * 2 + 2), finish=False)
    line.playout.finish(1)
    line.run(4)
    assert line.max_outstanding < 25
    assert line.heard_numbers() == list(range(80))


def test_generations_follow_each_other() -> None:
    line = Line()
    line.say(1, range(20))
    line.say(2, range(20, 40))
    line.run(2)
    assert line.heard_numbers() == list(range(40))
    assert [event.heard.generation for event in line.finished] == [1, 2]
    assert [event.generation for event in line.started] == [1, 2]
    assert line.started[0].at == pytest.approx(0.02 + line.latency, abs=0.03)


def test_a_generation_that_says_nothing_finishes() -> None:
    line = Line()
    line.playout.begin(1)
    line.playout.finish(1)
    line.run(0.1)
    [finished] = line.of(PlayoutFinished)
    assert isinstance(finished, PlayoutFinished)
    assert finished.heard.text == ""


def test_steps_keep_their_text_apart() -> None:
    line = Line()
    line.playout.begin(1)
    for step, text in enumerate(("Let me look.", "It is Tuesday.")):
        segment = line.playout.segment(1, text, step)
        segment.write(bytes(3200))
        segment.close()
    line.playout.finish(1)
    line.run(2)
    assert line.finished[0].heard.steps == ("Let me look.", "It is Tuesday.")


def test_formats_and_leads_that_cannot_work_are_refused() -> None:
    line = Line()
    with pytest.raises(ValueError, match="16-bit PCM"):
        Playout(line, MULAW_8K)
    with pytest.raises(ValueError, match="at least 8"):
        Playout(line, PCM_8K, lead_frames=4)


def test_a_hang_up_ends_the_account_at_once() -> None:
    line = Line()
    line.say(1, range(100))
    line.run(1.0)
    heard = len(line.heard_numbers())
    line.events += line.playout.close(line.now)
    [cut] = line.cuts
    assert round(cut.heard.seconds / 0.02) == pytest.approx(heard, abs=1)
    assert not line.playout.active


def test_what_is_still_to_be_heard_is_known() -> None:
    line = Line()
    line.say(1, range(100))
    assert line.playout.unheard_seconds == pytest.approx(2.0)
    line.run(1.5)
    assert line.playout.unheard_seconds == pytest.approx(0.5, abs=0.05)


def test_a_generation_that_was_not_begun_is_a_mistake() -> None:
    line = Line()
    with pytest.raises(ValueError, match="not begun"):
        line.playout.segment(1, "text")


def test_a_phrase_that_never_became_sound_was_not_heard() -> None:
    line = Line()
    line.say(1, range(20), finish=False)
    line.playout.segment(1, "never made").close()
    line.playout.finish(1)
    line.run(0.2)
    line.clear()
    line.run(0.3)
    assert line.cuts[0].heard.text == "words"[: len(line.cuts[0].heard.text)]
    assert "never" not in line.cuts[0].heard.text


def test_going_on_after_a_pause_is_no_underrun() -> None:
    line = Line()
    line.say(1, range(100))
    line.run(0.7)
    line.pause()
    line.run(0.5)
    line.resume()
    line.run(3)
    assert line.of(PlayoutUnderrun) == []


def test_a_generation_that_is_slow_is_not_overtaken() -> None:
    line = Line()
    line.playout.begin(1)
    line.begun.add(1)
    line.say(2, range(20, 40))
    line.run(0.3)
    assert line.heard_numbers() == []
    line.say(1, range(20))
    line.run(2)
    assert line.heard_numbers() == list(range(40))
    assert [event.heard.generation for event in line.finished] == [1, 2]
