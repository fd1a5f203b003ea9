"""Blind transfers: by REFER and by bridge, with every outcome. Who hears what, which records there are, and that no leg
is left; by webhooks and by the application socket, with a cascade and with a realtime model."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from gateway import metrics
from gateway.bridged import LONGEST_SECONDS, MODEL_NAME
from gateway.messages import HangUpMessage, TransferMessage, perform
from gateway.putting_through import LEAST_NEWS, ORIGIN_HEADER
from gateway.transfers import MOST_TRANSFERS
from jambonz.provisioning.wanted import CARRIER_PREFIX
from jambonz.simulator import feature_server
from jambonz.simulator.call_info import CallInfo
from jambonz.simulator.caller import AwaitAgentSilence, AwaitAgentSpeech, BargeIn, HangUp, Speak, Wait
from jambonz.simulator.ear import peak_of
from jambonz.simulator.outcomes import DialOutcome, ReferOutcome
from jambonz.simulator.report import CallReport, VerbStarted
from pipelines.messages import NotNow, NotPossible
from pipelines.parts import Message, ToolCall
from pipelines.phrasebook import phrases
from pipelines.tools.means import ToolFault
from pipelines.tools.results import REDACTED_FAILURE, STOPPED
from pipelines.tools.transfer import TransferRequest
from store.numbers import Line
from tests.calls.office import BASE, NUMBER, Office
from tests.calls.outbound_office import Lines
from tests.calls.realtime_office import RealtimeOffice
from tests.calls.transfer_office import (
    ASK,
    BACK,
    CALL,
    CALLER,
    CONNECTING,
    DESK,
    agent_of,
    asks,
    children_of,
    ending_of,
    heard,
    heard_between,
    nothing_is_left,
    office_of,
    parent_of,
    states,
    transfer_function,
    words,
)
from tests.clock import run_virtual
from tests.simulators.codeword import heard_words, speak
from tests.simulators.replies import always
from tests.simulators.services import Services, function

pytestmark = pytest.mark.usefixtures("by_both")

KINDS = ("cascade", "realtime")
SPOKEN = "hello i will connect you"

FAILURES = {
    "busy": DialOutcome("busy", 486, ring_seconds=0.5),
    "no_answer": DialOutcome("no-answer", 480, ring_seconds=3.0),
    "declined": DialOutcome("busy", 603, ring_seconds=0.5),
    "failed": DialOutcome("failed", 503, ring_seconds=0.1),
}


def verb_of(report: CallReport, name: str) -> dict[str, Any]:
    [properties] = [e.properties for e in report.events if isinstance(e, VerbStarted) and e.verb == name]
    return properties


@pytest.mark.parametrize("kind", KINDS)
def test_a_bridge_that_is_answered(kind: str) -> None:
    async def main() -> None:
        desk = DialOutcome(ring_seconds=2.0, steps=(Speak(speak("desk speaking")), Wait(3)), talk_seconds=0)
        async with office_of(kind, dials=[desk]) as office:
            report = await office.call(*asks(Wait(7), Speak(speak("good morning")), Wait(30)))
            [dialled] = report.dials
            assert dialled.answered is not None
            assert heard(report) == words(f"{SPOKEN} desk speaking"), "his words first, and the other's after"
            assert heard_words(dialled.heard)[-2:] == ["good", "morning"]
            ringing = heard_between(report, dialled.rang + 0.2, dialled.answered - 0.1)
            assert peak_of(ringing) > 2000, "the caller hears that it rings"
            assert not heard_words(ringing)
            assert dialled.ended is not None
            assert report.ended is not None
            assert report.ended == pytest.approx(dialled.ended, abs=0.3), "who was left by the desk is not left alone"
            assert report.ended_by == "jambonz"

            parent, [child] = parent_of(office), children_of(office)
            assert ending_of(office, parent) == ("ended normally", "transferred")
            assert ending_of(office, child) == ("ended normally", "callee")
            record = office.store.started[child]
            assert (record.parent_id, record.model_name) == (parent, MODEL_NAME)
            assert (record.caller_id, record.called_id) == (NUMBER, DESK.removeprefix("+"))
            assert office.store.ended[child][2] == pytest.approx(1000 * (dialled.ended - dialled.answered), abs=100)
            assert states(office) == ["dialling", "answered"]
            assert [event.type for event in office.store.events[child]] == ["call", "answer", "hangup"]
            nothing_is_left(office, report)

    run_virtual(main())


def test_what_is_dialled() -> None:
    async def main() -> None:
        async with office_of("cascade") as office:
            report = await office.call(*asks(Wait(30)))
            assert report.verbs == ["listen", "dial", "hangup"]
            dial = verb_of(report, "dial")
            assert dial["target"] == [{"type": "phone", "number": DESK, "trunk": "My carrier"}]
            assert dial["callerId"] == f"+{NUMBER}"
            assert dial["headers"] == {ORIGIN_HEADER: f"+{CALLER}"}
            assert dial["dialMusic"] == f"{BASE}/jambonz/ringback.wav"
            assert dial["timeout"] == 45
            assert dial["timeLimit"] == LONGEST_SECONDS, "a line that was forgotten"

    run_virtual(main())


@pytest.mark.parametrize(("kind", "outcome"), [*(("cascade", outcome) for outcome in FAILURES), ("realtime", "busy")])
def test_a_bridge_that_fails_brings_the_caller_back(kind: str, outcome: str) -> None:
    async def main() -> None:
        async with office_of(kind, dials=[FAILURES[outcome]]) as office:
            before = _count("bridge", outcome)
            report = await office.call(
                *asks(
                    AwaitAgentSilence(min_gap=1.5), AwaitAgentSilence(), Speak(speak("never mind")), Wait(4), HangUp()
                )
            )
            assert heard(report) == words(f"{SPOKEN} {BACK} you said never mind")
            assert report.verbs == ["listen", "dial", "listen"]
            parent, [child] = parent_of(office), children_of(office)
            assert ending_of(office, parent) == ("ended normally", "caller")
            assert ending_of(office, child) == ("failed", outcome)
            assert states(office) == ["dialling", outcome]
            assert _count("bridge", outcome) == before + 1
            said = [e.data for e in office.store.events[parent] if e.type in ("user", "agent")]
            assert words(" ".join(said)) == words(
                f"hello. put me through {CONNECTING} {BACK} never mind you said never mind"
            )
            nothing_is_left(office, report)
            assert _told(office) == outcome, "the agent knows why"
            assert _gap(report) < 2.0, "and does not let the caller wait"

    run_virtual(main())


def _count(by: str, outcome: str) -> float:
    return metrics.transfers.labels("blind", by, outcome)._value.get()  # type: ignore[no-any-return]


def _told(office: Office) -> str:
    """The outcome that the model learned of, as the result of the function that it had called."""
    if isinstance(office, RealtimeOffice):
        [result] = [m.content for m in office.realtime.setups[-1].history if m.role == "tool"]  # type: ignore[attr-defined]
    else:
        [result] = {m.content for told in office.model.told for m in told if m.role == "tool"}
    [outcome] = [name for name in FAILURES if f'"outcome":"{name}"' in result]
    return outcome


def _gap(report: CallReport) -> float:
    """From the end of the ringing to the agent's first word."""
    ended = max(d.ended or 0.0 for d in report.dials)
    onset = report.ear.sound_onset_after(ended + 0.05)
    assert onset is not None
    return onset - ended


def test_of_a_redacted_transfer_the_model_is_told_no_more_than_that_it_failed() -> None:
    async def main() -> None:
        agent = agent_of({**transfer_function(), "redact": True})
        async with office_of("cascade", agent, dials=[FAILURES["declined"]]) as office:
            await office.call(*asks(AwaitAgentSilence(min_gap=1.5), AwaitAgentSilence(), HangUp()))
            assert states(office) == ["dialling", "declined"]
            told = {m.content for messages in office.model.told for m in messages if m.role == "tool"}
            assert told == {REDACTED_FAILURE}

    run_virtual(main())


LATE = "please book it"


def books(returns: bool) -> Any:
    """For both kinds of models. The caller does not wait for the booking, and is put through."""

    def answer(heard: str) -> tuple[str, list[ToolCall]]:
        if heard == LATE:
            return "", [ToolCall("booked", "red", {})]
        if heard.endswith(ASK):
            return CONNECTING, [CALL]
        return (BACK, []) if "has failed" in heard else ("Alright.", [])

    def script(messages: Sequence[Message]) -> Sequence[str | ToolCall]:
        text, calls = answer(messages[-1].content)
        return [*([text] if text else []), *calls]

    def reply(heard: str, history: Sequence[tuple[str, str]]) -> tuple[str, Sequence[ToolCall]]:
        return answer(next((text for _, text in reversed(history) if "has failed" in text), heard))

    return script, reply


@pytest.mark.parametrize("returns", [False, True], ids=["still runs", "returned meanwhile"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_function_was_at_when_the_caller_was_put_through(kind: str, returns: bool) -> None:
    """The agent who has him again knows what became of it, once: what has returned, or that it was stopped."""

    async def main() -> None:
        red = function("red", survivesInterruption=True, timeout=60)
        services = Services({"red": 2.5 if returns else 30.0})  # while he is told that he is put through, or never
        office = office_of(kind, agent_of(transfer_function(), red), dials=[FAILURES["busy"]], http=services)
        script, reply = books(returns)
        if isinstance(office, RealtimeOffice):
            office.realtime.reply = reply  # type: ignore[attr-defined]
        else:
            office.model.script = script
        async with office:
            steps = (AwaitAgentSilence(), Speak(speak(LATE)), Wait(1.0), Speak(speak(ASK)))
            await office.call(*steps, AwaitAgentSilence(min_gap=1.5), AwaitAgentSilence(), Wait(2.0), HangUp())
            assert states(office) == ["dialling", "busy"]
            assert (services.done, services.stopped) == ((["red"], []) if returns else ([], ["red"]))
            if isinstance(office, RealtimeOffice):
                setup = office.realtime.setups[-1]  # type: ignore[attr-defined]
                told = [message.content for message in setup.history] + list(office.realtime.commands)  # type: ignore[attr-defined]
            else:
                told = [message.content for message in office.model.told[-1]]
            text = " ".join(told)
            assert text.count("[The tool red has returned: done by red]") == returns
            assert text.count(STOPPED) == (not returns)
            nothing_is_left_of(office)

    run_virtual(main())


def nothing_is_left_of(office: Office) -> None:
    assert not office.switchboard.calls
    assert not office.store.places.taken


def test_where_jambonz_tells_nothing_more_the_call_does_not_stay_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its hooks are lost from the ringing on: whoever was asked to ring may have answered."""

    async def main() -> None:
        office = office_of("cascade", agent_of(transfer={"ringSeconds": 20}), dials=[DialOutcome(talk_seconds=300)])
        async with office:
            calling = asyncio.create_task(office.call(*asks(Wait(200))))
            await asyncio.sleep(1)
            [call] = office.switchboard.calls
            await asyncio.wait_for(call.handing.asked.wait(), 15)
            for name in ("on_news", "on_call_over"):
                monkeypatch.setattr(call.handing, name, lambda *_, **__: None)
            asked = asyncio.get_running_loop().time()
            await asyncio.wait_for(call.over.wait(), 120)
            assert asyncio.get_running_loop().time() - asked == pytest.approx(LEAST_NEWS, abs=1.0)
            await asyncio.sleep(1)
            await office.recorder.settled()
            assert ending_of(office, parent_of(office)) == ("ended normally", "transferred")
            assert not office.switchboard.calls
            assert not office.store.places.taken
            calling.cancel()
            await asyncio.gather(calling, return_exceptions=True)

    run_virtual(main())


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_is_left_ringing_when_the_caller_hangs_up(kind: str) -> None:
    async def main() -> None:
        async with office_of(kind, dials=[DialOutcome(ring_seconds=20.0)]) as office:
            report = await office.call(*asks(Wait(8), HangUp()))
            [dialled] = report.dials
            assert dialled.answered is None
            assert dialled.ended == pytest.approx(report.ended, abs=0.1)
            parent, [child] = parent_of(office), children_of(office)
            assert ending_of(office, parent) == ("ended normally", "caller")
            assert ending_of(office, child) == ("ended normally", "caller_gone")
            assert states(office) == ["dialling", "caller_gone"]
            nothing_is_left(office, report)

    run_virtual(main())


def test_it_rings_no_longer_than_the_agent_says() -> None:
    async def main() -> None:
        agent = agent_of(transfer={"ringSeconds": 5, "music": "https://example.com/wait.mp3"})
        async with office_of("cascade", agent, dials=[DialOutcome(ring_seconds=30.0)]) as office:
            report = await office.call(*asks(Wait(12), HangUp()))
            [dialled] = report.dials
            assert dialled.ended is not None
            assert dialled.ended - dialled.rang == pytest.approx(5.0, abs=0.2)
            assert verb_of(report, "dial")["dialMusic"] == "https://example.com/wait.mp3"
            assert states(office) == ["dialling", "no_answer"]
            nothing_is_left(office, report)

    run_virtual(main())


@pytest.mark.parametrize("early", [False, True], ids=["told", "gone before it is told"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_refer_that_is_accepted(kind: str, early: bool) -> None:
    async def main() -> None:
        refers = [ReferOutcome(seconds=3.0, early=early)]
        async with office_of(kind, refers=refers, can_refer=True) as office:
            report = await office.call(*asks(Wait(60)))
            assert heard(report) == words(SPOKEN)
            refer = verb_of(report, "sip:refer")
            assert refer["referTo"] == DESK
            assert not report.dials
            assert not children_of(office), "the call is not ours any more"
            assert ending_of(office, parent_of(office)) == ("ended normally", "transferred")
            assert states(office) == ["dialling", "answered"]
            events = [hook for hook in report.hooks if hook.payload.get("event") == "transfer-status"]
            assert len(events) == 2
            assert all(hook.error is None and hook.status in (None, 200) for hook in events), (
                "they say not whose they are"
            )
            nothing_is_left(office, report)

    run_virtual(main())


REFERS: Mapping[str, tuple[ReferOutcome, str, float]] = {
    "refused": (ReferOutcome(status=405), "failed", 0.0),
    "declined": (ReferOutcome(status=603), "declined", 0.0),
    "busy": (ReferOutcome(final=486), "busy", 1.0),
    "not answered": (ReferOutcome(final=480, seconds=4.0), "no_answer", 4.0),
    "failed": (ReferOutcome(final=503), "failed", 1.0),
    "no news": (ReferOutcome(final=None), "no_answer", 15.0),
    "no response": (ReferOutcome(status=None), "failed", 32.0),
}
"""What the far end does, what becomes of it, and the seconds until that is known."""


@pytest.mark.parametrize(("kind", "how"), [*(("cascade", how) for how in REFERS), ("realtime", "declined")])
def test_a_refer_that_fails_brings_the_caller_back(kind: str, how: str) -> None:
    async def main() -> None:
        refer, outcome, seconds = REFERS[how]
        async with office_of(kind, refers=[refer], can_refer=True) as office:
            back = (AwaitAgentSilence(), Wait(seconds + 4.0))
            report = await office.call(*asks(*back, Speak(speak("never mind")), Wait(4), HangUp()))
            assert heard(report) == words(f"{SPOKEN} {BACK} you said never mind")
            assert states(office) == ["dialling", outcome]
            assert ending_of(office, parent_of(office)) == ("ended normally", "caller")
            assert _told(office) == outcome
            nothing_is_left(office, report)

    run_virtual(main())


def test_a_caller_who_hangs_up_during_a_refer_is_gone() -> None:
    async def main() -> None:
        async with office_of("cascade", refers=[ReferOutcome(seconds=20.0)], can_refer=True) as office:
            report = await office.call(*asks(Wait(8), HangUp()))
            assert ending_of(office, parent_of(office)) == ("ended normally", "caller")
            assert states(office) == ["dialling", "caller_gone"]
            nothing_is_left(office, report)

    run_virtual(main())


def test_the_trunk_can_refer_and_the_agent_wants_a_bridge() -> None:
    async def main() -> None:
        agent = agent_of(transfer_function(forceBridged={"source": "static", "from": "true"}))
        async with office_of("cascade", agent, can_refer=True) as office:
            report = await office.call(*asks(Wait(30)))
            assert report.verbs == ["listen", "dial", "hangup"]
            nothing_is_left(office, report)

    run_virtual(main())


def test_a_call_that_came_by_a_registration_is_referred(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever registers with a telephone system may hand calls back to it."""
    carrier = f"{CARRIER_PREFIX}r-1"
    monkeypatch.setattr(feature_server, "CallInfo", partial(CallInfo, originating_sip_trunk_name=carrier))

    async def main() -> None:
        async with office_of("cascade") as office:
            [listener] = office.store.listeners.values()
            office.store.find_listener_of_registration = _always(listener)  # type: ignore[attr-defined]
            report = await office.call(*asks(Wait(30)))
            assert "sip:refer" in report.verbs

    run_virtual(main())


def _always(value: Any) -> Any:
    async def found(_: str) -> Any:
        return value

    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_pipeline_that_fails_at_its_last_words_does_not_keep_the_caller(kind: str) -> None:
    async def main() -> None:
        async with office_of(kind) as office:
            calling = asyncio.create_task(office.call(*asks(Wait(20), HangUp())))
            await asyncio.sleep(4.0 if kind == "cascade" else 3.5)
            [call] = office.switchboard.calls
            assert call.transfers.pending
            assert not call.handing.leaving
            call.on_fault(RuntimeError("simulated"))
            call.end_call("failed")
            report = await calling
            assert states(office) == ["dialling", "answered"]
            assert ending_of(office, parent_of(office)) == ("ended normally", "transferred")
            nothing_is_left(office, report)

    run_virtual(main())


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_word_of_the_model_the_service_says_it(kind: str) -> None:
    async def main() -> None:
        async with office_of(kind) as office:
            if isinstance(office, RealtimeOffice):
                office.realtime.reply = lambda heard, history: ("", [CALL])  # type: ignore[attr-defined]
            else:
                office.model.script = always(CALL)
            report = await office.call(*asks(Wait(30)))
            assert heard(report) == words(f"hello {phrases('en').connecting}")
            assert states(office) == ["dialling", "answered"]
            nothing_is_left(office, report)

    run_virtual(main())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_said_over_the_agents_last_words_changes_nothing(kind: str) -> None:
    """His function has run: they are heard to their end."""

    async def main() -> None:
        async with office_of(kind) as office:
            report = await office.call(*asks(BargeIn(speak("wait wait wait"), after=0.6), Wait(20), HangUp()))
            assert heard(report)[:5] == words(SPOKEN)
            assert report.dials
            nothing_is_left(office, report)

    run_virtual(main())


def test_one_transfer_after_the_other() -> None:
    async def main() -> None:
        dials = [FAILURES["busy"], FAILURES["declined"], DialOutcome(ring_seconds=1.0, talk_seconds=2.0)]
        async with office_of("cascade", dials=dials) as office:
            again = (AwaitAgentSilence(min_gap=1.5), AwaitAgentSilence(), Speak(speak("put me through")))
            report = await office.call(*asks(*again, *again, Wait(20)))
            assert states(office) == ["dialling", "busy", "dialling", "declined", "dialling", "answered"]
            assert len(children_of(office)) == 3
            assert heard(report) == words(f"{SPOKEN} {BACK} {CONNECTING} {BACK} {CONNECTING}")
            assert ending_of(office, parent_of(office)) == ("ended normally", "transferred")
            nothing_is_left(office, report)

    run_virtual(main())


CALLER_IDS: Mapping[str, tuple[Line | None, str]] = {
    "not ours": (None, "the caller id is no number of this account's"),
    "not for calls out": (
        Line("441110000000", False, "trunk-1"),
        "the caller id is a number that may not be used for outbound calls",
    ),
    "another trunk's": (
        Line("441110000000", True, "trunk-2"),
        "the caller id is a number of another trunk than the one that was called",
    ),
}


@pytest.mark.parametrize("why", CALLER_IDS)
def test_a_caller_id_that_may_not_be_used(why: str) -> None:
    line, sentence = CALLER_IDS[why]

    async def main() -> None:
        agent = agent_of(transfer_function(callerId={"source": "static", "from": "+44 1110 000000"}))
        async with office_of("cascade", agent) as office:
            if line is not None:
                office.store.lines[line.number] = line
            report = await office.call(*asks(Wait(6), HangUp()))
            assert not report.dials
            [result] = [data[0]["result"] for type, data in office.log() if type == "function_results"]
            assert sentence in result
            assert states(office) == []
            assert heard(report) == words(f"{SPOKEN} {BACK}")

    run_virtual(main())


def test_a_caller_id_of_the_same_trunk_is_seen() -> None:
    async def main() -> None:
        agent = agent_of(transfer_function(callerId={"source": "metadata", "from": "desk.shows"}))
        async with office_of("cascade", agent) as office:
            office.means = _with_metadata(office, {"desk": {"shows": "+44 1110 000000"}})
            office.store.lines["441110000000"] = Line("441110000000", True, "trunk-1", "My carrier")
            report = await office.call(*asks(Wait(30)))
            assert report.dials[0].caller_id == "+441110000000"
            assert report.dials[0].headers == {ORIGIN_HEADER: f"+{CALLER}"}

    run_virtual(main())


def _with_metadata(office: Office, metadata: Mapping[str, Any]) -> Any:
    return replace(office.means, metadata=metadata)


TARGETS: Mapping[str, tuple[str, str | None, bool]] = {
    "in the filter": ("+33123456789", r"^\+33", True),
    "not in the filter": (DESK, r"^\+33", False),
    "premium, in the definition": ("+449098790000", None, False),
    "premium, in the filter": ("+449098790000", r"^\+44", False),
    "an emergency": ("999", None, False),
    "an extension": ("2001", None, True),
    "of the call, without a filter": ("+442079460999", None, True),
    "of the call, premium": ("+449098790000", None, False),
    "of the call, abroad": ("+19005551234", None, False),
    "of the call, a SIP address": ("sip:desk@example.com", None, False),
    "of the call, a SIP address in the filter": ("sip:desk@example.com", r"@example\.com$", True),
    "of the call, no number": ("the desk", None, False),
}


@pytest.mark.parametrize("which", TARGETS)
def test_whom_a_transfer_may_ring(which: str) -> None:
    number, pattern, allowed = TARGETS[which]

    async def main() -> None:
        source = (
            {"source": "metadata", "from": "desk"} if "of the call" in which else {"source": "static", "from": number}
        )
        options = {"outboundCallFilter": pattern} if pattern is not None else {}
        async with office_of("cascade", agent_of(transfer_function(number=source), **options)) as office:
            office.means = _with_metadata(office, {"desk": number})
            report = await office.call(*asks(Wait(8), HangUp()))
            assert [dialled.party for dialled in report.dials] == ([number] if allowed else [])
            nothing_is_left(office, report)

    run_virtual(main())


@pytest.mark.parametrize("ring_seconds", [3.0, 20.0], ids=["with the caller", "while it rings"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_longest_call_counts_from_its_answer_whoever_had_it(kind: str, ring_seconds: float) -> None:
    """A caller who is back once the time is over is told so at once."""

    async def main() -> None:
        agent = agent_of(maxDuration=15, timeExceededMessage="Our time is over.")
        async with office_of(kind, agent, dials=[DialOutcome("no-answer", 480, ring_seconds=ring_seconds)]) as office:
            report = await office.call(*asks(Wait(60)))
            assert report.answered is not None
            assert report.ended is not None
            [dialled] = report.dials
            assert dialled.ended is not None
            came_back = dialled.ended - report.answered
            assert report.ended - report.answered == pytest.approx(max(15.0, came_back) + 1.5, abs=1.0)
            assert heard(report)[-4:] == words("our time is over")
            assert ending_of(office, parent_of(office)) == ("ended normally", "max_duration")
            nothing_is_left(office, report)

    run_virtual(main())


@pytest.mark.parametrize("kind", KINDS)
def test_silence_counts_anew_once_the_caller_is_back(kind: str) -> None:
    """Neither what was silent before nor what rang is his silence, and he is asked as often as anybody."""

    async def main() -> None:
        idle = {"timeout": 4, "prompts": ["Are you there?"], "farewell": "Goodbye then."}
        dials = [DialOutcome("no-answer", 480, ring_seconds=10.0)]
        async with office_of(kind, agent_of(idle=idle), dials=dials) as office:
            report = await office.call(AwaitAgentSilence(), AwaitAgentSpeech(), AwaitAgentSilence(), *asks(Wait(60)))
            assert heard(report) == words(f"hello are you there {CONNECTING} {BACK} are you there goodbye then"), (
                "what they are told while it rings has no words"
            )
            assert ending_of(office, parent_of(office)) == ("ended normally", "idle")
            assert report.answered is not None
            [dialled] = report.dials
            assert dialled.ended is not None
            back = heard_between(report, dialled.ended, dialled.ended + 4.0)
            assert heard_words(back) == words(BACK)
            nothing_is_left(office, report)

    run_virtual(main())


@pytest.mark.parametrize("kind", KINDS)
def test_a_transfer_that_somebody_else_asks_for(kind: str) -> None:
    """By the API, say: what is being said is broken off, and where it fails the agent is told."""

    async def main() -> None:
        async with office_of(kind, dials=[FAILURES["busy"]]) as office:
            calling = asyncio.create_task(office.call(Wait(12), HangUp()))
            await asyncio.sleep(2.0)
            [call] = office.switchboard.calls
            begun = await call.commands.transfer(TransferRequest(DESK, fixed=True), "Off you go.", {})
            assert begun.leaves
            report = await calling
            assert heard(report) == words(f"hello off you go {BACK}")
            assert states(office) == ["dialling", "busy"]
            nothing_is_left(office, report)

    run_virtual(main())


def test_a_transfer_by_a_message() -> None:
    """Only to numbers that the agent's filter lets through, and not while the call ends."""

    async def main() -> None:
        async with office_of("cascade", dials=[FAILURES["busy"]]) as office:
            calling = asyncio.create_task(office.call(Wait(12), HangUp()))
            await asyncio.sleep(2.0)
            [call] = office.switchboard.calls
            with pytest.raises(ToolFault, match=r"called: it does not match the agent's outboundCallFilter$"):
                await perform(call, TransferMessage(number="+15551234567"))
            await perform(call, TransferMessage(number="+44 20 7946 0999", text="Off you go."))
            with pytest.raises(NotNow, match="put through already"):
                await perform(call, TransferMessage(number="+44 20 7946 0999"))
            report = await calling
            assert heard(report) == words(f"hello off you go {BACK}")
            assert states(office) == ["dialling", "busy"]
            injected = [data for type, data in office.log(report) if type == "inject"]
            assert injected == [{"transfer": "+442079460999", "text": "Off you go."}]
            nothing_is_left(office, report)

    run_virtual(main())


@pytest.mark.parametrize("by_rest", [True, False], ids=["with the REST API", "without"])
def test_a_caller_who_waits_for_somebody_is_hung_up(by_rest: bool, by_both: str) -> None:
    """There is no socket to end, and Jambonz is commanded, where it can be."""
    possible = by_rest or by_both == "application"

    async def main() -> None:
        office = office_of("cascade", dials=[DialOutcome(ring_seconds=20)])
        if by_rest:
            Lines(office)
        async with office:
            calling = asyncio.create_task(office.call(Wait(10), HangUp()))
            await asyncio.sleep(2.0)
            [call] = office.switchboard.calls
            await perform(call, TransferMessage(number="+44 20 7946 0999", text="Off you go."))
            await asyncio.sleep(4.0)
            assert call.leg is None
            with pytest.raises(NotNow):
                await perform(call, HangUpMessage(text="Nobody hears this."))
            with nullcontext() if possible else pytest.raises(NotPossible, match="REST API is not set up"):
                await perform(call, HangUpMessage(reason="enough"))
            report = await calling
            assert report.ended_by == ("jambonz" if possible else "caller")
            assert report.ended == pytest.approx(6.0 if possible else 10.0, abs=0.5)
            assert ending_of(office, parent_of(office))[1] == ("api" if possible else "caller")
            nothing_is_left(office, report)

    run_virtual(main())


def test_there_is_an_end_to_transfers() -> None:
    async def main() -> None:
        async with office_of("cascade") as office:
            calling = asyncio.create_task(office.call(Wait(4), HangUp()))
            await asyncio.sleep(2.0)
            [call] = office.switchboard.calls
            for _ in range(MOST_TRANSFERS):
                await call.transfers.request(TransferRequest(DESK, fixed=True))
            with pytest.raises(ToolFault, match="no more are possible"):
                await call.transfers.request(TransferRequest(DESK, fixed=True))
            await calling

    run_virtual(main())


def test_a_database_that_is_away_costs_the_caller_nothing() -> None:
    async def main() -> None:
        async with office_of("cascade") as office:

            async def away(*_: Any) -> Any:
                raise ConnectionError

            office.store.find_lines = away  # type: ignore[assignment]
            report = await office.call(*asks(Wait(30)))
            assert [dialled.party for dialled in report.dials] == [DESK]

    run_virtual(main())


def test_when_the_service_stops_while_it_rings_the_caller_is_put_through_all_the_same() -> None:
    async def main() -> None:
        async with office_of("cascade", dials=[DialOutcome(ring_seconds=5.0, talk_seconds=3.0)]) as office:
            calling = asyncio.create_task(office.call(*asks(Wait(30))))
            await asyncio.sleep(6.0)
            await office.switchboard.live.drain(0)
            report = await calling
            assert report.dials[0].answered is not None
            assert ending_of(office, parent_of(office))[1] == "shutdown"
            [child] = children_of(office)
            assert ending_of(office, child)[1] == "shutdown"

    run_virtual(main())


def test_a_realtime_model_is_not_kept_while_it_rings() -> None:
    async def main() -> None:
        async with office_of("realtime", dials=[DialOutcome("busy", 486, ring_seconds=10.0)]) as office:
            calling = asyncio.create_task(office.call(*asks(Wait(15), HangUp())))
            await asyncio.sleep(8.0)
            assert isinstance(office, RealtimeOffice)
            assert office.realtime.open_sessions == 0  # type: ignore[attr-defined]
            report = await calling
            nothing_is_left(office, report)

    run_virtual(main())
