from __future__ import annotations

import asyncio

from pipelines.agent import Function
from pipelines.events import PipelineEvent, ToolReturned
from pipelines.history import Step
from pipelines.parts import ToolCall
from pipelines.tools import Toolbox
from pipelines.tools.means import Means
from pipelines.tools.results import NOT_DONE
from pipelines.tools.round import Round
from tests.simulators.services import Services, function


async def test_a_round_that_is_left_before_its_first_call_has_begun_is_over_at_once() -> None:
    """The caller interrupts in the very moment."""
    services, told = Services({"red": 1.0}), list[PipelineEvent]()
    functions = [Function.model_validate(function(name)) for name in ("red", "blue")]
    step = Step(calls=[ToolCall(f"c{n}", one.name) for n, one in enumerate(functions)])
    toolbox = Toolbox(functions, {}, means=Means(http=services))
    round = Round(step, toolbox, tell=told.append, spawn=asyncio.create_task, on_late=lambda words: None)
    waits = iter((False, True))

    async def decided() -> None:
        if next(waits):
            round.leave()

    async with asyncio.timeout(1):
        assert await round.run(decided) is None
    assert services.asked == []
    assert [event.name for event in told if isinstance(event, ToolReturned)] == ["red"]
    assert round.texts[1] == NOT_DONE
