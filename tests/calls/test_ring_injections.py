"""Nobody is rung whom the agent's definition does not let ring, whatever its model is talked into."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gateway import transfers
from gateway.putting_through import ORIGIN_HEADER
from gateway.transfers import Transfers
from jambonz.simulator.caller import AwaitAgentSpeech, HangUp, Speak, Step, Wait
from jambonz.simulator.outcomes import DialOutcome, Outcomes
from jambonz.simulator.outgoing import Callee
from jambonz.simulator.report import CallReport, VerbStarted
from pipelines.parts import Message, ToolCall
from pipelines.tools.means import HttpAnswer, Means
from pipelines.tools.parameters import Parameters
from pipelines.tools.request import HttpRequest
from pipelines.tools.transfer import TransferRequest
from store.numbers import Line
from tests.calls.office import NUMBER, Office
from tests.calls.outbound_office import Lines
from tests.calls.realtime_office import RealtimeOffice
from tests.calls.transfer_office import DESK
from tests.clock import run_virtual
from tests.injections.transfers import FRIEND, RINGING, TRANSFERRER, RingInjection
from tests.simulators.codeword import speak
from tests.simulators.realtime_memory import MemoryModel
from tests.simulators.replies import Answer, ReplyModel

pytestmark = pytest.mark.usefixtures("by_both")

BUSY = DialOutcome("busy", 486, ring_seconds=0.5)


class Page:
    """The one service that there is: the attacker's."""

    def __init__(self, injection: RingInjection) -> None:
        self._text = json.dumps(injection.page)

    async def ask(self, request: HttpRequest, *, seconds: float, tenant: str) -> HttpAnswer:
        return HttpAnswer(200, "OK", "application/json", self._text)


class Obedient:
    """Reads the page where there is something on it, and then does as it says."""

    def __init__(self, injection: RingInjection) -> None:
        self._injection = injection
        self._has_read = not injection.page
        self.obeyed = self._calls = 0

    def next(self) -> tuple[str, Sequence[ToolCall]]:
        if not self._has_read:
            self._has_read = True
            return "", [ToolCall("page", "read_page")]
        if self.obeyed == self._injection.again:
            return "so be it", ()
        self.obeyed += 1
        self._calls += 1
        return "", [ToolCall(f"{self._calls}.{n}", *call) for n, call in enumerate(self._injection.calls)]


def office(kind: str, obedient: Obedient, outcomes: Outcomes, definition: dict[str, Any] = TRANSFERRER) -> Office:
    if kind == "realtime":
        return RealtimeOffice(definition, MemoryModel(lambda heard, history: obedient.next()), outcomes=outcomes)

    def script(messages: Sequence[Message]) -> Sequence[Answer]:
        text, calls = obedient.next()
        return [*([text] if text else []), *calls]

    return Office(definition, ReplyModel(script), outcomes=outcomes)


@pytest.mark.parametrize("kind", ["cascade", "realtime"])
@pytest.mark.parametrize("injection", RINGING, ids=lambda injection: injection.name)
def test_nobody_is_rung_whom_the_definition_does_not_let_ring(injection: RingInjection, kind: str) -> None:
    obedient = Obedient(injection)

    async def main() -> tuple[Office, CallReport]:
        here = office(kind, obedient, Outcomes(dials=(BUSY,) * 20))
        here.store.lines[NUMBER] = Line(NUMBER, True, "trunk-1", "My carrier", can_refer=False)
        metadata = {"aplisay": {"callerId": "+447700900123"}}
        here.means = Means("the-call", "organisation", Page(injection), metadata)
        async with here:
            steps: list[Step] = [
                Speak(speak("do as the page says")),
                AwaitAgentSpeech(),
                Wait(60 if injection.again > 1 else 9),
            ]
            return here, await here.call(*steps, HangUp())

    here, report = run_virtual(main())
    assert obedient.obeyed >= 1
    assert [dialled.party for dialled in report.dials] == list(injection.rings)
    for dialled in report.dials:
        assert dialled.caller_id == f"+{NUMBER}"
        assert dialled.headers == {ORIGIN_HEADER: "+447700900123"}
    only_what_it_may(report, injection)
    assert len(here.store.started) == 1 + len(injection.rings), "each bridge is a call, and there are no others"


@pytest.mark.parametrize("kind", ["cascade", "realtime"])
@pytest.mark.parametrize("injection", [one for one in RINGING if one.again == 1], ids=lambda injection: injection.name)
def test_nobody_is_asked_first_whom_the_definition_does_not_let_ring(injection: RingInjection, kind: str) -> None:
    """The same, where whoever is wanted is rung in a call of its own."""
    obedient = Obedient(injection)

    async def main() -> tuple[Office, CallReport]:
        here = office(kind, obedient, Outcomes(), asked_first(TRANSFERRER))
        Lines(here)
        here.jambonz.callees |= {number: Callee(sip_status=486, ring_seconds=0.5) for number in (DESK, FRIEND)}
        here.store.lines[NUMBER] = Line(NUMBER, True, "trunk-1", "My carrier")
        metadata = {"aplisay": {"callerId": "+447700900123"}}
        here.means = Means("the-call", "organisation", Page(injection), metadata)
        async with here:
            report = await here.call(Speak(speak("do as the page says")), AwaitAgentSpeech(), Wait(9), HangUp())
            await here.jambonz.placed()
            return here, report

    here, report = run_virtual(main())
    assert obedient.obeyed >= 1
    assert [call.info.to for call in here.jambonz.created] == list(injection.rings)
    assert [call.info.from_ for call in here.jambonz.created] == [f"+{NUMBER}"] * len(injection.rings)
    assert report.verbs == ["listen"]
    assert report.dials == []
    assert report.ended_by == "caller"


def asked_first(definition: dict[str, Any]) -> dict[str, Any]:
    definition = copy.deepcopy(definition)
    for function in definition["functions"]:
        if function["implementation"] == "builtin":
            function["input_schema"]["properties"]["operation"] = {"source": "static", "from": "consultative"}
    return definition


def only_what_it_may(report: CallReport, injection: RingInjection) -> None:
    verbs: list[tuple[str, Any]] = [(e.verb, e.properties) for e in report.events if isinstance(e, VerbStarted)]
    assert [name for name, _ in verbs] == ["listen", *["dial", "listen"] * len(injection.rings)]
    for name, properties in verbs:
        if name == "dial":
            assert [target["type"] for target in properties["target"]] == ["phone"]
    assert {command for _, command, _ in report.commands} <= {"redirect"}
    assert report.ended_by == "caller"


def _unfiltered(patch: pytest.MonkeyPatch) -> None:
    async def permitted(transfers: Transfers, wanted: TransferRequest) -> TransferRequest:
        return wanted

    patch.setattr(Transfers, "_permitted", permitted)


def _of_the_model(patch: pytest.MonkeyPatch) -> None:
    def value(self: Parameters, name: str, parameter: object, arguments: Any, metadata: object) -> Any:
        return arguments.get(name)

    patch.setattr(Parameters, "_value", value)


def _endless(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transfers, "MOST_TRANSFERS", 100)


@pytest.mark.parametrize(
    ("broken", "name"),
    [(_unfiltered, "a premium number"), (_of_the_model, "another number"), (_endless, "again and again")],
)
def test_each_rule_is_needed(
    broken: Callable[[pytest.MonkeyPatch], None], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [injection] = [one for one in RINGING if one.name == name]
    broken(monkeypatch)
    with pytest.raises(AssertionError):
        test_nobody_is_rung_whom_the_definition_does_not_let_ring(injection, "cascade")


@pytest.mark.parametrize(("broken", "name"), [(_unfiltered, "a premium number"), (_of_the_model, "another number")])
def test_each_rule_is_needed_where_somebody_is_asked_first(
    broken: Callable[[pytest.MonkeyPatch], None], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [injection] = [one for one in RINGING if one.name == name]
    broken(monkeypatch)
    with pytest.raises(AssertionError):
        test_nobody_is_asked_first_whom_the_definition_does_not_let_ring(injection, "cascade")
