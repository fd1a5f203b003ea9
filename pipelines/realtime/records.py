"""What was heard of the model's answers, on its way into the history and the call's log."""

from __future__ import annotations

from collections import deque

from media.ledger import Heard
from pipelines.events import AgentSaid, PipelineHost
from pipelines.history import History, Step
from pipelines.realtime.answers import Answer

LATE_WORDS_SECONDS = 1.0
"""An answer that was heard, and of which no words are known, is entered so much later."""

_MOST = 8
"""Answers whose words may still come."""


class Records:
    """Answers enter in the order in which they were heard. Words that come later than an answer's entry complete it."""

    def __init__(self, history: History, host: PipelineHost) -> None:
        self.last_said = ""
        self._history = history
        self._host = host
        self._over: deque[Answer] = deque(maxlen=_MOST)  # heard to their end
        self._wordless: tuple[Answer, Heard, float] | None = None

    def over(self, answer: Answer, heard: Heard, now: float, *, words_may_come: bool) -> None:
        """The answer is over, and ``heard`` tells what was heard of it."""
        self.flush()
        if words_may_come:
            self._over.append(answer)
            if heard.seconds and not heard.text:
                self._wordless = answer, heard, now
                return
        self._enter(answer, heard)

    def acted(self, step: Step) -> None:
        """Tools were used, after all that was said."""
        self.flush()
        self._history.agent([step], ())

    def of(self, response: str) -> Answer | None:
        """The answer of that name, if it was heard to its end."""
        return next((answer for answer in self._over if answer.response == response), None)

    def late_words(self, answer: Answer, item: str, text: str) -> None:
        if answer.broken_off:
            return
        if self._wordless is not None and self._wordless[0] is answer:
            (answer.items.get(item) or next(iter(answer.items.values()))).add_words(text)
        elif answer.place is not None and text.strip():
            self._history.complete(answer.place, text.strip())

    def tick(self, now: float) -> None:
        if self._wordless is not None and now - self._wordless[2] >= LATE_WORDS_SECONDS:
            self.flush()

    def flush(self) -> None:
        """What waits for its words is entered as it is: something follows it."""
        if self._wordless is not None:
            (answer, heard, _), self._wordless = self._wordless, None
            self._enter(answer, heard)

    def forget(self) -> None:
        """The session is no more: nothing comes of its answers."""
        self.flush()
        self._over.clear()

    def _enter(self, answer: Answer, heard: Heard) -> None:
        texts = heard.steps
        if heard.complete and not heard.text:
            texts = tuple(item.words.strip() for item in answer.items.values())
        place = self._history.next_place
        self._history.agent(answer.record(), texts)
        if heard.complete and heard.seconds:
            answer.place = place if place < self._history.next_place else self._history.agent_unknown()
        said = " ".join(text for text in texts if text)
        if said:
            self.last_said = said
            interrupted = answer.talked_over or not heard.complete
            self._host.on_event(AgentSaid(said, heard.generation, interrupted, heard.seconds))
