from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.api_service import AGENT, OTHER_KEY, Api, serving

NOWHERE = "00000000-0000-4000-8000-00000000dead"


async def test_a_listener_on_a_number_and_the_number_back(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        agent = await api.agent(name="Reception")
        await api.number("+44 (20) 8099-6945")
        options: dict[str, Any] = {"metadata": {"shop": {"id": 7}}, "agentLimit": 2, "streamLog": True}
        options["recording"] = {"enabled": True, "key": "a secret of the client's"}
        made = await api.listener(agent["id"], number="+442080996945", options=options)
        assert made["number"] == "442080996945"
        assert made["socket"] == f"/progress/{made['id']}"
        found = await api.store.find_listener("+442080996945")
        assert found is not None
        assert (found.options.metadata, found.options.agent_limit) == ({"shop": {"id": 7}}, 2)
        (listed,) = (await api("GET", f"/agents/{agent['id']}"))["listeners"]
        assert (listed["id"], listed["number"], listed["metadata"]) == (made["id"], "442080996945", options["metadata"])
        assert (listed["registrationId"], listed["recording"]) == (None, {"enabled": True})
        (item,) = (await api("GET", "/listener", agentId=agent["id"]))["items"]
        assert (item["kind"], item["phoneNumber"], item["agentName"]) == ("phone", "442080996945", "Reception")
        assert await api("DELETE", f"/agents/{agent['id']}/listen/{made['id']}") is None
        assert await api.store.find_listener("442080996945") is None
        await api.listener(agent["id"], number="*")


async def test_a_listener_for_browsers_has_no_number(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        agent = await api.agent()
        made = await api.listener(agent["id"])
        assert made["number"] is None
        (item,) = (await api("GET", "/listener"))["items"]
        assert (item["listenerId"], item["kind"]) == (made["id"], "webrtc")
        assert (await api("GET", "/listener", agentId=NOWHERE))["items"] == []
        assert await api("DELETE", f"/listener/{made['id']}") is None
        await api("DELETE", f"/listener/{made['id']}", status=404)


@pytest.mark.parametrize(
    ("model", "body", "status", "said"),
    [
        ("scripted/echo", {"number": "441234567890"}, 404, "Not found: there is no number 441234567890; add it with"),
        ("scripted/echo", {"number": "+44208099"}, 409, "In use: the number 44208099 has a listener already"),
        ("scripted/echo", {"number": "*"}, 409, "In use: none of the numbers for jambonz is free"),
        ("scripted/echo", {"number": "tomorrow"}, 400, "Number has to be a number in E.164, for example +442080996945"),
        ("scripted/echo", {"number": "0208"}, 400, "Number has to be a number in E.164"),
        (
            "scripted/echo",
            {"options": {"metadata": {"callHook": {"url": "x"}}}},
            400,
            "Options.metadata.callHook.url",
        ),
        (
            "scripted/echo",
            {"options": {"metadata": {"callHook": {"hshKey": "x"}}}},
            400,
            "Options.metadata.callHook.hsh",
        ),
        ("scripted/echo", {"nummer": "*"}, 400, "Nummer is not known; did you mean number?"),
        (
            "scripted/echo",
            {"options": {"agentlimits": 1}},
            400,
            "Options.agentlimits is not known; did you mean agentL",
        ),
        ("scripted/echo", {"options": {"agentLimit": -1}}, 400, "Options.agentLimit has to be greater than or equal"),
        ("scripted/echo", {"id": NOWHERE}, 404, f"Not found: there is no registration {NOWHERE}"),
        ("scripted/echo", {"id": NOWHERE, "number": "*"}, 400, "Id and number exclude each other"),
        ("livekit:openai/gpt-realtime", {}, 501, "The handler livekit is not installed here"),
    ],
)
async def test_why_an_agent_cannot_listen(
    tmp_path: Path, model: str, body: dict[str, Any], status: int, said: str
) -> None:
    async with serving(tmp_path) as api:
        await api.number("+44208099")
        first = await api.agent()
        await api.listener(first["id"], number="*")
        agent = await api.agent(modelName=model)
        error = await api("POST", f"/agents/{agent['id']}/listen", body, status=status)
        assert error["error"].startswith(said)
        await api("POST", f"/agents/{NOWHERE}/listen", {}, status=404)


async def test_200_requests_at_once_for_50_numbers(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        agent = await api.agent()
        numbers = {f"4420{index:04}" for index in range(50)}
        for number in numbers:
            await api.store.numbers.create(api.owner, number, handler="jambonz")

        async def ask() -> tuple[int, Any]:
            headers = {"Authorization": "Bearer key-of-the-default-user"}
            path = f"/api/agents/{agent['id']}/listen"
            async with api.client.post(path, json={"number": "*"}, headers=headers) as answer:
                return answer.status, await answer.json()

        answers = await asyncio.gather(*(ask() for _ in range(200)))
        assert sorted(body["number"] for status, body in answers if status == 200) == sorted(numbers)
        assert {body["code"] for status, body in answers if status == 409} == {"IN_USE"}
        assert sum(status == 409 for status, _ in answers) == 150


async def test_the_life_of_a_number(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        body = {"type": "e164-ddi", "phoneNumber": "442080996945", "name": "Front desk"}
        made = await api("POST", "/phone-endpoints", body, status=201)
        assert made == {"success": True, "number": "442080996945", "trunkId": None}
        error = await api("POST", "/phone-endpoints", body, status=409, key=OTHER_KEY)
        assert error["error"] == "The number 442080996945 exists already"
        for identifier in ("442080996945", "+442080996945"):
            read = await api("GET", f"/phone-endpoints/{identifier}")
            assert (read["number"], read["name"], read["inUse"], read["provisioned"]) == (
                "442080996945",
                "Front desk",
                False,
                False,
            )
        await api("PUT", "/phone-endpoints/442080996945", {"handler": "ultravox", "name": None})
        changed = await api("GET", "/phone-endpoints/442080996945")
        assert (changed["handler"], changed["name"]) == ("jambonz", None)
        await api("PUT", "/phone-endpoints/442080996945", {})
        await api("DELETE", "/phone-endpoints/442080996945")
        await api("GET", "/phone-endpoints/442080996945", status=404)
        await api("GET", f"/phone-endpoints/{NOWHERE}", status=404)


async def test_a_number_in_use_is_not_deleted(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        await api.number()
        agent = await api.agent(name="Reception")
        await api.listener(agent["id"], number="*")
        error = await api("DELETE", "/phone-endpoints/442080996945", status=409)
        assert error["code"] == "IN_USE"
        (item,) = (await api("GET", "/phone-endpoints"))["items"]
        assert (item["inUse"], item["agentId"], item["agentName"]) == (True, agent["id"], "Reception")


async def trunked(api: Api, *, outbound: bool) -> str:
    flags = {"canRefer": True}
    trunk = await api.store.trunks.create(api.owner, "Carrier", handler="livekit", outbound=outbound, flags=flags)
    return trunk.id


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"type": "pigeon"}, 400, "Type has to be one of e164-ddi, phone-registration"),
        (
            {"type": "registration"},
            400,
            "Type has to be one of e164-ddi, phone-registration; did you mean phone-reg",
        ),
        ({}, 400, "Type has to be one of e164-ddi, phone-registration"),
        ({"type": "e164-ddi", "number": "x"}, 400, "Number has to be a number in E.164"),
        ({"type": "e164-ddi", "number": "442", "trunkId": NOWHERE}, 400, "TrunkId names no trunk of yours"),
        ({"type": "e164-ddi", "number": "442", "outbound": True}, 400, "Outbound is not possible: the number is on no"),
        (
            {"type": "phone-registration", "registrar": "r", "username": "u", "password": "p"},
            400,
            "Registrar has to be a host, or host:port",
        ),
        ({"type": "phone-registration"}, 400, "Registrar is missing (and 2 more problems)"),
    ],
)
async def test_why_a_number_cannot_be_added(tmp_path: Path, body: dict[str, Any], status: int, said: str) -> None:
    async with serving(tmp_path) as api:
        error = await api("POST", "/phone-endpoints", body, status=status)
        assert error["error"].startswith(said)


async def test_with_jambonz_a_number_needs_a_trunk_once_there_is_one(tmp_path: Path) -> None:
    async with serving(tmp_path, jambonz_server="jambonz.example.com") as api:
        await api.number("441")
        trunk_id = await trunked(api, outbound=False)
        body = {"type": "e164-ddi", "number": "442"}
        error = await api("POST", "/phone-endpoints", body, status=400)
        assert error["error"] == "TrunkId is missing; GET /api/trunks lists those you can use"
        body["trunkId"] = trunk_id
        await api("POST", "/phone-endpoints", body, status=400, key=OTHER_KEY)
        await api("POST", "/phone-endpoints", body, status=201)


async def test_a_number_can_do_no_more_than_its_trunk(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        for outbound in (False, True):
            body = {"type": "e164-ddi", "number": f"44{outbound:d}", "trunkId": await trunked(api, outbound=outbound)}
            await api("POST", "/phone-endpoints", body, status=201)
            status = 200 if outbound else 400
            await api("PUT", f"/phone-endpoints/44{outbound:d}", {"outbound": True}, status=status)
        found = await api("GET", "/phone-endpoints", originate="true")
        assert [(item["number"], item["handler"]) for item in found["items"]] == [("441", "livekit")]
        error = await api("PUT", "/phone-endpoints/441", {"outbound": None}, status=400)
        assert error["error"] == "Outbound cannot be null; leave it out to keep it"


async def test_numbers_are_listed_in_pages_and_filtered(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        trunks = [await trunked(api, outbound=False) for _ in range(2)]
        for index, trunk in enumerate(trunks):
            body = {"type": "e164-ddi", "number": f"33{index}", "trunkId": trunk}
            await api("POST", "/phone-endpoints", body, status=201)
        for index in range(3):
            await api.number(f"44{index}")

        async def numbers(**query: Any) -> list[str]:
            return [item["number"] for item in (await api("GET", "/phone-endpoints", **query))["items"]]

        page = await api("GET", "/phone-endpoints", pageSize=2)
        assert page["nextOffset"] == 2
        assert await numbers(pageSize=2, offset=4) == ["442"]
        assert await numbers(handler="ultravox") == ["440", "441", "442"]
        assert await numbers(handler="livekit", type="e164-ddi") == ["330", "331"]
        assert await numbers(search="+44") == ["440", "441", "442"]
        await api("PUT", "/phone-endpoints/441", {"name": "Büro ÄÖ"})
        assert await numbers(search="büro äö") == ["441"]
        assert await numbers(trunkId=trunks[1]) == ["331"]
        assert await numbers(trunkId=trunks) == ["330", "331"]
        assert await numbers(type="phone-registration") == []
        assert {one["number"] for one in await api("GET", "/phone-numbers", handler="livekit")} == {"330", "331"}
        listed = await api("GET", "/trunks", pageSize=1)
        assert (listed["nextOffset"], listed["items"][0]["flags"]) == (1, {"canRefer": True})


async def test_a_number_serves_whoever_listens_on_it_now(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        await api.number()
        for _ in range(2):
            agent = await api("POST", "/agents", AGENT)
            listener = await api.listener(agent["id"], number="442080996945")
            found = await api.store.find_listener("442080996945")
            assert found is not None
            assert found.agent_id == agent["id"]
            await api("DELETE", f"/listener/{listener['id']}")
