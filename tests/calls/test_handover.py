"""Calls that cannot go on, and who goes on with them: what the caller hears, and what log and records say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway import metrics
from gateway.session import FAULT
from jambonz.simulator.caller import AwaitAgentSilence, Dtmf, HangUp, Speak, Step, Wait
from jambonz.simulator.outcomes import DialOutcome
from jambonz.simulator.report import CallReport
from pipelines.cascade import Cascade
from pipelines.parts import Message, ProviderError, ToolCall
from pipelines.phrasebook import phrases
from tests.calls.handover_office import (
    ANSWER,
    NUMBER,
    QUESTION,
    HandoverOffice,
    Unready,
    asks,
    count_on,
    parts,
    silence,
)
from tests.calls.silences import without_patience
from tests.clock import run_virtual
from tests.simulators.codeword import CodewordRecogniser, CodewordVoice, heard_words, plain_words, speak
from tests.simulators.failing import FailingModel, FailingVoice, Failure, Way
from tests.simulators.replies import ReplyModel, always

pytestmark = pytest.mark.usefixtures("by_both")

GREETING = "Hello, who is there?"
HELLO = "This is the other one."
PATIENT: dict[str, Any] = {"idle": {"timeout": None}}
OTHER: dict[str, Any] = {"options": {"greeting": HELLO, **PATIENT}}
WORDS = phrases("en")
WAYS: list[Way] = ["server", "connect", "rate_limit", "auth", "protocol", "stall"]


def agent(**fallback: Any) -> dict[str, Any]:
    return {"options": {"greeting": GREETING, "fallback": fallback, **PATIENT}}


def dying(words: int = 0, way: Way = "server") -> FailingModel:
    """Of every answer."""
    return FailingModel(count_on, Failure(way, words, times=99), name="dying")


def agree(office: HandoverOffice, report: CallReport, *expected: str) -> None:
    """The ear and the log have the same words, and besides asking for a moment these."""
    heard = heard_words(report.heard)
    assert plain_words(" ".join(office.said("agent"))) == heard
    assert without_patience(heard) == without_patience(plain_words(" ".join(expected)))
    assert silence(report) <= 3.0
    assert [type for type, _ in office.log()].count("hangup") == 1
    assert not office.switchboard.calls


# At set-up


@pytest.mark.parametrize("how", ["error", "stall", "refused"])
def test_an_agent_that_cannot_be_set_up_is_followed_by_another(how: str) -> None:
    async def main() -> None:
        own = Unready(always("never"), stalls=how == "stall")
        other = ReplyModel(always(ANSWER), first=0.2)
        async with HandoverOffice(agent(agent="other"), own, others={"other": (OTHER, parts(other))}) as office:
            if how == "refused":
                office.refusals["scripted/test"] = ProviderError("dying", "bad_request", "there is no such model")
            before = _count("agent")
            report = await office.call(AwaitAgentSilence(min_gap=2.5), *asks())
            agree(office, report, HELLO, ANSWER)
            assert office.said("user") == [QUESTION]
            assert office.status("fallback") == [{"kind": "agent", "agentId": "other", "modelName": "scripted/other"}]
            assert _count("agent") == before + 1
            assert office.ending() == "caller"
            [record] = office.store.started.values()
            assert record.agent_id == "agent", "whose call it was"

    run_virtual(main())


def _count(kind: str) -> float:
    return metrics.fallbacks.labels(kind)._value.get()  # type: ignore[no-any-return]


def test_at_set_up_another_agent_comes_before_other_models() -> None:
    async def main() -> None:
        second, other = ReplyModel(always("Never.")), ReplyModel(always(ANSWER))
        fallback = agent(agent="other", model="scripted/second", number=NUMBER)
        async with HandoverOffice(
            fallback,
            Unready(always("never")),
            others={"other": (OTHER, parts(other))},
            by_name={"scripted/second": second},
        ) as office:
            report = await office.call(AwaitAgentSilence(), *asks())
            agree(office, report, HELLO, ANSWER)
            assert office.gone_on() == ["agent"]
            assert not second.told

    run_virtual(main())


@pytest.mark.parametrize("why", ["unknown", "foreign", "unready", "slow", "away"])
def test_other_models_come_after_an_agent_that_cannot_be_had(why: str) -> None:
    async def main() -> None:
        second = ReplyModel(always(ANSWER), first=0.2)
        others = {"other": (OTHER, parts(Unready(always("never"))))} if why in ("unready", "slow", "away") else {}
        async with HandoverOffice(
            agent(agent="other", model=["scripted/second", "scripted/third"], number=NUMBER),
            Unready(always("never")),
            others=others,
            by_name={"scripted/second": second, "scripted/third": ReplyModel(always("Never."))},
        ) as office:
            match why:
                case "foreign":
                    office.store.agents["somebody else", "other"] = office.agent
                case "slow":
                    office.store.find_agent = _never  # type: ignore[assignment]
                case "away":
                    office.store.find_agent = _refuse  # type: ignore[assignment]
                case _:
                    pass
            report = await office.call(AwaitAgentSilence(min_gap=2.5), *asks())
            agree(office, report, GREETING, ANSWER)
            assert office.status("fallback") == [{"kind": "model", "modelName": "scripted/second"}]
            [_, sentence] = office.said("error")
            if why != "unready":
                assert sentence.startswith("the agent other cannot go on with the call: ")
                reasons = {"slow": "(TimeoutError)", "away": "(ConnectionError)"}
                assert reasons.get(why, "this owner has no such agent") in sentence

    run_virtual(main())


async def _never(*_: Any) -> Any:
    await asyncio.Event().wait()


async def _refuse(*_: Any) -> Any:
    raise ConnectionError("refused")


@pytest.mark.parametrize("models", [(), ("scripted/second",)])
def test_a_telephone_is_the_last_that_can_go_on(models: Sequence[str]) -> None:
    async def main() -> None:
        talk = DialOutcome(ring_seconds=2.0, talk_seconds=3.0, steps=(Speak(speak("good morning")),))
        async with HandoverOffice(
            agent(agent="unknown", model=list(models), number=NUMBER),
            Unready(always("never")),
            by_name={"scripted/second": Unready(always("never"))},
            dialled=talk,
        ) as office:
            report = await office.call(Wait(6), Speak(speak("good evening")), Wait(20))
            [dialled] = report.dials
            assert (dialled.party, dialled.caller_id) == ("+442079460999", "+441234567890")
            assert dialled.call_status == "completed"
            assert heard_words(report.heard) == plain_words(WORDS.connecting + " good morning")
            assert heard_words(dialled.heard) == plain_words("good evening")
            assert office.said("agent") == [WORDS.connecting]
            assert office.gone_on() == ["number"]
            assert office.status("dial") == [{"number": "+442079460999", "outcome": "in-progress"}]
            own, bridge = office.store.started.values()
            assert office.store.ended[own.id][:2] == ("ended normally", "transferred")
            assert (bridge.parent_id, bridge.model_name) == (own.id, "telephony:bridged-call")
            assert office.store.ended[bridge.id][:2] == ("ended normally", "callee")
            assert [type for type, _ in office.log()].count("hangup") == 1

    run_virtual(main())


def test_a_telephone_that_is_dear_is_not_rung() -> None:
    async def main() -> None:
        async with HandoverOffice(agent(number="+449098790000"), dying()) as office:
            report = await office.call(AwaitAgentSilence(), *asks())
            agree(office, report, GREETING, WORDS.cannot_go_on)
            assert report.dials == []
            assert office.gone_on() == []
            [error] = [data for type, data in office.log() if type == "error" and "fallback" in data]
            assert error.startswith("The fallback's number is not rung: +449098790000 is a premium-rate number")

    run_virtual(main())


def test_where_nobody_can_go_on_the_caller_is_told() -> None:
    async def main() -> None:
        async with HandoverOffice(agent(agent="unknown"), Unready(always("never"))) as office:
            report = await office.call(Wait(20))
            agree(office, report, WORDS.cannot_go_on)
            assert report.ended_by == "jambonz"
            assert office.store.ended.popitem()[1][:2] == ("failed", "failed")

    run_virtual(main())


# In the middle of a call


def test_the_longest_call_counts_from_its_answer_whoever_has_it() -> None:
    async def main() -> None:
        own = agent(agent="other")
        own["options"] |= {"maxDuration": 60}
        options = {**OTHER["options"], "maxDuration": 20, "timeExceededMessage": "Our time is over."}
        others = {"other": (OTHER | {"options": options}, parts(ReplyModel(always(ANSWER))))}
        async with HandoverOffice(own, dying(), others=others) as office:
            report = await office.call(AwaitAgentSilence(), *asks(Wait(60)))
            assert office.gone_on() == ["agent"]
            assert heard_words(report.heard)[-4:] == plain_words("our time is over")
            assert report.answered is not None
            assert report.ended is not None
            assert report.ended - report.answered == pytest.approx(21.5, abs=1.0)
            assert office.ending() == "max_duration"

    run_virtual(main())


@pytest.mark.parametrize("words", [0, 3, 6, 9])
@pytest.mark.parametrize("way", WAYS)
def test_a_model_that_dies_for_good_is_followed_by_another_agent_who_knows_the_conversation(
    way: Way, words: int
) -> None:
    """What was begun is gone on with, what was asked is answered; nobody apologises, and nobody asks again."""

    async def main() -> None:
        other = FailingModel(count_on, name="other")
        others = {"other": (OTHER, parts(other))}
        async with HandoverOffice(agent(agent="other"), dying(words, way), others=others) as o:
            report = await o.call(AwaitAgentSilence(), *asks(Wait(45), HangUp()))
            agree(o, report, GREETING, ANSWER)
            assert o.said("user") == [QUESTION]
            assert o.gone_on() == ["agent"]
            told = other.told[0]
            assert told[0].content == "You are another test."
            assert told[1] == Message("assistant", GREETING)
            assert told[2].role == "user"
            assert told[2].content.startswith(QUESTION)
            first, second = o.made
            assert isinstance(first, Cascade)
            assert isinstance(second, Cascade)
            entries = second.history.entries
            assert entries[: len(first.history.entries)] == first.history.entries
            said = [entry.content for entry in entries if entry.role == "assistant"]
            assert without_patience(plain_words(" ".join(said))) == plain_words(f"{GREETING} {ANSWER}")

    run_virtual(main())


def test_a_model_that_fails_once_is_asked_again_before_somebody_else_is() -> None:
    async def main() -> None:
        own = FailingModel(count_on, Failure("server", 0, times=1))
        still = {"greeting": GREETING, "fallback": {"number": NUMBER}, "turns": {"preemptiveGeneration": False}}
        async with HandoverOffice({"options": still}, own) as office:
            report = await office.call(AwaitAgentSilence(), *asks())
            agree(office, report, GREETING, ANSWER)
            assert office.gone_on() == []
            assert office.ending() == "caller"

    run_virtual(main())


def test_another_agent_answers_the_next_questions_too_and_calls_only_its_own_tools() -> None:
    async def main() -> None:
        def answer(messages: Sequence[Message]) -> Sequence[Any]:
            last = messages[-1]
            if last.content == "book it":
                return [ToolCall("1", "book", {})]
            return ["It is booked."] if last.role == "tool" else [ProviderError("own", "auth", "simulated")]

        own = {**agent(agent="other"), "functions": [_stub("book")]}
        others = {"other": ({**OTHER, "functions": [_stub("ask")]}, parts(other := ReplyModel(always("As you like."))))}
        async with HandoverOffice(own, ReplyModel(answer), others=others) as office:
            say: list[Step] = [
                Speak(speak("book it")),
                AwaitAgentSilence(),
                Speak(speak("and then")),
                AwaitAgentSilence(),
            ]
            more: list[Step] = [Speak(speak("thank you")), AwaitAgentSilence(), HangUp()]
            report = await office.call(AwaitAgentSilence(), *say, *more)
            agree(office, report, GREETING, "It is booked. As you like. As you like.")
            roles = [(message.role, message.content) for message in other.told[-1][1:]]
            assert roles == [
                ("assistant", GREETING),
                ("user", "book it"),
                ("assistant", "It is booked."),
                ("user", "and then"),
                ("assistant", "As you like."),
                ("user", "thank you"),
            ]
            assert not any(message.tool_calls for message in other.told[-1])

    run_virtual(main())


def _stub(name: str) -> dict[str, Any]:
    return {"name": name, "implementation": "stub", "result": "done", "description": name}


@pytest.mark.parametrize("phrase", [1, 2])
def test_an_agent_without_a_voice_is_followed_by_another(phrase: int) -> None:
    """Which says hello where nothing is to be answered. The first agent has no other voice, and neither has the
    service."""

    async def main() -> None:
        voice = FailingVoice(Failure("server", 0, times=99), phrase=phrase)
        others = {"other": (OTHER, parts(ReplyModel(always(ANSWER))))}
        async with HandoverOffice(agent(agent="other"), ReplyModel(always("Never.")), others=others, voice=voice) as o:
            report = await o.call(AwaitAgentSilence(), *asks())
            agree(o, report, HELLO if phrase == 1 else GREETING, ANSWER)
            assert o.gone_on() == ["agent"]

    run_virtual(main())


@pytest.mark.parametrize("greeting", [True, False])
def test_a_recogniser_that_hears_nothing_is_followed_by_another_agents(greeting: bool) -> None:
    async def main() -> None:
        others = {"other": (OTHER if greeting else {}, parts(ReplyModel(always(ANSWER))))}
        deaf, never = CodewordRecogniser(deaf=True), ReplyModel(always("Never."))
        async with HandoverOffice(agent(agent="other"), never, others=others, recogniser=deaf) as o:
            again = (Speak(speak("hello")), Wait(3), AwaitAgentSilence())
            report = await o.call(AwaitAgentSilence(), *again, *again, *again, *asks())
            sorry = f"{WORDS.not_understood} {WORDS.not_understood}"
            agree(o, report, GREETING, sorry, HELLO if greeting else WORDS.interrupted, ANSWER)
            assert o.said("user") == [QUESTION]

    run_virtual(main())


def test_a_fault_of_ours_ends_the_pipeline_and_not_the_call() -> None:
    async def main() -> None:
        class Broken(ReplyModel):
            async def generate(self, *_: Any) -> Any:
                raise ZeroDivisionError
                yield

        others = {"other": (OTHER, parts(ReplyModel(always(ANSWER), first=0.2)))}
        async with HandoverOffice(agent(agent="other"), Broken(always("x")), others=others) as office:
            report = await office.call(AwaitAgentSilence(), *asks())
            heard = heard_words(report.heard)
            assert heard[-16:] == plain_words(ANSWER)
            assert FAULT in office.said("error")
            assert office.gone_on() == ["agent"]
            assert office.ending() == "caller"
            assert silence(report) <= 3.0

    run_virtual(main())


@pytest.mark.parametrize(("words", "said"), [(0, 0), (8, 12)])
def test_a_model_that_dies_is_followed_by_a_telephone(words: int, said: int) -> None:
    async def main() -> None:
        async with HandoverOffice(agent(number=NUMBER), dying(words)) as office:
            report = await office.call(AwaitAgentSilence(), *asks(Wait(30)))
            agree(office, report, GREETING, " ".join(ANSWER.split()[:said]), WORDS.connecting)
            assert office.gone_on() == ["number"]
            assert office.ending() == "transferred"
            assert report.verbs == [
                "listen",
                "dial",
                "hangup",
            ]

    run_virtual(main())


@pytest.mark.parametrize("way", ["stall", "server"])
def test_where_the_agents_voice_is_gone_another_says_that_the_caller_is_put_through(way: Way) -> None:
    async def main() -> None:
        voice, own = FailingVoice(Failure(way, 0, times=99)), CodewordVoice()
        async with HandoverOffice(agent(number=NUMBER), dying(), voice=voice, voices=[own]) as office:
            report = await office.call(AwaitAgentSilence(), *asks(Wait(30)))
            agree(office, report, GREETING, WORDS.connecting)
            assert own.spoken == [WORDS.connecting]
            assert office.ending() == "transferred"

    run_virtual(main())


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (DialOutcome("busy", 486, ring_seconds=1.0), "busy"),
        (DialOutcome("failed", 603, ring_seconds=3.0), "failed"),
        (DialOutcome(ring_seconds=300.0), "no-answer"),
    ],
    ids=["busy", "declined", "no answer"],
)
def test_a_telephone_that_is_not_answered(outcome: DialOutcome, word: str) -> None:
    async def main() -> None:
        async with HandoverOffice(agent(number=NUMBER), dying(), dialled=outcome) as office:
            report = await office.call(AwaitAgentSilence(), *asks(Wait(90)))
            [dialled] = report.dials
            assert (dialled.call_status, dialled.answered) == (word, None)
            assert dialled.ended is not None
            assert office.status("dial") == [{"number": "+442079460999", "outcome": word}]
            assert office.said("error")[-1] == f"+442079460999 could not be reached: {word}"
            assert office.store.ended.popitem()[1][:2] == ("failed", "failed")
            assert report.ended_by == "jambonz"

    run_virtual(main())


# No loops


def test_another_agents_agent_is_not_followed_and_its_telephone_is() -> None:
    async def main() -> None:
        back = {"options": {"greeting": HELLO, "fallback": {"agent": "agent", "number": "+442079460111"}}}
        others = {"other": (back, parts(dying())), "agent": (OTHER, parts(ReplyModel(always("Never."))))}
        async with HandoverOffice(agent(agent="other", number=NUMBER), dying(), others=others) as office:
            report = await office.call(AwaitAgentSilence(), *asks(Wait(30)))
            agree(office, report, GREETING, WORDS.connecting)
            assert office.gone_on() == ["agent", "number"]
            assert [dialled.party for dialled in report.dials] == ["+442079460111"]
            assert office.ending() == "transferred"

    run_virtual(main())


def test_an_agent_that_falls_back_to_itself_does_so_once() -> None:
    async def main() -> None:
        others = {"agent": ({"modelName": "scripted/test", **agent(agent="agent")}, parts(dying()))}
        async with HandoverOffice(agent(agent="agent"), dying(), others=others) as office:
            report = await office.call(AwaitAgentSilence(), *asks())
            agree(office, report, GREETING, WORDS.went_wrong)
            assert office.gone_on() == ["agent"]
            assert len(office.made) == 2

    run_virtual(main())


# The caller hangs up


@pytest.mark.parametrize("tenths", range(0, 150, 6))
def test_a_caller_who_hangs_up_at_any_moment_of_it(tenths: int, by_both: str) -> None:
    """Of an agent that fails for another, which fails for a telephone; by either way at moments between the other's."""
    seconds = (tenths if by_both == "webhooks" else tenths + 3) / 10

    async def main() -> None:
        others = {"other": (OTHER, parts(dying(2), voice=CodewordVoice(first=0.3)))}
        async with HandoverOffice(
            agent(agent="other", number=NUMBER), dying(2), others=others, dialled=DialOutcome(ring_seconds=3.0)
        ) as office:
            steps = asks(Wait(seconds), HangUp())
            report = await office.call(AwaitAgentSilence(), *steps)
            await asyncio.sleep(70)
            assert not office.switchboard.calls
            assert office.switchboard.places.taken == 0
            assert [type for type, _ in office.log()].count("hangup") == 1
            assert all(dialled.ended is not None for dialled in report.dials)
            answered = any(dialled.answered is not None for dialled in report.dials)
            assert office.ending() == ("transferred" if answered else "caller")
            heard, said = heard_words(report.heard), plain_words(" ".join(office.said("agent")))
            assert heard in (said, said[: len(heard)], [*said, *heard[len(said) :]])
            assert abs(len(heard) - len(said)) <= 1
        assert len(asyncio.all_tasks()) == 1

    run_virtual(main())


# What is said while nobody has the call


@pytest.mark.parametrize("pause", [0.9, 1.5])
def test_what_the_caller_adds_while_another_agent_is_looked_for_is_heard(pause: float) -> None:
    async def main() -> None:
        def answer(messages: Sequence[Message]) -> Sequence[Any]:
            return ["You said " + " ".join(message.content for message in messages if message.role == "user")]

        others = {"other": (OTHER, parts(ReplyModel(answer)))}
        async with HandoverOffice(agent(agent="other"), dying(way="auth"), others=others) as office:
            found = office.store.agents["organisation", "other"]
            office.store.find_agent = lambda *who: asyncio.sleep(1.5, found)  # type: ignore[method-assign]
            more: list[Step] = [Wait(pause), Speak(speak("and quickly")), Wait(8), HangUp()]
            report = await office.call(AwaitAgentSilence(), *asks(*more))
            assert office.said("user") == [QUESTION, "and quickly"]
            assert office.said("agent")[-1] == f"You said {QUESTION} and quickly"
            assert plain_words(" ".join(office.said("agent"))) == heard_words(report.heard)

    run_virtual(main())


def test_keys_pressed_while_nobody_listens_are_the_next_ones() -> None:
    async def main() -> None:
        others = {"other": (OTHER, parts(ReplyModel(always(ANSWER))))}
        async with HandoverOffice(agent(agent="other"), Unready(always("x"), stalls=True), others=others) as office:
            report = await office.call(Wait(2.0), Dtmf("12#"), Wait(12), HangUp())
            assert office.said("user") == ["12"]
            assert heard_words(report.heard)[-16:] == plain_words(ANSWER)

    run_virtual(main())


def test_a_call_for_which_there_is_no_place_has_no_fallback() -> None:
    async def main() -> None:
        async with HandoverOffice(agent(number=NUMBER), dying(), agent_limit=0) as office:
            report = await office.call(Wait(5))
            assert (report.ended_by, report.sip_status) == ("refused", 486)
            assert report.dials == []
            await office.recorder.settled()
            assert list(office.store.ended.values()) == [("failed: instance concurrency limit", "limit", 0)]
            assert [type for type, _ in office.log()] == ["call", "error", "hangup"]

    run_virtual(main())
