from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.audio import PCM_8K
from media.words import Spoken, TimedWord
from pipelines.parts import WordTiming
from pipelines.providers.word_times import WordTimes

Read = tuple[str, float, float]


def read(said: str) -> list[Read]:
    """Words of a second each."""
    return [(word, float(at), at + 1.0) for at, word in enumerate(said.split())]


def told(text: str, said: str) -> str:
    """The text's words with where each sounds, as far as the vendor told of them."""
    return " ".join(f"{t.word}[{t.start:g}-{t.end:g}]" for t in WordTimes(text).hear(read(said)))


@pytest.mark.parametrize(
    ("text", "said", "expected"),
    [
        pytest.param("Hello, world!", "Hello, world!", "Hello,[0-1] world![1-2]", id="as they are written"),
        pytest.param("Hello, world!", "hello world", "Hello,[0-1] world![1-2]", id="without marks"),
        pytest.param("a well-known name", "a well known name", "a[0-1] well-known[1-3] name[3-4]", id="one is two"),
        pytest.param("in New York now", "in NewYork now", "in[0-1] New[1-1.42857] York[1.42857-2] now[2-3]",
                     id="two are one"),
        pytest.param("wait – what?", "wait what", "wait[0-1] –[1-1] what?[1-2]", id="a dash has no time"),
        pytest.param("– yes", "yes", "–[0-0] yes[0-1]", id="nor has one at the beginning"),
        pytest.param("yes –", "yes", "yes[0-1] –[1-1]", id="nor one at the end"),
        pytest.param("I have 5 cats", "i have five cats", "I[0-1] have[1-2] 5[2-3] cats[3-4]", id="read otherwise"),
        pytest.param("It costs $20 now", "it costs twenty dollars now", "It[0-1] costs[1-2] $20[2-4] now[4-5]",
                     id="read as several"),
        pytest.param("Dr. J. Smith calls", "doctor jay smith calls", "Dr.[0-1] J.[1-2] Smith[2-3] calls[3-4]",
                     id="two in a row are read otherwise"),
        pytest.param("at 10", "at ten", "at[0-1]", id="the last one is read otherwise: it is not known to be over"),
        pytest.param("a b c", "x y z", "", id="nothing is alike"),
        pytest.param("one two", "one two three", "one[0-1] two[1-2]", id="more than there was to say"),
        pytest.param("你好世界", "你 好 世 界", "你好世界[0-4]", id="words without gaps"),
        pytest.param("ja, ja", ", ja , ja .", "ja,[1-2] ja[3-4]", id="marks by themselves"),
        pytest.param("STRASSE", "straße", "STRASSE[0-1]", id="small and capital letters"),
    ],
)  # fmt: skip
def test_words_that_are_read_are_the_texts(text: str, said: str, expected: str) -> None:
    assert told(text, said) == expected


def test_words_come_in_pieces() -> None:
    times = WordTimes("We are open on Monday.")
    heard = read("we are open on monday")
    assert times.hear(heard[:2]) == [WordTiming("We", 0, 1), WordTiming("are", 1, 2)]
    assert times.hear([]) == []
    assert times.hear(heard[2:]) == [WordTiming("open", 2, 3), WordTiming("on", 3, 4), WordTiming("Monday.", 4, 5)]
    assert times.rest(9.0) == []


def test_what_the_vendor_did_not_tell_of_has_its_share_at_the_end() -> None:
    times = WordTimes("Call us at 10 or 11.")
    assert times.rest(9.0) == [], "it told of nothing: then the sound tells"
    times.hear(read("call us at ten"))
    assert times.rest(6.0) == [WordTiming("10", 3, 4), WordTiming("or", 4, 5), WordTiming("11.", 5, 6)]
    assert times.rest(6.0) == []


words = st.sampled_from(["a", "ab", "abc", "b", "–", "well-known", "5", "A,", "ü"])
spoken = st.sampled_from(["a", "ab", "abc", "b", "c", "well", "known", ",", "", "five", "abab"])
times = st.floats(0, 20)


@given(st.lists(words, max_size=8), st.lists(st.lists(st.tuples(spoken, times, times), max_size=4), max_size=5), times)
def test_whatever_it_tells_each_word_is_told_once_and_in_order(
    text: list[str], pieces: list[list[Read]], until: float
) -> None:
    found, aligned = [], WordTimes(" ".join(text))
    for piece in pieces:
        found += aligned.hear(piece)
    rest = aligned.rest(until)
    assert [timing.word for timing in found + rest] == (text if found or rest else [])[: len(found + rest)]
    if any(any(map(str.isalnum, word)) for piece in pieces for word, _, _ in piece):
        assert [timing.word for timing in found + rest] == text, "where it told of any word, all are told in the end"
    else:
        assert found == rest == []
    assert all(0 <= timing.start <= timing.end for timing in found + rest)
    assert all(one.end <= other.start for one, other in pairwise(found + rest))


@given(st.lists(st.sampled_from(["Hello,", "you.", "it's", "well-known", "–", "$20!"]), min_size=1), st.data())
def test_the_words_heard_are_those_whose_sound_was(text: list[str], data: st.DataObject) -> None:
    """With the ledger's rule: at the end of the sound of a word, it and those before it were heard, and no other."""
    letters = ["".join(filter(str.isalnum, word)) for word in text]
    said = [word for word in letters if word]
    if not said:
        return
    spoken, aligned = Spoken(" ".join(text), PCM_8K), WordTimes(" ".join(text))
    for timing in aligned.hear([(word, float(at), at + 1.0) for at, word in enumerate(said)]):
        spoken.timings.append(TimedWord(timing.word, timing.start, timing.end))
    count = data.draw(st.integers(1, len(said)))
    heard = spoken.heard(b"", float(count)).split()
    assert len([word for word in heard if any(map(str.isalnum, word))]) == count
    assert heard == text[: len(heard)]
