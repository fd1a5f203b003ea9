"""Those who run functions for an agent are asked what its definition allows, and nothing else, whatever its model does;
and what they return is told, and not obeyed."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest

from jambonz.simulator.caller import AwaitAgentSilence, AwaitAgentSpeech, HangUp, Speak, Step
from pipelines.functions import Functions
from pipelines.parts import Message, ToolCall, ToolSpec
from pipelines.tools.mcp_wire import McpServer, McpTool
from pipelines.tools.means import Means, ToolFault
from pipelines.tools.python import PythonFunctions
from tests.calls.office import Office
from tests.calls.realtime_office import RealtimeOffice
from tests.clock import run_virtual
from tests.injections.agent import METADATA, SECRET_KEY
from tests.injections.elsewhere import HIDDEN, LISTED, OFFERED, OUTSOURCED, OUTSOURCER, REGISTERED, Outsourced
from tests.simulators.codeword import speak
from tests.simulators.realtime_memory import MemoryModel
from tests.simulators.replies import Answer, ReplyModel

pytestmark = pytest.mark.usefixtures("by_both")


class Others:
    """A client, an MCP server, and functions in Python: what they were asked."""

    def __init__(self, injection: Outsourced) -> None:
        self._injection = injection
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    async def ask(self, name: str, arguments: Mapping[str, Any], *, seconds: float) -> Any:
        return self._answer(name, arguments)

    async def tools(self, server: McpServer) -> Sequence[McpTool]:
        assert (server.url, server.tenant) == ("https://crm.example.com/mcp", "acme")
        return LISTED

    async def call(
        self, server: McpServer, tool: str, arguments: Mapping[str, Any], *, seconds: float, meta: Mapping[str, str]
    ) -> Any:
        assert server.headers == {"Authorization": f"Bearer {SECRET_KEY}"}
        assert meta["trunkline/callId"] == "the-call"
        return self._answer(tool, arguments)

    def python(self) -> PythonFunctions:
        functions = Functions()
        for name in REGISTERED:
            functions.add(self._run(name), name=name)
        return PythonFunctions(functions)

    def _run(self, name: str) -> Callable[[str, str], Awaitable[Any]]:
        async def run(day: str, customer: str) -> Any:
            return self._answer(name, {"day": day, "customer": customer})

        return run

    def _answer(self, name: str, arguments: Mapping[str, Any]) -> Any:
        self.asked.append((name, dict(arguments)))
        if self._injection.fails:
            raise ToolFault(self._injection.fails)
        return self._injection.answer


def office(kind: str, injection: Outsourced) -> Office:
    """Its model makes the calls when the caller has spoken, and no other."""
    calls = [ToolCall(f"c{n}", *call) for n, call in enumerate(injection.calls)]
    if kind == "realtime":
        answers = iter([("", calls), *[("so be it", [])] * 9])
        return RealtimeOffice(OUTSOURCER, MemoryModel(lambda heard, history: next(answers)))

    def script(messages: Sequence[Message]) -> Sequence[Answer]:
        return calls if messages[-1].role == "user" else ["so be it"]

    return Office(OUTSOURCER, ReplyModel(script))


def specs(office: Office) -> Sequence[ToolSpec]:
    """What the model was offered."""
    if isinstance(office, RealtimeOffice):
        assert isinstance(office.realtime, MemoryModel)
        return office.realtime.setups[0].tools
    return office.pipelines[0]._toolbox.specs


@pytest.mark.parametrize("kind", ["cascade", "realtime"])
@pytest.mark.parametrize("injection", OUTSOURCED, ids=lambda injection: injection.name)
def test_others_are_asked_what_the_definition_allows(injection: Outsourced, kind: str) -> None:
    others = Others(injection)

    async def main() -> None:
        here = office(kind, injection)
        here.means = Means("the-call", "acme", metadata=METADATA, clients=others, mcp=others, python=others.python())
        async with here:
            steps: list[Step] = [Speak(speak("do it now")), AwaitAgentSpeech(), AwaitAgentSilence(), HangUp()]
            report = await here.call(*steps)
            assert report.verbs == ["listen"]
            assert report.ended_by == "caller"
            results = [data[0]["result"] for type, data in here.log() if type == "function_results"]
            assert len(results) == len(injection.calls)
            log = json.dumps(here.log(), ensure_ascii=False)
            for text in [*results, log]:
                assert not [unseen for unseen in (SECRET_KEY, *injection.unseen) if unseen in text]
            offered = specs(here)
            assert {spec.name for spec in offered} == OFFERED
            assert HIDDEN not in json.dumps([spec.description for spec in offered], ensure_ascii=False)

    run_virtual(main())
    assert sorted(others.asked, key=str) == sorted(injection.arrives, key=str)
