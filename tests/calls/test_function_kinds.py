"""Functions that clients answer, that are written in Python, and tools of MCP servers, in whole calls: with a cascade
and with a realtime model they are what requests are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from jambonz.simulator.caller import AwaitAgentSilence, HangUp, Speak, Step, Wait
from pipelines.functions import Functions, RunContext
from pipelines.parts import Message, ToolCall
from pipelines.tools import Toolbox
from pipelines.tools.mcp_wire import McpServer, McpTool
from pipelines.tools.means import Means, ToolFault
from pipelines.tools.python import PythonFunctions
from tests.calls.office import Office
from tests.calls.realtime_office import RealtimeOffice
from tests.clock import run_virtual
from tests.pipelines.tools.test_toolbox import function as definition
from tests.simulators.codeword import speak
from tests.simulators.realtime_memory import MemoryModel, Reply
from tests.simulators.replies import Answer, ReplyModel

pytestmark = pytest.mark.usefixtures("by_both")

SECONDS = 4.0


@dataclass
class Doer:
    """Does all three, in a while; ``done`` with the arguments."""

    fails: bool = False
    done: list[Mapping[str, Any]] = field(default_factory=list)
    stopped: int = 0

    async def act(self, arguments: Mapping[str, Any]) -> str:
        try:
            await asyncio.sleep(SECONDS)
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        if self.fails:
            raise ToolFault("it is closed")
        self.done.append(dict(arguments))
        return "booked"

    async def ask(self, name: str, arguments: Mapping[str, Any], *, seconds: float) -> str:
        """Of a client."""
        return await self.act(arguments)

    async def tools(self, server: McpServer) -> Sequence[McpTool]:
        return [McpTool("book", "Book it.", {"properties": {"day": {"type": "string"}}})]

    async def call(
        self, server: McpServer, tool: str, arguments: Mapping[str, Any], *, seconds: float, meta: Mapping[str, str]
    ) -> str:
        """Of an MCP server."""
        return await self.act(arguments)

    def means(self) -> Means:
        async def book(day: str, run: RunContext) -> str:
            """Book it."""
            run.data["days"] = [*run.data.get("days", ()), day]
            return await self.act({"day": day})

        functions = Functions()
        functions.add(book)
        return Means("the-call", "acme", python=PythonFunctions(functions), clients=self, mcp=self)


DAY = {"properties": {"day": {"type": "string"}}}
KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "client": ({"name": "book", "implementation": "client", "input_schema": DAY}, "book"),
    "python": ({"name": "book", "implementation": "python"}, "book"),
    "mcp": (
        {"name": "desk", "implementation": "mcp", "url": "https://desk.example.com/mcp", "tools": ["book"]},
        "desk_book",
    ),
}
ASK = "please book it"
INTERRUPTION: tuple[Step, ...] = (Wait(1.5), Speak(speak("wait stop one moment please")), Wait(5.0), HangUp())


def office(model: str, kind: str, doer: Doer) -> tuple[Office, MemoryModel | ReplyModel]:
    what, name = KINDS[kind]
    agent = {"functions": [what], "options": {"greeting": "Hello.", "idle": {"timeout": None}}}
    call = ToolCall("c0", name, {"day": "tuesday"})

    def reply(heard: str, history: Sequence[tuple[str, str]]) -> Reply:
        return ("", (call,)) if heard == ASK else (f"alright {heard}", ())

    def script(messages: Sequence[Message]) -> Sequence[Answer]:
        asked = messages[-1].content == ASK and not any(message.role == "tool" for message in messages)
        return [call] if asked else [f"alright {messages[-1].content}"]

    if model == "realtime":
        realtime = MemoryModel(reply)
        here: Office = RealtimeOffice(agent, realtime)
        here.means = doer.means()
        return here, realtime
    cascade = ReplyModel(script)
    here = Office(agent, cascade)
    here.means = doer.means()
    return here, cascade


@pytest.mark.parametrize("model", ["cascade", "realtime"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_done_once_and_told(model: str, kind: str) -> None:
    async def main() -> None:
        doer = Doer()
        here, told = office(model, kind, doer)
        async with here:
            await here.call(AwaitAgentSilence(), Speak(speak(ASK)), Wait(9), HangUp())
            assert doer.done == [{"day": "tuesday"}]
            [ran] = here.status("function")
            assert (ran["kind"], ran["outcome"], ran["seconds"]) == (kind, "done", SECONDS)
            assert "alright booked" in " ".join(here.said("agent")).replace(",", "")
        if isinstance(told, MemoryModel):
            assert [tool.name for tool in told.setups[0].tools] == [KINDS[kind][1]]
            assert told.mistakes == []

    run_virtual(main())


@pytest.mark.parametrize("model", ["cascade", "realtime"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_stopped_where_the_caller_interrupts(model: str, kind: str) -> None:
    async def main() -> None:
        doer = Doer()
        here, _ = office(model, kind, doer)
        async with here:
            await here.call(AwaitAgentSilence(), Speak(speak(ASK)), *INTERRUPTION)
            assert (doer.done, doer.stopped) == ([], 1)
            [ran] = here.status("function")
            assert (ran["kind"], ran["outcome"]) == (kind, "stopped")

    run_virtual(main())


def test_one_that_fails_is_told_in_its_words() -> None:
    async def main() -> None:
        for kind in ("client", "mcp"):
            doer = Doer(fails=True)
            here, model = office("cascade", kind, doer)
            assert isinstance(model, ReplyModel)
            async with here:
                await here.call(AwaitAgentSilence(), Speak(speak(ASK)), Wait(8), HangUp())
                assert '{"error": "it is closed"}' in [message.content for message in model.told[-1]]

    run_virtual(main())


def test_another_definition_keeps_the_tools_of_the_servers_that_were_asked() -> None:
    async def main() -> None:
        desk = definition("desk", **{"result": None, **KINDS["mcp"][0]})
        other = definition("other", **{**KINDS["mcp"][0], "result": None, "name": "other", "url": "https://b.example/"})
        box = Toolbox([desk], {}, means=Doer().means())
        assert box.specs == []
        await box.prepare()
        assert [spec.name for spec in box.specs] == ["desk_book"]
        box.become([definition("stub"), desk, other], [])
        assert [spec.name for spec in box.specs] == ["stub", "desk_book"]
        box.become([definition("stub")], [])
        assert [spec.name for spec in box.specs] == ["stub"]
        assert "there is no tool 'desk_book'" in box.call(ToolCall("1", "desk_book", {})).text

    run_virtual(main())
