"""An answer begun by somebody else: what is said again of it is left out, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.going_on import Unrepeated, with_begun
from pipelines.parts import Message, ToolCall


def through(begun: str, *pieces: str) -> str:
    unrepeated = Unrepeated(begun)
    return "".join([*(unrepeated.push(piece) for piece in pieces), unrepeated.flush()])


@pytest.mark.parametrize(
    ("begun", "pieces", "left"),
    [
        ("One moment.", ["We are open."], "We are open."),
        ("One moment.", ["One moment. We are open."], "We are open."),
        ("One moment.", ["One", " mom", "ent, ", "we are open."], "we are open."),
        ("One moment.", ["one moment — we are open."], "— we are open."),
        ("One moment, please.", ["One moment", " we need."], "One moment we need."),
        ("One moment.", ["One moment."], ""),
        ("One moment, please.", ["One moment"], ""),
        ("One moment.", ["One"], ""),
        ("One moment.", ["Once upon"], "Once upon"),
        ("One moment.", ["Momentarily."], "Momentarily."),
        ("", ["One moment."], "One moment."),
        ("…", ["Yes."], "Yes."),
        ("Good.", ["Good. Good. Fine."], "Good. Fine."),
    ],
)
def test_what_is_said_again_is_left_out(begun: str, pieces: list[str], left: str) -> None:
    assert through(begun, *pieces) == left


def test_nothing_is_held_back_once_it_differs() -> None:
    unrepeated = Unrepeated("One moment, please.")
    assert unrepeated.push("One moment, I ") == "One moment, I "
    assert unrepeated.push("see") == "see"


WORDS = st.lists(st.sampled_from(["one", "two,", "Three.", "four", "—"]), max_size=6).map(" ".join)


@given(WORDS, WORDS, st.data())
def test_however_it_is_cut(begun: str, text: str, data: st.DataObject) -> None:
    """The outcome depends on the text alone, and is its end."""
    whole = through(begun, text)
    pieces, rest = [], text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        pieces.append(rest[:size])
        rest = rest[size:]
    assert through(begun, *pieces) == whole
    assert text.endswith(whole)


def test_the_model_is_told_in_what_it_answers() -> None:
    messages = [Message("system", "Be brief."), Message("user", "When?")]
    told = with_begun(messages, "One moment. ")
    assert [message.role for message in told] == ["system", "user"]
    assert told[-1].content.startswith("When?\n\n(You have begun")
    assert "“One moment.”" in told[-1].content
    assert with_begun(messages, " ") == messages
    assert messages[-1].content == "When?"


def test_after_a_tool_it_is_told_by_itself() -> None:
    call = ToolCall("1", "look")
    messages = [Message("assistant", "", (call,)), Message("tool", "free", tool_call_id="1", name="look")]
    told = with_begun(messages, "It is")
    assert [message.role for message in told] == ["assistant", "tool", "user"]
