"""Offices whose agent transfers calls: a cascade, or a realtime model, with the same words; and what is asked of every
transfer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jambonz.simulator.caller import AwaitAgentSilence, Speak, Step
from jambonz.simulator.outcomes import DialOutcome, Outcomes, ReferOutcome
from jambonz.simulator.report import CallReport, DialProgress
from pipelines.parts import Message, ToolCall
from store.numbers import Line
from tests.calls.office import NUMBER, Office
from tests.calls.realtime_office import RealtimeOffice
from tests.simulators.codeword import heard_words, plain_words, speak
from tests.simulators.realtime_memory import MemoryModel
from tests.simulators.replies import Answer, ReplyModel

DESK = "+442079460999"
CALLER = "447700900123"
ASK = "put me through"
CONNECTING = "I will connect you."
BACK = "Sorry that did not work."
CALL = ToolCall("call-1", "to_desk", {})


def transfer_function(**parameters: Any) -> dict[str, Any]:
    properties = {"number": {"source": "static", "from": DESK}, **parameters}
    return {
        "name": "to_desk",
        "description": "Puts the caller through to the desk.",
        "implementation": "builtin",
        "platform": "transfer",
        "input_schema": {"properties": properties},
    }


def agent_of(*functions: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    return {
        "functions": [dict(function) for function in functions] or [transfer_function()],
        "options": {"greeting": "Hello.", "idle": {"timeout": None}, **options},
    }


def _answer(heard: str, failed: bool) -> tuple[str, Sequence[ToolCall]]:
    if heard == ASK:
        return CONNECTING, [CALL]
    return (BACK, ()) if failed else (f"You said {heard}.", ())


def replies(messages: Sequence[Message]) -> Sequence[Answer]:
    """Of the cascade's model."""
    last = messages[-1]
    text, calls = _answer(last.content, last.role == "tool" or "has failed" in last.content)
    return [text, *calls]


def replies_of_realtime(heard: str, history: Sequence[tuple[str, str]]) -> tuple[str, Sequence[ToolCall]]:
    """Told to go on, it does from the latest that it knows."""
    back = bool(history) and history[-1][0] == "tool"
    return _answer(heard, back or "has failed" in heard)


def office_of(
    kind: str,
    agent: Mapping[str, Any] | None = None,
    *,
    dials: Sequence[DialOutcome] = (),
    refers: Sequence[ReferOutcome] = (),
    can_refer: bool = False,
    outcomes: Mapping[str, Any] | None = None,
    **options: Any,
) -> Office:
    """``can_refer``: the trunk of the number that is called takes REFER."""
    scripted = Outcomes(
        dials=tuple(dials) or (DialOutcome(ring_seconds=2.0, talk_seconds=3.0),),
        refers=tuple(refers) or (ReferOutcome(),),
        **(outcomes or {}),
    )
    definition = agent or agent_of()
    office: Office
    if kind == "cascade":
        office = Office(definition, ReplyModel(replies), outcomes=scripted, **options)
    else:
        office = RealtimeOffice(definition, MemoryModel(replies_of_realtime), outcomes=scripted, **options)
    office.store.lines[NUMBER] = Line(NUMBER, True, "trunk-1", "My carrier", can_refer)
    return office


def asks(*then: Step) -> list[Step]:
    return [AwaitAgentSilence(), Speak(speak(ASK)), *then]


def heard_between(report: CallReport, start: float, end: float) -> bytes:
    """What the caller's ear had."""
    assert report.answered is not None
    rate = 2 * report.format.rate
    frame = report.format.frame_bytes
    at, to = (int((moment - report.answered) * rate) // frame * frame for moment in (start, end))
    return report.heard[at:to]


def states(office: Office) -> list[str]:
    """Of the transfers in the log of the caller's call."""
    parent = parent_of(office)
    log = office.store.events[parent]
    return [e.data["transfer"]["state"] for e in log if e.type == "status" and "transfer" in e.data]


def parent_of(office: Office) -> str:
    [found] = [call.id for call in office.store.started.values() if call.parent_id is None]
    return found


def children_of(office: Office) -> list[str]:
    return [call.id for call in office.store.started.values() if call.parent_id is not None]


def ending_of(office: Office, call_id: str) -> tuple[str, str]:
    status, reason, _ = office.store.ended[call_id]
    return status, reason


def nothing_is_left(office: Office, report: CallReport) -> None:
    """No leg rings or talks, no call is open, no record, no place is taken, and no model."""
    assert all(dialled.ended is not None for dialled in report.dials)
    for dialled in report.dials:
        last = [e.call_status for e in report.events if isinstance(e, DialProgress) and e.dialled is dialled][-1]
        assert last in ("completed", "busy", "no-answer", "failed")
    assert not office.jambonz.calls
    assert not office.switchboard.calls
    assert not office.switchboard.live._by_token
    assert not office.store.places.taken
    assert set(office.store.ended) == set(office.store.started)
    assert not office.switchboard.live.bridges._by_sid
    if isinstance(office, RealtimeOffice) and isinstance(office.realtime, MemoryModel):
        assert office.realtime.open_sessions == 0
        assert office.realtime.mistakes == []
    for call_id, events in office.store.events.items():
        assert [event.type for event in events].count("hangup") == 1, call_id


def words(text: str) -> list[str]:
    return plain_words(text)


def heard(report: CallReport) -> list[str]:
    return heard_words(report.heard)
