from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.api import calls
from pipelines.events import UsageReported
from pipelines.functions import Functions, registered
from store import CallEvent, NewCall
from store.rows import now
from tests.gateway.api_service import AGENT, KEY, Api, serving
from tests.pipelines.test_agent import BAD, FULL, READABLE

NOWHERE = "00000000-0000-4000-8000-00000000dead"


async def test_an_agent_comes_back_as_it_was_sent_without_its_keys(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        made = await api("POST", "/agents", FULL)
        read = await api("GET", f"/agents/{made['id']}")
        for name, value in READABLE.items():
            assert made[name] == read[name] == value
        assert "keys" not in made
        assert "keys" not in read
        assert read["listeners"] == []
        for secret in ("token-1", "token-2", "p-1"):
            assert secret not in str(made) + str(read)


async def test_what_is_left_out_is_empty(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        made = await api.agent()
        assert (made["name"], made["description"], made["options"], made["functions"]) == (None, None, {}, [])


async def test_a_change_leaves_the_rest_and_the_keys(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        made = await api("POST", "/agents", FULL)
        changed = await api("PUT", f"/agents/{made['id']}", {"model_name": "groq/llama3", "options": {}})
        assert (changed["modelName"], changed["options"]) == ("groq/llama3", {})
        assert (changed["functions"], changed["prompt"]) == (FULL["functions"], FULL["prompt"])
        error = await api("PUT", f"/agents/{made['id']}", {"keys": []}, status=400)
        assert error["error"] == "Functions[0].key names 'crm', which is not among keys; add it to keys."


async def test_what_was_read_can_be_sent_back(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        made = await api.agent(name="a")
        read = await api("GET", f"/agents/{made['id']}")
        changed = await api("PUT", f"/agents/{made['id']}", {**read, "name": "b", "id": NOWHERE})
        assert (changed["id"], changed["name"]) == (made["id"], "b")


async def test_every_wrong_definition_is_refused_in_words(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        made = await api.agent()
        for changes, said in BAD:
            for method, path in (("POST", "/agents"), ("PUT", f"/agents/{made['id']}")):
                if method == "PUT" and "model_name" in changes:
                    continue  # in a change it stands alone
                body = {**changes} if method == "PUT" else {"modelName": "scripted/echo", "prompt": "", **changes}
                error = await api(method, path, body, status=400)
                assert error["code"] == "VALIDATION_ERROR"
                assert error["error"][1:].startswith(said[1:])
                assert [set(one) for one in error["details"]] == [{"path", "message"}]
        assert (await api("GET", f"/agents/{made['id']}"))["prompt"] == made["prompt"]


async def test_a_function_in_python_has_to_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    functions = Functions()
    functions.add(lambda day: day, name="acme.book")
    monkeypatch.setattr(registered, "_known", functions._known)
    async with serving(tmp_path) as api:
        book = {"name": "book", "implementation": "python", "python": "acme.book"}
        made = await api.agent(functions=[book])
        assert made["functions"] == [book]
        sent = {"modelName": "scripted/echo", "prompt": "", "functions": [{**book, "python": "acme.bock"}]}
        said = "Functions[0] is 'acme.bock' in Python, which this service does not have; did you mean acme.book?"
        for method, path in (("POST", "/agents"), ("PUT", f"/agents/{made['id']}")):
            error = await api(method, path, sent, status=400)
            assert (error["error"], error["code"]) == (said, "VALIDATION_ERROR")
        error = await api("POST", "/agents", {**sent, "functions": [{**book, "python": "x"}]}, status=400)
        assert "those who run the service name them in TRUNKLINE_FUNCTIONS" in error["error"]


async def test_lists_come_in_pages_and_are_searched(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        for index in range(5):
            await api.agent(name=f"agent {index}", modelName="openai/x" if index % 2 else "groq/y")
        first = await api("GET", "/agents", limit=2)
        assert [agent["name"] for agent in first["agents"]] == ["agent 4", "agent 3"]
        assert first["next"] == 2
        last = await api("GET", "/agents", limit=2, offset=4)
        assert ([agent["name"] for agent in last["agents"]], last["next"]) == (["agent 0"], False)
        found = await api("GET", "/agents", search="openai", searchField="model")
        assert [agent["name"] for agent in found["agents"]] == ["agent 3", "agent 1"]
        assert set(found["agents"][0]) == {"id", "name", "description", "modelName", "createdAt", "updatedAt"}
        assert (await api("GET", "/agents", limit=1000))["next"] is False


async def test_an_agent_is_deleted_with_its_listeners(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        made = await api.agent()
        await api.number()
        await api.listener(made["id"], number="*")
        assert await api("DELETE", f"/agents/{made['id']}") is None
        assert (await api("GET", "/listener"))["items"] == []
        assert (await api("GET", "/phone-endpoints"))["items"][0]["inUse"] is False
        for method in ("GET", "PUT", "DELETE"):
            error = await api(method, f"/agents/{made['id']}", {} if method == "PUT" else None, status=404)
            assert error["error"] == f"There is no agent {made['id']}"


async def calls_of(api: Api, agent_id: str, count: int) -> list[str]:
    ids = []
    for index in range(count):
        call = await api.store.calls.start(
            NewCall(api.owner, agent_id, None, "scripted/echo", "jambonz", f"44{index}", "442"),
            started_at=now() - timedelta(hours=count - index),
        )
        ids.append(call.id)
    return ids


async def test_calls_of_an_agent(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        agent = await api.agent()
        ids = await calls_of(api, agent["id"], 3)
        await api.store.calls.end(ids[2], "ended normally", "hangup", now(), 1500)
        page = await api("GET", f"/agents/{agent['id']}/calls", limit=2)
        assert ([call["id"] for call in page["calls"]], page["next"]) == ([ids[2], ids[1]], 2)
        assert page["calls"][0]["status"] == "ended normally"
        assert page["calls"][0]["endedAt"].endswith("Z")
        assert (page["calls"][1]["status"], page["calls"][1]["endedAt"]) == ("in progress", None)
        await api("GET", f"/agents/{NOWHERE}/calls", status=404)


async def test_one_call_with_what_it_used(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        agent = await api.agent()
        [call_id] = await calls_of(api, agent["id"], 1)
        call = await api("GET", f"/calls/{call_id}")
        assert (call["id"], call["status"], call["usage"]) == (call_id, "in progress", [])
        used = [
            UsageReported("tts", "elevenlabs", {"characters": 245}),
            UsageReported("llm", "openai", {"input_tokens": 812, "cached_tokens": 512, "output_tokens": 63}),
            UsageReported("stt", "deepgram", {"audio_seconds": 30.0204}),
        ]
        await api.store.calls.end(call_id, "ended normally", "caller", now(), 1500, used)
        call = await api("GET", f"/calls/{call_id}")
        [listed] = (await api("GET", "/calls"))["calls"]
        more = {name: value for name, value in call.items() if name not in listed}
        assert {name: call[name] for name in listed} == listed
        assert more == {
            "listenerId": None,
            "recordingId": None,
            "usage": [
                {
                    "part": "llm",
                    "provider": "openai",
                    "units": {"input_tokens": 812, "cached_tokens": 512, "output_tokens": 63},
                },
                {"part": "stt", "provider": "deepgram", "units": {"audio_seconds": 30.02}},
                {"part": "tts", "provider": "elevenlabs", "units": {"characters": 245}},
            ],
        }
        await api("GET", f"/calls/{NOWHERE}", status=404)


async def test_all_calls_by_their_index(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        agent = await api.agent()
        ids = await calls_of(api, agent["id"], 5)
        seen: list[str] = []
        last: Any = 0
        while last is not False:
            page = await api("GET", "/calls", limit=2, lastIndex=last)
            seen += [call["id"] for call in page["calls"]]
            last = page["next"]
        assert seen == ids
        since = (now() - timedelta(hours=2, minutes=30)).isoformat()
        assert [call["index"] for call in (await api("GET", "/calls", startDate=since))["calls"]] == [4, 5]


@pytest.mark.parametrize("page", [calls.PAGE, 1])
async def test_the_log_of_a_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    monkeypatch.setattr(calls, "PAGE", page)
    async with serving(tmp_path) as api:
        agent = await api.agent()
        (call_id,) = await calls_of(api, agent["id"], 1)
        at = now()
        await api.store.calls.append_events(
            call_id, [CallEvent(1, "agent", {"text": "Hello"}, at, is_final=False), CallEvent(0, "call", None, at)]
        )
        log = await api("GET", f"/calls/{call_id}/logs")
        assert [(entry["type"], entry["data"], entry["isFinal"]) for entry in log] == [
            ("call", None, True),
            ("agent", {"text": "Hello"}, False),
        ]
        async with api.client.head(f"/api/calls/{call_id}/logs", headers={"Authorization": f"Bearer {KEY}"}) as answer:
            assert (answer.status, await answer.read()) == (200, b"")
        await api("GET", f"/calls/{NOWHERE}/logs", status=404)


async def test_what_is_said_to_a_vendor_in_words_that_it_does_not_have_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        options: dict[str, Any] = {"vendorSpecific": {"openai": {"reasonning": {"effort": "low"}}}}
        wanted = {"modelName": "openai/gpt-realtime-2.1", "prompt": "p", "options": options}
        error = await api("POST", "/agents", wanted, status=400)
        said = "Options.vendorSpecific.openai.reasonning is not known; did you mean reasoning?"
        assert error["error"] == said
        options["vendorSpecific"]["openai"] = {"reasoning": {"effort": "low"}}
        made = await api.agent(modelName="openai/gpt-realtime-2.1", options=options)
        live = await api("PUT", f"/agents/{made['id']}", {"modelName": "openai/gpt-live-1"}, status=400)
        assert "openai.reasoning is not known; known here: delegation" in live["error"]


async def test_what_is_secret_of_the_options_is_written_and_never_read(tmp_path: Path) -> None:
    hook, recording = {"url": "https://example.com/hook", "hashKey": "SECRET1"}, {"enabled": True, "key": "SECRET2"}
    heard = {"recording": {"key": "SECRET3"}, "metadata": {"callHook": {**hook, "hashKey": "SECRET4"}}}
    async with serving(tmp_path) as api:
        options = {"callHook": hook, "recording": recording}
        agent = await api.agent(options=options)
        path = f"/agents/{agent['id']}"
        await api.number()
        await api.listener(agent["id"], number="*", options=heard)

        async def known() -> tuple[Any, Any]:
            found = await api.store.find_listener("442080996945")
            assert found is not None
            mine, its = found.agent.options, found.options
            assert its.metadata["callHook"]["hashKey"] == "SECRET4"
            assert its.recording == {"key": "SECRET3"}
            return mine.call_hook and mine.call_hook.hash_key, mine.recording.key

        assert await known() == ("SECRET1", "SECRET2")
        read = await api("GET", path)
        assert "SECRET" not in f"{agent} {read}"
        assert read["options"] == {"callHook": {"url": hook["url"]}, "recording": {"enabled": True}}
        assert await api("PUT", path, {"options": read["options"]}) | {"updatedAt": 0} == agent | {"updatedAt": 0}
        assert await known() == ("SECRET1", "SECRET2"), "what was left out stays"
        await api("PUT", path, {"options": {"call_hook": {"url": "https://example.com"}, "recording": {"key": None}}})
        assert await known() == ("SECRET1", None)
        await api("PUT", path, {"options": {}})
        await api("PUT", path, {"options": {"callHook": {"url": "https://example.com"}}})
        assert await known() == (None, None), "and what was taken away is gone"
        data = await asyncio.to_thread(lambda: b"".join(file.read_bytes() for file in tmp_path.glob("db.sqlite3*")))
        assert b"https://example.com" in data
        assert b"SECRET" not in data


async def test_whatever_is_wrong_between_the_parts_is_told_with_its_field(tmp_path: Path) -> None:
    body = {
        "functions": [{"name": "a", "implementation": "client"}] * 2,
        "options": {
            "tts": {"vendor": "elevenlab"},
            "fallback": {"stt": [{"vendor": "deepgram"}, {"vendor": "deepgrm"}]},
            "vendorSpecific": {"opnai": {}},
        },
    }
    async with serving(tmp_path) as api:
        error = await api("POST", "/agents", {**AGENT, **body}, status=400)
        assert [problem["path"] for problem in error["details"]] == [
            "functions[1].name",
            "options.tts.vendor",
            "options.fallback.stt[1].vendor",
            "options.vendorSpecific.opnai",
        ]
        assert error["error"] == "Functions[1].name 'a' is there twice (and 3 more problems)"
