"""Messages of others, as they come into a conversation: what is done at once, and what waits for its time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, assert_never

from pipelines.agent import AgentDefinition
from pipelines.events import EndReason, PipelineEvent, UserSaid
from pipelines.idle import IdleClock
from pipelines.messages import (
    MOST_WAITING,
    NOTHING_SAID,
    NOTHING_TO_COMMIT,
    Become,
    CallMessage,
    Cancel,
    Commit,
    HangUp,
    NotNow,
    Say,
    Tell,
)


class Addressee(Protocol):
    """Who has the conversation, as those see it who send messages into it."""

    @property
    def is_protected(self) -> bool:
        """Something is said that has to be heard."""
        ...

    @property
    def is_at_work(self) -> bool:
        """The agent says or does something, or is about to."""
        ...

    def fall_silent(self, now: float) -> None:
        """Not because of the caller: nothing of what is said and done goes on, or is said again."""
        ...

    def answer(self, texts: Sequence[str], now: float) -> None:
        """The caller says so, in text."""
        ...

    def say(self, say: Say, now: float) -> None:
        """The agent says this, now."""
        ...

    def on_waiting(self, now: float) -> None:
        """Something more waits, or it waits no longer for an occasion."""
        ...

    def commit(self, now: float) -> bool:
        """The caller's turn is over. Whether there was anything to it. Raises NotPossible."""
        ...

    def become(self, agent: AgentDefinition, now: float) -> None:
        """From the next answer on."""
        ...

    def say_and_end(self, text: str | None, reason: EndReason) -> None:
        """Interrupt whatever is said, say this to its end, and hang up."""
        ...


class Inbox:
    """What waits is in the order in which it came. It has, too, what the agent learned otherwise, as of tools for which
    nobody waited, which is no word of the caller's.

    ``later`` takes texts that are no reason for an answer, where they do not wait here for the next one; it may raise
    NotNow and NotPossible.
    """

    def __init__(
        self,
        to: Addressee,
        idle: IdleClock,
        tell: Callable[[PipelineEvent], None],
        *,
        later: Callable[[str], None] | None = None,
    ) -> None:
        self._to = to
        self._idle = idle
        self._tell = tell
        self._later = later
        self._waiting: list[Tell | Say] = []
        self._learned: list[str] = []

    def take(self, message: CallMessage, now: float) -> None:
        """Raises :class:`~pipelines.messages.NotNow` and :class:`~pipelines.messages.NotPossible`."""
        to = self._to
        match message:
            case Tell(text, "now") if not to.is_protected:
                to.fall_silent(now)
                to.answer([*self.take_texts(), text], now)
            case Say(urgency="now") if not to.is_protected:
                to.fall_silent(now)
                to.say(message, now)
            case Tell() | Say():
                self._put(message)
                self._idle.reset()
                to.on_waiting(now)
            case Commit():
                if not to.commit(now):
                    self._hurry()
                    to.on_waiting(now)
            case Cancel():
                if not to.is_at_work:
                    raise NotNow(NOTHING_SAID)
                to.fall_silent(now)
                to.on_waiting(now)
            case Become(agent):
                to.become(agent, now)
            case HangUp(text, why):
                to.say_and_end(text, why)
            case _:
                assert_never(message)

    def _put(self, message: Tell | Say) -> None:
        if message.urgency == "later" and self._later is not None:
            self._later(message.text)
            return
        if len(self._waiting) >= MOST_WAITING:
            raise NotNow(f"{MOST_WAITING} messages wait to be told to the agent already")
        self._waiting.append(message)

    def _hurry(self) -> None:
        """No text waits for a later occasion any more."""
        if not self.has_texts:
            raise NotNow(NOTHING_TO_COMMIT)
        self._waiting = [Tell(one.text) if isinstance(one, Tell) else one for one in self._waiting]

    def learn(self, text: str) -> None:
        self._learned.append(text)

    # What waits

    @property
    def all(self) -> Sequence[Tell | Say]:
        return tuple(self._waiting)

    def refill(self, waiting: Sequence[Tell | Say]) -> None:
        """With what waited at whoever had the call before."""
        self._waiting = list(waiting)

    @property
    def has_texts(self) -> bool:
        return any(isinstance(one, Tell) for one in self._waiting)

    @property
    def is_due(self) -> bool:
        """Something is to be said or answered once nobody speaks."""
        return bool(self._learned) or any(one.urgency != "later" for one in self._waiting)

    def take_say(self) -> Say | None:
        """What is to be said, if its turn has come: nothing before it is to be answered."""
        first = next((one for one in self._waiting if one.urgency != "later"), None)
        if not isinstance(first, Say):
            return None
        self._waiting.remove(first)
        return first

    def take_texts(self) -> list[str]:
        """All texts: they are told with what is answered now."""
        texts = [one.text for one in self._waiting if isinstance(one, Tell)]
        self._waiting = [one for one in self._waiting if isinstance(one, Say)]
        return texts

    def take_learned(self) -> list[str]:
        learned, self._learned = self._learned, []
        return learned

    def said(self, texts: Sequence[str]) -> str:
        """By the caller: it enters the call's log."""
        for text in texts:
            self._tell(UserSaid(text))
        return " ".join(texts)
