"""Calls that the application has placed: ringing, answers, and what is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from jambonz.simulator.amd import Heard
from jambonz.simulator.caller import HangUp, Wait
from jambonz.simulator.commanding import Incompatible
from jambonz.simulator.feature_server import SimulatedJambonz
from jambonz.simulator.outgoing import Callee
from jambonz.simulator.report import CallReport
from tests.clock import run_virtual
from tests.jambonz.simulator.service import Service
from tests.jambonz.simulator.test_application import Application

PARTY = "+442079460000"
PAUSE, HANGUP = {"verb": "pause", "length": 2}, {"verb": "hangup"}


def body(**more: Any) -> dict[str, Any]:
    hooks = {
        name: {"url": f"http://service/jambonz/{at}"}
        for name, at in (("call_hook", "call"), ("call_status_hook", "status"))
    }
    return {
        "from": "+447700900123",
        "to": {"type": "phone", "number": PARTY},
        "tag": {"trunkline": "c-1"},
        **hooks,
        **more,
    }


def placed(
    service: Service | Application,
    callee: Callee,
    *,
    meanwhile: Callable[[SimulatedJambonz], Any] | None = None,
    **more: Any,
) -> CallReport:
    async def main() -> CallReport:
        jambonz = SimulatedJambonz(base_url="http://elsewhere", transport=service.transport)
        jambonz.callees[PARTY] = callee
        jambonz.create_call(body(**more), call_sid="sid", account_sid="account")
        if meanwhile is not None:
            await meanwhile(jambonz)
        [report] = await jambonz.placed()
        assert jambonz.calls == {}
        return report

    return run_virtual(main())


def test_the_application_is_fetched_once_there_is_an_answer_and_not_before() -> None:
    service = Service([PAUSE, HANGUP])
    report = placed(service, Callee(ring_seconds=3.0, early_media=True))
    assert service.statuses == ["trying", "early-media", "in-progress", "completed"]
    [hook] = service.posted("/jambonz/call")
    assert (hook["direction"], hook["call_status"], hook["call_sid"]) == ("outbound", "in-progress", "sid")
    assert hook["customerData"] == {"trunkline": "c-1"}
    assert "sip" not in hook
    [new] = report.hooks_of("session:new")
    assert new.sent == pytest.approx(3.0)
    assert report.answered == pytest.approx(3.0)
    assert report.ended_by == "jambonz"


@pytest.mark.parametrize(
    ("sip_status", "status"), [(486, "busy"), (603, "busy"), (404, "failed"), (480, "failed"), (503, "failed")]
)
def test_who_does_not_answer_says_so(sip_status: int, status: str) -> None:
    service = Service([HANGUP])
    report = placed(service, Callee(sip_status=sip_status))
    assert service.statuses == ["trying", "ringing", status]
    assert service.posted("/jambonz/status")[-1]["sip_status"] == sip_status
    assert service.posted("/jambonz/call") == []
    assert report.ended_by == "refused"


@pytest.mark.parametrize("callee", [Callee(sip_status=None), Callee(ring_seconds=30.0)])
def test_nobody_rings_for_longer_than_the_timeout(callee: Callee) -> None:
    service = Service([HANGUP])
    report = placed(service, callee, timeout=10)
    assert service.statuses[-1] == "no-answer"
    assert service.posted("/jambonz/status")[-1]["sip_status"] == 487
    assert report.ended == pytest.approx(10.0)
    assert report.ended_by == "cancelled"


@pytest.mark.parametrize(("status", "ended", "by"), [("no-answer", 1.0, "cancelled"), ("completed", 5.0, "caller")])
def test_only_no_answer_ends_the_ringing(status: str, ended: float, by: str) -> None:
    async def meanwhile(jambonz: SimulatedJambonz) -> None:
        await asyncio.sleep(1.0)
        if status == "no-answer":
            jambonz.update_call("sid", {"call_status": status})
        else:
            with pytest.raises(Incompatible, match="current call state is incompatible"):
                jambonz.update_call("sid", {"call_status": status})

    report = placed(Service([{"verb": "pause", "length": 60}]), Callee((Wait(3.0), HangUp())), meanwhile=meanwhile)
    assert report.ended == pytest.approx(ended, abs=0.05)
    assert report.ended_by == by


def test_no_answer_leaves_a_call_that_was_answered() -> None:
    async def meanwhile(jambonz: SimulatedJambonz) -> None:
        await asyncio.sleep(3.0)
        with pytest.raises(Incompatible):
            jambonz.update_call("sid", {"call_status": "no-answer"})

    report = placed(Service([{"verb": "pause", "length": 60}]), Callee((Wait(3.0), HangUp())), meanwhile=meanwhile)
    assert report.ended_by == "caller"


def test_a_call_lasts_no_longer_than_its_limit() -> None:
    report = placed(Service([{"verb": "pause", "length": 600}]), Callee((Wait(900.0),)), timeLimit=30)
    assert report.ended == pytest.approx(32.0)
    assert report.ended_by == "jambonz"


def test_a_hook_that_fails_ends_the_call_and_one_without_verbs_leaves_silence() -> None:
    assert placed(Service([{"verb": "nope"}]), Callee()).ended == pytest.approx(2.0, abs=0.1)
    silent = placed(Service(""), Callee((Wait(4.0), HangUp())))
    assert silent.ended == pytest.approx(6.0, abs=0.1)
    assert silent.ended_by == "caller"
    assert any("in silence" in note for note in silent.notes)


MACHINE = Callee(
    (Wait(20.0),),
    heard=(Heard(1.0, "hello", False), Heard(4.0, "hello you have reached ann please leave a message after the tone")),
    beep_at=5.0,
)
AMD = {"actionHook": "/jambonz/amd", "recognizer": {"vendor": "deepgram", "language": "en-GB"}}


def test_what_is_found_out_about_who_answers_is_told_to_a_hook() -> None:
    service = Service([{"verb": "pause", "length": 30}])
    report = placed(service, MACHINE, amd=AMD)
    told = service.posted("/jambonz/amd")
    assert [one["type"] for one in told] == [
        "amd_machine_detected",
        "amd_tone_detected",
        "amd_machine_stopped_speaking",
        "amd_stopped",
    ]
    assert told[0]["greeting"].endswith("after the tone")
    assert told[0]["call_sid"] == "sid"
    assert [round(hook.sent - 2.0, 2) for hook in report.hooks_of("verb:hook")] == [4.0, 5.0, 6.0, 6.0]


def test_verbs_in_the_answer_to_it_replace_the_call() -> None:
    service = Service([{"verb": "pause", "length": 30}])
    service.replies["/jambonz/amd"] = [HANGUP]
    assert placed(service, MACHINE, amd=AMD).ended == pytest.approx(6.0, abs=0.1)


def test_without_credentials_nothing_is_ever_told() -> None:
    service = Service([PAUSE, HANGUP])
    placed(service, Callee(heard=(Heard(1.0, "hello"),), hears=False), amd=AMD)
    assert service.posted("/jambonz/amd") == []


def test_a_socket_begins_with_states_and_has_no_session_before_the_answer() -> None:
    application = Application([PAUSE, HANGUP])
    hook = {"url": "ws://service/app"}
    placed(application, Callee(), call_hook=hook, call_status_hook=hook)
    kinds = [message["type"] for message in application.messages]
    assert kinds[:3] == ["call:status", "call:status", "session:new"]
    assert [message.get("call_sid") for message in application.messages[:2]] == [None, None]
    assert application.messages[0]["data"]["call_sid"] == "sid"
    assert len(application.upgrades) == 1


def test_a_socket_with_another_status_hook_begins_at_the_answer() -> None:
    application = Application([PAUSE, HANGUP])
    placed(application, Callee(), call_hook={"url": "ws://service/app"})
    assert application.messages[0]["type"] == "session:new"
    assert application.messages[0]["call_sid"] == "sid"
    assert any("status" in url for url in application.posted)
