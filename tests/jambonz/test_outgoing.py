"""The bodies of calls that Jambonz is to place, and what becomes of asking for them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jambonz import verbs
from jambonz.outgoing import Body, Detection, new_call
from jambonz.rest import Refused, Unavailable, create_call, stop_ringing
from jambonz.simulator.rest_api import ApiServer
from jambonz.simulator.rest_calls import feature_server_takes
from jambonz.verbs import VerbError
from tests.jambonz.judges import judge
from tests.simulators.jambonz_wire import Wire

PARTY = verbs.phone("+442079460000")
APPLICATION = "0f7c1a34-93f4-4c58-8d2e-b1f0a7c1d9e2"
CALL: dict[str, Any] = {"from_": "+447700900123", "timeout": 45.0, "tag": {"trunkline": "c-1"}}
HOOKS: Body = {
    "call_hook": {
        "url": "wss://voice.example.com/jambonz/application",
        "method": "POST",
        "username": "j",
        "password": "p",
    },
    "call_status_hook": {"url": "https://voice.example.com/jambonz/status", "method": "POST"},
    "speech_synthesis_vendor": "google",
    "speech_synthesis_language": "en-US",
    "speech_synthesis_voice": "en-US-Standard-C",
    "speech_recognizer_vendor": "google",
    "speech_recognizer_language": "en-US",
}
"""What Jambonz's API makes of an application."""

EXAMPLES: list[Body] = [
    new_call(PARTY, **CALL),
    new_call(
        verbs.sip("sip:ann@example.com", auth=("ann", "pw")),
        **CALL | {"timeout": 29.5},
        detection=Detection("/jambonz/next/c-1", "deepgram", "en-GB"),
    ),
    new_call(verbs.user("bob@realm.example.com"), **CALL | {"from_": "1001", "timeout": 1}),
]


def test_jambonz_takes_what_we_make() -> None:
    """A feature server makes a verb of the body, and validates that."""
    for verdict in judge([[{"verb": "rest:dial", **body, **HOOKS}] for body in EXAMPLES]):
        assert verdict.specifications is None
    assert all(feature_server_takes(body | HOOKS) for body in EXAMPLES)


def test_seconds_are_whole_ones() -> None:
    assert (EXAMPLES[1]["timeout"], EXAMPLES[2]["timeout"]) == (30, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"from_": ""},
        {"from_": "+44\r\nX-Evil: 1"},
        {"timeout": 0},
        {"timeout": 301},
        {"timeout": float("nan")},
        {"tag": {"trunkline": "it's"}},
        {"detection": Detection("not a hook", "deepgram", "en")},
    ],
)
def test_what_jambonz_would_misread_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(VerbError):
        new_call(PARTY, **CALL | wrong)


@pytest.fixture
def server() -> ApiServer:
    return ApiServer(api_key="key")


def application_of(server: ApiServer) -> str:
    hooks = {name: {"url": f"https://a/{name}", "method": "POST"} for name in ("call_hook", "call_status_hook")}
    answer = server.handle(
        "POST",
        "/v1/Applications",
        {"Authorization": "Bearer key"},
        json.dumps({"name": "Trunkline a", **hooks}).encode(),
    )
    return str(answer.json["sid"])


async def test_a_call_is_placed_with_the_hooks_of_its_application(server: ApiServer) -> None:
    body = new_call(PARTY, **CALL) | {"application_sid": application_of(server)}
    sid = await create_call(Wire(server), server.account_sid, body)
    [placed] = server.created_calls
    assert placed["sid"] == sid
    assert placed["call_hook"]["url"] == "https://a/call_hook"
    assert placed["call_status_hook"]["url"] == "https://a/call_status_hook"
    assert placed["tag"] == {"trunkline": "c-1"}
    await stop_ringing(Wire(server), server.account_sid, sid)
    assert server.updates == [(sid, {"call_status": "no-answer"})]


async def test_one_that_is_over_needs_no_end(server: ApiServer) -> None:
    await stop_ringing(Wire(server), server.account_sid, APPLICATION)
    with pytest.raises(Unavailable):
        await stop_ringing(Wire(server, faults=lambda *_: "unreachable"), server.account_sid, APPLICATION)


async def test_what_jambonz_says_instead_of_placing_a_call(server: ApiServer) -> None:
    wire, body = Wire(server), new_call(PARTY, **CALL) | {"application_sid": APPLICATION}
    with pytest.raises(Refused, match="application_sid not found"):
        await create_call(wire, server.account_sid, body)
    server.feature_servers = 0
    with pytest.raises(Refused, match="no available feature servers") as refused:
        await create_call(wire, server.account_sid, new_call(PARTY, **CALL) | HOOKS)
    assert refused.value.status == 480
    server.feature_servers = 1
    with pytest.raises(Unavailable, match="500"):
        await create_call(wire, server.account_sid, new_call(PARTY, **CALL) | HOOKS | {"timeout": 2.5})


@pytest.mark.parametrize("answer", [None, {}, {"sid": 7}, []])
async def test_an_answer_without_a_sid_is_none(answer: Any) -> None:
    class Odd:
        async def request(self, method: str, path: str, body: Any = None) -> Any:
            return answer

    with pytest.raises(Unavailable, match="sid"):
        await create_call(Odd(), "account", {})
