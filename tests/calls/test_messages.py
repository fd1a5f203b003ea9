"""Messages into a call under way: what they do to the conversation, whoever speaks at the moment. With a cascade, and
what is the same with a realtime model."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
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
from pipelines.cascade import CascadeParts
from pipelines.messages import ENDING, NOBODY, NOTHING_SAID, NOTHING_TO_COMMIT, NotNow
from pipelines.parts import Message, ProviderError, ToolCall
from tests.calls.handover_office import HandoverOffice
from tests.calls.messages import (
    KINDS,
    LONG,
    OPTIONS,
    at,
    at_any_moment,
    cascade,
    echo,
    injected,
    office_of,
    run,
)
from tests.calls.office import Office
from tests.calls.realtime_office import RealtimeOffice
from tests.clock import run_virtual
from tests.simulators.codeword import CodewordRecogniser, CodewordVoice, heard_words, plain_words, speak
from tests.simulators.realtime_memory import MemoryModel
from tests.simulators.replies import Answer, ReplyModel, always
from tests.simulators.services import Services, function

pytestmark = pytest.mark.usefixtures("by_both")


# text


def test_a_text_in_silence_is_answered() -> None:
    here = cascade()
    report = run(here, at(2.0, TextMessage(text="good day")), Wait(5), HangUp())
    assert heard_words(report.heard) == plain_words("hello you said good day")
    assert [(type, data) for type, data in here.log() if type in ("inject", "user", "agent")] == [
        ("agent", "Hello."),
        ("inject", {"text": "good day", "urgency": "soon"}),
        ("user", "good day"),
        ("agent", "you said good day"),
    ]


def test_now_interrupts_the_agent() -> None:
    here = cascade(greeting=LONG)
    report = run(here, at(1.0, TextMessage(text="stop", urgency="now")), Wait(6), HangUp())
    [first, answer] = here.said("agent")
    assert answer == "you said stop"
    assert 0 < len(first.split()) < 10
    assert heard_words(report.heard)[-3:] == ["you", "said", "stop"]
    assert [message.content for message in here.model.told[-1]][-2:] == [first, "stop"]
    assert here.status("bargeIn") == []


@pytest.mark.parametrize("kind", KINDS)
def test_soon_waits_for_the_agent(kind: str) -> None:
    here = office_of(kind, greeting=LONG)
    run(here, at(1.0, TextMessage(text="stop")), Wait(9), HangUp())
    assert here.said("agent") == [LONG, "you said stop"]


def test_later_is_known_with_the_next_turn_and_no_reason_for_an_answer() -> None:
    here = cascade()
    asks = (Speak(speak("what colour is it")), AwaitAgentSpeech(), AwaitAgentSilence(), HangUp())
    run(here, at(1.5, TextMessage(text="it is blue", urgency="later")), AwaitAgentSilence(), Wait(3), *asks)
    assert here.said("agent") == ["Hello.", "you said it is blue what colour is it"]
    assert here.said("user") == ["it is blue", "what colour is it"]


def test_a_text_that_comes_while_an_answer_is_being_guessed_is_in_it() -> None:
    """The guess did not know of it."""
    here = cascade(turns={"endpointing": {"minDelay": 0.8}})

    async def meanwhile(call: CallSession) -> None:
        while not here.model.told:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await perform(call, TextMessage(text="and quickly", urgency="later"))

    asks = (Speak(speak("a table please")), AwaitAgentSpeech(), AwaitAgentSilence(), HangUp())
    report = run(here, meanwhile, AwaitAgentSilence(), *asks)
    assert len(here.model.told) == 2, "one that was a guess, and one that knew"
    assert here.said("agent")[-1] == "you said and quickly a table please"
    assert heard_words(report.heard).count("table") == 1


def test_a_text_for_soon_goes_with_what_the_caller_is_saying() -> None:
    here = cascade()
    speaks = (Speak(speak("by voice it is long enough")), AwaitAgentSpeech(), AwaitAgentSilence(), HangUp())
    run(here, at(2.0, TextMessage(text="by text")), AwaitAgentSilence(), *speaks)
    assert here.said("user") == ["by text", "by voice it is long enough"]
    assert here.said("agent")[-1] == "you said by text by voice it is long enough"
    assert len(here.model.told) == 1


def test_many_texts_in_the_order_in_which_they_came() -> None:
    here = cascade(greeting=LONG)
    texts = [TextMessage(text="one"), TextMessage(text="two"), TextMessage(text="three", urgency="later")]
    run(here, at(1.0, *texts), Wait(9), HangUp())
    assert here.said("user") == ["one", "two", "three"]
    assert here.said("agent")[1:] == ["you said one two three"]


def test_no_more_wait_than_there_is_room_for() -> None:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(2)
        for _ in range(100):
            await perform(call, TextMessage(text="x", urgency="later"))
        with pytest.raises(NotNow, match="100 messages wait"):
            await perform(call, TextMessage(text="x", urgency="later"))

    run(cascade(), meanwhile, Wait(3), HangUp())


# say


def test_say_is_word_for_word_and_in_the_history_as_heard() -> None:
    here = cascade()
    asks = (Speak(speak("what")), AwaitAgentSpeech(), AwaitAgentSilence(), HangUp())
    run(here, at(1.5, SayMessage(text="Stand by please.")), Wait(4), *asks)
    assert here.said("agent") == ["Hello.", "Stand by please.", "you said what"]
    told = [message.content for message in here.model.told[-1]][1:]
    assert (" ".join(told[:-1]), told[-1]) == ("Hello. Stand by please.", "what")


@pytest.mark.parametrize("interruptible", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_said_survives_a_barge_in_or_does_not(kind: str, interruptible: bool) -> None:
    here = office_of(kind)
    steps = (Wait(2.4), Speak(speak("wait a moment please")), Wait(8), HangUp())
    report = run(here, at(1.2, SayMessage(text=LONG, interruptible=interruptible)), *steps)
    said = here.said("agent")[1]
    assert said == LONG if not interruptible else 0 < len(said.split()) < 10
    heard = [word for word in heard_words(report.heard) if word in LONG.split()]
    assert heard == said.split()
    assert here.said("agent")[-1] == "you said wait a moment please"


@pytest.mark.parametrize("kind", KINDS)
def test_say_now_interrupts_and_say_soon_follows(kind: str) -> None:
    here = office_of(kind, greeting=LONG)
    now, *soon = SayMessage(text="Fire alarm.", urgency="now"), SayMessage(text="First."), SayMessage(text="Second.")
    run(here, at(1, *soon, now), Wait(9), HangUp())
    first, *rest = here.said("agent")
    assert len(first.split()) < 10
    assert [plain_words(text) for text in rest] == [["fire", "alarm"], ["first"], ["second"]]


@pytest.mark.parametrize("kind", KINDS)
def test_say_soon_follows_the_answer(kind: str) -> None:
    here = office_of(kind, greeting=LONG)
    run(here, at(1, SayMessage(text="First."), SayMessage(text="Second.")), Wait(8), HangUp())
    assert here.said("agent") == [LONG, "First.", "Second."]


def test_what_has_to_be_heard_is_not_interrupted_by_a_message() -> None:
    here = cascade(greeting={"text": LONG, "interruptible": False})
    commands: list[CallCommand] = [TextMessage(text="stop", urgency="now"), SayMessage(text="Now.", urgency="now")]
    run(here, at(1, *commands), Wait(9), HangUp())
    assert here.said("agent") == [LONG, "you said stop", "Now."]


# commit


def test_a_turn_that_is_committed_is_answered_without_a_pause() -> None:
    """The caller goes on: that is another turn."""

    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(0.5)
        while call.speaker is None or not call.speaker._ears.caller_speaking:  # type: ignore[attr-defined]  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await asyncio.sleep(1.2)
        await perform(call, CommitMessage())

    here = cascade()
    words = "red green blue white gold pink grey cyan mint rose"
    run(here, meanwhile, AwaitAgentSilence(), Speak(speak(words)), Wait(6), HangUp())
    first, *_ = here.said("user")
    assert first in ("red green", "red green blue", "red green blue white")
    assert here.log().index(("inject", {"commit": True})) < here.log().index(("user", first))


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

    here = cascade()
    run(here, meanwhile, Wait(6), HangUp())
    assert here.said("agent") == ["Hello.", "you said a table for four"]
    assert injected(here)[-1] == {"commit": True}


# cancel


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancelled_answer_is_heard_no_further_and_remembered_as_it_was_heard(kind: str) -> None:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1.5)
        await perform(call, CancelMessage())
        await asyncio.sleep(1.5)
        with pytest.raises(NotNow, match=NOTHING_SAID):
            await perform(call, CancelMessage())
        await perform(call, TextMessage(text="what"))

    here = office_of(kind, greeting=LONG)
    report = run(here, meanwhile, Wait(6), HangUp())
    first, answer = here.said("agent")
    assert 0 < len(first.split()) < 10
    assert heard_words(report.heard) == plain_words(f"{first} {answer}")
    assert here.status("interrupted")
    if isinstance(here, RealtimeOffice) and isinstance(here.realtime, MemoryModel):
        assert here.realtime.sessions[0].said("assistant")[0] == first
    else:
        assert here.model.told[-1][1].content == first


def test_cancelling_stops_what_the_agent_does() -> None:
    services = Services({"red": 6.0})

    def asks(messages: Sequence[Message]) -> Sequence[Answer]:
        return [ToolCall("c1", "red", {})] if messages[-1].content == "book it" else ["alright"]

    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1.5)
        await perform(call, TextMessage(text="book it"))
        await asyncio.sleep(1)
        await perform(call, CancelMessage())

    here = Office({"functions": [function("red")], "options": OPTIONS}, ReplyModel(asks), http=services)
    run(here, meanwhile, Wait(9), HangUp())
    assert (services.done, services.stopped) == ([], ["red"])
    assert here.said("agent") == ["Hello."]


# hang up


@pytest.mark.parametrize("kind", KINDS)
def test_hanging_up_after_words_that_are_heard(kind: str) -> None:
    here = office_of(kind, greeting=LONG)
    last = HangUpMessage(text="Goodbye now.", reason="closing time")
    report = run(here, at(1, last), Wait(2), Speak(speak("no wait please")), Wait(20))
    assert heard_words(report.heard)[-2:] == ["goodbye", "now"]
    assert (here.ending(), report.ended_by) == ("api", "jambonz")
    assert injected(here) == [{"hangup": "closing time", "text": "Goodbye now."}]


@pytest.mark.parametrize("kind", KINDS)
def test_hanging_up_at_once(kind: str) -> None:
    here = office_of(kind, greeting=LONG)
    report = run(here, at(1, HangUpMessage()), Wait(20))
    assert len(heard_words(report.heard)) < 6
    assert (here.ending(), report.ended_by) == ("api", "jambonz")


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_ends_takes_no_messages(kind: str) -> None:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1.5)
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

    here = office_of(kind)
    run(here, meanwhile, Wait(20))
    assert here.said("agent")[-1] == LONG
    assert len(injected(here)) == 1


def test_a_goodbye_is_cut_by_hanging_up_at_once() -> None:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1.2)
        await perform(call, HangUpMessage(text=LONG))
        await asyncio.sleep(1)
        await perform(call, HangUpMessage())

    here = cascade()
    run(here, meanwhile, Wait(20))
    assert len(here.said("agent")[-1].split()) < 10
    assert here.ending() == "api"


def test_before_there_is_an_agent() -> None:
    """The call is set up; hanging up is possible all the same."""

    async def meanwhile(call: CallSession) -> None:
        with pytest.raises(NotNow, match=NOBODY.split(":")[0]):
            await perform(call, TextMessage(text="x"))
        await perform(call, HangUpMessage())

    here = cascade()
    run(here, meanwhile, Wait(5))
    assert here.ending() == "api"
    assert injected(here) == [{"hangup": "", "text": None}]


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
        await asyncio.sleep(3)
        await perform(call, CallUpdate(prompt="Else."))
        await perform(call, TextMessage(text="fourth"))
        await asyncio.sleep(3)
        await perform(call, CallUpdate(context=""))
        await perform(call, TextMessage(text="fifth"))

    here = cascade()
    run(here, meanwhile, Wait(18), HangUp())
    prompts = [told[0].content for told in here.model.told]
    known = ["Another.\n\nAnn.", "Another.\n\nBob.", "Else.\n\nBob.", "Else."]
    assert prompts == ["You are a test.", *known], "what is left out stays"
    assert here.pipelines[0]._toolbox.specs[0].name == "look"
    assert injected(here)[1] == {"update": ["prompt", "context", "functions"]}
    assert here.agent.prompt == "You are a test."


def test_an_update_does_not_reach_into_an_answer_under_way() -> None:
    """Neither its functions nor its prompt: the answer goes on as it began."""

    def asks(messages: Sequence[Message]) -> Sequence[Answer]:
        if messages[-1].content == "go":
            return ["looking it up for you now", ToolCall("c1", "red", {})]
        return [f"it is {messages[-1].content}"]

    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1.2)
        await perform(call, TextMessage(text="go"))
        await asyncio.sleep(0.5)
        await perform(call, CallUpdate.model_validate({"functions": [], "prompt": "Another."}))
        await asyncio.sleep(8)
        await perform(call, TextMessage(text="again"))

    services = Services({"red": 3.0})
    here = Office({"functions": [function("red")], "options": OPTIONS}, ReplyModel(asks), http=services)
    run(here, meanwhile, Wait(12), HangUp())
    assert services.done == ["red"]
    assert [told[0].content for told in here.model.told] == ["You are a test.", "You are a test.", "Another."]


def test_an_update_is_checked_as_a_definition_is() -> None:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1)
        rest = {"name": "ask", "implementation": "rest", "url": "https://example.com", "key": "nobody"}
        with pytest.raises(ValidationError, match="not among keys"):
            await perform(call, CallUpdate.model_validate({"functions": [rest]}))
        key = {"name": "nobody", "in": "bearer", "value": "secret"}
        await perform(call, CallUpdate.model_validate({"functions": [rest], "keys": [key]}))

    here = cascade()
    run(here, meanwhile, Wait(3), HangUp())
    assert injected(here) == [{"update": ["functions", "keys"]}]


@pytest.mark.parametrize("body", [{}, {"promt": "x"}, {"modelName": "openai/gpt-4o"}, {"options": {}}])
def test_what_cannot_be_changed_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CallUpdate.model_validate(body)


# From one pipeline to the next


def test_what_waits_and_the_context_go_on_with_another_agent() -> None:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1.5)
        await perform(call, CallUpdate(context="Ann.", prompt="Another."))
        await perform(call, TextMessage(text="what is it", urgency="now"))
        await perform(call, SayMessage(text="That is all."))
        await asyncio.sleep(0.05)
        with suppress(NotNow):  # in the very moment nobody may have the call
            await perform(call, TextMessage(text="by text", urgency="later"))

    other = ReplyModel(echo)
    others = {"other": ({"options": OPTIONS}, CascadeParts(CodewordRecogniser(), other, CodewordVoice()))}
    agent = {"options": {**OPTIONS, "fallback": {"agent": "other"}}}
    breaks = ReplyModel(always(ProviderError("reply-model", "auth", "no more")))
    here = HandoverOffice(agent, breaks, others=others)
    run(here, meanwhile, Wait(9), HangUp())
    assert other.told[0][0].content == "You are another test.\n\nAnn."
    assert other.told[0][-1].content.startswith("what is it")
    assert "That is all." in here.said("agent")


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_agent_has_learned_and_not_told_is_for_whoever_goes_on(kind: str) -> None:
    here = office_of(kind, greeting=LONG)

    def pipeline() -> Any:
        return here.realtimes[0] if isinstance(here, RealtimeOffice) else here.pipelines[0]

    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1.5)
        pipeline().learn("[She is busy.]")

    run(here, meanwhile, Wait(2), HangUp())
    so_far = pipeline().hand_over()
    assert so_far.owed
    assert so_far.entries[-1].content == "[She is busy.]"


# Races


@pytest.mark.parametrize("seed", range(32))
def test_whatever_comes_whenever_nothing_is_lost_of_the_call(seed: int) -> None:
    """Messages at every moment of a conversation: the ledger's truth stays, and the call ends. With realtime models
    there is the same beside."""
    chance = random.Random(seed)
    here = cascade(always(LONG), turns={"endpointing": {"minDelay": 0.3}})
    steps: list[Step] = [
        Wait(chance.uniform(0, 1)),
        Speak(speak("my number is seven")),
        Wait(chance.uniform(0, 2)),
        Speak(speak("stop it please")),
        Wait(4),
        HangUp(),
    ]
    report = run(here, at_any_moment(chance), *steps)
    said, heard = plain_words(" ".join(here.said("agent"))), heard_words(report.heard)
    assert abs(len(said) - len(heard)) <= 2 + heard.count("x"), (said, heard)


# Bots with each other


def test_two_agents_converse_by_text() -> None:
    """What one of them was heard to say is told to the other, in text."""

    async def main() -> None:
        async with cascade(lambda messages: [f"count {len(messages)}"]) as here:
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
                assert len(here.said("agent", report)) >= 6
                assert len(here.said("user", report)) >= 5
            left, right = (here.said("agent", report) for report in reports)
            assert [text for text in here.said("user", reports[0]) if text not in right] == []
            assert [text for text in here.said("user", reports[1]) if text not in left] == []

    run_virtual(main())
