"""The simulated Jambonz as the client of a WebSocket application, on virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from jambonz.simulator.application import MAX_PAYLOAD
from jambonz.simulator.caller import Caller, HangUp, Step, Wait
from jambonz.simulator.feature_server import SimulatedJambonz
from jambonz.simulator.memory import MemoryEnd, MemoryTransport
from jambonz.simulator.outcomes import DialOutcome, Outcomes
from jambonz.simulator.report import CallReport
from jambonz.simulator.requestor import basic_auth
from jambonz.simulator.transport import HookResponse, SocketRefused
from tests.clock import run_virtual

HANGUP = {"verb": "hangup"}
SAY = {"verb": "say", "text": "Hello."}
HOOK = "ws://service/app"


class Application:
    """One whose answers a test gives: to ``session:new`` with ``verbs``, to others by ``replies``; ``None`` is no
    acknowledgement at all."""

    def __init__(self, verbs: Any, **replies: Any) -> None:
        self.replies = {"session:new": verbs, **{name.replace("_", ":"): reply for name, reply in replies.items()}}
        self.messages: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.upgrades: list[Mapping[str, str]] = []
        self.sockets: list[MemoryEnd] = []
        self.closes: list[int] = []
        self.posted: list[str] = []
        self.refuse: Callable[[int], SocketRefused | None] = lambda _attempt: None
        self.on_message: Callable[[dict[str, Any]], None] = lambda _message: None
        self.transport = MemoryTransport(self._answer, self._accept, latency=0.005)

    def call(
        self, *steps: Step, hook: Any = HOOK, then: Callable[[], Awaitable[None]] | None = None, **options: Any
    ) -> CallReport:
        async def main() -> CallReport:
            jambonz = SimulatedJambonz(base_url="http://service", transport=self.transport, call_hook=hook, **options)
            caller = Caller(steps, patience=60.0)
            calling = asyncio.create_task(jambonz.place_call(to="+442", from_="+441", caller=caller))
            if then is not None:
                await then()
            report = await calling
            await asyncio.sleep(0.1)
            return report

        return run_virtual(main())

    def command(self, command: str, data: Any, **more: Any) -> None:
        self.say({"type": "command", "command": command, "data": data, **more})

    def say(self, message: Any) -> None:
        self.sockets[-1].send_text(message if isinstance(message, str) else json.dumps(message))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    # The wire

    async def _answer(self, url: str, _body: bytes, _headers: Mapping[str, str]) -> HookResponse:
        self.posted.append(url)
        return HookResponse(200, "application/json", json.dumps([SAY, HANGUP]).encode())

    def _accept(self, url: str, headers: Mapping[str, str], socket: MemoryEnd) -> None:
        self.upgrades.append(headers)
        refused = self.refuse(len(self.upgrades))
        if refused is not None:
            raise refused
        assert url == HOOK
        self.sockets.append(socket)
        socket.attach(self)

    def on_text(self, text: str) -> None:
        message = json.loads(text)
        self.messages.append(message)
        self.times.append(asyncio.get_running_loop().time())
        self.on_message(message)
        reply = self.replies.get(message["type"], "")
        if callable(reply):
            reply = reply(message)
        if (message["type"].endswith(":status") and message["type"] != "queue:status") or message[
            "type"
        ] == "jambonz:error":
            return
        if reply is not None:
            self.say({"type": "ack", "msgid": message["msgid"]} | ({"data": reply} if reply != "" else {}))

    def on_binary(self, data: bytes) -> None:
        raise AssertionError("messages are texts")

    def on_closed(self, code: int) -> None:
        self.closes.append(code)


# One socket


def test_everything_goes_by_one_socket() -> None:
    app = Application([{**SAY, "id": "greeting"}, {"verb": "redirect", "actionHook": "/next"}], verb_hook=[HANGUP])
    report = app.call()
    assert (report.ended_by, report.sip_status) == ("jambonz", 200)
    assert report.verbs == ["say", "redirect", "hangup"]
    assert [message["type"] for message in app.messages] == [
        "session:new", "call:status", "call:status", "verb:hook", "call:status",
    ]  # fmt: skip
    assert [message["data"]["call_status"] for message in app.of("call:status")] == [
        "trying", "in-progress", "completed",
    ]  # fmt: skip
    first, hook = app.messages[0], app.of("verb:hook")[0]
    assert "hook" not in first
    assert first["data"]["sip"]["headers"]["X-Account-Sid"]
    assert hook["hook"] == "/next"
    assert {message["call_sid"] for message in app.messages} == {report.call_sid}
    assert len({message["msgid"] for message in app.messages}) == len(app.messages)
    assert app.upgrades == [{"Sec-WebSocket-Protocol": "ws.jambonz.org", "User-Agent": "jambonz"}]
    assert app.closes == [1000]
    assert app.posted == []


def test_the_call_hooks_credentials_are_those_of_the_upgrade() -> None:
    app = Application([SAY, HANGUP])
    app.call(hook={"url": HOOK, "username": "u", "password": "p"})
    assert app.upgrades[0]["Authorization"] == basic_auth("u", "p")


def test_an_absolute_hook_is_a_webhook() -> None:
    app = Application([{"verb": "redirect", "actionHook": "http://elsewhere/hook"}])
    report = app.call()
    assert app.posted == ["http://elsewhere/hook"]
    assert report.verbs == ["redirect", "say", "hangup"]
    assert app.of("verb:hook") == []


def test_legs_that_are_dialled_tell_their_states_on_the_socket() -> None:
    dial = {"verb": "dial", "target": [{"type": "phone", "number": "+443"}], "actionHook": "/dialled"}
    app = Application([dial, HANGUP])
    app.call(outcomes=Outcomes(dials=(DialOutcome("busy", 486),)))
    children = [message for message in app.of("call:status") if message["data"].get("parent_call_sid")]
    assert [message["data"]["call_status"] for message in children] == ["trying", "ringing", "busy"]
    assert {message["call_sid"] for message in children} == {app.messages[0]["call_sid"]}, "the socket's call"
    assert app.of("verb:hook")[0]["data"]["dial_call_status"] == "busy"


# The first answer


@pytest.mark.parametrize(
    ("verbs", "reason"),
    [
        (None, "timeout from far end"),
        ("", "malformed jambonz payload: must be array"),
        ([], "no application provided"),
        ([{"verb": "nope"}], "invalid instruction: nope"),
        ([{"verb": "pause", "length": 1, "foo": 1}], "pause: unknown property foo"),
    ],
)
def test_a_bad_answer_to_a_new_session_is_480(verbs: Any, reason: str) -> None:
    app = Application(verbs)
    report = app.call()
    assert (report.ended_by, report.sip_status) == ("refused", 480)
    assert reason in report.reason
    assert report.ended == pytest.approx(5.01 if verbs is None else 0.02, abs=0.02)
    assert app.closes == [1001]
    assert len(app.messages) == 1


@pytest.mark.parametrize(
    ("status", "hook", "attempts"),
    [(None, HOOK, 6), (None, HOOK + "#rc=1", 2), (403, HOOK, 1), (503, HOOK + "#rp=5xx&rc=2", 3), (503, HOOK, 1)],
)
def test_which_failures_to_connect_are_tried_again(status: int | None, hook: str, attempts: int) -> None:
    app = Application([SAY, HANGUP])
    app.refuse = lambda _: SocketRefused("no", status)
    report = app.call(hook=hook)
    assert (report.ended_by, report.sip_status) == ("refused", 480)
    assert len(app.upgrades) == attempts
    app = Application([SAY, HANGUP])
    app.refuse = lambda attempt: SocketRefused("no", status) if attempt < attempts else None
    assert app.call(hook=hook).sip_status == 200


def test_the_handshake_has_a_second_and_a_half() -> None:
    app = Application([SAY, HANGUP])
    app.transport.latency = 0.8
    report = app.call(hook=HOOK + "#rc=0")
    assert (report.sip_status, report.reason) == (480, "Opening handshake has timed out")
    assert report.ended == pytest.approx(1.5)


# Lost sockets


def test_a_socket_that_is_lost_comes_back_with_the_first_data() -> None:
    app = Application([{"verb": "pause", "length": 20}, SAY, HANGUP])

    async def lose() -> None:
        for _ in range(3):
            await asyncio.sleep(3)
            app.sockets[-1].close(1011)

    report = app.call(then=lose)
    again = app.of("session:reconnect")
    assert [message["data"] for message in again] == [app.messages[0]["data"]] * 3
    lost = [app.times[app.messages.index(message)] for message in again]
    assert lost == pytest.approx([3.5, 7.0, 11.0], abs=0.05), "the pauses grow"
    assert (report.ended_by, report.application_closes) == ("jambonz", [1011, 1011, 1011, 1000])


def test_what_is_to_be_sent_meanwhile_waits_for_the_reconnect() -> None:
    verbs = [{"verb": "pause", "length": 2}, {"verb": "redirect", "actionHook": "/next"}]
    app = Application(verbs, verb_hook=[SAY, HANGUP])

    async def lose() -> None:
        await asyncio.sleep(1.9)
        app.sockets[-1].close(1012)

    report = app.call(then=lose)
    kinds = [message["type"] for message in app.messages]
    assert kinds.index("session:reconnect") < kinds.index("verb:hook")
    assert report.verbs == ["pause", "redirect", "say", "hangup"]


def test_a_hook_that_was_under_way_is_lost_and_the_next_verb_runs() -> None:
    listen = {"verb": "gather", "timeout": 1, "actionHook": "/next"}
    app = Application([listen, SAY, HANGUP], verb_hook=None)
    app.on_message = lambda message: app.sockets[-1].close(1011) if message["type"] == "verb:hook" else None
    report = app.call()
    assert "abandoning msgid" in "\n".join(report.notes)


@pytest.mark.parametrize("acknowledged", [True, False])
def test_a_socket_lost_before_the_application_came(acknowledged: bool) -> None:
    """The acknowledgement of the reconnect stands for that of the session."""
    app = Application(None, session_reconnect=[SAY, HANGUP] if acknowledged else None)
    app.on_message = lambda message: app.sockets[-1].close(1011) if message["type"] == "session:new" else None
    report = app.call()
    assert report.sip_status == (200 if acknowledged else 480)
    assert app.messages[0]["data"] == app.of("session:reconnect")[0]["data"]


def test_a_reconnect_that_is_not_acknowledged_hangs_up() -> None:
    app = Application([SAY], session_reconnect=None)

    async def lose() -> None:
        await asyncio.sleep(2)
        app.sockets[-1].close(1011)

    report = app.call(then=lose)
    assert report.ended_by == "jambonz"
    assert report.ended == pytest.approx(2.5 + 5, abs=1.1)


def test_it_comes_back_no_more_than_so_often() -> None:
    app = Application([SAY, {"verb": "pause", "length": 40}, HANGUP])

    async def lose() -> None:
        for _ in range(8):
            await asyncio.sleep(3)
            app.sockets[-1].close(1011)

    report = app.call(then=lose)
    assert len(app.upgrades) == 5
    assert report.ended_by == "jambonz"


def test_after_1000_nothing_is_sent_and_the_call_ends_with_its_verbs() -> None:
    app = Application([SAY, {"verb": "redirect", "actionHook": "/next"}, SAY])

    async def bye() -> None:
        await asyncio.sleep(0.3)
        app.sockets[-1].close(1000)

    report = app.call(then=bye)
    assert report.verbs == ["say", "redirect", "say"]
    assert report.ended_by == "jambonz"
    assert app.of("verb:hook") == []
    assert len(app.upgrades) == 1


# What the application says


def test_a_call_whose_verbs_are_used_up_is_held_for_a_command() -> None:
    app = Application([SAY])

    async def command() -> None:
        await asyncio.sleep(20)
        app.command("redirect", [SAY, {"verb": "pause", "length": 1}])
        await asyncio.sleep(0.1)
        app.command("redirect", [SAY], queueCommand=True)

    report = app.call(Wait(40), HangUp(), then=command)
    assert report.ended_by == "caller"
    assert report.verbs == ["say", "say", "pause", "say"]
    assert report.ended == pytest.approx(40, abs=1)


def test_a_redirect_ends_the_verb_that_runs() -> None:
    app = Application([{"verb": "pause", "length": 30}, SAY])

    async def command() -> None:
        await asyncio.sleep(2)
        app.command("redirect", [SAY, HANGUP])

    report = app.call(then=command)
    assert report.verbs == ["pause", "say", "hangup"]


@pytest.mark.parametrize(
    ("answered", "status", "ended"),
    [
        (True, "completed", ("jambonz", 200, 2)),
        (True, "no-answer", ("jambonz", 200, 30.5)),
        (False, "completed", ("refused", 603, 30)),
        (False, "no-answer", ("refused", 503, 2)),
    ],
)
def test_call_status_ends_a_call_that_is_in_the_right_state(
    answered: bool, status: str, ended: tuple[str, int, float]
) -> None:
    app = Application([*([SAY] if answered else []), {"verb": "pause", "length": 30}, HANGUP][: 3 if answered else 1])

    async def command() -> None:
        await asyncio.sleep(2)
        app.command("call:status", {"call_status": status})

    report = app.call(then=command)
    assert (report.ended_by, report.sip_status) == ended[:2]
    assert report.ended == pytest.approx(ended[2], abs=0.1)


@pytest.mark.parametrize(
    ("message", "details"),
    [
        ("{", "Expecting property name"),
        ("[]", "type property not supplied"),
        ({"type": "verb:hook"}, "invalid type property: verb:hook"),
        ({"type": "ack"}, "msgid not supplied"),
        ({"type": "command", "data": {}}, "command property not supplied"),
        ({"type": "command", "command": "redirect"}, "data property not supplied"),
        ({"type": "command", "command": "fly", "data": {"a": 1}}, "invalid command: fly"),
        ({"type": "command", "command": "redirect", "data": [{"verb": "nope"}]}, "invalid instruction: nope"),
        ({"type": "command", "command": "redirect", "data": {"x": "/x"}}, "arrays of verbs"),
        ({"type": "command", "command": "whisper", "data": {"whisper": [HANGUP]}}, "say and play only"),
        ({"type": "command", "command": "whisper", "data": {"whisper": {"verb": "say", "x": 1}}}, "unknown property x"),
        ({"type": "command", "command": "dtmf", "data": {"dtmf": {"digit": "12"}}}, "invalid digit: 12"),
        ({"type": "command", "command": "record", "data": {"action": "x"}}, "invalid action"),
        ({"type": "command", "command": "record", "data": {"action": "startCallRecording"}}, "are needed"),
        ({"type": "command", "command": "config", "data": {"x": 1}}, "unknown property x"),
        ({"type": "command", "command": "call:status", "data": {"call_status": "x"}}, "invalid call_status: x"),
        ({"type": "command", "command": "dub", "data": {"a": 1}, "callSid": "other"}, "there is no leg other"),
    ],
)
def test_what_is_wrong_is_answered_with_an_error(message: Any, details: str) -> None:
    app = Application([{"verb": "pause", "length": 1}, SAY, HANGUP])

    async def say() -> None:
        await asyncio.sleep(0.5)
        app.say(message)

    report = app.call(then=say)
    [error] = app.of("jambonz:error")
    assert error["data"]["msg"] == "InvalidMessage"
    assert details in error["data"]["details"]
    assert report.verbs == ["pause", "say", "hangup"], "the call goes on"


def test_a_message_of_more_than_24_kib_closes_the_socket() -> None:
    app = Application([{"verb": "pause", "length": 3}, SAY, HANGUP])

    async def say() -> None:
        await asyncio.sleep(0.5)
        app.say(json.dumps({"type": "ack", "msgid": "x"}).ljust(MAX_PAYLOAD))
        await asyncio.sleep(0.1)
        assert len(app.closes) == 0
        app.say(json.dumps({"type": "ack", "msgid": "x"}).ljust(MAX_PAYLOAD + 1))

    report = app.call(then=say)
    assert report.application_closes == [1009, 1000]
    assert "an acknowledgement of x, which waits for none" in report.notes
    assert len(app.of("session:reconnect")) == 1


def test_verbs_are_told_of_where_that_was_asked_for() -> None:
    notify = {"verb": "config", "notifyEvents": True}
    app = Application([SAY, notify, {**SAY, "id": "mine"}, HANGUP])
    app.call()
    told = [(m["data"]["event"], m["data"]["name"], m["data"]["id"]) for m in app.of("verb:status")]
    assert told == [
        ("finished", "config", ""),
        ("starting", "say", "mine"),
        ("finished", "say", "mine"),
        ("starting", "hangup", ""),
    ]


def test_a_whisper_is_heard_in_listen_and_dial_only() -> None:
    dial = {"verb": "dial", "target": [{"type": "phone", "number": "+443"}]}
    app = Application([SAY, dial, HANGUP])

    async def whisper() -> None:
        app.on_message = lambda _: None
        await asyncio.sleep(0.3)
        app.command("whisper", {"whisper": {"verb": "say", "text": "one"}})
        await asyncio.sleep(3)
        app.command("whisper", {"whisper": [{"verb": "say", "text": "two"}]})

    report = app.call(then=whisper)
    assert "a whisper in say is not heard" in report.notes
    assert "whisper: one" not in "\n".join(report.notes)
    assert "whisper: two (say)" in report.notes
