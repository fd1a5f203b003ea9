"""The page at ``/``: what is served, that it needs nothing from elsewhere, and what it makes of a call's events."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any, get_args

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway import playground
from gateway.app import create_app
from gateway.settings import Settings
from pipelines.events import EndReason, TurnTimings

CONVERSATION = files(playground).joinpath("conversation.js")
Client = TestClient[web.Request, web.Application]


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    app = web.Application()
    app.add_routes(playground.routes())
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html"),
        ("/playground/style.css", "text/css"),
        ("/playground/app.js", "text/javascript"),
        ("/playground/socket.js", "text/javascript"),
        ("/playground/transcript.js", "text/javascript"),
        ("/playground/conversation.js", "text/javascript"),
        ("/playground/dom.js", "text/javascript"),
    ],
)
async def test_served_under_a_policy_that_lets_nothing_in(client: Client, path: str, content_type: str) -> None:
    async with client.get(path) as answer:
        assert answer.status == 200
        assert answer.content_type == content_type
        assert await answer.text()
        policy = dict(rule.split(" ", 1) for rule in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_it_is_part_of_the_service() -> None:
    served = {resource.canonical for resource in create_app(Settings()).router.resources()}
    assert set(playground.FILES) <= served


async def test_all_that_the_page_names_is_served(client: Client) -> None:
    page = playground.CONTENTS["/"]
    for name in re.findall(r'(?:src|href)="(playground/[^"]+)"', page):
        async with client.get(f"/{name}") as answer:
            assert answer.status == 200, name
    for text in playground.CONTENTS.values():
        for module in re.findall(r'from "\./([^"]+)"', text):
            assert f"/playground/{module}" in playground.FILES


@pytest.mark.parametrize("path", playground.FILES)
def test_nothing_comes_from_elsewhere_and_no_markup_from_the_network(path: str) -> None:
    text = playground.CONTENTS[path]
    assert not re.search(r"\b(?:https?|wss?):", text)
    assert not re.search(r"""["'(]//""", text)
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "eval(", "localStorage"):
        assert way not in text
    assert not re.search(r"<[^>]+\s(?:on\w+|style)=", text), "the policy forbids it"


def test_every_ending_and_every_part_of_the_latency_has_its_words() -> None:
    source = CONVERSATION.read_text("utf-8")
    for reason in get_args(EndReason):
        assert f"  {reason}: " in source
    for part in TurnTimings.__slots__:
        assert f'["{part}", ' in source


def said(script: str) -> Any:
    """The JSON that ``script`` prints, by Node.js."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node.js here: the page's own code is not run")
    run = subprocess.run(
        [node, "--input-type=module", "--no-warnings", "-e", script],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    return json.loads(run.stdout)


def played(*events: dict[str, Any]) -> dict[str, Any]:
    """What the page makes of live events."""
    shown: dict[str, Any] = said(f"""
        const {{ Conversation, fromProgress }} = await import({json.dumps(f"file://{CONVERSATION}")});
        const conversation = new Conversation("call");
        for (const event of {json.dumps(events)}) conversation.take(fromProgress(event));
        const {{ items, bargeIns, reason, over, medianLatency }} = conversation;
        console.log(JSON.stringify({{ items, bargeIns, reason, over, medianLatency }}));
    """)
    return shown


def event(type: str, data: Any, *, final: bool = True) -> dict[str, Any]:
    return {type: data, "isFinal": final, "callId": "call", "timestamp": "2026-11-20T12:00:00.000Z"}


def test_an_interrupted_answer_shows_what_was_heard_and_what_was_not() -> None:
    shown = played(
        event("call", {"callId": "call", "callerId": "44", "calledId": "45"}),
        event("user", "count"),
        event("agent", "One two three.", final=False),
        event("status", {"latency": {"transcript": 0.2, "decision": 0.5, "first_audio": 0.6, "heard": 0.75}}),
        event("agent", "Four five six.", final=False),
        event("status", {"bargeIn": {"confirmed": True, "pausedAfter": 0.08}}),
        event("agent", "One two three. Four"),
        event("status", {"interrupted": {"generation": 1, "seconds": 1.3}}),
        event("user", "stop"),
        event("hangup", {"reason": "caller"}),
    )
    [agent] = [item for item in shown["items"] if item["kind"] == "agent"]
    assert agent["text"] == "One two three. Four"
    assert agent["unheard"] == "five six."
    assert agent["seconds"] == 1.3
    assert agent["latency"]["heard"] == 0.75
    assert [item["text"] for item in shown["items"] if item["kind"] == "user"] == ["count", "stop"]
    assert (shown["bargeIns"], shown["medianLatency"], shown["over"], shown["reason"]) == (1, 0.75, True, "caller")


def test_an_answer_that_nobody_heard_does_not_become_part_of_the_next() -> None:
    shown = played(
        event("agent", "Too late.", final=False),
        event("user", "wait"),
        event("agent", "Yes?", final=False),
        event("agent", "Yes?"),
    )
    first, second = [item for item in shown["items"] if item["kind"] == "agent"]
    assert (first["text"], first["unheard"]) == ("", "Too late.")
    assert second["text"] == "Yes?"


def test_tools_are_shown_with_their_results_whatever_they_hold() -> None:
    shown = played(
        event("function_calls", [{"name": "look_up", "arguments": {"id": 1}}]),
        event("function_results", [{"name": "look_up", "input": {"id": 1}, "result": "<b>found</b>"}]),
        event("something_new", {"a": 1}),
    )
    tool, other = shown["items"]
    assert (tool["name"], tool["result"]) == ("look_up", "<b>found</b>")
    assert other["text"] == 'something_new: {"a":1}'


def test_who_goes_on_with_a_call_is_shown() -> None:
    shown = played(
        event("status", {"fallback": {"kind": "agent", "agentId": "a1", "modelName": "m"}}),
        event("status", {"fallback": {"kind": "number", "number": "+44"}}),
        event("status", {"dial": {"number": "+44", "outcome": "busy"}}),
        event("hangup", {"reason": "transferred"}),
    )
    assert [item["text"] for item in shown["items"]] == [
        "Somebody else goes on: the agent a1",
        "Somebody else goes on: the number +44",
        "+44: busy",
        "Call over: the caller was put through",
    ]


def test_a_socket_that_is_lost_goes_on_where_it_was_with_another_ticket_until_it_is_not_wanted() -> None:
    socket = files(playground).joinpath("socket.js")
    assert said(f"""
        const {{ watch }} = await import({json.dumps(f"file://{socket}")});
        const log = [], sockets = [];
        let tickets = 0, away = false;
        let again = null;
        const settled = () => new Promise((done) => setImmediate(done));
        const end = watch({{
          credentials: async () => {{ if (away) throw new Error("away"); return {{ ticket: (tickets += 1) }}; }},
          open: (query) => {{
            log.push(query);
            sockets.push({{ close: () => log.push("closed") }});
            return sockets.at(-1);
          }},
          receive: (message) => log.push(message.user),
          connected: () => log.push("connected"),
          lost: (error) => log.push(error ? error.message : "lost"),
          later: (connect, pause) => {{ log.push(pause); again = connect; }},
        }});
        await settled();
        sockets[0].onopen();
        sockets[0].onmessage({{ data: JSON.stringify({{ user: "Hello.", cursor: "7-a-1" }}) }});
        sockets[0].onmessage({{ data: JSON.stringify({{ user: "no cursor" }}) }});
        sockets[0].onclose();
        away = true;
        again();
        await settled();
        away = false;
        again();
        await settled();
        end();
        sockets[1].onclose();
        console.log(JSON.stringify(log));
    """) == [
        {"ticket": 1}, "connected", "Hello.", "no cursor", "lost", 500,
        "away", 1000,
        {"ticket": 2, "since": "7-a-1"}, "closed",
    ]  # fmt: skip
