"""How tests of messages into calls begin: an agent that repeats what it is told, by a cascade or by a realtime
model; a call; and what others do to it meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

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
from jambonz.simulator.caller import Step
from jambonz.simulator.report import CallReport
from pipelines.messages import NotNow, NotPossible
from pipelines.parts import Message
from tests.calls.office import Office
from tests.calls.realtime_office import RealtimeOffice
from tests.clock import run_virtual
from tests.simulators.realtime_memory import MemoryModel, Reply
from tests.simulators.replies import Answer, ReplyModel, Script

Meanwhile = Callable[[CallSession], Coroutine[Any, Any, None]]

KINDS = ("cascade", "realtime")
LONG = "one two three four five six seven eight nine ten"
OPTIONS: dict[str, Any] = {"greeting": "Hello.", "idle": {"timeout": None}}


def echo(messages: Sequence[Message]) -> Sequence[Answer]:
    return [f"you said {messages[-1].content}"]


def realtime_echo(heard: str, history: Sequence[tuple[str, str]]) -> Reply:
    return f"you said {heard}", ()


def cascade(script: Script = echo, **options: Any) -> Office:
    return Office({"options": {**OPTIONS, **options}}, ReplyModel(script))


def realtime(model: MemoryModel | None = None, **options: Any) -> RealtimeOffice:
    return RealtimeOffice({"options": {**OPTIONS, **options}}, model or MemoryModel(realtime_echo))


def office_of(kind: str, **options: Any) -> Office:
    return cascade(**options) if kind == "cascade" else realtime(**options)


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


def run(here: Office, meanwhile: Meanwhile, *steps: Step) -> CallReport:
    """The same in an office that is opened for it, and nothing of it is left."""

    async def main() -> CallReport:
        async with here:
            report = await in_call(here, meanwhile, *steps)
            assert here.switchboard.calls == ()
            assert here.model.open == 0
            assert here.stuck == []
        if isinstance(here, RealtimeOffice) and isinstance(here.realtime, MemoryModel):
            assert here.realtime.mistakes == []
            assert here.realtime.open_sessions == 0
        return report

    return run_virtual(main())


def at(seconds: float, *commands: CallCommand) -> Meanwhile:
    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(seconds)
        for command in commands:
            await perform(call, command)

    return meanwhile


def at_any_moment(chance: random.Random, otherwise: Callable[[], None] = lambda: None) -> Meanwhile:
    """A dozen messages, each of which is taken or refused in words, and now and then a goodbye. ``otherwise`` is done
    after each."""
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
            otherwise()
        if chance.random() < 0.4:
            with suppress(NotNow):
                await perform(call, HangUpMessage(text=chance.choice([None, "Bye."])))

    return meanwhile


def injected(here: Office) -> list[Any]:
    return [data for type, data in here.log() if type == "inject"]
