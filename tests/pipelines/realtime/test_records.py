"""What was heard of answers, with words that come when they like."""

from __future__ import annotations

from media.audio import PCM_8K
from media.ledger import Heard
from media.playout import Playout
from pipelines.events import AgentSaid, PipelineEvent
from pipelines.history import History
from pipelines.realtime.answers import Answer
from pipelines.realtime.records import LATE_WORDS_SECONDS, Records
from tests.simulators.nowhere import Nowhere


class Host:
    def __init__(self) -> None:
        self.said: list[str] = []

    def on_event(self, event: PipelineEvent) -> None:
        if isinstance(event, AgentSaid):
            self.said.append(event.text)


def an_answer(number: int, *, sound: bool = True) -> Answer:
    playout = Playout(Nowhere(), PCM_8K)
    playout.begin(number)
    answer = Answer(number, f"r{number}")
    if sound:
        answer.item("i", playout, PCM_8K).write(bytes(320), PCM_8K)
    return answer


def wordless(number: int, seconds: float = 1.0) -> Heard:
    return Heard(number, seconds, ("",), complete=True)


def records() -> tuple[Records, History, Host]:
    host, history = Host(), History("")
    return Records(history, host), history, host  # type: ignore[arg-type]  # as much of a host as is used


def test_words_within_the_time_are_one_entry_and_one_line() -> None:
    kept, history, host = records()
    answer = an_answer(1)
    kept.over(answer, wordless(1), 10.0, words_may_come=True)
    kept.late_words(answer, "i", "Good ")
    kept.late_words(answer, "i", "day.")
    kept.tick(10.0 + LATE_WORDS_SECONDS - 0.1)
    assert host.said == []
    kept.tick(10.0 + LATE_WORDS_SECONDS)
    assert host.said == ["Good day."]
    assert [entry.content for entry in history.entries] == ["Good day."]


def test_later_words_enter_where_they_belong() -> None:
    kept, history, host = records()
    first, second = an_answer(1), an_answer(2)
    kept.over(first, wordless(1), 10.0, words_may_come=True)
    kept.flush()
    history.user("and you")
    kept.over(second, wordless(2), 12.0, words_may_come=True)
    kept.flush()
    assert [entry.content for entry in history.entries] == ["and you"]
    kept.late_words(second, "i", "Well, too.")
    kept.late_words(first, "i", "I am")
    kept.late_words(first, "i", " well.")
    assert [entry.content for entry in history.entries] == ["I am well.", "and you", "Well, too."]
    assert host.said == []


def test_words_of_what_was_never_heard_are_nobodys() -> None:
    kept, history, _ = records()
    silent = an_answer(1, sound=False)
    kept.over(silent, wordless(1, 0.0), 10.0, words_may_come=True)
    kept.late_words(silent, "i", "Nothing of this was said.")
    history.user("hello")
    kept.late_words(silent, "i", "Nor of this.")
    assert [entry.content for entry in history.entries] == ["hello"]


def test_names_mean_nothing_in_another_session() -> None:
    kept, _, _ = records()
    answer = an_answer(1)
    kept.over(answer, wordless(1), 10.0, words_may_come=True)
    assert kept.of("r1") is answer
    kept.forget()
    assert kept.of("r1") is None
