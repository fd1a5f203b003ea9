"""What a realtime model is told, and not asked to answer: texts, and that its agent is another one.

Texts enter the history with what is answered next. Until then each session is told of them: they are not in the
conversation that it begins with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipelines.agent import AgentDefinition
from pipelines.messages import MOST_WAITING, NotNow
from pipelines.realtime.link import Link
from pipelines.realtime.model import Setup


class Notes:
    """:meth:`tell` is called again and again: what the session does not know yet, it is told as soon as there is one.
    ``setup`` is what a session of the present agent is to know; ``updates``: a session can be told of another one."""

    def __init__(
        self, link: Link, setup: Callable[[], Setup], agent: Callable[[], AgentDefinition], *, updates: bool
    ) -> None:
        self._link = link
        self._setup = setup
        self._agent = agent
        self._updates = updates
        self._asked_for = self._known = agent()  # of the session that is being opened, and the present one's
        self._texts: list[str] = []
        self._told = 0  # of them

    @property
    def texts(self) -> Sequence[str]:
        return tuple(self._texts)

    def add(self, text: str) -> None:
        if len(self._texts) >= MOST_WAITING:
            raise NotNow(f"{MOST_WAITING} texts wait for something to be answered already")
        self._texts.append(text)
        self.tell()

    def refill(self, texts: Sequence[str]) -> None:
        """With those of whoever had the call before."""
        self._texts, self._told = list(texts), 0

    def take(self) -> list[str]:
        """They are part of the conversation now."""
        texts, self._texts, self._told = self._texts, [], 0
        return texts

    def on_setup(self) -> None:
        """A session is about to be opened."""
        self._asked_for = self._agent()

    def on_session(self) -> None:
        """It is the one now."""
        self._known, self._told = self._asked_for, 0

    def tell(self) -> None:
        if not self._link.is_open:
            return
        if self._known is not self._agent():
            self._known = self._agent()
            if self._updates:
                setup = self._setup()
                self._link.send(lambda protocol: protocol.update(setup))
            else:
                self._link.renew()
        for text in self._texts[self._told :]:
            self._note(text)
        self._told = len(self._texts)

    def _note(self, text: str) -> None:
        self._link.send(lambda protocol: protocol.note(text))
