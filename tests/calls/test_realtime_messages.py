"""Messages into a call with a realtime model: what comes of what the model can do. What is as with a cascade is in
``test_messages.py``."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from gateway.messages import CallUpdate, CommitMessage, TextMessage, perform
from gateway.session import CallSession
from jambonz.simulator.caller import AwaitAgentSilence, HangUp, Speak, Wait
from pipelines.messages import NOTHING_TO_COMMIT, NotNow, NotPossible
from tests.calls.messages import LONG, at, at_any_moment, injected, realtime, realtime_echo, run
from tests.simulators.codeword import heard_words, plain_words, speak
from tests.simulators.realtime_memory import MemoryModel

pytestmark = pytest.mark.usefixtures("by_both")


def test_texts_of_every_urgency() -> None:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1.5)
        await perform(call, TextMessage(text="blue it is", urgency="later"))
        await asyncio.sleep(2)
        await perform(call, TextMessage(text="what colour"))
        await asyncio.sleep(1)
        await perform(call, TextMessage(text="stop", urgency="now"))

    model = MemoryModel(realtime_echo)
    here = realtime(model)
    run(here, meanwhile, Wait(8), HangUp())
    assert model.commands == ["note: blue it is", "tell: what colour", "tell: stop"]
    assert here.said("user") == ["blue it is", "what colour", "stop"]
    assert here.said("agent")[-1] == "you said stop"
    assert here.said("agent")[1] in "you said what colour"


def test_a_text_while_the_caller_speaks_waits_for_the_end_of_his_turn() -> None:
    here = realtime()
    speaks = (Wait(1), Speak(speak("this is what i say by voice")), Wait(9), HangUp())
    run(here, at(3, TextMessage(text="by text")), AwaitAgentSilence(), *speaks)
    assert here.said("user") == ["this is what i say by voice", "by text"]
    assert here.said("agent")[-1] == "you said by text"


def test_commit_where_turns_are_ours() -> None:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1.5)
        with pytest.raises(NotNow, match=NOTHING_TO_COMMIT):
            await perform(call, CommitMessage())
        await asyncio.sleep(1.6)
        await perform(call, CommitMessage())

    here = realtime(turns={"detection": "vad"})
    words = "red green blue white gold pink grey cyan"
    run(here, meanwhile, Wait(2), Speak(speak(words)), Wait(8), HangUp())
    first = here.said("user")[0].split()
    assert 2 <= len(first) <= 5
    assert first == words.split()[: len(first)]


def test_commit_where_they_are_the_models() -> None:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(3)
        with pytest.raises(NotPossible, match=r"turns\.detection vad"):
            await perform(call, CommitMessage())

    here = realtime()
    run(here, meanwhile, Wait(2), Speak(speak("red green blue white gold pink")), Wait(5), HangUp())
    assert injected(here) == []


def test_notes_are_committed() -> None:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(2)
        await perform(call, TextMessage(text="a table", urgency="later"))
        await perform(call, TextMessage(text="for four", urgency="later"))
        await perform(call, CommitMessage())

    model = MemoryModel(realtime_echo)
    here = realtime(model)
    run(here, meanwhile, Wait(8), HangUp())
    assert model.commands[:2] == ["note: a table", "note: for four"]
    assert model.commands[2].startswith("tell: (")
    assert here.said("user") == ["a table", "for four"]
    assert len(here.said("agent")) == 2


def test_a_model_that_takes_no_notes() -> None:
    model = MemoryModel(realtime_echo)
    model.capabilities = replace(model.capabilities, notes=False)

    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(1.5)
        with pytest.raises(NotPossible, match="without answering it"):
            await perform(call, TextMessage(text="x", urgency="later"))
        await perform(call, TextMessage(text="y"))

    run(realtime(model), meanwhile, Wait(5), HangUp())
    assert model.commands == ["tell: y"]


@pytest.mark.parametrize("updates", [True, False])
def test_an_update_reaches_the_model_or_another_session(updates: bool) -> None:
    model = MemoryModel(realtime_echo)
    model.capabilities = replace(model.capabilities, updates=updates)
    stub = {"name": "look", "implementation": "stub", "result": "seen"}

    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(2)
        await perform(call, TextMessage(text="before", urgency="later"))
        await perform(call, CallUpdate.model_validate({"context": "Ann.", "functions": [stub]}))
        await asyncio.sleep(2)
        await perform(call, TextMessage(text="who am i"))

    here = realtime(model)
    run(here, meanwhile, Wait(8), HangUp())
    if updates:
        assert "update: You are a test.\n\nAnn. ['look']" in model.commands
        assert len(model.sessions) == 1
    else:
        assert [setup.instructions for setup in model.setups] == ["You are a test.", "You are a test.\n\nAnn."]
        assert [tool.name for tool in model.setups[1].tools] == ["look"]
        assert model.commands.count("note: before") == 2, "the other session did not know of it"
    assert here.said("agent")[-1] == "you said who am i"


def test_what_waits_is_not_lost_with_the_session() -> None:
    model = MemoryModel(realtime_echo)

    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(2)
        await perform(call, TextMessage(text="blue it is", urgency="later"))
        await asyncio.sleep(0.1)
        model.sessions[0].lose("gone")
        await perform(call, TextMessage(text="what colour"))

    here = realtime(model)
    run(here, meanwhile, Wait(9), HangUp())
    assert len(model.sessions) == 2
    assert model.commands.count("note: blue it is") == 2
    assert model.commands[-1].startswith("tell: ")
    assert "what colour" in model.commands[-1]
    assert here.said("user") == ["blue it is", "what colour"]


@pytest.mark.parametrize("seed", range(24))
def test_whatever_comes_whenever_nothing_is_lost_of_the_call(seed: int) -> None:
    """With sessions that are lost now and then: the model knows what was heard, and the call ends."""
    chance = random.Random(seed)
    model = MemoryModel(lambda heard, history: (LONG, ()))
    here = realtime(model, turns={"detection": chance.choice(["auto", "vad"])})

    def lose() -> None:
        if chance.random() < 0.05 and model.sessions:
            model.sessions[-1].lose("by chance")

    speaks = (Wait(1), Speak(speak("my number is seven")), Wait(2), Speak(speak("stop it please")), Wait(4), HangUp())
    report = run(here, at_any_moment(chance, lose), *speaks)
    said, heard = plain_words(" ".join(here.said("agent"))), heard_words(report.heard)
    assert abs(len(said) - len(heard)) <= 3, (said, heard)
