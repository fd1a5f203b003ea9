from __future__ import annotations

from collections.abc import Sequence

import pytest

from pipelines.agent import AgentDefinition
from pipelines.events import EndReason, PipelineEvent, UserSaid
from pipelines.idle import IdleClock, IdleFarewell
from pipelines.inbox import Inbox
from pipelines.messages import (
    MOST_WAITING,
    NOTHING_SAID,
    NOTHING_TO_COMMIT,
    Become,
    Cancel,
    Commit,
    HangUp,
    NotNow,
    NotPossible,
    Say,
    Tell,
)


class Conversation:
    """Notes what it is to do."""

    def __init__(self, *, later: bool = False) -> None:
        self.is_protected = False
        self.is_at_work = True
        self.speaks = False
        self.done: list[object] = []
        self.log: list[PipelineEvent] = []
        self.idle = IdleClock(5.0, (), "Goodbye.")
        self.inbox = Inbox(self, self.idle, self.log.append, later=self._later if later else None)

    def _later(self, text: str) -> None:
        if text == "no":
            raise NotPossible("it takes none")
        self.done.append(("later", text))

    def fall_silent(self, now: float) -> None:
        self.done.append("silent")

    def answer(self, texts: Sequence[str], now: float) -> None:
        self.done.append(list(texts))

    def say(self, say: Say, now: float) -> None:
        self.done.append(say)

    def on_waiting(self, now: float) -> None:
        self.done.append("waiting")

    def commit(self, now: float) -> bool:
        return self.speaks

    def become(self, agent: AgentDefinition, now: float) -> None:
        self.done.append(agent)

    def say_and_end(self, text: str | None, reason: EndReason) -> None:
        self.done.append((text, reason))


def test_what_is_for_now_goes_before_everything_and_takes_the_texts_that_wait_with_it() -> None:
    one = Conversation()
    for message in (Tell("a"), Say("b"), Tell("c", "later"), Tell("d", "now"), Say("e", "now")):
        one.inbox.take(message, 1.0)
    assert one.done == [*["waiting"] * 3, "silent", ["a", "c", "d"], "silent", Say("e", "now")]
    assert one.inbox.all == (Say("b"),)
    assert one.inbox.take_say() == Say("b")
    assert not one.inbox.is_due


def test_what_has_to_be_heard_is_not_interrupted() -> None:
    one = Conversation()
    one.is_protected = True
    one.inbox.take(Say("a", "now"), 1.0)
    one.inbox.take(Tell("b", "now"), 1.0)
    assert one.done == ["waiting"] * 2
    assert one.inbox.take_say() == Say("a", "now")
    assert one.inbox.take_texts() == ["b"]


def test_what_is_to_be_said_waits_for_the_texts_before_it_to_be_answered() -> None:
    one = Conversation()
    one.inbox.take(Tell("a", "later"), 1.0)
    assert not one.inbox.is_due
    one.inbox.take(Say("b"), 1.0)
    assert one.inbox.take_say() == Say("b")
    one.inbox.take(Tell("c"), 1.0)
    one.inbox.take(Say("d"), 1.0)
    assert one.inbox.take_say() is None
    assert one.inbox.take_texts() == ["a", "c"]
    assert one.inbox.take_say() == Say("d")


def test_a_commit_without_a_turn_is_for_the_texts_that_wait() -> None:
    one = Conversation()
    with pytest.raises(NotNow, match=NOTHING_TO_COMMIT):
        one.inbox.take(Commit(), 1.0)
    one.inbox.take(Tell("a", "later"), 1.0)
    one.inbox.take(Commit(), 1.0)
    assert one.inbox.is_due
    assert one.done == ["waiting"] * 2
    one.speaks = True
    one.inbox.take(Commit(), 1.0)
    assert one.done == ["waiting"] * 2


def test_only_what_is_said_or_done_can_be_cancelled() -> None:
    one = Conversation()
    one.inbox.take(Cancel(), 1.0)
    assert one.done == ["silent", "waiting"]
    one.is_at_work = False
    with pytest.raises(NotNow, match=NOTHING_SAID):
        one.inbox.take(Cancel(), 1.0)


def test_another_agent_and_the_end() -> None:
    one, agent = Conversation(), AgentDefinition.model_validate({"modelName": "scripted/echo", "prompt": "Be brief."})
    one.inbox.take(Become(agent), 1.0)
    one.inbox.take(HangUp("Bye."), 1.0)
    assert one.done == [agent, ("Bye.", "api")]


def test_who_tells_the_model_of_later_texts_himself_gets_them_and_the_rest_waits() -> None:
    one = Conversation(later=True)
    one.inbox.take(Tell("a", "later"), 1.0)
    one.inbox.take(Tell("b"), 1.0)
    with pytest.raises(NotPossible):
        one.inbox.take(Tell("no", "later"), 1.0)
    assert one.done == [("later", "a"), *["waiting"] * 2]
    assert one.inbox.all == (Tell("b"),)


def test_no_more_waits_than_anybody_would_answer_and_whoever_writes_is_there() -> None:
    one = Conversation()
    one.idle.quiet(0.0)
    for _ in range(MOST_WAITING):
        one.inbox.take(Tell("a"), 1.0)
    with pytest.raises(NotNow, match="wait to be told"):
        one.inbox.take(Tell("a"), 1.0)
    assert one.idle.tick(60.0) is None
    one.idle.quiet(60.0)
    assert one.idle.tick(65.0) == IdleFarewell("Goodbye.")


def test_what_was_learned_is_due_and_no_word_of_the_callers() -> None:
    one = Conversation()
    one.inbox.learn("[It is done.]")
    assert one.inbox.is_due
    assert (one.inbox.take_learned(), one.inbox.take_texts()) == (["[It is done.]"], [])
    assert one.inbox.said(["a", "b"]) == "a b"
    assert one.log == [UserSaid("a"), UserSaid("b")]
