"""Calls in the middle of which a part fails: what the caller hears, and for how long nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from jambonz.simulator.caller import AwaitAgentSilence, HangUp, Speak, Wait
from jambonz.simulator.report import CallReport
from pipelines.parts import Message, ProviderFault
from pipelines.phrasebook import phrases
from tests.calls.office import Office
from tests.calls.silences import longest_silence, without_patience
from tests.clock import run_virtual
from tests.simulators.codeword import CodewordRecogniser, CodewordVoice, heard_words, plain_words, speak
from tests.simulators.failing import FailingModel, FailingRecogniser, FailingVoice, Failure, Way
from tests.simulators.replies import ReplyModel, always

GREETING = {"options": {"greeting": "Hello, who is there?"}}
ANSWER = "One two three four five six. Seven eight nine ten eleven twelve. Thirteen fourteen fifteen sixteen."
QUESTION = "please count to sixteen"

WAYS: list[Way] = ["server", "connect", "rate_limit", "auth", "protocol", "stall"]


def agree(office: Office, report: CallReport, *expected: str) -> None:
    """The ear, the log and the history have the same words, and these."""
    heard = heard_words(report.heard)
    assert without_patience(heard) == plain_words(" ".join(expected))
    assert plain_words(" ".join(office.said("agent"))) == heard
    history = [entry.content for entry in office.pipelines[0].history.entries if entry.role == "assistant"]
    assert plain_words(" ".join(history)) == heard
    assert office.said("user") == [QUESTION]


def agree_but_for_a_word(report: CallReport, *expected: str) -> None:
    """Where a voice does not tell where its words are: none is lost, and one may be said twice."""
    heard = without_patience(heard_words(report.heard))
    wanted = plain_words(" ".join(expected))
    twice = [n for n in range(1, len(heard)) if heard[n] == heard[n - 1]]
    assert len(twice) <= 1
    assert [word for n, word in enumerate(heard) if n not in twice] == wanted


def count_on(messages: Sequence[Message]) -> str:
    """The answer, or what is left of it after the words that somebody else has said of it."""
    begun = re.search("heard: “(.*)” Go on", messages[-1].content)
    return ANSWER if begun is None else " ".join(ANSWER.split()[len(begun[1].split()) :])


def from_the_beginning(messages: Sequence[Message]) -> str:
    """A model that does not heed what it is told."""
    return ANSWER


async def ask(office: Office) -> CallReport:
    report = await office.call(AwaitAgentSilence(), Speak(speak(QUESTION)), Wait(14), HangUp())
    spoken = next(step for step in report.steps if step.speech_ended is not None)
    assert spoken.speech_ended is not None
    assert longest_silence(report, spoken.speech_ended) <= 3.0
    assert office.ending() == "caller"
    return report


@pytest.mark.parametrize("timed", [True, False], ids=["timed", "untimed"])
@pytest.mark.parametrize(("way", "words"), [*((way, words) for way in WAYS for words in (0, 2, 5)), ("ends", 0)])
def test_a_voice_that_dies_is_followed_by_another_from_the_first_word_not_made(
    way: Way, words: int, timed: bool
) -> None:
    async def main() -> None:
        voice = FailingVoice(Failure(way, words), timed=timed)
        other = CodewordVoice(first=0.15)
        async with Office(GREETING, ReplyModel(always(ANSWER), first=0.2), voice=voice, voices=[other]) as office:
            report = await ask(office)
            if timed or not words:
                agree(office, report, "hello who is there", ANSWER)
            else:
                agree_but_for_a_word(report, "hello who is there", ANSWER)
            assert other.spoken, "the other one spoke"
        assert voice.open == other.open == 0

    run_virtual(main())


@pytest.mark.parametrize("other", [count_on, from_the_beginning])
@pytest.mark.parametrize("words", [0, 3, 6, 14])
@pytest.mark.parametrize("way", WAYS)
def test_a_model_that_dies_is_followed_by_another_that_goes_on(way: Way, words: int, other: Any) -> None:
    async def main() -> None:
        dying = FailingModel(count_on, Failure(way, words, times=2))  # a guess counts
        second = FailingModel(other, name="second")
        async with Office(GREETING, dying, models=[second]) as office:  # type: ignore[arg-type]
            report = await ask(office)
            agree(office, report, "hello who is there", ANSWER)
            assert second.told
        assert dying.open == second.open == 0

    run_virtual(main())


@pytest.mark.parametrize("words", [0, 6, 14])
def test_a_model_alone_is_asked_to_go_on_itself(words: int) -> None:
    async def main() -> None:
        model = FailingModel(count_on, Failure("connect", words))
        agent = {"options": {**GREETING["options"], "turns": {"preemptiveGeneration": False}}}
        async with Office(agent, model) as office:  # type: ignore[arg-type]
            report = await ask(office)
            if words:
                agree(office, report, "hello who is there", ANSWER)
            else:
                agree(office, report, "hello who is there", phrases("en").went_wrong)

    run_virtual(main())


RECOGNISERS: list[tuple[str, ProviderFault, float]] = [
    (f"{kind} {when}", kind, after)
    for kind in ("server", "auth", "connect", "timeout")
    for when, after in (("at the first word", 0.05), ("in the middle", 0.6), ("after the last word", 1.25))
]


@pytest.mark.parametrize(("kind", "after"), [row[1:] for row in RECOGNISERS], ids=[row[0] for row in RECOGNISERS])
def test_a_recogniser_that_dies_is_followed_by_another_that_hears_it_all(kind: ProviderFault, after: float) -> None:
    async def main() -> None:
        dying, second = FailingRecogniser(kind, after=after), CodewordRecogniser()
        model = ReplyModel(always(ANSWER), first=0.2)
        async with Office(GREETING, model, recogniser=dying, recognisers=[second]) as office:
            report = await ask(office)
            agree(office, report, "hello who is there", ANSWER)
        assert dying.open_streams == second.open_streams == 0

    run_virtual(main())


def test_a_recogniser_that_is_deaf_is_followed_by_another_that_hears_what_was_said() -> None:
    async def main() -> None:
        deaf, second = CodewordRecogniser(deaf=True), CodewordRecogniser()
        async with Office(GREETING, ReplyModel(always(ANSWER)), recogniser=deaf, recognisers=[second]) as office:
            report = await ask(office)
            agree(office, report, "hello who is there", ANSWER)

    run_virtual(main())


@pytest.mark.parametrize("after", [0.05, 0.6])
def test_a_recogniser_alone_that_gave_up_is_tried_again(after: float) -> None:
    """The caller is asked to say it again, and is understood then."""

    async def main() -> None:
        recogniser = FailingRecogniser("server", after=after)
        async with Office(GREETING, ReplyModel(always(ANSWER)), recogniser=recogniser) as office:
            question = Speak(speak(QUESTION))
            report = await office.call(
                AwaitAgentSilence(), question, Wait(3.5), AwaitAgentSilence(), question, Wait(12), HangUp()
            )
            agree(office, report, "hello who is there", phrases("en").not_understood, ANSWER)
            spoken = next(step for step in report.steps if step.speech_ended is not None)
            assert spoken.speech_ended is not None
            assert longest_silence(report, spoken.speech_ended) <= 3.0

    run_virtual(main())


def test_a_recogniser_that_never_hears_ends_the_call_in_words() -> None:
    async def main() -> None:
        async with Office(GREETING, ReplyModel(always(ANSWER)), recogniser=CodewordRecogniser(deaf=True)) as office:
            question = (Speak(speak(QUESTION)), Wait(3), AwaitAgentSilence())
            report = await office.call(AwaitAgentSilence(), *question, *question, *question, Wait(20))
            apology = plain_words(phrases("en").cannot_hear)
            assert heard_words(report.heard)[-len(apology) :] == apology
            assert office.ending() == "failed"

    run_virtual(main())


@pytest.mark.parametrize("way", ["server", "stall"])
def test_where_all_models_die_the_caller_is_told(way: Way) -> None:
    async def main() -> None:
        dying = [FailingModel(count_on, Failure(way, 0, times=99), name=f"model {n}") for n in range(2)]
        async with Office(GREETING, dying[0], models=dying[1:]) as office:  # type: ignore[arg-type]
            report = await ask(office)
            agree(office, report, "hello who is there", phrases("en").went_wrong)

    run_virtual(main())


def test_whoever_stepped_in_stays_for_the_call() -> None:
    async def main() -> None:
        voice = FailingVoice(Failure("server", 1), phrase=1)
        other = CodewordVoice()
        async with Office(GREETING, ReplyModel(always("Yes.")), voice=voice, voices=[other]) as office:
            say = (Speak(speak("well then")), Wait(0.5), AwaitAgentSilence())
            await office.call(AwaitAgentSilence(), *say, *say, HangUp())
        assert voice.spoken == ["Hello, who is there?"]
        assert other.spoken == ["who is there?", "Yes.", "Yes."]

    run_virtual(main())
