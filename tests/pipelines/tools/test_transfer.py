"""Functions that transfer the call: what they ask for, and what the model is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from pipelines.agent import Function
from pipelines.agent.telephone import target
from pipelines.parts import ToolCall
from pipelines.tools import Toolbox, ToolResult
from pipelines.tools.means import Means, ToolFault, ToolMemory
from pipelines.tools.results import REDACTED, REDACTED_FAILURE
from pipelines.tools.transfer import TransferBegun, TransferRequest

STATIC = {"source": "static", "from": "+44 20 7946 0999"}
CALL = ToolCall("call-1", "desk", {})


class Line:
    """Somebody who transfers."""

    def __init__(self, begun: TransferBegun | ToolFault) -> None:
        self.asked: list[TransferRequest] = []
        self._begun = begun

    async def request(self, wanted: TransferRequest) -> TransferBegun:
        self.asked.append(wanted)
        if isinstance(self._begun, ToolFault):
            raise self._begun
        return self._begun

    def status(self) -> Mapping[str, Any]:
        return {"state": "talking"}


def function(redact: bool = False, **parameters: Any) -> Function:
    fields = {"name": "desk", "implementation": "builtin", "platform": "transfer", "redact": redact}
    return Function.model_validate({**fields, "input_schema": {"properties": {"number": STATIC, **parameters}}})


LEAVES = TransferBegun({"status": "OK"}, leaves=True)


async def run(line: Line, one: Function, call: ToolCall = CALL, metadata: Any = None) -> ToolResult:
    return await Toolbox([one], metadata or {}, means=Means(transfers=line)).run(call)


async def test_the_agent_leaves_the_call_or_goes_on_with_it() -> None:
    assert await run(Line(LEAVES), function()) == ToolResult('{"status":"OK"}', ends="transferred")
    stays = TransferBegun({"status": "OK"}, leaves=False)
    assert await run(Line(stays), function()) == ToolResult('{"status":"OK"}')
    assert (await run(Line(LEAVES), function(redact=True))).text == REDACTED


async def test_all_that_can_be_asked_for() -> None:
    line = Line(LEAVES)
    given: dict[str, Any] = {
        "callerId": {"source": "metadata", "from": "shows"},
        "operation": {"enum": ["blind", "consultative"]},
        "transferPrompt": {"source": "static", "from": "Introduce yourself."},
        "consultFeedback": {"type": "boolean", "source": "static", "from": True},
        "forceBridged": {"source": "static", "from": "TRUE"},
    }
    call = ToolCall("call-2", "desk", {"operation": "consultative", "number": "+19005551234"})
    await run(line, function(**given), call, {"shows": "+44 1110"})
    [asked] = line.asked
    assert asked.asked_by is not None
    assert asked.asked_by.call is call
    assert (asked.number, asked.fixed) == ("+442079460999", True), "whatever the model says"
    assert (asked.caller_id, asked.operation, asked.prompt) == ("+44 1110", "consultative", "Introduce yourself.")
    assert asked.feedback
    assert asked.bridged


async def test_a_number_of_the_call() -> None:
    line = Line(LEAVES)
    one = function(number={"source": "metadata", "from": "desk"})
    await run(line, one, metadata={"desk": "sip:desk@example.com"})
    assert [(asked.number, asked.fixed) for asked in line.asked] == [("sip:desk@example.com", False)]
    for wrong in ("the desk", "", "+1\r\nX-Evil: 1"):
        result = await run(line, one, metadata={"desk": wrong})
        assert result.failed
        assert result.ends is None
        assert "no number that can be rung" in result.text
    assert len(line.asked) == 1


async def test_what_is_refused_is_told_and_the_agent_stays() -> None:
    result = await run(Line(ToolFault("the number may not be called")), function())
    assert json.loads(result.text) == {"error": "the number may not be called"}
    assert result.ends is None
    assert (await run(Line(ToolFault("no")), function(redact=True))).text == REDACTED_FAILURE


async def test_an_operation_that_is_none() -> None:
    result = await run(Line(LEAVES), function(operation={}), ToolCall("1", "desk", {"operation": "warm"}))
    assert "blind and consultative" in result.text
    assert result.ends is None


def test_where_calls_cannot_be_transferred_it_is_not_offered() -> None:
    status = Function.model_validate({"name": "how", "implementation": "builtin", "platform": "transfer_status"})
    assert Toolbox([function(), status], {}).specs == []
    toolbox = Toolbox([function(), status], {}, means=Means(transfers=Line(LEAVES)))
    assert [spec.name for spec in toolbox.specs] == ["desk", "how"]
    assert toolbox.call(ToolCall("1", "how", {})).text == '{"state":"talking"}'
    assert not toolbox.is_instant("desk")
    assert toolbox.is_sequential("desk")
    assert not Toolbox([function().model_copy(update={"survives_interruption": True})], {}).goes_on("desk")


async def test_what_was_done_is_known_to_whoever_goes_on_with_the_call() -> None:
    memory = ToolMemory()
    stub = Function.model_validate({"name": "look", "implementation": "stub", "result": "7", "maxCalls": 2})
    for _ in range(2):
        assert Toolbox([stub], {}, means=Means(memory=memory)).call(ToolCall("1", "look", {})).text == "7"
    assert "more than 2 times" in Toolbox([stub], {}, means=Means(memory=memory)).call(ToolCall("1", "look", {})).text


@pytest.mark.parametrize(
    ("text", "rung"),
    [
        ("+44 20 7946 0999", "+442079460999"),
        ("442079460999", "+442079460999"),
        ("(020) 7946-0999", "02079460999"),
        ("201", "201"),
        ("SIP:desk@example.com", "sip:desk@example.com"),
        ("sips:desk@example.com:5061;transport=tls", "sips:desk@example.com:5061;transport=tls"),
        ("sip:a b@example.com", None),
        ("sip:<a@example.com>", None),
        ("sip:", None),
        ("+1234567890123456", None),
        ("１２３", None),
        ("1", None),
        ("", None),
    ],
)
def test_whom_a_text_names(text: str, rung: str | None) -> None:
    assert target(text) == rung
