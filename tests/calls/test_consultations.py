"""Consultative transfers: somebody is rung and asked, while the agent stays with the caller. Who hears what, which
records there are, and that no leg is left; by webhooks and by the application socket, with a cascade and a realtime
model."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.bridged import MODEL_NAME
from gateway.consultation import Consultation
from gateway.control import ControlFailed
from jambonz.simulator.call import CallSession as Simulated
from jambonz.simulator.caller import AwaitAgentSilence, HangUp, Speak, Step, Wait
from jambonz.simulator.outgoing import Callee
from jambonz.simulator.report import CallReport
from pipelines.agent.consultant import BEGIN, LONGEST_SECONDS
from pipelines.parts import Message, ToolCall
from pipelines.phrasebook import phrases
from pipelines.tools.means import ToolFault
from pipelines.tools.transfer import TransferRequest
from store.numbers import Line
from tests.calls.office import NUMBER, Office
from tests.calls.outbound_office import Exchange, Lines
from tests.calls.realtime_office import RealtimeOffice
from tests.calls.transfer_office import (
    CALLER,
    DESK,
    agent_of,
    asks,
    ending_of,
    heard,
    nothing_is_left,
    parent_of,
    states,
    transfer_function,
    words,
)
from tests.clock import run_virtual
from tests.simulators.codeword import heard_words, plain_words, speak
from tests.simulators.realtime_memory import MemoryModel
from tests.simulators.replies import Answer, ReplyModel

pytestmark = pytest.mark.usefixtures("by_both")

KINDS = ("cascade", "realtime")
WORDS = phrases("en")
ASKING = "Somebody wants to talk to you."
YES, NO = "yes please", "no thanks"
CONSULT = transfer_function(operation={"source": "static", "from": "consultative"})
STATUS = {"name": "how", "implementation": "builtin", "platform": "transfer_status"}


def answer(said: str) -> tuple[str, Sequence[ToolCall]]:
    """Of either agent: what they are told is never the same."""
    match said:
        case "put me through":
            return "Let me ask.", [ToolCall("a1", "to_desk", {})]
        case "what do they say":
            return "", [ToolCall("a2", "how", {})]
        case _ if said == BEGIN:
            return ASKING, ()
        case _ if said == YES:
            return "Connecting you now.", [ToolCall("b1", "accept_transfer", {})]
        case _ if said == NO:
            return "Goodbye then.", [ToolCall("b2", "reject_transfer", {"reason": "in a meeting"})]
        case _ if "Consultation started" in said:
            return "They are being rung.", ()
        case _ if "Of the transfer" in said:
            return f"I am sorry {'meeting' if 'in a meeting' in said else 'no'}.", ()
        case _ if "The transfer has failed" in said:
            return "That did not work.", ()
        case _ if '"state"' in said:
            return f"It is {said.split(chr(34))[3]}.", ()
        case _:
            pass
    return f"You said {said}.", ()


def replies(messages: Sequence[Message]) -> Sequence[Answer]:
    text, calls = answer(messages[-1].content)
    return [*([text] if text else []), *calls]


def replies_of_realtime(said: str, history: Sequence[tuple[str, str]]) -> tuple[str, Sequence[ToolCall]]:
    return answer(said)


def office_of(kind: str, *functions: dict[str, Any], **options: Any) -> tuple[Office, Exchange]:
    agent = agent_of(*(functions or (CONSULT, STATUS)), **options)
    office: Office
    if kind == "cascade":
        office = Office(agent, ReplyModel(replies))
    else:
        office = RealtimeOffice(agent, MemoryModel(replies_of_realtime))
    office.store.lines[NUMBER] = Line(NUMBER, True, "trunk-1", "My carrier")
    return office, Lines(office)


def callee(*steps: Step, ring: float = 1.0, **more: Any) -> Callee:
    return Callee(steps=steps, ring_seconds=ring, **more)


async def consult(office: Office, who: Callee, *steps: Step) -> tuple[CallReport, CallReport]:
    """The caller's report, and that of whoever was rung."""
    office.jambonz.callees[DESK] = who
    report = await office.call(*steps)
    [other] = await office.jambonz.placed()
    await asyncio.sleep(0.5)
    await office.recorder.settled()
    return report, other


def consulted(office: Office) -> str:
    """The record of the call with whoever was rung."""
    [found] = [call.id for call in office.store.started.values() if call.parent_id and call.model_name != MODEL_NAME]
    return found


def bridged(office: Office) -> list[str]:
    return [call.id for call in office.store.started.values() if call.model_name == MODEL_NAME]


def said(office: Office, call_id: str) -> list[str]:
    spoken = [event.data for event in office.store.events[call_id] if event.type in ("user", "agent")]
    return plain_words(" ".join(spoken))


TALK = (AwaitAgentSilence(), Speak(speak(YES)), Wait(9), Speak(speak("welcome here")), Wait(4))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("who", ["caller", "desk"])
def test_who_takes_the_call_is_joined_with_the_caller(kind: str, who: str) -> None:
    """Whoever hangs up then."""

    async def main() -> None:
        office, _ = office_of(kind)
        async with office:
            ends = (Wait(17), Speak(speak("good morning")), Wait(4), HangUp() if who == "caller" else Wait(30))
            report, other = await consult(office, callee(*TALK, HangUp() if who == "desk" else Wait(40)), *asks(*ends))
            parted = f"let me ask they are being rung {WORDS.connecting}"
            assert heard(report) == words(f"hello {parted} welcome here")
            assert heard_words(other.heard) == words(f"{ASKING} connecting you now good morning")
            assert report.verbs[:2] == ["listen", "conference"]
            assert other.verbs[:2] == ["listen", "conference"]
            assert report.ended == pytest.approx(other.ended, abs=0.5), "nobody is left alone"
            assert not office.jambonz._settings.rooms.open

            parent, child, [bridge] = parent_of(office), consulted(office), bridged(office)
            assert ending_of(office, parent) == ("ended normally", "transferred")
            assert ending_of(office, child) == ("ended normally", "transferred")
            assert ending_of(office, bridge) == ("ended normally", "caller" if who == "caller" else "callee")
            record = office.store.started[child]
            assert (record.parent_id, record.called_id) == (parent, DESK.removeprefix("+"))
            assert record.model_name == office.agent.model_name
            assert office.store.started[bridge].parent_id == parent
            assert said(office, parent) == words(f"hello put me through {parted}")
            assert said(office, child) == words(f"{ASKING} {YES} connecting you now")
            assert states(office) == ["dialling", "talking", "accepted", "answered"]
            nothing_is_left(office, report)

    run_virtual(main())


@pytest.mark.parametrize("kind", KINDS)
def test_who_does_not_take_the_call_is_said_goodbye_to_and_the_agent_knows_why(kind: str) -> None:
    async def main() -> None:
        office, _ = office_of(kind)
        async with office:
            desk = callee(AwaitAgentSilence(), Speak(speak(NO)), Wait(30))
            report, other = await consult(office, desk, *asks(Wait(14), Speak(speak("never mind")), Wait(4), HangUp()))
            assert heard(report) == words("hello let me ask they are being rung i am sorry meeting you said never mind")
            assert heard_words(other.heard) == words(f"{ASKING} goodbye then")
            assert report.verbs == ["listen"], "the caller was never away"
            assert other.ended_by == "jambonz"
            assert ending_of(office, parent_of(office)) == ("ended normally", "caller")
            assert ending_of(office, consulted(office)) == ("ended normally", "agent")
            assert not bridged(office)
            assert states(office) == ["dialling", "talking", "rejected"]
            nothing_is_left(office, report)

    run_virtual(main())


UNANSWERED = {
    "busy": callee(sip_status=486),
    "declined": callee(sip_status=603),
    "no_answer": callee(sip_status=480),
    "failed": callee(sip_status=503),
    "never": callee(sip_status=None),
}


@pytest.mark.parametrize("how", UNANSWERED)
def test_who_cannot_be_reached(how: str) -> None:
    async def main() -> None:
        office, _ = office_of("cascade", CONSULT, STATUS, transfer={"ringSeconds": 5})
        async with office:
            report, other = await consult(office, UNANSWERED[how], *asks(Wait(12), HangUp()))
            assert heard(report) == words("hello let me ask they are being rung i am sorry no")
            assert other.answered is None
            assert states(office) == ["dialling", "no_answer" if how == "never" else how]
            assert office.store.ended[consulted(office)][0].startswith("failed")
            assert ending_of(office, parent_of(office)) == ("ended normally", "caller")
            nothing_is_left(office, report)

    run_virtual(main())


@pytest.mark.parametrize("kind", KINDS)
def test_who_hangs_up_without_a_word(kind: str) -> None:
    async def main() -> None:
        office, _ = office_of(kind)
        async with office:
            report, other = await consult(office, callee(Wait(1.0), HangUp()), *asks(Wait(12), HangUp()))
            assert heard(report) == words("hello let me ask they are being rung i am sorry no")
            assert other.ended_by == "caller"
            assert states(office) == ["dialling", "talking", "failed"]
            nothing_is_left(office, report)

    run_virtual(main())


@pytest.mark.parametrize("kind", KINDS)
def test_a_caller_who_waits_for_them_is_not_taken_for_gone(kind: str) -> None:
    """He has nothing to say while they are rung and asked; once they were, his silence counts again."""

    async def main() -> None:
        idle = {"timeout": 3, "prompts": ["Are you there?"], "farewell": "Goodbye then."}
        office, _ = office_of(kind, idle=idle)
        async with office:
            refuses = callee(AwaitAgentSilence(), Wait(5), Speak(speak(NO)), Wait(9), ring=12.0)
            report, _ = await consult(office, refuses, *asks(Wait(60)))
            assert heard(report) == words(
                "hello let me ask they are being rung i am sorry meeting are you there goodbye then"
            )
            assert ending_of(office, parent_of(office)) == ("ended normally", "idle")
            nothing_is_left(office, report)

    run_virtual(main())


def test_a_caller_who_hangs_up_while_it_rings_leaves_nobody_ringing() -> None:
    async def main() -> None:
        office, _ = office_of("cascade")
        async with office:
            report, other = await consult(office, callee(ring=30.0), *asks(Wait(6), HangUp()))
            assert other.answered is None
            assert other.ended == pytest.approx(report.ended, abs=0.5)
            assert states(office) == ["dialling", "caller_gone"]
            assert ending_of(office, consulted(office))[1] == "cancelled"
            nothing_is_left(office, report)

    run_virtual(main())


def test_a_caller_who_hangs_up_before_jambonz_says_that_it_rings() -> None:
    async def main() -> None:
        office, exchange = office_of("cascade")
        async with office:
            exchange.faults = lambda method, _: setattr(exchange, "seconds", 16.0 if method == "POST" else 0.01)
            report, other = await consult(office, callee(ring=30.0), *asks(Wait(4), HangUp()))
            assert (other.answered, other.ended_by) == (None, "cancelled")
            assert other.ended == pytest.approx(other.started + 16.0, abs=0.1), "once it has, and was told to stop"
            assert states(office) == ["dialling", "caller_gone"]
            nothing_is_left(office, report)

    run_virtual(main())


@pytest.mark.parametrize("kind", KINDS)
def test_a_caller_who_hangs_up_while_they_talk(kind: str) -> None:
    async def main() -> None:
        office, _ = office_of(kind)
        async with office:
            report, other = await consult(office, callee(AwaitAgentSilence(), Wait(30)), *asks(Wait(8), HangUp()))
            assert heard_words(other.heard) == words(f"{ASKING} {WORDS.caller_gone}")
            assert other.ended_by == "jambonz"
            assert states(office) == ["dialling", "talking", "caller_gone"]
            assert ending_of(office, parent_of(office)) == ("ended normally", "caller")
            nothing_is_left(office, report)

    run_virtual(main())


def test_a_caller_who_hangs_up_when_the_other_is_in_the_room_already() -> None:
    async def main() -> None:
        office, _ = office_of("cascade")
        async with office:
            calling = asyncio.create_task(consult(office, callee(*TALK, Wait(60)), *asks(Wait(60))))
            await _until(office, "accepted")
            await asyncio.sleep(2.0)  # the agent tells the caller, and the other waits in the room
            [talking] = office.jambonz.created
            assert talking.running == "conference"
            [mine] = [call for sid, call in office.jambonz.calls.items() if sid != talking.info.call_sid]
            mine.hang_up()
            report, other = await calling
            assert other.ended == pytest.approx(report.ended, abs=0.5)
            assert states(office)[-1] == "caller_gone"
            assert ending_of(office, consulted(office)) == ("ended normally", "agent"), "it was us who hung up"
            nothing_is_left(office, report)

    run_virtual(main())


@pytest.mark.usefixtures("by_both")
def test_a_fault_of_ours_leaves_the_caller_with_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        office, _ = office_of("cascade")
        async with office:
            report, _ = await consult(office, callee(Wait(4), HangUp()), *asks(Wait(10), HangUp()))
            assert states(office) == ["dialling", "failed"]
            assert heard(report)[-4:] == words("i am sorry no")
            nothing_is_left(office, report)

    def fail(*_: Any) -> None:
        raise LookupError("simulated")

    monkeypatch.setattr(Consultation, "_enter", fail)
    run_virtual(main())


async def _until(office: Office, state: str) -> None:
    async with asyncio.timeout(30):
        while not any(  # noqa: ASYNC110 - it has no event
            call.transfers.status()["state"] == state for call in office.switchboard.calls
        ):
            await asyncio.sleep(0.02)


async def _runs(call: Simulated, verb: str) -> None:
    async with asyncio.timeout(30):
        while call.running != verb:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "when", ["before the caller leaves", "as the caller is sent there", "once the caller is there"]
)
def test_who_is_gone_before_they_have_met(when: str) -> None:
    """The caller comes back to the agent, or has never left."""

    async def main() -> None:
        office, _ = office_of("cascade")
        async with office:
            calling = asyncio.create_task(
                consult(office, callee(*TALK, Wait(60)), *asks(Wait(25), Speak(speak("never mind")), Wait(4), HangUp()))
            )
            await _until(office, "accepted")
            [talking] = office.jambonz.created
            [mine] = [call for sid, call in office.jambonz.calls.items() if sid != talking.info.call_sid]
            [call] = [one for one in office.switchboard.calls if one.record.row.parent_id is None]
            match when:
                case "before the caller leaves":
                    await _runs(talking, "conference")
                    await asyncio.sleep(0.3)
                case "as the caller is sent there":
                    await call.handing.asked.wait()
                case _:
                    await _runs(mine, "conference")
            talking.hang_up()
            report, _ = await calling
            assert heard(report)[-6:] == words("that did not work you said never mind")[-6:]
            assert states(office)[-1] == "failed"
            assert ending_of(office, parent_of(office)) == ("ended normally", "caller")
            assert not bridged(office)
            before = when.startswith("before")
            assert report.verbs == (["listen"] if before else ["listen", "conference", "listen"])
            nothing_is_left(office, report)

    run_virtual(main())


def test_there_is_one_consultation_at_a_time_and_its_status_can_be_asked_for() -> None:
    async def main() -> None:
        office, _ = office_of("cascade")
        async with office:
            more = (Speak(speak("what do they say")), Wait(3), Speak(speak("put me through")), Wait(6), HangUp())
            report, _ = await consult(office, callee(ring=40.0), *asks(Wait(4), *more))
            events = office.store.events[parent_of(office)]
            results = [event.data[0]["result"] for event in events if event.type == "function_results"]
            assert (
                results[0] == '{"status":"OK","reason":"Consultation started. Use transfer_status to check progress."}'
            )
            assert results[1] == '{"state":"dialling"}'
            assert '"status":"FAILED"' in results[2]
            assert "under way already" in results[2]
            assert states(office) == ["dialling", "caller_gone"]
            nothing_is_left(office, report)

    run_virtual(main())


def test_what_the_agent_of_the_consultation_is_told() -> None:
    async def main() -> None:
        prompt = {"source": "static", "from": "Ask for help. So far: ${parentTranscript}"}
        function = transfer_function(operation={"source": "static", "from": "consultative"}, transferPrompt=prompt)
        office, exchange = office_of("cascade", function, transferPrompt="Never used.")
        async with office:
            desk = callee(AwaitAgentSilence(), Speak(speak(NO)), Wait(30))
            await consult(office, desk, *asks(Wait(14), HangUp()))
            [told] = {
                m.content for told in office.model.told for m in told if m.role == "system" and "help" in m.content
            }
            assert told.startswith("Ask for help. So far: Agent: Hello.\nCaller: put me through")
            [body] = exchange.server.created_calls
            assert body["from"] in (NUMBER, f"+{NUMBER}")
            assert body["to"] == {"type": "phone", "number": DESK, "trunk": "My carrier"}
            assert body["timeout"] == 45
            record = office.store.started[consulted(office)]
            assert record.caller_id is not None
            assert record.caller_id.removeprefix("+") == NUMBER
            assert office.store.started[parent_of(office)].caller_id == CALLER

    run_virtual(main())


def test_what_the_call_of_a_consultation_does_not_have_of_that_of_the_caller() -> None:
    """Whoever is rung is not recorded, and no webhook told of him; he cannot be acted for by the caller's functions."""

    async def main() -> None:
        office, _ = office_of("cascade", CONSULT, STATUS, greeting="Hello there.", maxDuration=900)
        listener = office.store.listeners[NUMBER]
        options = replace(
            listener.options,
            recording={"enabled": True},
            metadata={"callHook": {"url": "https://hooks.example.com/", "hashKey": "k"}, "desk": "one"},
        )
        office.store.listeners = {NUMBER: replace(listener, options=options)}
        async with office:
            desk = callee(AwaitAgentSilence(), Speak(speak(NO)), Wait(30))
            await consult(office, desk, *asks(Wait(14), HangUp()))
            [other] = [session for session in office.sessions if session.record.row.parent_id is not None]
            own = other.listener
            assert (own.options.recording, own.options.metadata) == (None, {"desk": "one"})
            assert not own.agent.options.recording.enabled
            assert (own.agent.options.call_hook, own.agent.options.opening) == (None, None)
            assert [function.name for function in own.agent.functions] == ["accept_transfer", "reject_transfer"]
            assert own.agent.options.max_seconds == LONGEST_SECONDS

    run_virtual(main())


def test_feedback_where_it_is_wanted() -> None:
    async def main() -> None:
        function = transfer_function(
            operation={"source": "static", "from": "consultative"}, consultFeedback={"source": "static", "from": "true"}
        )
        office, _ = office_of("cascade", function)
        async with office:
            desk = callee(Wait(8), Speak(speak(NO)), Wait(30))
            report, _ = await consult(office, desk, *asks(Wait(18), HangUp()))
            assert heard(report) == words("hello let me ask they are being rung i am sorry no i am sorry meeting")

    run_virtual(main())


async def test_nobody_takes_the_call_of_a_caller_who_has_just_gone() -> None:
    """Whoever was rung is told, and not sent to an empty room."""
    call: Any = SimpleNamespace(over=asyncio.Event(), id="c")
    consultation = Consultation(call, TransferRequest(DESK))
    sent: list[str] = []
    consultation.other = cast(Any, SimpleNamespace(transfers=SimpleNamespace(will_meet=sent.append)))
    call.over.set()
    with pytest.raises(ToolFault, match="the caller has hung up"):
        consultation.accept()
    assert sent == []


@pytest.mark.parametrize("why", ["no api", "a SIP address", "nobody rings"])
def test_where_nobody_can_be_asked(why: str) -> None:
    async def main() -> None:
        office, exchange = office_of("cascade")
        if why == "no api":
            office.api = office.dialler = None
        async with office:
            calling = asyncio.create_task(office.call(Wait(6), HangUp()))
            await asyncio.sleep(2.0)
            [call] = office.switchboard.calls
            number = "sip:desk@example.com" if why == "a SIP address" else DESK
            wanted = TransferRequest(number, operation="consultative", fixed=True)
            if why == "nobody rings":
                exchange.server.feature_servers = 0
                await call.commands.transfer(wanted, None, {})
                await asyncio.sleep(0.5)
                assert call.transfers.status()["state"] == "failed"
            else:
                with pytest.raises(ToolFault, match="asked first"):
                    await call.commands.transfer(wanted, None, {})
            report = await calling
            nothing_is_left(office, report)
            assert heard(report)[:1] == ["hello"]

    run_virtual(main())


def test_a_limit_of_the_listener_does_not_keep_its_agent_from_asking() -> None:
    async def main() -> None:
        office, _ = office_of("cascade")
        office.store.places.limits["listener"] = 1
        async with office:
            desk = callee(AwaitAgentSilence(), Speak(speak(NO)), Wait(30))
            _, other = await consult(office, desk, *asks(Wait(14), HangUp()))
            assert other.answered is not None

    run_virtual(main())


def test_who_waits_alone_and_cannot_be_called_back_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        office, _ = office_of("cascade")
        async with office:
            calling = asyncio.create_task(consult(office, callee(*TALK, Wait(60)), *asks(Wait(60))))
            await _until(office, "accepted")
            [talking] = office.jambonz.created
            [mine] = [call for sid, call in office.jambonz.calls.items() if sid != talking.info.call_sid]
            [call] = [one for one in office.switchboard.calls if one.record.row.parent_id is None]

            async def fails(_: Any) -> None:
                raise ControlFailed("away")

            monkeypatch.setattr(call.control, "redirect", fails)
            await call.handing.asked.wait()
            talking.hang_up()
            report, _ = await calling
            assert report.ended_by == "jambonz"
            assert mine.gone.is_set()
            nothing_is_left(office, report)

    run_virtual(main())
