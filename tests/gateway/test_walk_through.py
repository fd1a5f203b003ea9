"""The walk-through of the API, from the first agent to its end, as its clients are written: plain HTTP and a socket."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from jambonz.simulator.caller import AwaitAgentSilence, AwaitAgentSpeech, HangUp, Speak, Wait
from tests.gateway.api_service import conforms
from tests.gateway.service import CALLER, KEY, Service, serving
from tests.simulators.codeword import heard_words, plain_words, speak
from tests.steady import PATIENCE


@pytest.mark.realtime
async def test_create_listen_watch_call_read_update_and_delete(tmp_path: Path) -> None:
    """Calls over real sockets take real time: some 4 s."""
    async with serving(tmp_path) as service:

        async def ask(method: str, path: str, body: Any = None, status: int = 200) -> Any:
            headers = {"Authorization": f"Bearer {KEY}"}
            async with service.http.request(method, f"{service.url}/api{path}", json=body, headers=headers) as answer:
                text = await answer.text()
                assert answer.status == status, text
            given = json.loads(text) if text else None
            conforms(method, path.partition("?")[0], status, given)
            return given

        # Which models there are, and an agent of one
        models = await ask("GET", "/models")
        assert "jambonz:scripted/echo" in models
        agent = await ask(
            "POST",
            "/agents",
            {
                "name": "Reception",
                "description": "Answers the phone.",
                "modelName": "jambonz:scripted/echo",
                "prompt": "You are the receptionist.",
                "options": {"temperature": 0.2, "greeting": "Good day."},
                "functions": [
                    {"name": "hours", "description": "When we are open.", "implementation": "stub", "result": "From 9."}
                ],
                "keys": [{"name": "crm", "in": "bearer", "value": "a-secret-of-the-crm"}],
            },
        )
        assert "a-secret-of-the-crm" not in str(agent)
        assert [one["id"] for one in (await ask("GET", "/agents?search=recep"))["agents"]] == [agent["id"]]

        # A number for it, whichever is free
        await ask("POST", "/phone-endpoints", {"type": "e164-ddi", "number": "+442080996945"}, 201)
        listener = await ask(
            "POST", f"/agents/{agent['id']}/listen", {"number": "*", "options": {"metadata": {"shop": 7}}}
        )
        assert listener["number"] == "442080996945"
        assert listener["socket"] == f"/progress/{listener['id']}"
        assert (await ask("GET", f"/agents/{agent['id']}"))["listeners"][0]["number"] == listener["number"]
        taken = await ask("POST", f"/agents/{agent['id']}/listen", {"number": "+" + listener["number"]}, 409)
        assert taken["code"] == "IN_USE"
        [endpoint] = (await ask("GET", f"/phone-endpoints?search={listener['number']}"))["items"]
        assert (endpoint["inUse"], endpoint["agentId"]) == (True, agent["id"])

        # A call, watched as it happens
        watcher_url = f"{service.url}{listener['socket']}"
        async with service.http.ws_connect(watcher_url, headers={"Authorization": f"Bearer {KEY}"}) as watcher:
            steps = (Speak(speak("is anybody there")), AwaitAgentSpeech(), AwaitAgentSilence(), HangUp())
            report = await service.call(AwaitAgentSilence(), *steps, to="+" + listener["number"])
            assert heard_words(report.heard) == plain_words("good day i hear you")
            events: list[dict[str, Any]] = []
            while not events or "hangup" not in events[-1]:
                events.append(await watcher.receive_json(timeout=PATIENCE))
        call_id = events[0]["call"]["callId"]
        assert {event["callId"] for event in events} == {call_id}

        # What was said, afterwards
        call = await until_over(service, ask, call_id)
        assert (call["agentId"], call["calledId"]) == (agent["id"], listener["number"])
        assert call["callerId"] == CALLER.removeprefix("+")
        assert (call["status"], call["endReason"]) == ("ended normally", "caller")
        log = await ask("GET", f"/calls/{call_id}/logs")
        said = [(entry["type"], entry["data"]) for entry in log if entry["type"] in ("user", "agent")]
        assert said == [("agent", "Good day."), ("user", "is anybody there"), ("agent", "I hear you.")]
        told = [
            (kind, event[kind]) for event in events if event["isFinal"] for kind in ("user", "agent") if kind in event
        ]
        assert told == said
        assert [one["id"] for one in (await ask("GET", f"/agents/{agent['id']}/calls"))["calls"]] == [call_id]
        assert call_id in [one["id"] for one in (await ask("GET", "/calls"))["calls"]]

        # The agent changes, and the next caller hears it
        changed = await ask("PUT", f"/agents/{agent['id']}", {"options": {"greeting": "Good evening."}})
        assert (changed["prompt"], changed["name"]) == ("You are the receptionist.", "Reception")
        report = await service.call(AwaitAgentSpeech(), Wait(0.75), HangUp(), to=listener["number"])
        assert heard_words(report.heard) == plain_words("good evening")
        await service.quiet()

        # And goes: first the listener, which gives its number back, then the agent; the calls stay
        await ask("DELETE", f"/listener/{listener['id']}")
        await ask("DELETE", f"/listener/{listener['id']}", status=404)
        assert not (await ask("GET", f"/phone-endpoints/{listener['number']}"))["inUse"]
        report = await service.call(to=listener["number"])
        assert report.sip_status == 404
        await ask("DELETE", f"/agents/{agent['id']}")
        await ask("GET", f"/agents/{agent['id']}", status=404)
        assert (await ask("GET", f"/calls/{call_id}"))["agentId"] == agent["id"]


async def until_over(service: Service, ask: Any, call_id: str) -> Any:
    await service.quiet()
    async with asyncio.timeout(PATIENCE):
        while True:
            calls = {one["id"]: one for one in (await ask("GET", "/calls"))["calls"]}
            if call_id in calls and calls[call_id]["endedAt"]:
                return calls[call_id]
            await asyncio.sleep(0.02)
