"""Messages into a call under way: what they do to the conversation, whoever speaks at the moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.messages import (
    CallCommand,
    CallUpdate,
    CancelMessage,
    CommitMessage,
    HangUpMessage,
    SayMessage,
    TextMessage,
    perform,
)
from gateway.session import CallSession
from jambonz.simulator.caller import AwaitAgentSilence, AwaitAgentSpeech, HangUp, Speak, Step, Wait
from jambonz.simulator.report import CallReport
from pipelines.cascade import CascadeParts
from pipelines.messages import ENDING, NOBODY, NOTHING_SAID, NOTHING_TO_COMMIT, NotNow
from pipelines.parts import Message, ProviderError, ToolCall
from tests.calls.handover_office import HandoverOffice
from tests.calls.office import Office
from tests.clock import run_virtual
from tests.simulators.codeword import CodewordRecogniser, CodewordVoice, heard_words, plain_words, speak
from tests.simulators.replies import Answer, ReplyModel, always
from tests.simulators.services import Services, function

pytestmark = pytest.mark.usefixtures("by_both")

Meanwhile = Callable[[CallSession], Coroutine[Any, Any, None]]

LONG = "one two three four five six seven eight nine ten"
QUIET = {"idle": {"timeout": None}}


def echo(messages: Sequence[Message]) -> Sequence[Answer]:
    return [f"you said {messages[-1].content}"]


def office(script: Callable[[Sequence[Message]], Sequence[Answer]] = echo, **options: Any) -> Office:
    return Office({"options": {"greeting": "Hello.", **QUIET, **options}}, ReplyModel(script))


async def in_call(here: Office, meanwhile: Meanwhile, *steps: Step) -> CallReport:
    """A call, and what others do to it from its beginning on."""
    calling = asyncio.create_task(here.call(*steps))
    while not here.switchboard.calls:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    [call] = here.switchboard.calls
    meant = asyncio.create_task(meanwhile(call))
    report = await calling
    await meant
    return report


def run(
    here: Callable[[], Office],
    meanwhile: Meanwhile,
    check: Callable[[Office, CallReport], None],
    *steps: Step,
) -> None:
    async def main() -> None:
        async with here() as opened:
            check(opened, await in_call(opened, meanwhile, *steps))
            assert opened.switchboard.calls == ()
            assert opened.model.open == 0

    run_virtual(main())


def at(seconds: float, *commands: CallCommand) -> Meanwhile:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(seconds)
        for command in commands:
            await perform(call, command)

    return meanwhile


def injected(here: Office) -> list[Any]:
    return [data for type, data in here.log() if type == "inject"]


# text


def test_a_text_in_silence_is_answered(by_both: str) -> None:
    def check(here: Office, report: CallReport) -> None:
        assert heard_words(report.heard) == plain_words("hello you said good day")
        kinds = [(type, data) for type, data in here.log() if type in ("inject", "user", "agent")]
        assert kinds == [
            ("agent", "Hello."),
            ("inject", {"text": "good day", "urgency": "soon"}),
            ("user", "good day"),
            ("agent", "you said good day"),
        ]

    run(office, at(2.0, TextMessage(text="good day")), check, Wait(5), HangUp())


def test_now_interrupts_the_agent_and_soon_waits_for_it() -> None:
    def now(here: Office, report: CallReport) -> None:
        [first, answer] = here.said("agent")
        assert answer == "you said stop"
        assert 0 < len(first.split()) < 10
        assert heard_words(report.heard)[-3:] == ["you", "said", "stop"]
        assert [message.content for message in here.model.told[-1]][-2:] == [first, "stop"]
        assert here.status("bargeIn") == []

    def soon(here: Office, report: CallReport) -> None:
        assert here.said("agent") == [LONG, "you said stop"]

    run(lambda: office(greeting=LONG), at(1.0, TextMessage(text="stop", urgency="now")), now, Wait(6), HangUp())
    run(lambda: office(greeting=LONG), at(1.0, TextMessage(text="stop", urgency="soon")), soon, Wait(8), HangUp())


def test_later_is_known_with_the_next_turn_and_no_reason_for_an_answer() -> None:
    def check(here: Office, report: CallReport) -> None:
        assert here.said("agent") == ["Hello.", "you said it is blue what colour is it"]
        assert here.said("user") == ["it is blue", "what colour is it"]

    run(
        office,
        at(1.5, TextMessage(text="it is blue", urgency="later")),
        check,
        AwaitAgentSilence(),
        Wait(3),
        Speak(speak("what colour is it")),
        AwaitAgentSpeech(),
        AwaitAgentSilence(),
        HangUp(),
    )


def test_a_text_that_comes_while_an_answer_is_being_guessed_is_in_it() -> None:
    """The guess did not know of it."""

    async def meanwhile(call: CallSession) -> None:
        here_model.clear()
        while not here_model:
            await asyncio.sleep(0.01)
            here_model.extend(told() or ())
        await perform(call, TextMessage(text="and quickly", urgency="later"))

    here_model: list[Any] = []
    opened: list[Office] = []

    def told() -> Sequence[Message]:
        return opened[0].model.told[-1] if opened[0].model.told else ()

    def open_office() -> Office:
        opened[:] = [office(turns={"endpointing": {"minDelay": 0.8}})]
        return opened[0]

    def check(here: Office, report: CallReport) -> None:
        assert len(here.model.told) == 2, "one that was a guess, and one that knew"
        assert here.said("agent")[-1] == "you said and quickly a table please"
        assert heard_words(report.heard).count("table") == 1

    run(
        open_office,
        meanwhile,
        check,
        AwaitAgentSilence(),
        Speak(speak("a table please")),
        AwaitAgentSpeech(),
        AwaitAgentSilence(),
        HangUp(),
    )


def test_a_text_for_soon_goes_with_what_the_caller_is_saying() -> None:
    def check(here: Office, report: CallReport) -> None:
        assert here.said("user") == ["by text", "by voice it is long enough"]
        assert here.said("agent")[-1] == "you said by text by voice it is long enough"
        assert len(here.model.told) == 1

    run(
        office,
        at(2.0, TextMessage(text="by text")),
        check,
        AwaitAgentSilence(),
        Speak(speak("by voice it is long enough")),
        AwaitAgentSpeech(),
        AwaitAgentSilence(),
        HangUp(),
    )


def test_many_texts_in_the_order_in_which_they_came() -> None:
    texts = [TextMessage(text=word) for word in ("one", "two")]

    def check(here: Office, report: CallReport) -> None:
        assert here.said("user") == ["one", "two", "three"]
        assert here.said("agent")[1:] == ["you said one two three"]

    run(
        lambda: office(greeting=LONG),
        at(1.0, *texts, TextMessage(text="three", urgency="later")),
        check,
        Wait(9),
        HangUp(),
    )


def test_no_more_wait_than_there_is_room_for() -> None:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(2)
        for _ in range(100):
            await perform(call, TextMessage(text="x", urgency="later"))
        with pytest.raises(NotNow, match="100 messages wait"):
            await perform(call, TextMessage(text="x", urgency="later"))

    run(office, meanwhile, lambda here, report: None, Wait(3), HangUp())


# say


def test_say_is_word_for_word_and_in_the_history_as_heard() -> None:
    def check(here: Office, report: CallReport) -> None:
        assert here.said("agent") == ["Hello.", "Stand by please.", "you said what"]
        assert [m.content for m in here.model.told[-1]][1:] == ["Hello. Stand by please.", "what"] or [
            m.content for m in here.model.told[-1]
        ][1:] == ["Hello.", "Stand by please.", "what"]

    run(
        office,
        at(1.5, SayMessage(text="Stand by please.")),
        check,
        Wait(4),
        Speak(speak("what")),
        AwaitAgentSpeech(),
        AwaitAgentSilence(),
        HangUp(),
    )


@pytest.mark.parametrize("interruptible", [True, False])
def test_what_is_said_survives_a_barge_in_or_does_not(interruptible: bool) -> None:
    def check(here: Office, report: CallReport) -> None:
        said = here.said("agent")[1]
        assert (said == LONG) is not interruptible
        assert here.said("agent")[-1] == "you said wait a moment please"

    run(
        office,
        at(1.2, SayMessage(text=LONG, interruptible=interruptible)),
        check,
        Wait(2.2),
        Speak(speak("wait a moment please")),
        Wait(7),
        HangUp(),
    )


def test_say_now_interrupts_and_say_soon_follows_the_answer() -> None:
    def now(here: Office, report: CallReport) -> None:
        first, said = here.said("agent")
        assert len(first.split()) < 10
        assert said == "Fire alarm."

    def soon(here: Office, report: CallReport) -> None:
        assert here.said("agent") == [LONG, "First.", "Second."]

    run(lambda: office(greeting=LONG), at(1, SayMessage(text="Fire alarm.", urgency="now")), now, Wait(5), HangUp())
    two = [SayMessage(text="First."), SayMessage(text="Second.")]
    run(lambda: office(greeting=LONG), at(1, *two), soon, Wait(8), HangUp())


def test_what_has_to_be_heard_is_not_interrupted_by_a_message() -> None:
    greeting = {"text": LONG, "interruptible": False}

    def check(here: Office, report: CallReport) -> None:
        assert here.said("agent") == [LONG, "you said stop", "Now."]

    commands: list[CallCommand] = [TextMessage(text="stop", urgency="now"), SayMessage(text="Now.", urgency="now")]
    run(lambda: office(greeting=greeting), at(1, *commands), check, Wait(9), HangUp())


# commit


def test_a_turn_that_is_committed_is_answered_without_a_pause() -> None:
    """The caller goes on: that is another turn."""

    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(0.5)
        while call.speaker is None or not call.speaker._ears.caller_speaking:  # type: ignore[attr-defined]  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await asyncio.sleep(1.2)
        await perform(call, CommitMessage())

    def check(here: Office, report: CallReport) -> None:
        first, *_ = here.said("user")
        assert first in ("red green", "red green blue", "red green blue white")
        assert here.log().index(("inject", {"commit": True})) < here.log().index(("user", first))

    words = "red green blue white gold pink grey cyan mint rose"
    run(office, meanwhile, check, AwaitAgentSilence(), Speak(speak(words)), Wait(6), HangUp())


def test_texts_are_committed_where_the_caller_says_nothing() -> None:
    """Whoever brings his own recogniser sends what is understood, and says when it was all."""

    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(2)
        with pytest.raises(NotNow, match=NOTHING_TO_COMMIT):
            await perform(call, CommitMessage())
        await perform(call, TextMessage(text="a table", urgency="later"))
        await asyncio.sleep(1)
        await perform(call, TextMessage(text="for four", urgency="later"))
        await perform(call, CommitMessage())

    def check(here: Office, report: CallReport) -> None:
        assert here.said("agent") == ["Hello.", "you said a table for four"]
        assert injected(here)[-1] == {"commit": True}

    run(office, meanwhile, check, Wait(6), HangUp())


# cancel


def test_a_cancelled_answer_is_heard_no_further_and_remembered_as_it_was_heard() -> None:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1.0)
        await perform(call, CancelMessage())
        await asyncio.sleep(1.0)
        with pytest.raises(NotNow, match=NOTHING_SAID):
            await perform(call, CancelMessage())
        await perform(call, TextMessage(text="what"))

    def check(here: Office, report: CallReport) -> None:
        first, answer = here.said("agent")
        assert heard_words(report.heard) == plain_words(f"{first} {answer}")
        assert here.model.told[-1][1].content == first
        assert here.status("interrupted")

    run(lambda: office(greeting=LONG), meanwhile, check, Wait(6), HangUp())


def test_cancelling_stops_what_the_agent_does() -> None:
    services = Services({"red": 6.0})

    def asks(messages: Sequence[Message]) -> Sequence[Answer]:
        return [ToolCall("c1", "red", {})] if messages[-1].content == "book it" else ["alright"]

    def here() -> Office:
        agent = {"functions": [function("red")], "options": {"greeting": "Hello.", **QUIET}}
        return Office(agent, ReplyModel(asks), http=services)

    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1.5)
        await perform(call, TextMessage(text="book it"))
        await asyncio.sleep(1)
        await perform(call, CancelMessage())

    def check(opened: Office, report: CallReport) -> None:
        assert (services.done, services.stopped) == ([], ["red"])
        assert opened.said("agent") == ["Hello."]

    run(here, meanwhile, check, Wait(9), HangUp())


# hang up


def test_hanging_up_after_words_that_are_heard(by_both: str) -> None:
    def check(here: Office, report: CallReport) -> None:
        assert heard_words(report.heard)[-2:] == ["goodbye", "now"]
        assert here.ending() == "api"
        assert report.ended_by == "jambonz"
        assert injected(here) == [{"hangup": "closing time", "text": "Goodbye now."}]

    last = HangUpMessage(text="Goodbye now.", reason="closing time")
    run(lambda: office(greeting=LONG), at(1, last), check, Wait(2), Speak(speak("no wait please")), Wait(20))


def test_hanging_up_at_once(by_both: str) -> None:
    def check(here: Office, report: CallReport) -> None:
        assert len(heard_words(report.heard)) < 6
        assert (here.ending(), report.ended_by) == ("api", "jambonz")

    run(lambda: office(greeting=LONG), at(1, HangUpMessage()), check, Wait(20))


def test_a_call_that_ends_takes_no_messages() -> None:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1)
        await perform(call, HangUpMessage(text=LONG))
        for command in (
            TextMessage(text="x"),
            SayMessage(text="x"),
            CommitMessage(),
            CancelMessage(),
            CallUpdate(prompt="x"),
            HangUpMessage(text="x"),
        ):
            with pytest.raises(NotNow, match=ENDING):
                await perform(call, command)

    def check(here: Office, report: CallReport) -> None:
        assert here.said("agent")[-1] == LONG
        assert len(injected(here)) == 1

    run(office, meanwhile, check, Wait(20))


def test_a_goodbye_is_cut_by_hanging_up_at_once() -> None:
    def check(here: Office, report: CallReport) -> None:
        assert len(here.said("agent")[-1].split()) < 10
        assert here.ending() == "api"

    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1.2)
        await perform(call, HangUpMessage(text=LONG))
        await asyncio.sleep(1)
        await perform(call, HangUpMessage())

    run(office, meanwhile, check, Wait(20))


def test_before_there_is_an_agent() -> None:
    """The call is set up; hanging up is possible all the same."""

    async def meanwhile(call: CallSession) -> None:
        with pytest.raises(NotNow, match=NOBODY.split(":")[0]):
            await perform(call, TextMessage(text="x"))
        await perform(call, HangUpMessage())

    def check(here: Office, report: CallReport) -> None:
        assert here.ending() == "api"
        assert injected(here) == [{"hangup": "", "text": None}]

    run(office, meanwhile, check, Wait(5))


# update


def test_an_update_counts_from_the_next_answer_on() -> None:
    stub = {"name": "look", "implementation": "stub", "result": "seen"}

    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1.2)
        await perform(call, TextMessage(text="first"))
        await asyncio.sleep(0.3)
        await perform(call, CallUpdate.model_validate({"prompt": "Another.", "functions": [stub], "context": "Ann."}))
        await asyncio.sleep(3)
        await perform(call, TextMessage(text="second"))
        await asyncio.sleep(3)
        await perform(call, CallUpdate(context="Bob."))
        await perform(call, TextMessage(text="third"))

    def check(here: Office, report: CallReport) -> None:
        prompts = [told[0].content for told in here.model.told]
        assert prompts == ["You are a test.", "Another.\n\nAnn.", "Another.\n\nBob."]
        assert here.pipelines[0]._toolbox.specs[0].name == "look"
        assert injected(here)[1] == {"update": ["prompt", "context", "functions"]}
        assert here.agent.prompt == "You are a test."

    run(office, meanwhile, check, Wait(12), HangUp())


def test_an_update_does_not_reach_into_an_answer_under_way() -> None:
    """Neither its functions nor its prompt: the answer goes on as it began."""

    def asks(messages: Sequence[Message]) -> Sequence[Answer]:
        if messages[-1].content == "go":
            return ["looking it up for you now", ToolCall("c1", "red", {})]
        return [f"it is {messages[-1].content}"]

    services = Services({"red": 3.0})

    def here() -> Office:
        agent = {"functions": [function("red")], "options": {"greeting": "Hello.", **QUIET}}
        return Office(agent, ReplyModel(asks), http=services)

    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1.2)
        await perform(call, TextMessage(text="go"))
        await asyncio.sleep(0.5)
        await perform(call, CallUpdate.model_validate({"functions": [], "prompt": "Another."}))
        await asyncio.sleep(8)
        await perform(call, TextMessage(text="again"))

    def check(opened: Office, report: CallReport) -> None:
        assert services.done == ["red"]
        assert [told[0].content for told in opened.model.told] == ["You are a test.", "You are a test.", "Another."]

    run(here, meanwhile, check, Wait(12), HangUp())


def test_an_update_is_checked_as_a_definition_is() -> None:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1)
        rest = {"name": "ask", "implementation": "rest", "url": "https://example.com", "key": "nobody"}
        with pytest.raises(ValidationError, match="not among keys"):
            await perform(call, CallUpdate.model_validate({"functions": [rest]}))
        key = {"name": "nobody", "in": "bearer", "value": "secret"}
        await perform(call, CallUpdate.model_validate({"functions": [rest], "keys": [key]}))

    def check(here: Office, report: CallReport) -> None:
        assert injected(here) == [{"update": ["functions", "keys"]}]

    run(office, meanwhile, check, Wait(3), HangUp())


@pytest.mark.parametrize("body", [{}, {"promt": "x"}, {"modelName": "openai/gpt-4o"}, {"options": {}}])
def test_what_cannot_be_changed_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CallUpdate.model_validate(body)


# From one pipeline to the next


def test_what_waits_and_the_context_go_on_with_another_agent() -> None:
    def breaks(messages: Sequence[Message]) -> Sequence[Answer]:
        return [ProviderError("reply-model", "auth", "no more")]

    async def main() -> None:
        other = ReplyModel(echo)
        parts = CascadeParts(CodewordRecogniser(), other, CodewordVoice())
        agent = {"options": {"greeting": "Hello.", **QUIET, "fallback": {"agent": "other"}}}
        async with HandoverOffice(agent, ReplyModel(breaks), others={"other": ({"options": QUIET}, parts)}) as here:

            async def meanwhile(call: CallSession) -> None:
                await asyncio.sleep(1.5)
                await perform(call, CallUpdate(context="Ann.", prompt="Another."))
                await perform(call, TextMessage(text="what is it", urgency="now"))
                await perform(call, SayMessage(text="That is all."))
                await asyncio.sleep(0.05)
                with suppress(NotNow):  # in the very moment nobody may have the call
                    await perform(call, TextMessage(text="by text", urgency="later"))

            await in_call(here, meanwhile, Wait(9), HangUp())
            assert other.told[0][0].content == "You are another test.\n\nAnn."
            assert other.told[0][-1].content.startswith("what is it")
            assert "That is all." in here.said("agent")

    run_virtual(main())


# Races


@pytest.mark.parametrize("seed", range(4))
def test_whatever_comes_whenever_nothing_is_lost_of_the_call(seed: int) -> None:
    """Messages at every moment of conversations: each is taken or refused in words, the ledger's truth stays, and every
    call ends."""
    import random

    async def one(here: Office, chance: random.Random) -> None:
        calling = asyncio.create_task(
            here.call(
                Wait(chance.uniform(0, 1)),
                Speak(speak("my number is seven")),
                Wait(chance.uniform(0, 2)),
                Speak(speak("stop it please")),
                Wait(4),
                HangUp(),
            )
        )
        await asyncio.sleep(0.05)
        [call] = [one for one in here.switchboard.calls if one not in seen]
        seen.append(call)
        commands: list[CallCommand] = [
            TextMessage(text="now then", urgency="now"),
            TextMessage(text="soon then"),
            TextMessage(text="later then", urgency="later"),
            SayMessage(text="Blue.", urgency="now", interruptible=False),
            SayMessage(text="Green."),
            CommitMessage(),
            CancelMessage(),
            CallUpdate(context="X."),
        ]
        for _ in range(12):
            await asyncio.sleep(chance.uniform(0, 0.8))
            with suppress(NotNow):
                await perform(call, chance.choice(commands))
        if chance.random() < 0.4:
            with suppress(NotNow):
                await perform(call, HangUpMessage(text=chance.choice([None, "Bye."])))
        report = await calling
        said, heard = plain_words(" ".join(here.said("agent", report))), heard_words(report.heard)
        assert abs(len(said) - len(heard)) <= 2 + heard.count("x"), (said, heard)

    seen: list[CallSession] = []

    async def main() -> None:
        chance = random.Random(seed)
        for _ in range(8):
            async with office(always(LONG), turns={"endpointing": {"minDelay": 0.3}}) as here:
                here.recogniser = CodewordRecogniser()
                await one(here, chance)
                assert here.switchboard.calls == ()
                assert here.model.open == 0
                assert here.stuck == []

    run_virtual(main())


# Bots with each other


def test_two_agents_converse_by_text() -> None:
    """What one of them was heard to say is told to the other, in text."""

    async def main() -> None:
        async with office(lambda messages: [f"count {len(messages)}"]) as here:
            calls = [asyncio.create_task(here.call(Wait(20), HangUp())) for _ in range(2)]
            await asyncio.sleep(0.1)
            one, other = here.switchboard.calls

            async def relay(source: CallSession, target: CallSession) -> None:
                with here.progress.watch("listener", source.id) as watcher:
                    while (happened := await watcher.next()) is not None:
                        event = happened.event
                        if isinstance(event, dict) and event.get("isFinal") and "agent" in event:
                            with suppress(NotNow):
                                await perform(target, TextMessage(text=event["agent"]))

            relays = [asyncio.create_task(relay(one, other)), asyncio.create_task(relay(other, one))]
            reports = await asyncio.gather(*calls)
            for task in relays:
                task.cancel()
            await asyncio.gather(*relays, return_exceptions=True)
            for report in reports:
                said = here.said("agent", report)
                assert len(said) >= 6
                assert len(here.said("user", report)) >= 5
            left, right = (here.said("agent", report) for report in reports)
            assert [text for text in here.said("user", reports[0]) if text not in right] == []
            assert [text for text in here.said("user", reports[1]) if text not in left] == []

    run_virtual(main())


def test_what_the_agent_has_learned_and_not_told_is_for_whoever_goes_on() -> None:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1.5)
        here[0].pipelines[0].learn("[She is busy.]")

    def check(opened: Office, report: CallReport) -> None:
        so_far = opened.pipelines[0].hand_over()
        assert so_far.owed
        assert so_far.entries[-1].content == "[She is busy.]"

    here = [office(greeting=LONG)]
    run(lambda: here[0], meanwhile, check, Wait(2), HangUp())
