"""Plays the call of an example: its caller, its model and its services do what the page says, and nothing else is
simulated of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from jambonz.simulator.caller import AwaitAgentSilence, Speak, Step, Wait
from jambonz.simulator.outcomes import DialOutcome, Outcomes
from jambonz.simulator.report import CallReport
from pipelines.agent import AgentDefinition
from pipelines.parts import Message, ToolCall
from pipelines.tools.means import HttpAnswer, Means
from pipelines.tools.request import HttpRequest
from store.numbers import Line
from tests.calls.office import NUMBER, Office
from tests.calls.realtime_office import RealtimeOffice
from tests.clock import run_virtual
from tests.examples.page import (
    AgentSays,
    CallerSays,
    Example,
    ModelCalls,
    ModelIsTold,
    Rings,
    ServiceAnswers,
    ServiceIsAsked,
)
from tests.simulators.codeword import plain_words, speak
from tests.simulators.realtime_memory import MemoryModel
from tests.simulators.replies import Answer, ReplyModel

CALLER = "+447700900123"


class Services:
    """What is asked, in the order of the page, and with what is on it."""

    def __init__(self, example: Example) -> None:
        self.left: list[ServiceIsAsked] = example.of(ServiceIsAsked)
        self._answers: list[ServiceAnswers] = example.of(ServiceAnswers)
        self._keys = [_header(key) for key in example.agent["keys"]]

    async def ask(self, request: HttpRequest, *, seconds: float, tenant: str) -> HttpAnswer:
        expected = self.left.pop(0)
        asked = (request.method, request.url, json.loads(request.body) if request.body is not None else None)
        assert asked == (expected.method, expected.url, expected.body)
        assert any(request.headers.get(name) == value for name, value in self._keys), "the key of the definition"
        assert (request.method == "GET") == ("Idempotency-Key" not in request.headers)
        return HttpAnswer(200, "OK", "application/json", json.dumps(self._answers.pop(0).answer))


def _header(key: dict[str, Any]) -> tuple[str, str]:
    return ("Authorization", f"Bearer {key['value']}") if key["in"] == "bearer" else (key["header"], key["value"])


class PlayedModel:
    """The model of the page. What it does next follows from what it was told: the caller's words, of which there were
    ``said`` so far, and the results of tools since."""

    def __init__(self, example: Example) -> None:
        self._turns = list(_turns(example))
        self.calls = 0

    def next(self, said: int, heard: str, results: Sequence[str]) -> tuple[str, list[ToolCall]]:
        words, steps, told = self._turns[said - 1]
        assert plain_words(heard) == plain_words(words)
        done = 0
        for text, calls in steps:
            if done == len(results):
                self.calls += len(calls)
                return text, [
                    ToolCall(f"call {said}.{done + n}", one.function, one.arguments) for n, one in enumerate(calls)
                ]
            assert json.loads(results[done]) == told[done], "what the page says that the model is told"
            done += len(calls)
        raise AssertionError(f"there is nothing more to say to {heard!r}")


def _turns(example: Example) -> Iterator[tuple[str, list[tuple[str, list[ModelCalls]]], list[Any]]]:
    """For each time that the caller speaks: the words, the steps of the model (text, and what it calls), and what it is
    told of its calls."""
    rows = list(example.rows)
    starts = [at for at, row in enumerate(rows) if isinstance(row, CallerSays)]
    for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        steps: list[tuple[str, list[ModelCalls]]] = []
        turn = rows[start + 1 : end]
        for kind, group in groupby(turn, type):
            if kind is AgentSays:
                steps.append((" ".join(row.text for row in group if isinstance(row, AgentSays)), []))
            elif kind is ModelCalls:
                calls = [row for row in group if isinstance(row, ModelCalls)]
                if steps and steps[-1][0]:
                    steps[-1][1].extend(calls)  # with what it says
                else:
                    steps.append(("", calls))
        row = rows[start]
        assert isinstance(row, CallerSays)
        yield row.text, steps, [row.answer for row in turn if isinstance(row, ServiceAnswers | ModelIsTold)]


def play(example: Example) -> tuple[Office, CallReport, Services]:
    services, model = Services(example), PlayedModel(example)
    metadata = {**example.listen["options"]["metadata"], "aplisay": {"callerId": CALLER}}

    async def main() -> tuple[Office, CallReport]:
        office = _office(example, model)
        office.store.lines[NUMBER] = Line(NUMBER, True, "trunk-1", "My carrier", can_refer=False)
        office.means = Means("the-call", "organisation", services, metadata)
        async with office:
            steps: list[Step] = []
            for row in example.rows:
                match row:
                    case CallerSays(text):
                        steps += [AwaitAgentSilence(), Speak(speak(text))]
                    case Rings():
                        steps += [AwaitAgentSilence(), Wait(4.0)]  # it rings, which is no silence of the agent's
                    case _:
                        pass
            return office, await office.call(*steps, from_=CALLER)

    office, report = run_virtual(main())
    assert model.calls == len(example.of(ModelCalls))
    return office, report, services


def _outcomes(example: Example) -> Outcomes:
    busy = DialOutcome("busy", 486, ring_seconds=2.0)
    return Outcomes(
        dials=tuple(
            DialOutcome(ring_seconds=2.0, steps=(Speak(speak(ring.says)), Wait(2)), talk_seconds=0)
            if ring.outcome == "answered"
            else busy
            for ring in example.of(Rings)
        )
    )


def _office(example: Example, model: PlayedModel) -> Office:
    if not AgentDefinition.model_validate(example.agent).model.is_realtime:

        def script(messages: Sequence[Message]) -> Sequence[Answer]:
            said = [at for at, message in enumerate(messages) if message.role == "user"]
            results = [message.content for message in messages[said[-1] :] if message.role == "tool"]
            text, calls = model.next(len(said), messages[said[-1]].content, results)
            return [*([text] if text else []), *calls]

        return Office(example.agent, ReplyModel(script, first=0.15, per_word=0.03), outcomes=_outcomes(example))
    turns: list[str] = []
    results: list[str] = []

    def reply(heard: str, history: object) -> tuple[str, Sequence[ToolCall]]:
        if heard.startswith(("{", "[")):
            results.append(heard)
        else:
            turns.append(heard)
            results.clear()
        return model.next(len(turns), turns[-1], results)

    return RealtimeOffice(example.agent, MemoryModel(reply))
