"""Messages into a call with a realtime model: the same, over what the model can do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

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
from pipelines.messages import NOTHING_SAID, NOTHING_TO_COMMIT, NotNow, NotPossible
from tests.calls.realtime_office import RealtimeOffice
from tests.calls.test_messages import Meanwhile, at, in_call, injected
from tests.clock import run_virtual
from tests.simulators.codeword import heard_words, plain_words, speak
from tests.simulators.realtime_memory import MemoryModel, Reply

pytestmark = pytest.mark.usefixtures("by_both")

LONG = "one two three four five six seven eight nine ten"
OPTIONS = {"greeting": "Hello.", "idle": {"timeout": None}}


def echo(heard: str, history: Sequence[tuple[str, str]]) -> Reply:
    return f"you said {heard}", ()


def run(
    meanwhile: Meanwhile,
    check: Callable[[RealtimeOffice, MemoryModel, CallReport], None],
    *steps: Step,
    model: MemoryModel | None = None,
    **options: Any,
) -> None:
    used = model or MemoryModel(echo)

    async def main() -> None:
        async with RealtimeOffice({"options": {**OPTIONS, **options}}, used) as here:
            report = await in_call(here, meanwhile, *steps)
            check(here, used, report)
            assert used.mistakes == []
            assert used.open_sessions == 0

    run_virtual(main())


def test_texts_of_every_urgency(by_both: str) -> None:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1.5)
        await perform(call, TextMessage(text="blue it is", urgency="later"))
        await asyncio.sleep(2)
        await perform(call, TextMessage(text="what colour"))
        await asyncio.sleep(1)
        await perform(call, TextMessage(text="stop", urgency="now"))

    def check(here: RealtimeOffice, model: MemoryModel, report: CallReport) -> None:
        assert model.commands == ["note: blue it is", "tell: what colour", "tell: stop"]
        assert here.said("user") == ["blue it is", "what colour", "stop"]
        assert here.said("agent")[-1] == "you said stop"
        assert here.said("agent")[1] in "you said what colour"

    run(meanwhile, check, Wait(8), HangUp())


def test_soon_waits_for_agent_and_caller() -> None:
    def check(here: RealtimeOffice, model: MemoryModel, report: CallReport) -> None:
        assert here.said("agent") == [LONG, "you said by text"]

    run(at(1, TextMessage(text="by text")), check, Wait(9), HangUp(), greeting=LONG)


def test_say_and_what_of_it_survives_a_barge_in() -> None:
    def kept(here: RealtimeOffice, model: MemoryModel, report: CallReport) -> None:
        words = heard_words(report.heard)
        assert [word for word in words if word in LONG.split()] == LONG.split()

    def cut(here: RealtimeOffice, model: MemoryModel, report: CallReport) -> None:
        assert 0 < len(here.said("agent")[1].split()) < 10

    steps = (Wait(2.4), Speak(speak("wait a moment please")), Wait(8), HangUp())
    run(at(1.2, SayMessage(text=LONG, interruptible=False)), kept, *steps)
    run(at(1.2, SayMessage(text=LONG)), cut, *steps)


def test_say_now_and_two_for_soon() -> None:
    def check(here: RealtimeOffice, model: MemoryModel, report: CallReport) -> None:
        first, *rest = here.said("agent")
        assert len(first.split()) < 10
        assert rest == ["Fire alarm.", "First.", "Second."] or [plain_words(text) for text in rest] == [
            ["fire", "alarm"],
            ["first"],
            ["second"],
        ]

    commands = [SayMessage(text="First."), SayMessage(text="Second."), SayMessage(text="Fire alarm.", urgency="now")]
    run(at(1, *commands), check, Wait(9), HangUp(), greeting=LONG)


def test_a_cancelled_answer_is_told_to_the_model_as_it_was_heard() -> None:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1.5)
        await perform(call, CancelMessage())
        await asyncio.sleep(1.5)
        with pytest.raises(NotNow, match=NOTHING_SAID):
            await perform(call, CancelMessage())

    def check(here: RealtimeOffice, model: MemoryModel, report: CallReport) -> None:
        [said] = here.said("agent")
        assert 0 < len(said.split()) < 10
        assert heard_words(report.heard) == said.split()
        assert model.sessions[0].said("assistant") == [said]

    run(meanwhile, check, Wait(6), HangUp(), greeting=LONG)


def test_commit_where_turns_are_ours() -> None:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1.5)
        with pytest.raises(NotNow, match=NOTHING_TO_COMMIT):
            await perform(call, CommitMessage())
        await asyncio.sleep(1.6)
        await perform(call, CommitMessage())

    def check(here: RealtimeOffice, model: MemoryModel, report: CallReport) -> None:
        first = here.said("user")[0].split()
        assert 2 <= len(first) <= 5
        assert first == ["red", "green", "blue", "white", "gold"][: len(first)]

    words = "red green blue white gold pink grey cyan"
    run(meanwhile, check, Wait(2), Speak(speak(words)), Wait(8), HangUp(), turns={"detection": "vad"})


def test_commit_where_they_are_the_models() -> None:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(3)
        with pytest.raises(NotPossible, match=r"turns\.detection vad"):
            await perform(call, CommitMessage())

    def check(here: RealtimeOffice, model: MemoryModel, report: CallReport) -> None:
        assert injected(here) == []

    run(meanwhile, check, Wait(2), Speak(speak("red green blue white gold pink")), Wait(5), HangUp())


def test_notes_are_committed() -> None:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(2)
        await perform(call, TextMessage(text="a table", urgency="later"))
        await perform(call, TextMessage(text="for four", urgency="later"))
        await perform(call, CommitMessage())

    def check(here: RealtimeOffice, model: MemoryModel, report: CallReport) -> None:
        assert model.commands[:2] == ["note: a table", "note: for four"]
        assert model.commands[2].startswith("tell: (")
        assert here.said("user") == ["a table", "for four"]
        assert len(here.said("agent")) == 2

    run(meanwhile, check, Wait(8), HangUp())


def test_a_model_that_takes_no_notes() -> None:
    model = MemoryModel(echo)
    model.capabilities = replace(model.capabilities, notes=False)

    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1.5)
        with pytest.raises(NotPossible, match="without answering it"):
            await perform(call, TextMessage(text="x", urgency="later"))
        await perform(call, TextMessage(text="y"))

    def check(here: RealtimeOffice, used: MemoryModel, report: CallReport) -> None:
        assert used.commands == ["tell: y"]

    run(meanwhile, check, Wait(5), HangUp(), model=model)


@pytest.mark.parametrize("updates", [True, False])
def test_an_update_reaches_the_model_or_another_session(updates: bool) -> None:
    model = MemoryModel(echo)
    model.capabilities = replace(model.capabilities, updates=updates)
    stub = {"name": "look", "implementation": "stub", "result": "seen"}

    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(2)
        await perform(call, TextMessage(text="before", urgency="later"))
        await perform(call, CallUpdate.model_validate({"context": "Ann.", "functions": [stub]}))
        await asyncio.sleep(2)
        await perform(call, TextMessage(text="who am i"))

    def check(here: RealtimeOffice, used: MemoryModel, report: CallReport) -> None:
        if updates:
            assert "update: You are a test.\n\nAnn. ['look']" in used.commands
            assert len(used.sessions) == 1
        else:
            assert [setup.instructions for setup in used.setups] == ["You are a test.", "You are a test.\n\nAnn."]
            assert [tool.name for tool in used.setups[1].tools] == ["look"]
            assert used.commands.count("note: before") == 2, "the other session did not know of it"
        assert here.said("agent")[-1] == "you said who am i"

    run(meanwhile, check, Wait(8), HangUp(), model=model)


def test_what_waits_is_not_lost_with_the_session() -> None:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(2)
        await perform(call, TextMessage(text="blue it is", urgency="later"))
        await asyncio.sleep(0.1)
        model.sessions[0].lose("gone")
        await perform(call, TextMessage(text="what colour"))

    model = MemoryModel(echo)

    def check(here: RealtimeOffice, used: MemoryModel, report: CallReport) -> None:
        assert len(used.sessions) == 2
        assert used.commands.count("note: blue it is") == 2
        assert used.commands[-1].startswith("tell: ")
        assert "what colour" in used.commands[-1]
        assert here.said("user") == ["blue it is", "what colour"]

    run(meanwhile, check, Wait(9), HangUp(), model=model)


def test_hanging_up_after_words(by_both: str) -> None:
    def check(here: RealtimeOffice, model: MemoryModel, report: CallReport) -> None:
        assert heard_words(report.heard)[-2:] == ["goodbye", "now"]
        assert (here.ending(), report.ended_by) == ("api", "jambonz")

    steps = (AwaitAgentSpeech(), Wait(20))
    run(at(1, HangUpMessage(text="Goodbye now.")), check, *steps, greeting=LONG)


def test_a_text_while_the_caller_speaks_waits_for_the_end_of_his_turn() -> None:
    def check(here: RealtimeOffice, model: MemoryModel, report: CallReport) -> None:
        assert here.said("user") == ["this is what i say by voice", "by text"]
        assert here.said("agent")[-1] == "you said by text"

    run(
        at(3, TextMessage(text="by text")),
        check,
        AwaitAgentSilence(),
        Wait(1),
        Speak(speak("this is what i say by voice")),
        Wait(9),
        HangUp(),
    )


@pytest.mark.parametrize("seed", range(3))
def test_whatever_comes_whenever_nothing_is_lost_of_the_call(seed: int) -> None:
    """Messages at every moment, with sessions that are lost now and then: each is taken or refused in words, the model
    knows what was heard, and every call ends."""

    async def one(chance: random.Random) -> None:
        model = MemoryModel(lambda heard, history: (LONG, ()))
        agent = {"options": {**OPTIONS, "turns": {"detection": chance.choice(["auto", "vad"])}}}
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

        async def meanwhile(call: CallSession) -> None:
            for _ in range(12):
                await asyncio.sleep(chance.uniform(0, 0.8))
                with suppress(NotNow, NotPossible):
                    await perform(call, chance.choice(commands))
                if chance.random() < 0.05 and model.sessions:
                    model.sessions[-1].lose("by chance")
            if chance.random() < 0.4:
                with suppress(NotNow):
                    await perform(call, HangUpMessage(text=chance.choice([None, "Bye."])))

        steps = (
            Wait(1),
            Speak(speak("my number is seven")),
            Wait(2),
            Speak(speak("stop it please")),
            Wait(4),
            HangUp(),
        )
        async with RealtimeOffice(agent, model) as here:
            report = await in_call(here, meanwhile, *steps)
            said, heard = plain_words(" ".join(here.said("agent"))), heard_words(report.heard)
            assert abs(len(said) - len(heard)) <= 3, (said, heard)
            assert here.switchboard.calls == ()
            assert model.mistakes == []
            assert model.open_sessions == 0

    async def main() -> None:
        chance = random.Random(seed)
        for _ in range(8):
            await one(chance)

    run_virtual(main())


def test_what_the_agent_has_learned_and_not_told_is_for_whoever_goes_on() -> None:
    async def main() -> None:
        async with RealtimeOffice({"options": {**OPTIONS, "greeting": LONG}}, MemoryModel(echo)) as here:

            async def meanwhile(call: CallSession) -> None:
                await asyncio.sleep(1.5)
                here.realtimes[0].learn("[She is busy.]")

            await in_call(here, meanwhile, Wait(2), HangUp())
            so_far = here.realtimes[0].hand_over()
            assert so_far.owed
            assert so_far.entries[-1].content == "[She is busy.]"

    run_virtual(main())
