from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.phrases import LONGEST, PhraseSplitter

LATER = "This sentence is the first of the answer. "
"""Puts what follows under the rules for later pieces."""


def split(*deltas: str, language: str = "en") -> list[str]:
    splitter = PhraseSplitter(language)
    return [piece for delta in deltas for piece in splitter.push(delta)] + splitter.flush()


def test_a_sentence_is_out_as_soon_as_the_next_one_begins() -> None:
    splitter = PhraseSplitter()
    assert splitter.push("Of course. ") == []
    assert splitter.push("W") == ["Of course."]
    assert splitter.push("hich day?") == []
    assert splitter.flush() == ["Which day?"]
    assert splitter.flush() == []


def test_the_first_piece_may_end_at_a_comma_and_later_ones_only_when_they_are_long() -> None:
    text = "Yes, I think that we can do that, but not today, because we are closed. "
    assert split(text)[0] == "Yes, I think that we can do that,"
    assert split(LATER + text)[1:] == [text.strip()]


def test_short_sentences_are_spoken_together_but_for_the_first() -> None:
    assert split("Yes. No. Maybe. I do not know, to be honest. Ask me again.") == [
        "Yes.",
        "No. Maybe. I do not know, to be honest.",
        "Ask me again.",
    ]


@pytest.mark.parametrize(
    "whole",
    [
        "It takes 3.5 hours from here",
        "We meet Dr. Smith, or Mrs. Brown, at the door",
        "Ask for J. R. Smith at the desk",
        "Take fruit, e.g. Apples or pears",
        "He lives in St. Paul, at Main St. Number four",
        "We open at 8 a.m. Monday to Friday, and close at 6 p.m. Sharp",
        "Look at example.com for more, or at www.example.co.uk for the rest",
        "It is $4.99 a month, or 1,200.50 a year",
        "The 1st. of May is the 3rd. holiday, approx. as always",
        "It is No. 5 on the list",
        "Acme Inc. Ltd. Is a company",
        "Wait... what was that",
        "They asked “Really?” and went home",
    ],
)
def test_no_piece_ends_in_the_middle_of_a_sentence(whole: str) -> None:
    assert split(LATER + whole + ". ") == [LATER.strip(), whole + "."]


def test_a_number_with_a_full_stop_is_an_ordinal_outside_of_english() -> None:
    german = "Das ist der ganz lange erste Satz. Wir sehen uns dann am 3. Oktober."
    assert split(german, language="de-DE")[1] == "Wir sehen uns dann am 3. Oktober."
    assert split(LATER + "We close every day at 6. Come before that.")[1:] == [
        "We close every day at 6.",
        "Come before that.",
    ]


def test_lines_of_a_list_are_pieces_and_keep_their_numbers() -> None:
    assert split("Here is how:\n\n1. Open the door\n2. Go in\n- and sit down\n") == [
        "Here is how:",
        "1. Open the door",
        "2. Go in",
        "- and sit down",
    ]


def test_scripts_without_gaps_are_cut_at_their_own_marks_and_are_bounded() -> None:
    pieces = split(
        "今日は天気がいいですね。「はい。」と彼は言った。明日も、きっと晴れるでしょう。" + "とても長い文" * 100
    )
    assert pieces[0] == "今日は天気がいいですね。"
    assert pieces[1] == "「はい。」と彼は言った。"
    assert max(map(len, pieces)) <= LONGEST // 3 + 1


def test_what_never_ends_is_cut_between_words() -> None:
    pieces = split("word " * 200)
    assert all(len(piece) <= LONGEST for piece in pieces)
    assert set(" ".join(pieces).split()) == {"word"}


PIECES = ("Hello", "world", "Dr.", "3.5", "e.g.", "a.m.", "yes", "No.", "5", "...", "?!", ".", ",", " ", " ", "\n", "—")
ODD_PIECES = (
    "。",
    "、",
    "今日",
    "は",
    "」",
    "**",
    "`",
    "😀",
    "é",
    "$4.99",
    "example.com",
    "x" * 60,
    ")",
    '"',
    "-",
    "1.",
)
PROSE = st.lists(st.sampled_from([*PIECES, *ODD_PIECES]), max_size=120).map("".join)


@given(st.one_of(PROSE, st.text(max_size=600)))
def test_the_pieces_together_are_the_text(text: str) -> None:
    pieces = split(text)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(piece.strip() == piece != "" for piece in pieces)


@given(PROSE, st.data())
def test_the_pieces_do_not_depend_on_how_the_text_arrived(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20)))
    deltas = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert split(*deltas) == split(text)


@given(PROSE)
def test_pieces_are_bounded(text: str) -> None:
    assert all(len(piece) <= 2 * LONGEST for piece in split(text))


def test_what_has_no_place_to_be_cut_costs_no_more_than_other_text(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def may_cut(text: str, at: int) -> bool:
        nonlocal looks
        looks += 1
        return False

    monkeypatch.setattr("pipelines.phrases._may_cut", may_cut)
    assert [len(piece) for piece in split("a" * 5 * LONGEST)] == [2 * LONGEST - 1, 2 * LONGEST - 1, LONGEST + 2]
    assert looks < 2 * 5 * LONGEST
