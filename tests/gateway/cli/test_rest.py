"""The commands over the REST API, against the API itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from gateway.cli import trunkline
from gateway.cli.rest import table
from store.calls import CallEvent, NewCall
from tests.gateway.api_service import AGENT, KEY, Api, serving


@pytest_asyncio.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(tmp_path) as api:
        yield api


async def invoke(api: Api, *arguments: str, key: str = KEY, input: str | None = None) -> Result:
    environment = {"TRUNKLINE_PUBLIC_URL": str(api.client.make_url("/")), "TRUNKLINE_ADMIN_KEY": key}
    return await asyncio.to_thread(CliRunner(env=environment).invoke, trunkline, list(arguments), input=input)


async def run(api: Api, *arguments: str, **rest: Any) -> str:
    result = await invoke(api, *arguments, **rest)
    assert result.exit_code == 0, result.output
    return result.output


async def as_json(api: Api, *arguments: str) -> Any:
    return json.loads(await run(api, *arguments, "--json"))


async def test_an_agent_from_its_making_to_its_end(api: Api, tmp_path: Path) -> None:
    assert "agents create FILE" in await run(api, "agents", "list")
    file = tmp_path / "agent.json"
    await asyncio.to_thread(file.write_text, json.dumps(AGENT | {"name": "Desk"}), encoding="utf-8-sig")
    made = (await run(api, "agents", "create", str(file))).strip()
    assert [agent["id"] for agent in await as_json(api, "agents", "list")] == [made]
    [heading, row] = (await run(api, "agents", "list")).splitlines()
    assert heading.split() == ["ID", "NAME", "MODEL", "CHANGED"]
    assert row.split()[:3] == [made, "Desk", "scripted/echo"]
    await run(api, "agents", "update", made, "-", input=json.dumps({"name": "Reception"}))
    assert (await as_json(api, "agents", "show", made))["name"] == "Reception"
    assert "Reception" in await run(api, "agents", "show", made)
    await run(api, "agents", "delete", made)
    assert await as_json(api, "agents", "list") == []


@pytest.mark.parametrize("id", ["", "..", "a/b", "../calls/c", "a?b=c", "a#b", "a%2Fb", "a\n"])
async def test_what_is_no_id_is_asked_for_nowhere(api: Api, id: str) -> None:
    for command in (("agents", "delete"), ("calls", "delete"), ("numbers", "delete"), ("calls", "list", "--agent")):
        result = await invoke(api, *command, id)
        assert (result.exit_code, "is no id" in result.output) == (2, True)


async def test_a_number_is_added_listened_on_and_free_again(api: Api) -> None:
    agent = await api.agent(name="Desk")
    await run(api, "numbers", "add", "+442080996945", "--name", "Main")
    said = await run(api, "agents", "listen", agent["id"], "--number", "*", "--limit", "3")
    listener = said.split()[0]
    assert said.split()[-1] == "442080996945"
    [row] = (await run(api, "numbers", "list")).splitlines()[1:]
    assert row.split()[0] == "442080996945"
    assert row.split()[-1] == "Desk"
    assert [one["listenerId"] for one in await as_json(api, "listeners", "list", "--agent", agent["id"])] == [listener]
    assert f"{listener} has no lease: it stays" in await run(api, "listeners", "renew", listener)
    await run(api, "listeners", "delete", listener)
    leased = (await as_json(api, "agents", "listen", agent["id"], "--ttl", "900", "--tied"))["id"]
    assert f"{leased} stays until 2" in await run(api, "listeners", "renew", leased)
    [shown] = await as_json(api, "listeners", "list")
    assert shown["expiresAt"] is not None
    await run(api, "listeners", "delete", leased)
    told = await as_json(api, "agents", "listen", agent["id"], "--metadata", '{"house": "london"}')
    [listener_now] = (await as_json(api, "agents", "show", agent["id"]))["listeners"]
    assert listener_now["id"] == told["id"]
    assert listener_now["metadata"] == {"house": "london"}
    assert "it is not JSON" in (await invoke(api, "agents", "listen", agent["id"], "--metadata", "{house}")).output
    await run(api, "listeners", "delete", told["id"])
    assert "Nobody listens" in await run(api, "listeners", "list")
    await run(api, "numbers", "delete", "442080996945")
    assert await as_json(api, "numbers", "list") == []


async def test_a_trunk_from_its_making_to_its_end(api: Api) -> None:
    assert "trunks create NAME" in await run(api, "trunks", "list")
    trunk = (await run(api, "trunks", "create", "My carrier", "--outbound")).strip()
    [heading, row] = (await run(api, "trunks", "list")).splitlines()
    assert heading.split() == ["ID", "NAME", "HANDLER", "OUTBOUND", "REFER"]
    assert row.split() == [trunk, "My", "carrier", "jambonz", "yes", "no"]
    await run(api, "trunks", "update", trunk, "--name", "Another", "--can-refer")
    shown = await as_json(api, "trunks", "show", trunk)
    assert (shown["name"], shown["outbound"], shown["flags"]["canRefer"]) == ("Another", True, True)
    await run(api, "trunks", "update", trunk, "--no-outbound")
    shown = await as_json(api, "trunks", "show", trunk)
    assert (shown["outbound"], shown["flags"]["canRefer"]) == (False, True)
    await run(api, "numbers", "add", "+442080996945", "--trunk", trunk)
    refused = await invoke(api, "trunks", "delete", trunk)
    assert (refused.exit_code, "409" in refused.output) == (1, True)
    await run(api, "numbers", "delete", "442080996945")
    await run(api, "trunks", "delete", trunk)
    assert await as_json(api, "trunks", "list") == []


async def test_a_registration_from_its_making_to_its_end(api: Api) -> None:
    assert "registrations create" in await run(api, "registrations", "list")
    options = ("--name", "Office", "--transport", "tls", "--auth-username", "a-1001")
    said = await run(api, "registrations", "create", "SIP.example.com", "1001", *options, input="a secret\n")
    registration = said.strip()
    assert "a secret" not in said
    [row] = (await run(api, "registrations", "list")).splitlines()[1:]
    assert row.split() == [registration, "Office", "sip.example.com", "1001", "active", "initial", "no", "-"]
    shown = await as_json(api, "registrations", "show", registration)
    assert shown["options"] == {"transport": "tls", "auth_username": "a-1001"}
    assert "password" not in shown
    assert f"{registration} is disabled" in await run(api, "registrations", "disable", registration)
    assert f"{registration} is active: initial" in await run(api, "registrations", "activate", registration)
    [known] = await api.store.provisioning.registrations()
    assert known.password == "a secret"
    await run(api, "registrations", "update", registration, "--username", "1002", "--outbound")
    await run(api, "registrations", "update", registration, "--password", input="another\n")
    [known] = await api.store.provisioning.registrations()
    assert (known.username, known.password) == ("1002", "another")
    await run(api, "registrations", "delete", registration)
    assert await as_json(api, "registrations", "list") == []


async def test_how_long_calls_are_kept_is_set(api: Api) -> None:
    assert await as_json(api, "calls", "retention") == {"days": None, "serviceDays": None}
    assert (await as_json(api, "calls", "retention", "--days", "30"))["days"] == 30
    assert "30" in await run(api, "calls", "retention")
    assert (await as_json(api, "calls", "retention", "--days", "none"))["days"] is None
    for days, status in (("many", 2), ("inf", 2), ("0", 1)):
        assert (await invoke(api, "calls", "retention", "--days", days)).exit_code == status


async def test_calls_are_read_back(api: Api) -> None:
    agent = await api.agent()
    call = NewCall(api.owner, agent["id"], None, "scripted/echo", "jambonz", "+447700900123", "+442080996945")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    await api.store.calls.start(call, started_at=at)
    events = [CallEvent(0, "user", "Hello.", at), CallEvent(1, "status", {"latency": {}}, at)]
    await api.store.calls.append_events(call.id, events)
    assert [row["id"] for row in await as_json(api, "calls", "list")] == [call.id]
    assert [row["id"] for row in await as_json(api, "calls", "list", "--agent", agent["id"])] == [call.id]
    assert await as_json(api, "calls", "list", "--after", "1") == []
    assert (await as_json(api, "calls", "show", call.id))["status"] == "in progress"
    [line] = (await run(api, "calls", "log", call.id)).splitlines()
    assert line.split()[1:] == ["user", "Hello."]
    assert len((await run(api, "calls", "log", call.id, "--all")).splitlines()) == 2
    assert len(await as_json(api, "calls", "log", call.id)) == 2


async def test_all_pages_are_read(api: Api) -> None:
    for n in range(55):
        await api.agent(name=f"agent {n}")
    assert len(await as_json(api, "agents", "list")) == 55
    assert len(await as_json(api, "agents", "list", "--limit", "52")) == 52
    assert len(await as_json(api, "agents", "list", "--search", "agent 5")) == 6


async def test_what_is_refused_is_said_in_the_words_of_the_service(api: Api) -> None:
    for arguments, words in [
        (("agents", "show", "nobody"), "404"),
        (("agents", "delete", "nobody"), "404"),
        (("numbers", "add", "abc"), "400"),
        (("calls", "log", "none"), "404"),
    ]:
        result = await invoke(api, *arguments)
        assert result.exit_code == 1, result.output
        assert words in result.output
    result = await invoke(api, "agents", "create", "-", input=json.dumps({"modelName": "scripted/echo"}))
    assert result.exit_code == 1
    assert "Prompt is missing" in result.output
    result = await invoke(api, "agents", "list", key="wrong")
    assert result.exit_code == 1
    assert "401" in result.output
    assert "wrong" not in result.output.replace("was refused", "")


async def test_nobody_is_there(unused_tcp_port: int) -> None:
    arguments = ["agents", "list", "--url", f"http://127.0.0.1:{unused_tcp_port}"]
    result = await asyncio.to_thread(CliRunner().invoke, trunkline, arguments)
    assert result.exit_code == 1
    assert "did not answer" in result.output


@pytest.mark.parametrize("body", ["", "[]", "{", "nonsense"])
async def test_a_file_that_is_no_definition(body: str) -> None:
    result = await asyncio.to_thread(CliRunner().invoke, trunkline, ["agents", "create", "-"], input=body)
    assert result.exit_code == 2
    assert "JSON" in result.output


@pytest.mark.parametrize("url", ["ftp://x", "nonsense", "http://"])
def test_a_url_that_is_none(url: str) -> None:
    result = CliRunner().invoke(trunkline, ["calls", "list", "--url", url])
    assert result.exit_code == 2
    assert "http://127.0.0.1:8080" in result.output


def test_a_table_is_as_wide_as_it_has_to_be() -> None:
    rows: list[dict[str, Any]] = [{"a": "x" * 60, "b": {"c": None}}, {"a": "two\nlines", "b": {"c": True}}, {"a": 3}]
    lines = table(rows, [("A", "a"), ("C", "b.c")])
    assert lines == [f"{'A':<48}  C", f"{'x' * 47}…  -", f"{'two lines':<48}  yes", f"{'3':<48}  -"]


async def test_words_that_a_url_has_a_meaning_for_are_searched(api: Api) -> None:
    await api.agent(name="A&B +1 #2?")
    for search in ("A&B", "+1", "#2?"):
        assert len(await as_json(api, "agents", "list", "--search", search)) == 1
    assert await as_json(api, "agents", "list", "--search", "A&limit=1") == []
    assert await as_json(api, "listeners", "list", "--agent", "a&b") == []


async def test_a_file_that_is_not_there_is_said_so(api: Api, tmp_path: Path) -> None:
    missing = await invoke(api, "agents", "create", str(tmp_path / "no.json"))
    assert missing.exit_code == 2
    assert "no.json cannot be read: No such file or directory" in missing.output


async def test_keys_of_a_running_service(api: Api) -> None:
    url = ("--url", str(api.client.make_url("/")))
    wanted = ("--name", "n", "--scope", "calls:read", "--days", "7")
    made = json.loads(await run(api, "keys", "new", *wanted, *url, "--json"))
    assert made["scopes"] == ["calls:read"]
    listed = json.loads(await run(api, "keys", "list", *url, "--json"))
    assert {key["name"] for key in listed} == {"mine", "n"}
    assert [key["expiresAt"] is not None for key in listed if key["name"] == "n"] == [True]
    successor = (await run(api, "keys", "rotate", made["id"], "--hours", "0", *url)).strip()
    assert successor.startswith("trk_")
    await api("GET", "/calls", status=401, key=made["key"])
    await api("GET", "/calls", key=successor)
    assert "calls:read" in await run(api, "keys", "list", *url)
    assert await run(api, "keys", "delete", made["id"], *url) == f"{made['id']} is deleted\n"
    refused = await invoke(api, "keys", "delete", made["id"], *url)
    assert (refused.exit_code, "404" in refused.output) == (1, True)
    assert (await invoke(api, "keys", "list", "--url", "nowhere")).exit_code == 2


async def test_an_agent_listens_on_a_registration_and_for_browsers_by_a_socket(api: Api) -> None:
    agent = (await api.agent(modelName="ultravox:ultravox/ultravox-v0.7"))["id"]
    account = {"type": "phone-registration", "registrar": "sip.example.com", "username": "1001", "password": "p"}
    registration = (await api("POST", "/phone-endpoints", account, status=201))["id"]
    said = await run(api, "agents", "listen", agent, "--registration", registration, "--stream-log")
    assert said.strip().endswith(f" listens on {registration}")
    assert (await run(api, "agents", "listen", agent, "--websocket")).strip().endswith("listens on browser sessions")
    listeners = (await api("GET", f"/agents/{agent}"))["listeners"]
    assert [(one["registrationId"], one["streamLog"], one["websocket"]) for one in listeners] == [
        (registration, True, False),
        (None, False, True),
    ]
    both = await invoke(api, "agents", "listen", agent, "--registration", registration, "--number", "*")
    assert "exclude each other" in both.output
