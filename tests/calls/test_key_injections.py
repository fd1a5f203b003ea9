"""No keys are pressed but those that the agent's definition allows, whatever its model does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from jambonz.simulator.caller import HangUp, Speak, Step, Wait
from pipelines.parts import Message, ToolCall
from tests.calls.office import Office
from tests.calls.outbound_office import Lines
from tests.calls.realtime_office import RealtimeOffice
from tests.clock import run_virtual
from tests.simulators.codeword import speak
from tests.simulators.realtime_memory import MemoryModel
from tests.simulators.replies import Answer, ReplyModel


def _keys(name: str, digits: Mapping[str, Any]) -> dict[str, Any]:
    schema = {"properties": {"digits": {"type": "string", "required": True, **digits}}}
    return {"name": name, "implementation": "builtin", "platform": "dtmf", "input_schema": schema}


AGENT: dict[str, Any] = {
    "functions": [
        _keys("enter_account", {"source": "static", "from": "12#"}),
        _keys("enter_pin", {"source": "metadata", "from": "pin"}),
        _keys("choose", {"enum": ["1", "2"]}),
        _keys("enter_year", {"pattern": "^[0-9]{4}$"}),
    ],
    "options": {"idle": {"timeout": None}},
}
"""The call has no metadata ``pin``."""


@pytest.mark.usefixtures("by_both")
@pytest.mark.parametrize("kind", ["cascade", "realtime"])
@pytest.mark.parametrize(
    ("function", "said", "pressed"),
    [
        ("enter_account", {"digits": "999"}, "12#"),
        ("enter_account", {"digits": "9", "duration": 9000, "number": "+19005550100"}, "12#"),
        ("enter_pin", {"digits": "0000", "pin": "0000", "from": "digits"}, ""),
        ("choose", {"digits": "2"}, "2"),
        ("choose", {"digits": "9"}, ""),
        ("choose", {"digits": ["1", "2"]}, ""),
        ("enter_year", {"digits": "2026"}, "2026"),
        ("enter_year", {"digits": "2026#*99"}, ""),
        ("enter_year", {"digits": "2026\n"}, ""),
        ("enter_year", {"digits": "٢٠٢٦"}, ""),
        ("enter_year", {}, ""),
        ("dtmf", {"digits": "1"}, ""),
    ],
)
def test_keys_are_pressed_that_the_definition_allows(
    kind: str, function: str, said: Mapping[str, Any], pressed: str
) -> None:
    calls = [ToolCall("c1", function, said)]

    def script(messages: Sequence[Message]) -> Sequence[Answer]:
        return calls if messages[-1].role == "user" else ["so be it"]

    async def main() -> str:
        answers = iter([("", calls), *[("so be it", [])] * 9])
        here = (
            Office(AGENT, ReplyModel(script))
            if kind == "cascade"
            else RealtimeOffice(AGENT, MemoryModel(lambda heard, history: next(answers)))
        )
        Lines(here)
        async with here:
            steps: list[Step] = [Speak(speak("do it now")), Wait(7), HangUp()]
            report = await here.call(*steps)
            assert {command for _, command, _ in report.commands} <= {"dtmf"}
            return "".join(data["dtmf"]["digit"] for _, _, data in report.commands)

    assert run_virtual(main()) == pressed
