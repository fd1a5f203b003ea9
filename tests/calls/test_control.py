"""Commands in mid-call: by Jambonz's REST API where the call came by webhooks, and by the call's application socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.control import CallControl, ControlFailed
from jambonz import verbs
from jambonz.rest import Refused, Unavailable
from jambonz.simulator.caller import HangUp, Step, Wait
from jambonz.simulator.report import CallReport
from tests.calls.office import BASE, Office
from tests.calls.outbound_office import Fault, Lines
from tests.clock import run_virtual
from tests.simulators.replies import ReplyModel, always

Meanwhile = Callable[[Lines, CallControl], Awaitable[None]]


def in_call(meanwhile: Meanwhile, *steps: Step) -> CallReport:
    async def main() -> CallReport:
        office = Office({"options": {"greeting": "Hello."}}, ReplyModel(always("Yes.")))
        lines = Lines(office)
        async with office:
            calling = asyncio.create_task(office.call(*steps))
            await asyncio.sleep(1.0)
            [call] = office.switchboard.calls
            assert call.control is not None
            await meanwhile(lines, call.control)
            report = await calling
            assert office.switchboard.calls == ()
            assert office.said("error") == []
            return report

    return run_virtual(main())


@pytest.mark.usefixtures("by_both")
def test_commands_are_such_as_jambonz_takes() -> None:
    async def command(_: Lines, control: CallControl) -> None:
        await control.whisper([verbs.say("you are being recorded")])
        before = asyncio.get_running_loop().time()
        await control.dtmf("1w#", milliseconds=100)
        assert asyncio.get_running_loop().time() - before == pytest.approx(0.9, abs=0.03)
        await control.record("startCallRecording", recording_id="r", siprec_server="sip:rec@example.com")
        await control.record("stopCallRecording")

    report = in_call(command, Wait(4), HangUp())
    whispered, *keys, start, stop = [(name, data) for _, name, data in report.commands]
    assert whispered == ("whisper", {"whisper": [{"verb": "say", "text": "you are being recorded"}]})
    assert keys == [("dtmf", {"dtmf": {"digit": key, "duration": 100}}) for key in "1#"]
    recording = {"recordingID": "r", "siprecServerURL": "sip:rec@example.com"}
    assert start == ("record", {"action": "startCallRecording", **recording})
    assert (stop[0], stop[1]["action"]) == ("record", "stopCallRecording")
    assert report.notes == ["whisper: you are being recorded (say)", "dtmf: 1", "dtmf: #"]
    assert report.ended_by == "caller"


def test_a_redirect_replaces_what_is_left_and_our_hook_does_not_replace_it(by_both: str) -> None:
    async def redirect(_: Lines, control: CallControl) -> None:
        await control.redirect([verbs.say("One moment."), verbs.hangup()])

    report = in_call(redirect, Wait(30))
    assert report.verbs == ["listen", "say", "hangup"]
    assert report.ended_by == "jambonz"
    assert len(report.hooks_of("verb:hook")) == 1
    fetched = [hook.status for hook in report.hooks_of("session:redirect")]
    assert fetched == ([200] if by_both == "webhooks" else [])


@pytest.mark.usefixtures("by_both")
def test_hanging_up_is_at_once() -> None:
    async def hang_up(_: Lines, control: CallControl) -> None:
        await control.hang_up()

    report = in_call(hang_up, Wait(30))
    assert report.ended_by == "jambonz"
    assert report.ended == pytest.approx(1.0, abs=0.1)
    assert [(name, data) for _, name, data in report.commands] == [("call:status", {"call_status": "completed"})]


# By the REST API alone


def unreachable(method: str, path: str) -> Fault | None:
    return "unreachable"


def unknown(method: str, path: str) -> Fault | None:
    raise Refused(404, "no such call")


def away(method: str, path: str) -> Fault | None:
    raise Unavailable("it is away")


@pytest.mark.parametrize(
    ("fault", "words"), [(unreachable, ".* was not answered"), (unknown, "no such call"), (away, "it is away")]
)
def test_what_cannot_be_done_is_told_in_words(fault: Callable[[str, str], Fault | None], words: str) -> None:
    async def command(lines: Lines, control: CallControl) -> None:
        lines.faults = fault
        with pytest.raises(ControlFailed, match=f"call:status could not be given: {words}"):
            await control.hang_up()
        with pytest.raises(ControlFailed, match="whisper takes say and play"):
            await control.whisper([verbs.hangup()])

    assert in_call(command, Wait(3), HangUp()).ended_by == "caller"


def test_a_call_that_is_over_takes_no_commands() -> None:
    async def command(lines: Lines, control: CallControl) -> None:
        [call] = lines.office.jambonz.calls.values()
        await call.gone.wait()  # and we have not heard of it
        with pytest.raises(ControlFailed, match="dtmf could not be given: call session is gone"):
            await control.dtmf("1")

    assert in_call(command, Wait(2), HangUp()).commands == []


def test_nobody_who_was_not_sent_there_is_given_verbs() -> None:
    """A redirect hook that we did not ask for changes nothing: one that is answered would end our ``listen``."""

    async def stray(lines: Lines, _: CallControl) -> None:
        office = lines.office
        [call] = office.switchboard.calls
        for there in (call.id, "another"):
            office.jambonz.update_call(call.call_sid, {"call_hook": {"url": f"{BASE}/jambonz/redirect/{there}"}})

    report = in_call(stray, Wait(2), HangUp())
    assert report.verbs == ["listen"]
    assert report.ended_by == "caller"
    assert [hook.status for hook in report.hooks_of("session:redirect")] == [404, 404]
