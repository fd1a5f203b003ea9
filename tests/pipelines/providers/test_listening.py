from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.providers.listening import alike, find, time_of_day, words


@pytest.mark.parametrize(
    ("phrase", "said", "captured"),
    [
        ("opening hours", "What are your opening hours?", []),
        ("opening hours", "What are your OPENING, hours", []),
        ("opening hours", "hours opening", None),
        ("appointment", "Two apointments, please", None),
        ("appointment", "an apointment, please", []),
        ("Tuesday", "on Tuesdays", []),
        ("no", "not now", None),
        ("*", "", []),
        ("my name is {name}", "Hello, my name is John Smith.", ["john", "smith"]),
        ("my name is {name}", "my name is", None),
        ("for {n} people", "a table for four people please", ["four"]),
        ("{n} people", "for a party of four people", ["party", "of", "four"]),
        ("at ten", "at 10", []),
        ("that's all", "That’s all.", []),
    ],
)
def test_phrases_are_found_whatever_the_spelling(phrase: str, said: str, captured: list[str] | None) -> None:
    assert find(phrase, words(said)) == captured


@pytest.mark.parametrize(
    ("said", "time"),
    [
        ("At three o'clock.", "three o'clock"),
        ("Can I come at 3 o'clock in the afternoon?", "three o'clock"),
        ("3:30", "half past three"),
        ("at 15:30", "half past three"),
        ("Half-past ten, please.", "half past ten"),
        ("Half passed to and the afternoon", "half past two"),
        ("a quarter to four", "quarter to four"),
        ("quarter past one", "quarter past one"),
        ("a quarter to one", "quarter to one"),
        ("ten thirty", "half past ten"),
        ("at nine fifteen", "quarter past nine"),
        ("at ten", "ten o'clock"),
        ("at for", "four o'clock"),
        ("eight p.m.", "eight o'clock"),
        ("eleven twenty", "eleven twenty"),
        ("at noon", "noon"),
        ("two people", None),
        ("I am at home", None),
        ("on Tuesday", None),
        ("at 77", None),
        ("", None),
    ],
)
def test_times_are_understood_and_said_back_as_one_says_them(said: str, time: str | None) -> None:
    assert time_of_day(words(said)) == time


@given(st.integers(1, 12), st.sampled_from([0, 10, 15, 20, 30, 40, 45, 50]))
def test_a_time_said_back_is_the_same_time(hour: int, minute: int) -> None:
    said = time_of_day([f"{hour}:{minute:02d}"])
    assert said is not None
    assert time_of_day(words(said)) == said


@given(st.text(alphabet="abcdef", min_size=5, max_size=8), st.data())
def test_one_letter_off_is_alike(word: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(word) - 1))
    assert alike(word, word)
    assert alike(word[:at] + "z" + word[at + 1 :], word)
    assert alike(word[:at] + "z" + word[at:], word)
    assert not alike("zz" + word[2:] + "z", word)


@given(st.text(max_size=200), st.text(max_size=30))
def test_no_words_upset_it(said: str, phrase: str) -> None:
    time_of_day(words(said))
    find(phrase, words(said))
