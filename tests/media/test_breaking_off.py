"""A synthesis that stops in the middle: what is kept of its sound, and what is left to be said, are one text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from media.audio import PCM_8K
from media.ledger import Segment
from media.words import TimedWord
from tests.simulators.codeword import WORD_FRAMES, read, speak

TEXT = "alpha beta, gamma delta. epsilon zeta"
WORD = WORD_FRAMES / 50


def segment(text: str = TEXT) -> Segment:
    return Segment(1, text, 0, PCM_8K, lambda pcm: pcm)


def timed(one: Segment, count: int) -> None:
    for index, word in enumerate(TEXT.split()[:count]):
        one.add_word(TimedWord(word, index * WORD, (index + 1) * WORD))


@given(st.integers(0, 6 * WORD_FRAMES), st.integers(0, 6), st.integers(0, 6 * WORD_FRAMES))
def test_with_timings_it_is_exact(frames: int, known: int, sent: int) -> None:
    one = segment()
    one.write(speak(TEXT)[: frames * 320])
    timed(one, known)
    sent = min(sent, frames)
    one.next_frames(sent)
    rest = one.break_off()
    whole = min(known, frames // WORD_FRAMES) if known else len(one.spoken.text.split())
    assert f"{one.spoken.text} {rest}".split() == TEXT.split(), "no word lost, none doubled"
    assert one.closed
    assert not one.broken
    if known:
        assert len(one.spoken.text.split()) == whole
        assert one.frames == max(whole * WORD_FRAMES, sent), "to the end of a word, unless more is out"
        one.heard = one.frames
        assert one.heard_text() == one.spoken.text


@given(st.integers(0, 6 * WORD_FRAMES), st.integers(0, 6 * WORD_FRAMES))
def test_without_timings_no_word_is_lost(frames: int, sent: int) -> None:
    one = segment()
    one.write(speak(TEXT)[: frames * 320])
    one.next_frames(min(sent, frames))
    rest = one.break_off()
    assert f"{one.spoken.text} {rest}".split() == TEXT.split()
    assert one.frames >= min(sent, frames)


def test_a_segment_that_is_over_has_nothing_left() -> None:
    one = segment()
    one.write(speak(TEXT))
    one.close()
    assert one.break_off() == ""
    assert one.spoken.text == TEXT
    cancelled = segment()
    cancelled.cancelled = True
    assert cancelled.break_off() == ""


def test_half_a_word_is_not_played() -> None:
    one = segment()
    one.write(speak(TEXT)[: int(2.5 * WORD_FRAMES) * 320])
    timed(one, 6)
    assert one.break_off() == "gamma delta. epsilon zeta"
    assert [word.word for word in read(bytes(one.audio))] == ["alpha", "beta"]
