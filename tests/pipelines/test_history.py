from __future__ import annotations

import pytest

from pipelines.history import Conversation, History, Step
from pipelines.parts import Message, ToolCall

LOOK = ToolCall("1", "look", {"at": "the diary"})
FOUND = Message("tool", "free at nine", tool_call_id="1", name="look")


def roles(history: History) -> list[tuple[str, str]]:
    return [(entry.role, entry.content) for entry in history.entries]


def test_a_conversation() -> None:
    history = History("You are kind.")
    history.user("Hello")
    history.agent([Step("Good morning. How are you?")], ["Good morning."])
    history.user("Fine")
    assert history.messages() == [
        Message("system", "You are kind."),
        Message("user", "Hello"),
        Message("assistant", "Good morning."),
        Message("user", "Fine"),
    ]


def test_without_a_prompt_there_is_no_system_message() -> None:
    history = History("")
    history.user("Hello")
    assert history.messages() == [Message("user", "Hello")]


def test_what_is_said_on_without_an_answer_is_one_message() -> None:
    history = History("")
    history.user("I would like")
    history.user("a table")
    assert roles(history) == [("user", "I would like a table")]


def test_an_answer_of_which_nothing_was_heard_was_not_given() -> None:
    history = History("")
    history.user("I would like")
    history.agent([Step("Yes, please?")], [""])
    history.user("a table")
    assert roles(history) == [("user", "I would like a table")]


def test_the_agent_may_speak_first_and_twice() -> None:
    history = History("")
    history.agent([Step("Hello.")], ["Hello."])
    history.agent([Step("Are you there?")], ["Are you"])
    assert roles(history) == [("assistant", "Hello."), ("assistant", "Are you")]


def test_tools_stay_although_no_word_around_them_was_heard() -> None:
    history = History("")
    history.user("When?")
    history.agent([Step("Let me see.", [LOOK], [FOUND]), Step("At nine.")], [])
    assert history.entries == (
        Message("user", "When?"),
        Message("assistant", "", tool_calls=(LOOK,)),
        FOUND,
    )


def test_each_step_has_its_words_before_its_calls() -> None:
    history = History("")
    history.agent([Step("Let me see.", [LOOK], [FOUND]), Step("At nine.")], ["Let me see.", "At"])
    assert history.entries == (
        Message("assistant", "Let me see.", tool_calls=(LOOK,)),
        FOUND,
        Message("assistant", "At"),
    )


def test_calls_that_never_returned_are_left_out() -> None:
    history = History("")
    history.agent([Step("Wait.", [LOOK, ToolCall("2", "never")], [FOUND])], ["Wait."])
    history.agent([Step("", [ToolCall("3", "never")], [])], [])
    assert history.entries == (Message("assistant", "Wait.", tool_calls=(LOOK,)), FOUND)


def test_the_generation_under_way_is_told_as_it_was_said() -> None:
    history = History("p")
    history.user("When?")
    pending = [Step("Let me see.", [LOOK], [FOUND])]
    assert history.messages(pending)[2:] == [Message("assistant", "Let me see.", tool_calls=(LOOK,)), FOUND]
    assert len(history.entries) == 1, "and does not enter yet"


def test_what_enters_is_a_copy_of_the_step() -> None:
    step = Step("Good morning.")
    history = History("")
    history.agent([step], ["Good"])
    assert step.text == "Good morning."
    entries = history.entries
    history.user("x")
    assert len(entries) == 1


CALL = ToolCall("1", "book", {})
SO_FAR = Conversation(
    (
        Message("assistant", "Hello, who is there?"),
        Message("user", "Ann. Book it."),
        Message("assistant", "Yes.", tool_calls=(CALL,)),
        Message("tool", "done", tool_call_id="1", name="book"),
        Message("assistant", "", tool_calls=(CALL,)),
        Message("tool", "done", tool_call_id="1", name="book"),
        Message("assistant", "It is"),
    ),
    owed=True,
)


def test_what_another_agent_is_told_of_a_conversation() -> None:
    assert SO_FAR.known_to({"book"}) == list(SO_FAR.entries)
    assert [(entry.role, entry.content) for entry in SO_FAR.known_to({"ask"})] == [
        ("assistant", "Hello, who is there?"),
        ("user", "Ann. Book it."),
        ("assistant", "Yes."),
        ("assistant", "It is"),
    ]
    assert not any(entry.tool_calls for entry in SO_FAR.known_to(()))


def test_what_is_owed_in_a_conversation() -> None:
    assert SO_FAR.begun == "It is"
    assert SO_FAR.question is None, "asked again, it would be done again"
    before = Conversation(SO_FAR.entries[:2], owed=True)
    assert (before.begun, before.question) == ("", "Ann. Book it.")
    assert (Conversation().begun, Conversation().question) == ("", None)
    assert Conversation(SO_FAR.entries).begun == "", "that was all of it"


@pytest.mark.parametrize(
    ("text", "heard"),
    [("Hello, who is there?", True), ("who is", True), ("Hello, who are you?", False), ("Ann. Book it.", False)],
)
def test_what_was_said_already(text: str, heard: bool) -> None:
    assert SO_FAR.heard(text) == heard
