"""Calls by Jambonz's WebSocket application API: sockets that are lost and come back, and commands in mid-call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.control import RECONNECT_SECONDS, ControlFailed, SocketControl
from gateway.session import CallSession
from jambonz import verbs
from jambonz.simulator.caller import AwaitAgentSilence, HangUp, Speak, Step, Wait
from jambonz.simulator.report import CallReport
from jambonz.simulator.transport import SocketRefused
from tests.calls.handover_office import NUMBER, HandoverOffice, asks
from tests.calls.office import Office
from tests.calls.test_handover import agent, dying
from tests.clock import run_virtual
from tests.simulators.codeword import heard_words, plain_words, speak
from tests.simulators.replies import ReplyModel, always

GREETING: dict[str, Any] = {"options": {"greeting": "Hello there."}}
TALK: list[Step] = [AwaitAgentSilence(), Speak(speak("i want a table")), AwaitAgentSilence(), HangUp()]
WORDS = plain_words("hello there you want a table")

Meanwhile = Callable[[Office, CallSession, SocketControl], Awaitable[None]]


def in_call(meanwhile: Meanwhile, check: Callable[[Office, CallReport], None], *steps: Step) -> None:
    """A call by the socket; ``meanwhile`` is done from the moment at which the agent is heard."""

    async def main() -> None:
        async with Office(GREETING, ReplyModel(always("You want a table."))) as office:
            calling = asyncio.create_task(office.call(*(steps or TALK), application=True))
            await asyncio.sleep(1.0)
            [call] = office.switchboard.calls
            assert isinstance(call.control, SocketControl)
            await meanwhile(office, call, call.control)
            report = await calling
            assert office.switchboard.calls == ()
            check(office, report)

    run_virtual(main())


# Sockets that are lost


@pytest.mark.parametrize(("later", "ending"), [(0.0, "caller"), (0.015, "media_lost"), (0.2, "caller")])
def test_both_sockets_of_a_call_are_lost(later: float, ending: str) -> None:
    """As a proxy that is restarted does it. Of a hook that is just on its way Jambonz asks no second time."""

    async def meanwhile(office: Office, call: CallSession, control: SocketControl) -> None:
        office.legs[-1].close(1006)
        await asyncio.sleep(later)
        office.applications[-1].close(1006)

    def check(office: Office, report: CallReport) -> None:
        assert office.ending() == ending
        assert (report.ended_by == "caller") is (ending == "caller")
        assert len(office.legs) == (2 if ending == "caller" else 1)

    in_call(meanwhile, check, Wait(8.0), HangUp())


@pytest.mark.parametrize("times", [1, 3])
def test_a_call_outlives_its_application_socket(times: int) -> None:
    async def lose(office: Office, call: CallSession, control: SocketControl) -> None:
        for _ in range(times):
            office.applications[-1].close(1011)
            await asyncio.sleep(2.5)
        await control.dtmf("1")

    def check(office: Office, report: CallReport) -> None:
        assert heard_words(report.heard) == WORDS
        assert len(report.hooks_of("session:reconnect")) == times
        assert all(hook.answered for hook in report.hooks_of("session:reconnect"))
        assert [command for _, command, _ in report.commands] == ["dtmf"]
        assert report.application_closes == [1011] * times + [1000]
        assert report.verbs == ["listen"]
        assert office.ending() == "caller"
        assert len(office.store.started) == 1

    in_call(lose, check, *TALK[:-1], Wait(8), HangUp())


@pytest.mark.parametrize("after", [0.1, 0.45, 0.55])
def test_a_socket_that_is_lost_before_the_call_has_its_application(after: float) -> None:
    """While it is looked up who answers, or while the answer is on its way: the next socket gets it."""

    async def main() -> None:
        async with Office(GREETING, ReplyModel(always("You want a table.")), latency=0.04) as office:
            office.store.look_up_seconds = 0.4
            calling = asyncio.create_task(office.call(*TALK, application=True))
            await asyncio.sleep(after)
            office.applications[0].close(1011)
            report = await calling
            assert heard_words(report.heard) == WORDS
            assert len(office.applications) == 2
            assert len(office.store.started) == 1, "it is one call"
            assert office.ending() == "caller"

    run_virtual(main())


def test_a_caller_is_put_through_by_the_socket_that_came_back() -> None:
    async def main() -> None:
        async with HandoverOffice(agent(number=NUMBER), dying()) as office:
            calling = asyncio.create_task(office.call(AwaitAgentSilence(), *asks(Wait(30)), application=True))
            while not office.legs or not office.switchboard.calls[0].handing.leaving:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.005)
            office.applications[0].close(1012)  # it is gone when Jambonz asks what is next
            report = await calling
            assert report.verbs == ["listen", "dial", "hangup"]
            assert office.ending() == "transferred"
            assert len(report.hooks_of("session:reconnect")) == 1

    run_virtual(main())


def test_where_jambonz_does_not_come_back_the_call_ends_as_its_verbs_say() -> None:
    async def lose(office: Office, call: CallSession, control: SocketControl) -> None:
        office.transport._accept = _refuse
        office.applications[0].close(1011)

    def check(office: Office, report: CallReport) -> None:
        assert heard_words(report.heard) == WORDS, "the audio has a socket of its own"
        assert office.ending() == "caller"
        assert "the application socket did not come back" in "\n".join(report.notes)

    in_call(lose, check)


def _refuse(*_: Any) -> None:
    raise SocketRefused("nobody is there")


# Commands


def test_verbs_can_be_watched() -> None:
    async def watch(office: Office, call: CallSession, control: SocketControl) -> None:
        await control.whisper([verbs.say("not told of")])
        await control.notify_of_verbs()
        await control.whisper([verbs.say("told of")])
        await asyncio.sleep(0.1)
        await control.notify_of_verbs(wanted=False)
        await control.whisper([verbs.say("not told of any more")])

    def check(office: Office, report: CallReport) -> None:
        assert office.status("verb") == [{"name": "say", "event": "start-playback"}]
        assert len(report.commands) == 5

    in_call(watch, check)


def test_what_jambonz_cannot_do_is_in_the_calls_log() -> None:
    async def command(office: Office, call: CallSession, control: SocketControl) -> None:
        await office.applications[0].send(json.dumps({"type": "command", "command": "fly", "data": {"to": "the moon"}}))
        await office.applications[0].send(json.dumps({"type": "shout", "data": {}}))

    def check(office: Office, report: CallReport) -> None:
        assert office.said("error") == [
            "Jambonz: InvalidMessage: invalid command: fly",
            "Jambonz: InvalidMessage: invalid type property: shout",
        ]
        assert heard_words(report.heard) == WORDS

    in_call(command, check)


def test_a_command_waits_for_the_socket_to_come_back() -> None:
    async def command(office: Office, call: CallSession, control: SocketControl) -> None:
        office.applications[0].close(1011)
        await asyncio.sleep(0.05)
        await control.dtmf("5")

    def check(office: Office, report: CallReport) -> None:
        [(at, _, _)] = report.commands
        assert at - report.started > 1.4, "Jambonz comes back after half a second"

    in_call(command, check)


def test_commands_that_cannot_be_given_are_refused_in_words() -> None:
    refused: list[tuple[str, float]] = []

    async def expect(work: Awaitable[None]) -> None:
        before = asyncio.get_running_loop().time()
        with pytest.raises(ControlFailed) as failed:
            await work
        refused.append((str(failed.value), asyncio.get_running_loop().time() - before))

    async def command(office: Office, call: CallSession, control: SocketControl) -> None:
        await expect(control.dtmf("1x"))
        await expect(control.whisper([verbs.hangup()]))
        await expect(control.redirect([verbs.say("x" * 30_000)]))
        await control.hang_up()
        await asyncio.sleep(0.2)
        await expect(control.hang_up())

    def check(office: Office, report: CallReport) -> None:
        assert [sentence.partition(";")[0] for sentence, _ in refused] == [
            "dtmf takes up to 64 of 0-9, *, # and A-D, and w and p for pauses of 0.5 and 2 s",
            "whisper takes say and play, and at least one of them",
            "redirect has 30094 bytes",
            "call:status cannot be given: Jambonz has closed the call's socket",
        ]
        assert all(seconds < 0.01 for _, seconds in refused)
        assert [command for _, command, _ in report.commands] == ["call:status"]

    in_call(command, check, Wait(30))


def test_a_command_does_not_wait_for_ever() -> None:
    async def main() -> None:
        control = SocketControl()
        with pytest.raises(ControlFailed, match="the call's socket is lost"):
            await control.hang_up()
        assert asyncio.get_running_loop().time() == RECONNECT_SECONDS

    run_virtual(main())


def test_a_call_by_webhooks_has_no_commands() -> None:
    async def main() -> None:
        async with Office(GREETING, ReplyModel(always("Yes."))) as office:
            calling = asyncio.create_task(office.call(Wait(1), HangUp(), application=False))
            await asyncio.sleep(0.5)
            assert [call.control for call in office.switchboard.calls] == [None]
            assert office.applications == []
            await calling

    run_virtual(main())
