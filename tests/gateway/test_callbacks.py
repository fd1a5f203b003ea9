from __future__ import annotations

import asyncio
from typing import Any

from structlog.testing import capture_logs

from gateway import callbacks, metrics
from gateway.callbacks import MOST_FAILURES, MOST_WAITING, PAUSE_SECONDS, Callbacks
from gateway.outside import POST_SECONDS, Refused
from jambonz.simulator.caller import AwaitAgentSilence, HangUp, Speak
from tests.calls.office import Office
from tests.clock import run_virtual
from tests.gateway.test_call_hooks import Receiver
from tests.simulators.codeword import speak
from tests.simulators.replies import ReplyModel, always

URL = "https://hooks.example.com/events"


def event(n: int) -> dict[str, Any]:
    return {"user": n, "callId": "call", "seq": n}


def told(receiver: Receiver, events: int, *, every: float = 0.0) -> tuple[list[int], list[Any]]:
    """Which events were posted, each attempt of them; and what was noted."""
    noted: list[Any] = []

    async def main() -> None:
        ours = Callbacks(receiver)
        callback = ours.of_call(URL, lambda kind, data: noted.append((kind, data)))
        for n in range(events):
            callback.tell(event(n))
            await asyncio.sleep(every)
        callback.end()
        callback.tell(event(1000))
        await ours.close(600)
        assert not ours._tasks

    run_virtual(main())
    return [body["seq"] for _, _, body in receiver.got], noted


def test_events_are_posted_in_order_and_the_slow_hold_up_nobody() -> None:
    receiver = Receiver(2.0, 200, 204)
    assert told(receiver, 3, every=0.1) == ([0, 1, 2], [])
    assert [when for when, _, _ in receiver.got] == [0, 2, 2]
    assert {url for _, url, _ in receiver.got} == {URL}


def test_what_is_not_taken_is_tried_once_more_and_then_left_out() -> None:
    receiver = Receiver(500, 200, OSError("refused"), POST_SECONDS + 1, 200, 404, 200)
    assert told(receiver, 4) == ([0, 0, 1, 1, 2, 3], [])
    assert receiver.got[1][0] == PAUSE_SECONDS


def test_a_url_that_takes_nothing_is_given_up() -> None:
    receiver = Receiver(*[404] * 100)
    posted, noted = told(receiver, 10)
    assert posted == list(range(MOST_FAILURES))
    assert noted == [("status", {"callback": {"error": "answered with 404"}})]
    receiver = Receiver(*[Refused("private.example.com has no public address")] * 100)
    posted, noted = told(receiver, 10)
    assert posted == list(range(MOST_FAILURES))
    assert noted == [("status", {"callback": {"error": "private.example.com has no public address"}})]


def test_no_more_than_so_many_wait() -> None:
    before = metrics.callbacks.labels("left_out")._value.get()
    with capture_logs() as logged:
        posted, _ = told(Receiver(2.0), MOST_WAITING + 10)
    assert [line["event"] for line in logged] == ["a callbackUrl is too slow; events are left out"]
    assert posted == list(range(MOST_WAITING + 1)), "one is being posted"
    left_out = metrics.callbacks.labels("left_out")._value.get() - before
    assert left_out == MOST_WAITING + 10 - len(posted)


def test_a_call_whose_url_hangs_ends_as_others_do_and_the_service_too() -> None:
    async def main() -> None:
        ours = Callbacks(Receiver(*[POST_SECONDS + 1.0] * 100))
        callback = ours.of_call(URL, lambda *_: None)
        callback.tell(event(0))
        callback.end()
        began = asyncio.get_running_loop().time()
        await ours.close()
        assert asyncio.get_running_loop().time() - began == callbacks.CLOSE_SECONDS

    run_virtual(main())


def test_all_that_happens_in_a_call() -> None:
    async def main() -> None:
        receiver = Receiver()
        agent = {"options": {"greeting": "Hello.", "callbackUrl": URL}}
        async with Office(agent, ReplyModel(always("Yes.")), callbacks=Callbacks(receiver)) as office:
            await office.call(AwaitAgentSilence(), Speak(speak("a table")), AwaitAgentSilence(), HangUp())
            await asyncio.sleep(1)
        events = [body for _, _, body in receiver.got]
        assert [one["seq"] for one in events] == list(range(len(events)))
        assert [one["user"] for one in events if "user" in one] == ["a table"]
        assert [one["agent"] for one in events if "agent" in one] == ["Hello.", "Yes."]
        assert "call" in events[0]
        assert events[-1]["hangup"]["reason"] == "caller"
        assert all(one["isFinal"] and one["callId"] == events[0]["callId"] for one in events)

    run_virtual(main())
