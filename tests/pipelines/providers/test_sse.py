from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.providers.sse import LONGEST_EVENT, ServerSentEvent, SseReader


def read(*chunks: bytes) -> list[ServerSentEvent]:
    reader = SseReader()
    return [event for chunk in chunks for event in reader.push(chunk)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: one\n\n", [("", "one")]),
        (b"event: ping\ndata: {}\n\n", [("ping", "{}")]),
        (b"data: one\r\n\r\ndata: two\r\r", [("", "one"), ("", "two")]),
        (b"data: one\ndata:two\ndata:  three\n\n", [("", "one\ntwo\n three")]),
        (b": a comment\nid: 7\nretry: 10\ndata\ndata: x\n\n", [("", "\nx")]),
        (b"\xef\xbb\xbfdata: marked\n\n", [("", "marked")]),
        (b"event: forgotten\n\ndata: next\n\n", [("", "next")]),
        (b"data: unfinished\n", []),
        (b"data: a\xffb\n\n", [("", "a�b")]),
        ("data: a\u2028b\x0bc\n\n".encode(), [("", "a\u2028b\x0bc")]),
        (b"", []),
    ],
)
def test_streams(stream: bytes, events: list[tuple[str, str]]) -> None:
    expected = [ServerSentEvent(name, data) for name, data in events]
    assert read(stream) == expected
    assert read(*(bytes([byte]) for byte in stream)) == expected


ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
words = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)
lines = st.tuples(st.sampled_from(["data: ", "data:", "event: ", ": ", "id: ", "", "other: "]), words).map("".join)


@given(st.lists(st.tuples(lines, ends), max_size=20), st.lists(st.integers(0, 300), max_size=20))
def test_it_does_not_matter_how_the_bytes_are_cut(stream: list[tuple[str, bytes]], cuts: list[int]) -> None:
    whole = b"".join(line.encode() + end for line, end in stream)
    bounds = [0, *sorted(cut % (len(whole) + 1) for cut in cuts), len(whole)]
    assert read(*(whole[start:end] for start, end in pairwise(bounds))) == read(whole)


@given(st.lists(st.tuples(words.map(str.lstrip), words.filter(bool)), max_size=8), ends)
def test_what_is_written_is_read(events: list[tuple[str, str]], end: bytes) -> None:
    whole = b""
    for name, data in events:
        whole += b"event: " + name.encode() + end + b"data: " + data.encode() + end + end
    assert read(whole) == [ServerSentEvent(name, data) for name, data in events]


@pytest.mark.parametrize("chunk", [b"x" * 65536, b"data: " + b"x" * 65000 + b"\n"])
def test_an_event_without_end_is_refused(chunk: bytes) -> None:
    with pytest.raises(ValueError, match="longer than"):
        read(*[chunk] * (2 * LONGEST_EVENT // len(chunk)))


def test_many_events_of_a_good_length_are_none_that_is_too_long() -> None:
    assert len(read(*[b"data: " + b"x" * 65000 + b"\n\n"] * 40)) == 40
