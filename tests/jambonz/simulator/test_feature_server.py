"""Calls on virtual time: hooks, verbs, sockets and endings as a feature server has them."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest

from jambonz.signature import verify
from jambonz.simulator.caller import Caller, Dtmf, HangUp, LosePackets, Phone, Speak, Step, Wait
from jambonz.simulator.commanding import Incompatible
from jambonz.simulator.ear import Ear
from jambonz.simulator.feature_server import SimulatedJambonz
from jambonz.simulator.outcomes import DialOutcome, Outcomes, ReferOutcome
from jambonz.simulator.report import CallReport, Dialled, SocketClosed, SocketFailed
from jambonz.simulator.transport import HookResponse
from tests.clock import run_virtual
from tests.jambonz.simulator.service import LISTEN, Leg, Service, tone


def call(
    service: Service, *steps: Step, jambonz: SimulatedJambonz | None = None, place: dict[str, Any] | None = None
) -> CallReport:
    simulated = jambonz or service.jambonz()
    caller = Caller(steps, patience=30.0)
    return run_virtual(simulated.place_call(to="+442079460000", from_="+447700900123", caller=caller, **(place or {})))


def sockets_closed(report: CallReport) -> list[tuple[int, str]]:
    return [(event.code, event.by) for event in report.events if isinstance(event, SocketClosed)]


# The call hook


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ([], "no application provided"),
        ({"verb": "answer"}, "malformed jambonz payload: must be array"),
        (HookResponse(200, "text/plain", b'[{"verb":"answer"}]'), "malformed jambonz payload: must be array"),
        (HookResponse(204, "", b""), "malformed jambonz payload: must be array"),
        ([{"verb": "pause", "length": 1, "foo": 1}], "pause: unknown property foo"),
        ([{"verb": "nope"}], "invalid instruction: nope"),
        (HookResponse(500, "application/json", b'[{"verb":"answer"}]'), "Unexpected HTTP Response"),
        (HookResponse(302, "application/json", b"[]"), "Unexpected HTTP Response"),
        (HookResponse(200, "application/json", b"[{"), "the answer is not JSON"),
    ],
)
def test_a_bad_answer_to_the_call_hook_is_480_and_no_status_is_ever_sent(reply: Any, reason: str) -> None:
    service = Service(reply)
    report = call(service)
    assert (report.ended_by, report.sip_status) == ("refused", 480)
    assert reason in report.reason
    assert [path for path, *_ in service.hooks] == ["/jambonz/call"]


def test_the_call_hook_has_ten_seconds() -> None:
    async def late(_: Any) -> Any:
        await asyncio.sleep(10.5)
        return [{"verb": "answer"}]

    report = call(Service(late))
    assert (report.sip_status, report.reason) == (480, "Headers Timeout Error")
    assert report.ended == pytest.approx(10.0)

    async def in_time(_: Any) -> Any:
        await asyncio.sleep(9.9)
        return [{"verb": "answer"}]

    assert call(Service(in_time)).sip_status == 200


def test_every_hook_is_signed_over_its_bytes() -> None:
    service = Service([LISTEN])
    call(service, Wait(1), HangUp(), jambonz=service.jambonz(webhook_secret="wh_secret_x", wall_clock=lambda: 1e9))
    assert len(service.hooks) == 5
    for _, _, headers, body in service.hooks:
        verify(headers["Jambonz-Signature"], body, ["wh_secret_x"], 1e9)


def test_unsigned_without_a_secret_and_with_basic_auth_where_given() -> None:
    service = Service([LISTEN])
    call(service, HangUp(), jambonz=service.jambonz(hook_auth=("u", "p")))
    for _, _, headers, _ in service.hooks:
        assert "Jambonz-Signature" not in headers
        assert headers["Authorization"] == "Basic dTpw"


def test_the_call_hook_brings_the_invite() -> None:
    service = Service([])
    call(service, place={"sip_headers": {"X-Tenant-Id": "t 1"}, "caller_name": "Ann"})
    payload = service.posted("/jambonz/call")[0]
    assert payload["sip"]["headers"]["X-Tenant-Id"] == "t 1"
    assert payload["sip"]["method"] == "INVITE"
    assert (payload["from"], payload["to"]) == ("+447700900123", "+442079460000")
    assert (payload["call_status"], payload["sip_status"], payload["caller_name"]) == ("trying", 100, "Ann")


@pytest.mark.parametrize(
    ("fragment", "failure", "attempts", "seconds"),
    [
        ("", 503, 1, 0.0),
        ("#rc=2", 503, 1, 0.0),
        ("#rc=2&rp=5xx", 503, 3, 1.5),
        ("#rc=4&rp=ct,all", 404, 5, 7.5),
        ("#rc=9&rp=4xx", 404, 6, 13.5),
    ],
)
def test_retries_are_asked_for_in_the_url(fragment: str, failure: int, attempts: int, seconds: float) -> None:
    service = Service(HookResponse(failure, "", b""), latency=0.0)
    report = call(service, jambonz=service.jambonz(call_hook="/jambonz/call" + fragment))
    assert len(service.hooks) == attempts
    assert report.ended == pytest.approx(seconds)


# States


def test_a_call_that_the_caller_ends() -> None:
    service = Service([LISTEN])
    report = call(service, Wait(2.5), HangUp())
    assert service.statuses == ["trying", "in-progress", "completed"]
    completed = service.posted("/jambonz/status")[-1]
    assert (completed["duration"], completed["call_termination_by"]) == (2, "caller")
    assert service.legs[0].closed == 1000
    assert sockets_closed(report) == [(1000, "jambonz")]
    assert (report.ended_by, report.sip_status) == ("caller", 200)
    assert service.posted("/next")[0]["call_status"] == "completed", "listen's action hook comes after the end, too"


def test_an_application_after_the_callers_end_is_not_run() -> None:
    service = Service([LISTEN], next=[{"verb": "say", "text": "never"}])
    report = call(service, HangUp())
    assert service.posted("/next")
    assert "never" not in "\n".join(report.notes)


def test_verbs_used_up_hang_up() -> None:
    service = Service([{"verb": "answer"}, {"verb": "pause", "length": 1.2}])
    report = call(service)
    assert service.statuses == ["trying", "in-progress", "completed"]
    assert service.posted("/jambonz/status")[-1]["call_termination_by"] == "jambonz"
    assert report.ended_by == "jambonz"
    assert report.seconds_of_sound == pytest.approx(1.2, abs=0.03)


def test_verbs_used_up_without_an_answer_are_603_and_only_trying_was_told() -> None:
    service = Service([{"verb": "pause", "length": 1}])
    report = call(service)
    assert (report.sip_status, report.ended_by) == (603, "refused")
    assert service.statuses == ["trying"]


def test_decline() -> None:
    service = Service([{"verb": "sip:decline", "status": 486, "reason": "Busy Here"}, {"verb": "answer"}])
    report = call(service)
    assert (report.sip_status, report.reason) == (486, "Busy Here")
    assert service.statuses == ["trying", "failed"]
    assert service.posted("/jambonz/status")[-1]["sip_status"] == 486


def test_decline_is_too_late_and_hangup_and_refer_too_early() -> None:
    report = call(Service([{"verb": "answer"}, {"verb": "sip:decline", "status": 486}]))
    assert (report.sip_status, report.ended_by) == (200, "jambonz")
    report = call(Service([{"verb": "hangup"}]))
    assert report.sip_status == 603
    report = call(Service([{"verb": "sip:refer", "referTo": "+44", "actionHook": "/next"}]))
    assert report.sip_status == 603
    assert report.hooks_of("verb:hook") == []


def test_the_caller_gives_up_ringing() -> None:
    service = Service([{"verb": "pause", "length": 100}])
    report = call(service, place={"abandon_after": 20})
    assert (report.ended_by, report.sip_status) == ("cancelled", 487)
    assert service.statuses == ["trying", "no-answer"]


def test_early_media_is_no_answer() -> None:
    service = Service([{"verb": "say", "text": "busy", "earlyMedia": True}, {"verb": "sip:decline", "status": 480}])
    report = call(service)
    assert service.statuses == ["trying", "early-media", "failed"]
    assert report.answered is None


def test_statuses_arrive_out_of_order_on_request() -> None:
    service = Service([{"verb": "answer"}])
    call(service, jambonz=service.jambonz(status_delays={"trying": 3.0, "in-progress": 1.0}))
    assert service.statuses == ["completed", "in-progress", "trying"]


def test_failing_status_hooks_mean_nothing() -> None:
    service = Service([{"verb": "answer"}, {"verb": "pause", "length": 1}])
    service.replies["/jambonz/status"] = HookResponse(500, "", b"")
    assert call(service).ended_by == "jambonz"


# Verbs


def test_a_tag_is_on_all_later_hooks_and_in_the_metadata_with_its_own_spelling() -> None:
    service = Service([{"verb": "tag", "data": {"tenantId": "t", "nested": {"innerKey": 1}}}, LISTEN])
    call(service, HangUp())
    tagged = {"tenantId": "t", "nested": {"innerKey": 1}}
    assert service.legs[0].texts[0]["customerData"] == tagged
    assert service.posted("/next")[0]["customerData"] == tagged
    assert service.posted("/jambonz/status")[-1]["customerData"] == tagged


def test_an_action_hooks_array_replaces_the_rest_and_anything_else_does_not() -> None:
    rest = [{"verb": "say", "text": "the rest"}]
    for reply, expected in (
        ([{"verb": "say", "text": "instead"}], "instead"),
        ([], "the rest"),
        ("", "the rest"),
        ({"verb": "say"}, "the rest"),
        (HookResponse(200, "text/plain", b'[{"verb":"hangup"}]'), "the rest"),
    ):
        service = Service([{"verb": "play", "url": "http://a/b.wav", "actionHook": "/next"}, *rest], next=reply)
        report = call(service)
        assert report.notes[-1] == f"say: {expected}"


def test_a_verb_that_does_not_expect_its_hook_to_fail_ends_the_call() -> None:
    service = Service(
        [{"verb": "play", "url": "http://a/b.wav", "actionHook": "/next"}, {"verb": "say", "text": "never"}],
        next=HookResponse(500, "", b""),
    )
    report = call(service)
    assert "say" not in "\n".join(report.notes)
    assert report.ended_by == "jambonz"


def test_redirect_goes_on_with_what_its_hook_answers() -> None:
    service = Service([{"verb": "redirect", "actionHook": "/next"}], next=[{"verb": "say", "text": "redirected"}])
    assert "say: redirected" in call(service).notes


def test_keys_for_gather() -> None:
    service = Service([{"verb": "gather", "input": ["digits"], "numDigits": 3, "timeout": 10, "actionHook": "/next"}])
    call(service, Wait(1), Dtmf("123"))
    result = service.posted("/next")[0]
    assert (result["reason"], result["digits"]) == ("dtmfDetected", "123")
    service = Service([{"verb": "gather", "timeout": 2, "actionHook": "/next"}])
    call(service)
    assert service.posted("/next")[0]["reason"] == "timeout"


@pytest.mark.parametrize(
    ("outcome", "statuses", "sip_status"),
    [
        (DialOutcome(), ["trying", "ringing", "in-progress", "completed"], 200),
        (DialOutcome("busy", 486), ["trying", "ringing", "busy"], 486),
        (DialOutcome("no-answer", 408), ["trying", "ringing", "no-answer"], 408),
    ],
)
def test_dial(outcome: DialOutcome, statuses: list[str], sip_status: int) -> None:
    dial = {"verb": "dial", "target": [{"type": "phone", "number": "+44123"}], "actionHook": "/next"}
    service = Service([{"verb": "answer"}, dial, {"verb": "say", "text": "after"}])
    report = call(service, jambonz=service.jambonz(outcomes=Outcomes(dials=(outcome,))))
    result = service.posted("/next")[0]
    assert (result["dial_call_status"], result["dial_sip_status"]) == (statuses[-1], sip_status)
    child = [hook for hook in service.posted("/jambonz/status") if hook["call_sid"] == result["dial_call_sid"]]
    assert [hook["call_status"] for hook in child] == statuses
    assert {hook["parent_call_sid"] for hook in child} == {report.call_sid}
    assert {hook["direction"] for hook in child} == {"outbound"}
    assert "say: after" in report.notes


def test_dial_answers_on_bridge_only_if_told_so() -> None:
    dial = {"verb": "dial", "target": [{"type": "phone", "number": "1"}], "answerOnBridge": True}
    service = Service([dial])
    report = call(service, jambonz=service.jambonz(outcomes=Outcomes(dials=(DialOutcome("busy", 486),))))
    assert report.sip_status == 603
    assert call(Service([dial])).answered == pytest.approx(1.13, abs=0.01)


def test_a_caller_who_hangs_up_while_dial_rings() -> None:
    dial = {"verb": "dial", "target": [{"type": "phone", "number": "1"}], "actionHook": "/next"}
    service = Service([{"verb": "answer"}, dial])
    report = call(service, Wait(0.5), HangUp())
    assert service.posted("/next")[0]["dial_call_status"] == "no-answer"
    assert report.ended_by == "caller"


DIAL = {"verb": "dial", "target": [{"type": "phone", "number": "+44123"}], "callerId": "+44999", "actionHook": "/next"}


def dialled(outcome: DialOutcome, *steps: Step, **properties: Any) -> tuple[Service, CallReport, Dialled]:
    service = Service([{"verb": "answer"}, DIAL | properties, {"verb": "say", "text": "after"}])
    report = call(service, *steps, jambonz=service.jambonz(outcomes=Outcomes(dials=(outcome,))))
    [one] = report.dials
    assert one.ended is not None, "nobody is left ringing or talking"
    result = service.posted("/next")[0]
    assert (result["dial_call_status"], result["dial_sip_status"]) == (one.call_status, one.sip_status)
    return service, report, one


def test_who_is_dialled_and_the_caller_hear_each_other() -> None:
    talk = DialOutcome(ring_seconds=2.0, talk_seconds=3.0, steps=(Wait(1), Speak(tone(500))))
    service, report, one = dialled(talk, Wait(4), Speak(tone(600)), headers={"X-Why": "test"})
    assert (one.party, one.caller_id, one.headers) == ("+44123", "+44999", {"X-Why": "test"})
    assert one.ear is not None
    assert one.answered is not None
    assert one.answered == pytest.approx(2.13, abs=0.05)
    [theirs] = report.ear.utterances()
    assert theirs.seconds == pytest.approx(0.5, abs=0.03)
    assert theirs.start == pytest.approx(one.answered + 1, abs=0.03)
    [ours] = one.ear.utterances()
    assert ours.seconds == pytest.approx(0.6, abs=0.03)
    assert one.ended == pytest.approx(one.answered + 4.5, abs=0.05), "who was dialled hangs up"
    assert service.posted("/jambonz/status")[-2]["duration"] == 4
    assert "say: after" in report.notes


@pytest.mark.parametrize("status", [480, 603])
def test_who_is_dialled_declines(status: int) -> None:
    _, report, one = dialled(DialOutcome("failed", status, ring_seconds=0.5))
    assert (one.call_status, one.answered) == ("failed", None)
    assert "say: after" in report.notes


def test_dial_rings_no_longer_than_its_timeout() -> None:
    service, report, one = dialled(DialOutcome(ring_seconds=40), timeout=7)
    assert (one.call_status, one.sip_status, one.answered) == ("no-answer", 487, None)
    assert one.ended == pytest.approx(one.rang + 7.1, abs=0.05)
    assert "in-progress" not in [hook["call_status"] for hook in service.posted("/jambonz/status")[2:]]
    assert "say: after" in report.notes


def test_the_talk_that_dial_began_has_a_time_limit() -> None:
    _, report, one = dialled(DialOutcome(talk_seconds=30), timeLimit=4)
    assert one.answered is not None
    assert one.ended == pytest.approx(one.answered + 4, abs=0.05)
    assert "say: after" in report.notes


def test_the_caller_hangs_up_on_who_was_dialled() -> None:
    _, report, one = dialled(DialOutcome(talk_seconds=30), Wait(5), HangUp())
    assert (one.call_status, one.ended) == ("completed", report.ended)
    assert report.ended_by == "caller"
    assert "say: after" not in "\n".join(report.notes)


def test_a_caller_who_hangs_up_leaves_nobody_ringing() -> None:
    _, report, one = dialled(DialOutcome(ring_seconds=20), Wait(5), HangUp())
    assert (one.call_status, one.sip_status, one.ended) == ("no-answer", 487, report.ended)


def test_a_refer_that_succeeds_ends_with_the_far_ends_bye() -> None:
    refer = {"verb": "sip:refer", "referTo": "+44123", "actionHook": "/next", "eventHook": "/event"}
    service = Service([{"verb": "answer"}, refer, {"verb": "say", "text": "never"}])
    report = call(service)
    assert service.posted("/event") == [
        {"event": "transfer-status", "call_status": 100},
        {"event": "transfer-status", "call_status": 200},
    ]
    result = service.posted("/next")[0]
    assert (result["refer_status"], result["final_referred_call_status"]) == (202, 200)
    assert report.ended_by == "caller"
    assert "never" not in "\n".join(report.notes)


@pytest.mark.parametrize(
    ("outcome", "seconds", "final"),
    [
        (ReferOutcome(603), 0.0, None),
        (ReferOutcome(202, 486, 2.0), 2.0, 486),
        (ReferOutcome(202, None), 15.0, None),
    ],
)
def test_after_a_refer_that_fails_the_next_verb_runs(outcome: ReferOutcome, seconds: float, final: int | None) -> None:
    refer = {"verb": "sip:refer", "referTo": "+44123", "actionHook": "/next"}
    service = Service([{"verb": "answer"}, refer, {"verb": "hangup"}])
    report = call(service, jambonz=service.jambonz(outcomes=Outcomes(refers=(outcome,))))
    result = service.posted("/next")[0]
    assert result["refer_status"] == outcome.status
    assert result.get("final_referred_call_status") == final
    assert report.ended_by == "jambonz"
    assert report.ended == pytest.approx(seconds, abs=0.1)


def test_verbs_that_are_not_simulated_say_so() -> None:
    service = Service([{"verb": "alert", "message": "x"}, {"verb": "enqueue", "name": "q"}])
    report = call(service, Wait(1), HangUp())
    assert "alert is not simulated" in "\n".join(report.notes)
    assert "enqueue is not simulated: the caller is held" in "\n".join(report.notes)


# Listen


def test_the_sockets_upgrade_and_first_text() -> None:
    verb = {
        **LISTEN,
        "wsAuth": {"username": "user", "password": "secret"},
        "metadata": {"gw_session": "abc", "callId": "ours"},
    }
    service = Service([verb])
    call(service, Wait(0.5), HangUp())
    url, headers = service.upgrades[0]
    assert url == "ws://service/audio"
    assert headers["Sec-WebSocket-Protocol"] == "audio.jambonz.org"
    assert headers["Authorization"] == "Basic dXNlcjpzZWNyZXQ="
    leg = service.legs[0]
    first = leg.texts[0]
    assert (first["sampleRate"], first["mixType"], first["gw_session"]) == (8000, "mono", "abc")
    assert first["callId"] == "ours", "metadata is merged last, over the call's own attributes"
    assert (first["callStatus"], first["sipStatus"]) == ("in-progress", 200)
    assert first["callSid"] == service.posted("/jambonz/call")[0]["call_sid"]
    assert leg.binaries


def test_the_callers_sound_comes_in_frames_of_uneven_size_from_the_start() -> None:
    service = Service([LISTEN])
    call(service, Wait(10), HangUp())
    leg = service.legs[0]
    assert len(leg.binaries[0]) == 640
    assert {len(data) for data in leg.binaries} == {320, 640}
    assert sum(map(len, leg.binaries)) == pytest.approx(10 * 16000, rel=0.02)


def test_no_packets_no_frames() -> None:
    service = Service([LISTEN])
    call(service, Wait(1), LosePackets(2), Wait(1), HangUp())
    times = service.legs[0].times
    assert max(later - earlier for earlier, later in pairwise(times)) == pytest.approx(2, abs=0.05)


def test_a_relative_url_is_the_applications_host_with_its_credentials() -> None:
    service = Service([{**LISTEN, "url": "/audio/1"}])
    call(service, HangUp(), jambonz=service.jambonz(hook_auth=("u", "p")))
    url, headers = service.upgrades[0]
    assert url == "ws://service/audio/1"
    assert headers["Authorization"] == "Basic dTpw"


def test_when_the_service_closes_the_action_hook_tells_a_duration_and_the_next_verb_runs() -> None:
    service = Service([LISTEN, {"verb": "say", "text": "after"}])

    def close_soon(leg: Leg) -> None:
        asyncio.get_running_loop().call_later(2.5, leg.socket.close, 1011)

    service.on_leg = close_soon
    report = call(service)
    assert service.posted("/next")[0]["dial_call_duration"] == 2
    assert sockets_closed(report) == [(1011, "service")]
    assert "say: after" in report.notes


@pytest.mark.parametrize("status", [403, 503])
def test_without_a_connection_the_action_hook_has_no_duration_and_the_next_verb_runs(status: int) -> None:
    service = Service([LISTEN, {"verb": "say", "text": "after"}])
    service.refuse_socket = status
    report = call(service)
    assert "dial_call_duration" not in service.posted("/next")[0]
    assert "say: after" in report.notes
    assert any(isinstance(event, SocketFailed) for event in report.events)


def test_disconnect_closes_with_1000_about_45_ms_later() -> None:
    service = Service([LISTEN], latency=0.0)
    closed: list[float] = []

    def start(leg: Leg) -> None:
        leg.command("disconnect")

    def accept(leg: Leg) -> None:
        leg.on_start = start
        leg.on_end = lambda _: closed.append(asyncio.get_running_loop().time())

    service.on_leg = accept
    report = call(service)
    assert sockets_closed(report) == [(1000, "jambonz")]
    assert closed[0] - (report.answered or 0) == pytest.approx(0.05 + 0.045, abs=0.005)
    assert service.posted("/next")


def test_an_action_hook_that_fails_lets_the_next_verb_run() -> None:
    for reply in (HookResponse(500, "", b""), [{"verb": "nope"}]):
        service = Service([LISTEN, {"verb": "say", "text": "after"}], next=reply)
        service.on_leg = lambda leg: setattr(leg, "on_start", lambda leg: leg.command("disconnect"))
        assert "say: after" in call(service).notes


def test_keys_during_listen() -> None:
    service = Service([{**LISTEN, "finishOnKey": "#"}, {"verb": "hangup"}])
    report = call(service, Wait(1), Dtmf("5#"))
    assert [text for text in service.legs[0].texts if "event" in text] == [
        {"event": "dtmf", "dtmf": "5", "duration": "960"},
        {"event": "dtmf", "dtmf": "#", "duration": "960"},
    ]
    assert service.posted("/next")[0]["digits"] == "#"
    assert report.ended_by == "jambonz"


def test_max_length_ends_listen() -> None:
    service = Service([{**LISTEN, "maxLength": 3}])
    report = call(service)
    assert service.posted("/next")[0]["dial_call_duration"] == 3
    assert report.ended_by == "jambonz"


def test_the_agent_is_heard() -> None:
    service = Service([LISTEN], latency=0.0)
    service.on_leg = lambda leg: setattr(leg, "on_start", lambda leg: leg.speak(tone(1000)))
    report = call(service, Wait(2), HangUp())
    [utterance] = report.ear.utterances()
    assert utterance.seconds == pytest.approx(1.0, abs=0.021)
    assert len(report.heard) == len(report.said)
    assert len(report.heard) / 16000 == pytest.approx(2, abs=0.021)
    assert report.underruns == []


def test_without_streaming_the_agent_is_not_heard() -> None:
    service = Service([{**LISTEN, "bidirectionalAudio": {"enabled": True, "sampleRate": 8000}}])
    service.on_leg = lambda leg: setattr(leg, "on_start", lambda leg: leg.speak(tone(1000)))
    assert call(service, Wait(2), HangUp()).ear.utterances() == []


@pytest.mark.parametrize("bad", ["a|b", "it's"])
def test_a_pipe_or_a_quote_in_the_metadata_corrupts_the_listen_command(bad: str) -> None:
    service = Service([{**LISTEN, "metadata": {"note": bad}}])
    service.on_leg = lambda leg: setattr(leg, "on_start", lambda leg: leg.speak(tone(1000)))
    report = call(service, Wait(2), HangUp())
    assert isinstance(service.legs[0].texts[0], str), "the first text is no JSON"
    assert report.ear.utterances() == []


def test_a_pipe_in_the_url_fails_to_connect() -> None:
    service = Service([{**LISTEN, "url": "ws://service/a|b"}])
    call(service)
    assert service.upgrades == []
    assert "dial_call_duration" not in service.posted("/next")[0]


def test_metadata_is_cut_at_8192_bytes_in_the_middle_of_the_json() -> None:
    service = Service([{**LISTEN, "metadata": {"long": "x" * 9000}}])
    call(service, Wait(0.2), HangUp())
    text = service.legs[0].texts[0]
    assert isinstance(text, str)
    assert len(text.encode()) == 8192
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)


# Live call control


def redirected(next_reply: Any) -> tuple[Service, CallReport]:
    service = Service([LISTEN], next=next_reply, transfer=[{"verb": "say", "text": "the transfer"}])
    jambonz = service.jambonz()

    def accept(leg: Leg) -> None:
        def start(leg: Leg) -> None:
            jambonz.update_call(leg.texts[0]["callSid"], {"call_hook": "/transfer"})

        leg.on_start = start

    service.on_leg = accept
    return service, call(service, jambonz=jambonz)


def test_after_a_redirect_listens_action_hook_still_fires() -> None:
    service, report = redirected("")
    assert service.posted("/transfer")[0]["call_status"] == "in-progress"
    assert len(service.posted("/next")) == 1
    assert "say: the transfer" in report.notes


def test_the_trap_an_array_from_listens_action_hook_replaces_the_redirected_application() -> None:
    _, report = redirected([{"verb": "say", "text": "the old application"}])
    assert "say: the old application" in report.notes
    assert "the transfer" not in "\n".join(report.notes)


def test_a_call_can_be_completed_from_outside() -> None:
    service = Service([LISTEN])
    jambonz = service.jambonz()

    async def run() -> CallReport:
        placing = asyncio.create_task(jambonz.place_call(to="1", from_="2", caller=Caller([Wait(50)])))
        await asyncio.sleep(2)
        [sid] = jambonz.calls
        jambonz.update_call(sid, {"call_status": "completed"})
        report = await placing
        with pytest.raises(Incompatible, match="call session is gone"):
            jambonz.update_call(sid, {"call_status": "completed"})
        return report

    report = run_virtual(run())
    assert report.ended_by == "jambonz"
    assert report.ended == pytest.approx(2)


# Many calls


def test_calls_on_one_simulator_do_not_disturb_each_other() -> None:
    service = Service([LISTEN])
    service.on_leg = lambda leg: setattr(leg, "on_start", lambda leg: leg.speak(tone(1000)))
    jambonz = service.jambonz(keep_audio=False)

    async def run() -> list[CallReport]:
        return await asyncio.gather(
            *(jambonz.place_call(to="1", from_=str(n), caller=Caller([Wait(1 + n / 10), HangUp()])) for n in range(20))
        )

    reports = run_virtual(run())
    assert [round(report.seconds_of_sound, 1) for report in reports] == [round(1 + n / 10, 1) for n in range(20)]
    assert all(report.heard == b"" and report.ear.utterances() for report in reports)


def test_a_failure_of_the_simulation_is_raised_and_ends_its_call_only() -> None:
    service = Service([LISTEN])
    jambonz = service.jambonz()

    class Broken(Caller):
        def frame(self, now: float, ear: Ear, phone: Phone) -> bytes | None:
            raise ZeroDivisionError

    async def run() -> list[CallReport | BaseException]:
        callers = (Broken([]), Caller([Wait(1), HangUp()]))
        calls = (jambonz.place_call(to="1", from_="2", caller=caller) for caller in callers)
        return await asyncio.gather(*calls, return_exceptions=True)

    failed, fine = run_virtual(run())
    assert isinstance(failed, ZeroDivisionError)
    assert isinstance(fine, CallReport)
    assert fine.ended_by == "caller"
