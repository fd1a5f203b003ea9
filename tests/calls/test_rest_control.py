"""Calls by webhooks, commanded by Jambonz's REST API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.control import CallControl, ControlFailed
from jambonz import verbs
from jambonz.rest import Refused, Unavailable, understood
from jambonz.simulator.caller import HangUp, Step, Wait
from jambonz.simulator.report import CallReport, VerbStarted
from jambonz.simulator.rest_api import ApiServer
from tests.calls.office import Office
from tests.clock import run_virtual
from tests.simulators.replies import ReplyModel, always


class Api:
    """The simulated REST API, and the calls of the simulated Jambonz behind it."""

    def __init__(self, office: Office) -> None:
        self.server = ApiServer(api_key="key")
        self.failure: Exception | None = None
        self._office = office

    async def request(self, method: str, path: str, body: Any = None) -> Any:
        await asyncio.sleep(0.01)
        if self.failure is not None:
            raise self.failure
        _, _, account, _, sid = path.split("/")
        assert account == self._office.jambonz.calls[sid].info.account_sid, "the call's own"
        self.server.account_sid = account
        self.server.calls.add(sid)
        authorization = {"Authorization": "Bearer key"}
        answer = self.server.handle(method, f"/v1{path}", authorization, json.dumps(body).encode())
        told = understood(answer.status, answer.body, path)
        hook = body.get("call_hook")
        await self._office.jambonz.update_call(sid, call_hook=hook and hook["url"], call_status=body.get("call_status"))
        return told

    @property
    def updates(self) -> list[Any]:
        return [update for _, update in self.server.updates]


Meanwhile = Callable[[Api, CallControl], Awaitable[None]]


def in_call(meanwhile: Meanwhile, check: Callable[[Api, CallReport], None], *steps: Step) -> None:
    async def main() -> None:
        office = Office({"options": {"greeting": "Hello."}}, ReplyModel(always("Yes.")))
        office.api = api = Api(office)
        async with office:
            calling = asyncio.create_task(office.call(*steps, application=False))
            await asyncio.sleep(1.0)
            [call] = office.switchboard.calls
            assert call.control is not None
            await meanwhile(api, call.control)
            report = await calling
            assert office.switchboard.calls == ()
            check(api, report)

    run_virtual(main())


def test_a_redirect_is_fetched() -> None:
    async def redirect(_: Api, control: CallControl) -> None:
        await control.redirect([verbs.say("One moment."), verbs.hangup()])

    def check(_: Api, report: CallReport) -> None:
        assert [event.verb for event in report.events if isinstance(event, VerbStarted)] == ["listen", "say", "hangup"]
        assert report.ended_by == "jambonz"
        [redirected] = report.hooks_of("session:redirect")
        assert redirected.status == 200

    in_call(redirect, check, Wait(30))


def test_hanging_up_is_at_once() -> None:
    async def hang_up(_: Api, control: CallControl) -> None:
        await control.hang_up()

    def check(_: Api, report: CallReport) -> None:
        assert report.ended_by == "jambonz"
        assert report.ended == pytest.approx(1.0, abs=0.1)

    in_call(hang_up, check, Wait(30))


def test_what_is_asked_for_is_as_the_rest_api_takes_it() -> None:
    async def command(_: Api, control: CallControl) -> None:
        await control.whisper([verbs.say("Psst.")])
        await control.dtmf("1w#", milliseconds=100)
        await control.record("startCallRecording", recording_id="r", siprec_server="sip:rec@example.com")

    def check(api: Api, report: CallReport) -> None:
        assert api.updates == [
            {"whisper": [{"verb": "say", "text": "Psst."}]},
            {"dtmf": {"digit": "1", "duration": 100}},
            {"dtmf": {"digit": "#", "duration": 100}},
            {"record": {"action": "startCallRecording", "recordingID": "r", "siprecServerURL": "sip:rec@example.com"}},
        ]
        assert report.ended_by == "caller"

    in_call(command, check, Wait(4), HangUp())


@pytest.mark.parametrize("failure", [Unavailable("it is away"), Refused(404, "no such call")])
def test_what_cannot_be_done_is_told_in_words(failure: Exception) -> None:
    async def command(api: Api, control: CallControl) -> None:
        api.failure = failure
        with pytest.raises(ControlFailed, match=f"call:status could not be given: {failure}"):
            await control.hang_up()
        with pytest.raises(ControlFailed, match="whisper takes say and play"):
            await control.whisper([verbs.hangup()])

    def check(_: Api, report: CallReport) -> None:
        assert report.ended_by == "caller"

    in_call(command, check, Wait(3), HangUp())


def test_nobody_who_was_not_sent_there_is_given_verbs() -> None:
    """A redirect hook that we did not ask for changes nothing."""

    async def nothing(api: Api, _: CallControl) -> None:
        office = api._office
        [call] = office.switchboard.calls
        await office.jambonz.update_call(call.call_sid, call_hook=f"http://service/jambonz/redirect/{call.id}")
        await office.jambonz.update_call(call.call_sid, call_hook="http://service/jambonz/redirect/another")

    def check(_: Api, report: CallReport) -> None:
        assert [event.verb for event in report.events if isinstance(event, VerbStarted)] == ["listen"]
        assert [hook.status for hook in report.hooks_of("session:redirect")] == [200, 200]

    in_call(nothing, check, Wait(2), HangUp())
