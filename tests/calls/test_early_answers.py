"""First words while the model works, and fillers while a tool does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from jambonz.simulator.caller import AwaitAgentSilence, BargeIn, HangUp, Speak, Wait
from jambonz.simulator.report import CallReport
from pipelines.parts import Message, ToolCall
from pipelines.phrasebook import phrases
from pipelines.tools import Toolbox, ToolResult
from tests.calls.office import Office
from tests.calls.silences import longest_silence, without_patience
from tests.clock import run_virtual
from tests.simulators.codeword import CodewordRecogniser, CodewordVoice, heard_words, plain_words, speak
from tests.simulators.failing import FailingModel, Failure
from tests.simulators.replies import ReplyModel, always

ANSWER = "The table is free at nine."
FIRST = "I will have a look."


def agent(**pre_response: Any) -> dict[str, Any]:
    return {"options": {"greeting": "Hello there.", "preResponse": pre_response}}


def quick(text: str = FIRST, *, first: float = 0.3, failure: Failure | None = None) -> FailingModel:
    return FailingModel(lambda messages: text, failure, name="quick", first=first, per_word=0.0)


async def ask(office: Office, *more: Any) -> CallReport:
    report = await office.call(AwaitAgentSilence(), Speak(speak("is it free")), *(more or (Wait(9),)), HangUp())
    spoken = next(step for step in report.steps if step.speech_ended is not None)
    assert spoken.speech_ended is not None
    assert longest_silence(report, spoken.speech_ended) <= 3.0
    return report


def history(office: Office) -> list[str]:
    return [entry.content for entry in office.pipelines[0].history.entries if entry.role == "assistant"]


def large(answer: str = ANSWER, *, first: float = 3.0) -> ReplyModel:
    return ReplyModel(always(answer), first=first)


def test_a_small_model_speaks_while_the_large_one_works() -> None:
    """Recogniser 200 ms, small model 300 ms, large one 3 s, voice 150 ms: the first sound comes within 500 ms of the
    decision, and what both say is one answer."""

    async def main() -> None:
        model, small = large(), quick()
        voice, recogniser = CodewordVoice(first=0.15), CodewordRecogniser(delay=0.2)
        small_agent = agent(model="groq/small")
        async with Office(small_agent, model, quick=small, voice=voice, recogniser=recogniser) as office:
            report = await ask(office)
            assert heard_words(report.heard) == plain_words(f"hello there {FIRST} {ANSWER}")
            assert office.said("agent") == ["Hello there.", f"{FIRST} {ANSWER}"]
            assert history(office) == ["Hello there.", f"{FIRST} {ANSWER}"]
            [latency] = office.status("latency")
            assert latency["first_audio"] - latency["decision"] < 0.5
            [told] = model.told
            assert f"“{FIRST}”" in told[-1].content
            assert [message.role for message in small.told[0]][:1] == ["system"]
            assert small.told[0][-1].content == "is it free"

    run_virtual(main())


def test_what_the_large_model_says_again_is_not_heard_again() -> None:
    async def main() -> None:
        async with Office(agent(model="groq/small"), large(f"{FIRST} {ANSWER}"), quick=quick()) as office:
            report = await ask(office)
            assert heard_words(report.heard) == plain_words(f"hello there {FIRST} {ANSWER}")
            assert history(office)[-1] == f"{FIRST} {ANSWER}"

    run_virtual(main())


@pytest.mark.parametrize(
    "small",
    [quick(first=2.0), quick(failure=Failure("server", 0, 9)), quick(failure=Failure("auth", 0, 9)), quick("so " * 60)],
    ids=["slow", "broken", "refused", "talks and talks"],
)
@pytest.mark.parametrize("own", [(), ("Let me see.",)])
def test_a_small_model_that_fails_is_done_without(small: FailingModel, own: Sequence[str]) -> None:
    async def main() -> None:
        async with Office(agent(model="groq/small", phrases=list(own)), large(first=0.5), quick=small) as office:
            report = await ask(office)
            heard = without_patience(heard_words(report.heard))
            assert heard == plain_words(f"hello there {' '.join(own)} {ANSWER}")

    run_virtual(main())


def test_phrases_are_said_in_turn_and_told() -> None:
    async def main() -> None:
        model = large(first=1.0)
        async with Office(agent(phrases=["Let me see.", "Right."]), model) as office:
            report = await ask(office, Wait(1), AwaitAgentSilence(), Speak(speak("and at ten")), Wait(7))
            said = f"hello there let me see {ANSWER} right {ANSWER}"
            assert heard_words(report.heard) == plain_words(said)
            assert ["“Let me see.”" in model.told[0][-1].content, "“Right.”" in model.told[-1][-1].content] == [
                True
            ] * 2

    run_virtual(main())


@pytest.mark.parametrize(("first", "said"), [(0.3, ANSWER), (2.0, f"Let me see. {ANSWER}")])
def test_with_a_delay_they_are_for_models_that_take_long(first: float, said: str) -> None:
    async def main() -> None:
        model = large(first=first)
        async with Office(agent(phrases=["Let me see."], delay=1.0), model) as office:
            report = await ask(office)
            assert heard_words(report.heard) == plain_words(f"hello there {said}")
            assert history(office)[-1] == said
            assert "begun" not in model.told[-1][-1].content

    run_virtual(main())


def test_an_interrupted_first_word_is_in_the_history_as_heard() -> None:
    async def main() -> None:
        words = "I will have a look at the book for you right now."
        async with Office(agent(model="groq/small"), large(), quick=quick(words)) as office:
            report = await office.call(
                AwaitAgentSilence(),
                Speak(speak("is it free")),
                BargeIn(speak("no wait a minute"), after=1.0),
                Wait(9),
                HangUp(),
            )
            heard = heard_words(report.heard)
            said = plain_words(history(office)[1])
            assert said == plain_words(words)[: len(said)]
            assert 1 <= len(said) < 8
            assert heard[2 : 2 + len(said)] == said

    run_virtual(main())


class SlowTools(Toolbox):
    seconds = 9.0

    def is_instant(self, name: str) -> bool:
        return False

    async def run(self, call: ToolCall) -> ToolResult:
        await asyncio.sleep(self.seconds)
        return self.call(call)


@pytest.mark.usefixtures("by_both")
@pytest.mark.parametrize(
    ("fillers", "said"),
    [
        ({}, [phrases("en").one_moment] + [phrases("en").still_here] * 2),
        ({"phrases": ["I look.", "Nearly."], "escalation": ["This is slow."]}, ["I look.", "Nearly.", "This is slow."]),
    ],
)
def test_a_slow_tool_has_fillers(fillers: dict[str, Any], said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(messages: Sequence[Message]) -> Sequence[Any]:
        return [ANSWER] if messages[-1].role == "tool" else [ToolCall("1", "look")]

    async def main() -> None:
        monkeypatch.setattr("pipelines.cascade.Toolbox", SlowTools)
        look = {"name": "look", "implementation": "stub", "result": "nine"}
        definition = {
            "options": {"greeting": "Hello there.", "fillers": {"delay": 2.0, **fillers}},
            "functions": [look],
        }
        async with Office(definition, ReplyModel(answer, first=0.2)) as office:
            report = await ask(office, Wait(16))
            heard = heard_words(report.heard)
            before = plain_words(" ".join(["hello there", *said]))
            assert heard[: len(before)] == before
            more, last = heard[len(before) : -len(plain_words(ANSWER))], plain_words(said[-1])
            assert more == last * (len(more) // len(last)), "the last one again and again"
            assert heard[-len(plain_words(ANSWER)) :] == plain_words(ANSWER)
            assert plain_words(" ".join(office.said("agent"))) == heard

    run_virtual(main())
