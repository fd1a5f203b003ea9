"""Calls of browsers end as those of telephones do: the goodbye is heard before the socket is told that it is over."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gateway.messages import HangUpMessage, TextMessage, perform
from gateway.session import CallSession
from jambonz.simulator.memory import MemoryEnd
from pipelines.parts import ToolCall
from tests.calls.office import BASE, NUMBER, Office
from tests.calls.realtime_office import RealtimeOffice
from tests.clock import run_virtual
from tests.simulators.codeword import heard_words, plain_words
from tests.simulators.realtime_memory import MemoryModel
from tests.simulators.replies import ReplyModel, always

GOODBYE = "Thank you for calling us today and goodbye."
HANG_UP = {"name": "hangup", "implementation": "builtin", "platform": "hangup", "description": "Ends the call."}
OPTIONS: dict[str, Any] = {
    "greeting": "Hello there.",
    "idle": {"timeout": 4, "prompts": [], "farewell": GOODBYE},
    "timeExceededMessage": GOODBYE,
}


class Browser:
    """Plays what comes, one after the other, in its own time; with ``marks`` it says what was played."""

    def __init__(self, *, marks: bool) -> None:
        self.heard = bytearray()
        self.told_at: float | None = None
        """When it was told that the call is over."""
        self.left_over = 0.0
        """Seconds of sound that were not played by then."""
        self.closed: int | None = None
        self.socket: MemoryEnd
        self._marks = marks
        self._loop = asyncio.get_running_loop()
        self._until = 0.0

    def on_binary(self, data: bytes) -> None:
        self._until = max(self._until, self._loop.time()) + len(data) / 16000
        self.heard += data

    def on_text(self, text: str) -> None:
        message = json.loads(text)
        match message["type"]:
            case "mark" if self._marks:
                played = {**message, "data": {**message["data"], "event": "playout"}}
                self._loop.call_at(max(self._until, self._loop.time()), self.socket.send_text, json.dumps(played))
            case "disconnect":
                self.told_at = self._loop.time()
                self.left_over = self._until - self.told_at
                self.socket.close()
            case _:
                pass

    def on_closed(self, code: int) -> None:
        self.closed = code


async def _join(office: Office, browser: Browser) -> CallSession:
    call = await office.switchboard.join(office.store.listeners[NUMBER])
    browser.socket = await office.transport.connect(
        f"{BASE}/audio/{call.token}", subprotocol="audio.jambonz.org", headers={}, handler=browser
    )
    start = {"callSid": call.call_sid, "sampleRate": 8000, "mixType": "mono"}
    browser.socket.send_text(json.dumps(start))
    return call


@pytest.mark.parametrize("marks", [True, False], ids=["marks", "by the clock"])
@pytest.mark.parametrize("kind", ["cascade", "realtime"])
@pytest.mark.parametrize("ending", ["agent", "idle", "max_duration", "api"])
def test_the_goodbye_is_heard(ending: str, kind: str, marks: bool) -> None:
    options = {**OPTIONS, **({"maxDuration": 3} if ending == "max_duration" else {})}
    agent = {"functions": [HANG_UP], "options": options}

    async def main() -> None:
        office = (
            Office(agent, ReplyModel(always(GOODBYE, ToolCall("1", "hangup"))))
            if kind == "cascade"
            else RealtimeOffice(agent, MemoryModel(lambda heard, history: (GOODBYE, (ToolCall("1", "hangup"),))))
        )
        async with office:
            browser = Browser(marks=marks)
            call = await _join(office, browser)
            await asyncio.sleep(2)
            if ending == "agent":
                await perform(call, TextMessage(text="that was all", urgency="now"))
            elif ending == "api":
                await perform(call, HangUpMessage(text=GOODBYE))
            await asyncio.wait_for(call.over.wait(), 20)
            await asyncio.sleep(0.5)
            await office.recorder.settled()
            assert heard_words(bytes(browser.heard)) == plain_words(f"hello there {GOODBYE}")
            assert browser.told_at is not None
            assert browser.left_over <= 0.02, "and to its end"
            assert browser.closed == 1000
            assert office.ending() == ending
            assert not office.switchboard.calls
            assert not office.store.places.taken

    run_virtual(main())


def test_a_browser_that_goes_is_gone() -> None:
    async def main() -> None:
        agent = {"options": OPTIONS}
        async with Office(agent, ReplyModel(always("Yes."))) as office:
            browser = Browser(marks=True)
            call = await _join(office, browser)
            await asyncio.sleep(0.7)
            browser.socket.close()
            await asyncio.wait_for(call.over.wait(), 1)
            await asyncio.sleep(0.2)
            await office.recorder.settled()
            assert office.ending() == "caller"
            assert not office.switchboard.calls

    run_virtual(main())
