"""An agent that is given an MCP server in the middle of a call, with a cascade and with a realtime model: its tools are
listed beside the call, or nothing is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from gateway.messages import CallUpdate, TextMessage, perform
from gateway.session import CallSession
from jambonz.simulator.caller import HangUp, Wait
from pipelines.messages import NotNow, NotReachable
from pipelines.parts import Message, ToolCall
from pipelines.tools.mcp_wire import McpServer, McpTool
from pipelines.tools.means import Means, ToolFault
from tests.calls.office import Office
from tests.calls.realtime_office import RealtimeOffice
from tests.clock import run_virtual
from tests.simulators.realtime_memory import MemoryModel
from tests.simulators.replies import Answer, ReplyModel

pytestmark = pytest.mark.usefixtures("by_both")

KINDS = ("cascade", "realtime")
LIST_SECONDS = 1.5
STUB = {"name": "look", "implementation": "stub", "result": "seen"}


def server(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "implementation": "mcp", "url": f"https://{name}.example.com/mcp", "tools": ["*"], **more}


DESK, CRM, DEAD = server("desk"), server("crm"), server("dead")


@dataclass
class Servers:
    """All take their time to list what they have, which is ``book``; who is ``away`` says so then."""

    away: set[str] = field(default_factory=lambda: {"https://dead.example.com/mcp"})
    listed: list[str] = field(default_factory=list)
    booked: list[str] = field(default_factory=list)

    async def tools(self, server: McpServer) -> Sequence[McpTool]:
        await asyncio.sleep(LIST_SECONDS)
        if server.url in self.away:
            raise ToolFault(f"the server refused the key {server.headers.get('Authorization', 'of nobody')[-8:]}")
        self.listed.append(server.url)
        return [McpTool("book", "Book it.", {"properties": {"day": {"type": "string"}}})]

    async def call(
        self, server: McpServer, tool: str, arguments: Mapping[str, Any], *, seconds: float, meta: Mapping[str, str]
    ) -> str:
        self.booked.append(server.url)
        return "booked"


def office(kind: str, servers: Servers, *functions: Mapping[str, Any]) -> Office:
    """Whoever says the name of a tool has it called."""
    agent = {"functions": list(functions), "options": {"greeting": "Hello.", "idle": {"timeout": None}}}

    def answer(said: str) -> tuple[str, Sequence[ToolCall]]:
        return ("", [ToolCall("c", said, {"day": "monday"})]) if "_book" in said else (f"alright {said}", ())

    def script(messages: Sequence[Message]) -> Sequence[Answer]:
        text, calls = answer(messages[-1].content)
        return [text, *calls] if text else [*calls]

    here: Office
    if kind == "realtime":
        here = RealtimeOffice(agent, MemoryModel(lambda heard, history: answer(heard)))
    else:
        here = Office(agent, ReplyModel(script))
    here.means = Means("the-call", "acme", mcp=servers)
    return here


def offered(call: CallSession) -> list[str]:
    return sorted(spec.name for spec in cast(Any, call.speaker)._toolbox.specs)


def in_a_call(here: Office, meanwhile: Callable[[CallSession], Awaitable[None]], seconds: float = 14) -> Any:
    async def main() -> Any:
        async with here:
            calling = asyncio.create_task(here.call(Wait(seconds), HangUp()))
            await asyncio.sleep(4.0)
            [call] = here.switchboard.calls
            await meanwhile(call)
            return await calling

    return run_virtual(main())


def update(*functions: Mapping[str, Any], **more: Any) -> CallUpdate:
    return CallUpdate.model_validate({"functions": list(functions), **more})


def updates(here: Office) -> list[Any]:
    return [data["update"] for type, data in here.log() if type == "inject" and "update" in data]


@pytest.mark.parametrize("kind", KINDS)
def test_its_tools_are_there_from_the_next_answer_on(kind: str) -> None:
    servers = Servers()
    here = office(kind, servers, DESK)

    async def meanwhile(call: CallSession) -> None:
        assert offered(call) == ["desk_book"]
        began = asyncio.get_running_loop().time()
        await perform(call, update(DESK, CRM, STUB))
        assert asyncio.get_running_loop().time() - began == pytest.approx(LIST_SECONDS)
        await perform(call, TextMessage(text="crm_book"))
        await asyncio.sleep(3)
        await perform(call, TextMessage(text="desk_book"))
        await asyncio.sleep(2)
        assert offered(call) == ["crm_book", "desk_book", "look"]

    in_a_call(here, meanwhile)
    assert servers.listed == [DESK["url"], CRM["url"]], "what is known is not asked again"
    assert servers.booked == [CRM["url"], DESK["url"]]
    assert updates(here) == [["functions"]]


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_cannot_be_reached_changes_nothing_and_is_told_in_words(kind: str) -> None:
    servers = Servers()
    here = office(kind, servers, DESK)
    key = {"name": "token", "in": "bearer", "value": "secret-7"}

    async def meanwhile(call: CallSession) -> None:
        with pytest.raises(NotReachable) as refused:
            await perform(call, update(STUB, {**DEAD, "key": "token"}, keys=[key], prompt="Another."))
        assert str(refused.value) == (
            "The MCP server dead cannot be used: the server refused the key ***. Nothing was changed"
        )
        await perform(call, TextMessage(text="desk_book"))
        await asyncio.sleep(2)
        assert offered(call) == ["desk_book"]

    in_a_call(here, meanwhile)
    assert servers.booked == [DESK["url"]]
    assert updates(here) == []


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_was_done_without_before_does_not_stand_in_the_way(kind: str) -> None:
    """It is asked again: perhaps it is there by now."""
    servers = Servers()
    here = office(kind, servers, DESK, DEAD)

    async def meanwhile(call: CallSession) -> None:
        assert offered(call) == ["desk_book"]
        await perform(call, update(DESK, DEAD, STUB))
        await perform(call, TextMessage(text="hello"))
        await asyncio.sleep(2)
        assert offered(call) == ["desk_book", "look"]
        servers.away.clear()
        await perform(call, update(DESK, DEAD))
        await perform(call, TextMessage(text="hello"))
        await asyncio.sleep(2)
        assert offered(call) == ["dead_book", "desk_book"]

    in_a_call(here, meanwhile)


def test_the_caller_is_heard_and_answered_meanwhile_and_updates_take_turns() -> None:
    here = office("cascade", Servers(), DESK)

    async def meanwhile(call: CallSession) -> None:
        first = asyncio.create_task(perform(call, update(DESK, CRM)))
        await asyncio.sleep(0)
        second = asyncio.create_task(perform(call, update(STUB, prompt="Another.")))
        await perform(call, TextMessage(text="good morning", urgency="now"))
        await asyncio.sleep(1.2)
        assert not first.done()
        assert here.said("user") == ["good morning"]
        await asyncio.gather(first, second)

    report = in_a_call(here, meanwhile)
    assert here.said("agent")[-1] == "alright good morning"
    assert updates(here) == [["functions"], ["prompt", "functions"]], "in the order in which they came"
    assert report.ended_by == "caller"


def test_a_call_that_is_over_meanwhile_is_not_changed() -> None:
    here = office("cascade", Servers(), DESK)

    async def meanwhile(call: CallSession) -> None:
        with pytest.raises(NotNow):
            await perform(call, update(DESK, CRM))

    in_a_call(here, meanwhile, seconds=4.5)
    assert updates(here) == []
