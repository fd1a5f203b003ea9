from __future__ import annotations

import numpy as np
import pytest

from media.audio import PCM_8K
from media.words import Spoken, TimedWord


def tone(ms: int) -> bytes:
    return (3000 * np.sin(np.arange(8 * ms) / 2)).astype(np.int16).tobytes()


def test_words_share_the_voiced_time_by_their_length() -> None:
    spoken = Spoken("one two three four", PCM_8K)
    audio = tone(2000)
    assert spoken.heard(audio, 0) == ""
    assert spoken.heard(audio, 1.0) == "one two"
    assert spoken.heard(audio, 2.0) == "one two three four"


def test_pauses_belong_to_no_word() -> None:
    spoken = Spoken("one, two", PCM_8K)
    audio = tone(400) + bytes(16 * 1000) + tone(400)
    assert spoken.heard(audio, 0.5) == "one,"
    assert spoken.heard(audio, 1.35) == "one,"
    assert spoken.heard(audio, 1.75) == "one, two"


def test_timings_of_the_synthesiser_are_taken_where_there_are_any() -> None:
    spoken = Spoken("one two", PCM_8K)
    spoken.timings += [TimedWord("one", 0.0, 0.2), TimedWord("two", 1.0, 1.5)]
    assert spoken.heard(tone(1500), 0.9) == "one"
    assert spoken.heard(tone(1500), 1.31) == "one two"


@pytest.mark.parametrize("made", [500, 700, 1500])
def test_a_phrase_whose_sound_was_never_finished_is_measured_by_its_text(made: int) -> None:
    spoken = Spoken("this is a sentence of which only the very beginning was made", PCM_8K)
    assert 1 <= len(spoken.heard(tone(made), 0.5, whole=False).split()) <= 3


def test_a_phrase_of_which_nobody_knows_whether_it_is_whole_is_if_it_is_about_as_long_as_its_text() -> None:
    text = "alfa four echo five golf nine"  # 29 letters: 2.1 s, as we expect it
    sound = tone(1800)
    assert Spoken(text, PCM_8K).heard(sound, 1.8, whole=None) == text
    assert Spoken(text, PCM_8K).heard(sound, 1.8, whole=False) != text
    assert len(Spoken(text, PCM_8K).heard(tone(1000), 1.0, whole=None).split()) == 3


def test_silence_and_nothing() -> None:
    assert Spoken("word", PCM_8K).heard(bytes(1600), 0.1) == ""
    assert Spoken("", PCM_8K).heard(tone(100), 0.1) == ""


def test_the_word_before_a_mark_is_drawn_out() -> None:
    audio = tone(1200)  # 100 ms for each letter, and three letters more for each mark
    for text in ("ab, cd cd!", 'ab, "cd cd!"'):
        words = text.split()
        spoken = Spoken(text, PCM_8K)
        assert [spoken.heard(audio, seconds).split() for seconds in (0.28, 0.32, 0.6, 0.64, 0.98, 1.02)] == [
            [], words[:1], words[:1], words[:2], words[:2], words
        ]  # fmt: skip


def test_a_word_begins_where_its_timing_says_or_after_the_quietest_moment() -> None:
    timed = Spoken("one two", PCM_8K)
    timed.timings += [TimedWord("one", 0.0, 0.3), TimedWord("two", 0.4, 0.8)]
    assert timed.word_start(b"", 0.6) == 0.4
    assert timed.word_start(b"", 0.35) == 0.35, "between words"
    by_ear = Spoken("one two", PCM_8K)
    audio = tone(400) + bytes(16 * 60) + tone(400)
    assert by_ear.word_start(audio, 0.62) == pytest.approx(0.44, abs=0.021)
    assert by_ear.word_start(tone(1000), 0.5) == 0.5, "no gap: not in the middle of a word that never ends"
    assert by_ear.word_start(audio, 0.0) == 0.0
