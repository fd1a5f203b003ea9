from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.comparison import Comparison, Utterance, compare, says, words

HOURS = "We are open from Monday to Friday."


def one(text: str, *heard: str, interrupted: bool = True) -> Comparison:
    [comparison] = compare([Utterance(text, interrupted)], heard)
    return comparison


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Good morning. How can I help you?", "good morning how can i help you"),
        ("At three o'clock, don’t be late!", "at three oclock dont be late"),
        ("It is 8, or 42, or 30.", "it is eight or forty two or thirty"),
        ("$40 in 2026", "forty dollars in 2026"),
        ("11:05", "eleven five"),
        ("naïve — déjà_vu", "naïve déjà vu"),
        ("", ""),
    ],
)
def test_words(text: str, expected: str) -> None:
    assert " ".join(words(text)) == expected


def test_says_is_about_whole_words_in_a_row() -> None:
    assert says("Your appointment is booked for Tuesday.", "booked for Tuesday")
    assert says("We are open.", "we are open")
    assert not says("We are opened.", "we are open")
    assert not says("We really are open.", "we are open")


def test_an_utterance_heard_whole_agrees() -> None:
    comparison = one(HOURS, "we are open from monday to friday", interrupted=False)
    assert comparison == Comparison(Utterance(HOURS), "we are open from monday to friday", words=7, found=7)
    assert comparison.agrees


def test_spelling_of_the_recogniser_is_no_difference() -> None:
    assert one("Your visit costs forty dollars at eight.", "Your visits cost $40 at 8", interrupted=False).share == 1.0


@pytest.mark.parametrize(
    ("heard", "too_much", "too_little", "agrees"),
    [
        ("we are open from monday to friday", 0, 0, True),
        ("we are open from monday to", 0, 1, True),
        ("we are open from monday", 0, 2, False),
        ("we are open from monday to friday at", 1, 0, True),
        ("we are open from monday to friday at eight", 2, 0, False),
        ("we are open from monday to freight", 1, 1, True),
        ("we are open from monday oh well", 2, 2, False),
    ],
)
def test_at_an_interruption_one_word_may_differ(heard: str, too_much: int, too_little: int, agrees: bool) -> None:
    comparison = one(HOURS, heard)
    assert (comparison.too_much, comparison.too_little, comparison.agrees) == (too_much, too_little, agrees)


def test_at_the_end_of_what_was_not_interrupted_the_words_found_decide() -> None:
    assert one(HOURS + " We begin at eight.", "we are open from monday to friday we begin", interrupted=False).agrees
    assert not one(HOURS, "we are open from monday", interrupted=False).agrees


def test_nothing_heard_of_what_the_log_has_is_no_agreement() -> None:
    assert not one(HOURS, interrupted=False).agrees
    assert not one("Yes.", "no", interrupted=False).agrees
    assert not one(HOURS, "completely other words were said here now").agrees


def test_the_word_at_the_cut_of_a_short_utterance_is_not_held_against_it() -> None:
    assert one("We are open", "we are").agrees
    assert not one("We are open", "we or").agrees
    assert not one("We are open", "we").agrees


def test_utterances_are_told_apart() -> None:
    log = [Utterance("Which day would you like?"), Utterance("We are open from", True), Utterance("Is it Tuesday?")]
    found = compare(log, ["which day would you like", "we are open from mon", "is it tuesday"])
    assert [one.heard for one in found] == ["which day would you like", "we are open from mon", "is it tuesday"]
    assert [one.too_much for one in found] == [0, 1, 0]
    assert all(one.agrees for one in found)


def test_a_noise_before_the_next_utterance_is_not_counted_at_the_cut_of_the_one_before() -> None:
    log = [Utterance("We are open from", True), Utterance("Is it Tuesday?")]
    [cut, _] = compare(log, ["we are open from", "oh well now", "is it tuesday"])
    assert cut.agrees
    assert cut.too_much == 0


def test_an_utterance_in_several_stretches() -> None:
    assert one(HOURS, "we are open", "from monday", "to friday").share == 1.0


def test_without_a_log_there_is_nothing_to_compare() -> None:
    assert compare([], ["who is there"]) == []


def test_an_utterance_without_words_is_heard() -> None:
    assert one("...", interrupted=False).agrees


WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet", "kilo", "lima")
SENTENCE = st.lists(st.sampled_from(WORDS), min_size=4, max_size=12)


@given(st.lists(SENTENCE, min_size=1, max_size=5))
def test_what_was_said_word_for_word_agrees(sentences: list[list[str]]) -> None:
    texts = [" ".join(sentence) for sentence in sentences]
    for interrupted in (False, True):
        found = compare([Utterance(text, interrupted) for text in texts], texts)
        assert all(one.share == 1.0 and one.too_much == one.too_little == 0 and one.agrees for one in found)
        assert [one.heard for one in found] == texts


@given(st.permutations(WORDS), st.integers(2, 11))
def test_each_word_at_the_cut_is_counted(sentence: list[str], length: int) -> None:
    whole, part = " ".join(sentence), " ".join(sentence[:length])
    assert (one(whole, part).too_little, one(whole, part).too_much) == (12 - length, 0)
    assert (one(part, whole).too_little, one(part, whole).too_much) == (0, 12 - length)
