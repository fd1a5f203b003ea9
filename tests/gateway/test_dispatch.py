"""What messages of an application socket do to the calls, on virtual time and without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway import metrics
from gateway.control import SocketControl
from gateway.dispatch import Dispatcher
from gateway.lookup import LOOK_UP_SECONDS
from gateway.relay import MEDIA_SECONDS
from jambonz import verbs
from jambonz.application import ACK_SECONDS, ApplicationRefused
from tests.calls.office import BASE, NUMBER, Office
from tests.clock import run_virtual
from tests.simulators.replies import ReplyModel, always


class Socket:
    """A line whose messages a test plays."""

    def __init__(self, office: Office, sid: str = "c-1") -> None:
        self.office = office
        self.sid = sid
        self.sent: list[dict[str, Any]] = []
        self.lost = False
        self.dispatcher = Dispatcher(office.switchboard, self, BASE)
        self._msgids = 0

    async def send(self, text: str) -> None:
        if self.lost:
            raise ConnectionResetError
        self.sent.append(json.loads(text))

    async def tell(self, kind: str, data: Any = None, **more: Any) -> list[dict[str, Any]]:
        """What is sent for a message."""
        self._msgids += 1
        whole = {"type": kind, "msgid": f"m-{self._msgids}", "call_sid": self.sid, "data": data, **more}
        before = len(self.sent)
        await self.dispatcher.receive(json.dumps(whole))
        return self.sent[before:]

    async def begin(self, kind: str = "session:new") -> Any:
        [ack] = await self.tell(kind, {"call_sid": self.sid, "to": NUMBER, "from": "1"})
        return [verb["verb"] for verb in ack.get("data", [])]


def at_the_desk(test: Callable[[Office], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        async with Office({}, ReplyModel(always("Yes.")), **options) as office:
            await test(office)

    run_virtual(main())


def test_a_call_is_answered_before_jambonz_gives_up() -> None:
    """However slow the database is."""

    async def test(office: Office) -> None:

        async def slow(_: Any) -> None:
            await asyncio.sleep(60)

        office.admission.take = slow  # type: ignore[assignment, method-assign]
        for number, look_up in enumerate((60.0, 0.9 * LOOK_UP_SECONDS)):
            office.store.look_up_seconds = look_up
            before = asyncio.get_running_loop().time()
            assert await Socket(office, f"c-{number}").begin()
            assert LOOK_UP_SECONDS <= asyncio.get_running_loop().time() - before < ACK_SECONDS - 1

    at_the_desk(test)


def test_the_limits_are_those_of_webhooks() -> None:
    async def test(office: Office) -> None:
        assert await Socket(office, "c-1").begin() == ["listen", "hangup"]
        assert await Socket(office, "c-2").begin() == ["sip:decline"]
        office.switchboard.places.draining = True
        assert await Socket(office, "c-3").begin() == ["sip:decline"]

    at_the_desk(test, max_calls=1)


def test_the_same_message_again_has_the_same_answer_and_one_effect() -> None:
    async def test(office: Office) -> None:
        socket = Socket(office)
        assert await socket.begin() == ["listen", "hangup"]
        socket._msgids = 0
        assert await socket.begin() == ["listen", "hangup"]
        assert socket.sent[0] == socket.sent[1]
        assert len(office.switchboard.calls) == 1

    at_the_desk(test)


def test_hooks_are_those_of_the_sockets_own_call() -> None:
    async def test(office: Office) -> None:
        one, other = Socket(office, "c-1"), Socket(office, "c-2")
        await one.begin()
        await other.begin()
        first, second = office.switchboard.calls
        first.handing.will_put_through("442079460999")
        second.handing.will_put_through("442079460998")
        before = _refused()
        hook = {"call_sid": "c-1"}
        [ack] = await one.tell("verb:hook", hook, hook=f"/jambonz/next/{second.id}")
        assert "data" not in ack
        [ack] = await one.tell("verb:hook", hook, hook="/jambonz/call")
        assert "data" not in ack
        assert _refused() == before + 2
        [ack] = await one.tell("verb:hook", hook, hook=first.next_url)
        assert [verb["verb"] for verb in ack["data"]] == ["dial", "hangup"]
        assert ack["data"][0]["target"] == [{"type": "phone", "number": "+442079460999"}]
        assert ack["data"][0]["actionHook"] == first.next_url

    at_the_desk(test)


def _refused() -> float:
    return metrics.hooks_refused.labels("application", "unknown_hook")._value.get()  # type: ignore[no-any-return]


def test_a_leg_that_became_a_call_of_its_own_is_hung_up() -> None:
    """Nobody of ours is there for it, and with a socket it would be held in silence."""

    async def test(office: Office) -> None:
        assert await Socket(office).begin("session:adulting") == ["hangup"]
        assert office.switchboard.calls == ()

    at_the_desk(test)


def test_a_call_that_another_process_had_is_taken_up() -> None:
    """It may ring still: that process was killed while it answered. If it does not, Jambonz heeds no verbs here."""

    async def test(office: Office) -> None:
        assert await Socket(office).begin("session:reconnect") == ["listen", "hangup"]
        await asyncio.sleep(MEDIA_SECONDS + 1)
        assert office.switchboard.calls == ()

    at_the_desk(test)


@pytest.mark.parametrize("state", ["over", "talking"])
def test_a_call_that_has_its_application_is_not_given_it_again(state: str) -> None:
    async def test(office: Office) -> None:
        first, second = Socket(office), Socket(office)
        await first.begin()
        [call] = office.switchboard.calls
        if state == "over":
            await first.tell("call:status", {"call_sid": "c-1", "call_status": "completed"})
            await asyncio.sleep(1)
            assert office.switchboard.calls == ()
        else:
            call.attached.set()
        first.dispatcher.closed(1006)
        assert await second.begin("session:reconnect") == []

    at_the_desk(test)


def test_an_older_socket_that_is_lost_later_takes_nothing_from_the_newer() -> None:
    async def test(office: Office) -> None:
        first, second = Socket(office), Socket(office)
        await first.begin()
        [call] = office.switchboard.calls
        assert isinstance(call.control, SocketControl)
        await second.begin("session:reconnect")
        first.lost = True
        first.dispatcher.closed(1006)
        first.dispatcher.closed(1000)
        await call.control.hang_up()
        assert second.sent[-1]["command"] == "call:status"
        assert office.switchboard.calls == (call,)

    at_the_desk(test)


def test_jambonz_closes_the_socket_when_a_call_is_over_whatever_else_it_says() -> None:
    async def test(office: Office) -> None:
        socket = Socket(office)
        await socket.begin()
        socket.dispatcher.closed(1000)
        await asyncio.sleep(0.1)
        assert office.switchboard.calls == ()
        await office.recorder.settled()
        assert office.ending() == "caller"

    at_the_desk(test)


def test_an_answer_that_is_too_large_is_none() -> None:
    """Jambonz would close the socket for it: it goes on with the verbs that it has."""

    async def test(office: Office) -> None:
        socket = Socket(office)
        await socket.begin()
        [call] = office.switchboard.calls
        call.handing.next_verbs = lambda hook: [verbs.say("x" * 30_000)]  # type: ignore[method-assign]
        [ack] = await socket.tell("verb:hook", {}, hook=call.next_url)
        assert ack == {"type": "ack", "msgid": "m-2"}

    at_the_desk(test)


def test_what_cannot_be_read_is_counted_and_acknowledged() -> None:
    async def test(office: Office) -> None:
        socket = Socket(office)
        with pytest.raises(ApplicationRefused, match="The data of session:new's call_sid is wrong"):
            await socket.tell("session:new", {"call_sid": ""})
        assert socket.sent == [{"type": "ack", "msgid": "m-1"}], "then Jambonz refuses the call"
        socket = Socket(office)
        await socket.begin()
        assert await socket.tell("verb:hook", {"sip_status": "x"}, hook="/a") == [{"type": "ack", "msgid": "m-2"}]
        assert await socket.tell("call:status", {"sip_status": "x"}) == []
        assert await socket.tell("something:new", {}) == []
        assert await socket.tell("dial:confirm", {}) == [{"type": "ack", "msgid": "m-5"}]

    at_the_desk(test)
