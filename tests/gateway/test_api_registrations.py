"""Phone endpoints that are SIP accounts, and trunks, over the API; and calls that come by them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.provisioner import Provisioner
from jambonz.provisioning.wanted import CARRIER_PREFIX
from store import DEFAULT_OWNER, ListenerOptions
from tests.gateway.api_service import OTHER_KEY, Api, serving
from tests.gateway.service import call_hook
from tests.gateway.service import serving as whole_service

NOWHERE = "00000000-0000-4000-8000-00000000dead"
ACCOUNT = {
    "type": "phone-registration",
    "registrar": "sip:SIP.example.com:5070",
    "username": "1001",
    "password": "secret-of-the-account",
    "name": "Desk",
}


async def registration(api: Api, **changes: Any) -> str:
    made = await api("POST", "/phone-endpoints", {**ACCOUNT, **changes}, status=201)
    return str(made["id"])


async def test_the_life_of_a_registration(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        options = {"transport": "tls", "auth_username": "auth", "extension_in_contact": True}
        which = await registration(api, options=options, outbound=True)
        path = f"/phone-endpoints/{which}"
        row = await api("GET", path)
        assert (row["registrar"], row["username"], row["name"]) == ("sip.example.com:5070", "1001", "Desk")
        assert (row["status"], row["state"], row["handler"], row["outbound"]) == ("active", "initial", "jambonz", True)
        assert row["options"] == options
        assert "secret" not in str(row)
        state = await api("POST", f"{path}/disable")
        assert state == {"success": True, "id": which, "status": "disabled", "state": "initial"}
        await api("PUT", path, {"username": "1002", "password": "new", "options": {"transport": "udp"}})
        row = await api("GET", path)
        assert (row["username"], row["status"], row["options"]) == ("1002", "disabled", {"transport": "udp"})
        assert (await api("POST", f"{path}/activate"))["status"] == "active"
        await api("PUT", path, {"name": None, "handler": "ultravox", "outbound": False})
        row = await api("GET", path.upper().replace("/PHONE-ENDPOINTS", "/phone-endpoints"))
        assert (row["name"], row["handler"], row["outbound"]) == (None, "jambonz", False)
        await api("DELETE", path)
        await api("GET", path, status=404)


async def test_a_registration_of_others_is_none(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        path = f"/phone-endpoints/{await registration(api)}"
        await api("GET", path, status=404, key=OTHER_KEY)
        await api("PUT", path, {"name": "Mine"}, status=404, key=OTHER_KEY)
        await api("DELETE", path, status=404, key=OTHER_KEY)
        for what in ("activate", "disable"):
            await api("POST", f"{path}/{what}", status=404, key=OTHER_KEY)
            await api("POST", f"/phone-endpoints/442080996945/{what}", status=404)
        assert (await api("GET", "/phone-endpoints", key=OTHER_KEY))["items"] == []
        assert (await api("GET", path))["name"] == "Desk"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"registrar": "localhost"}, "Registrar has to be a host, or host:port"),
        ({"registrar": "sip.example.com:99999"}, "Registrar has to be a host, or host:port"),
        ({"registrar": "sip.example.com/x"}, "Registrar has to be a host, or host:port"),
        ({"username": "1001@sip.example.com"}, "Username has to be the name alone"),
        ({"password": ""}, "Password has to have at least 1 character"),
        ({"password": "x" * 65}, "Password has to have at most 64 characters"),
        ({"options": {"transport": "carrier pigeon"}}, "Options.transport has to be 'udp', 'tcp' or 'tls'"),
        ({"options": {"authuser": "x"}}, "Options.authuser is not known; did you mean auth_username?"),
        ({"pasword": "x"}, "Pasword is not known; did you mean password?"),
    ],
)
async def test_why_an_account_cannot_be_added(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    async with serving(tmp_path) as api:
        error = await api("POST", "/phone-endpoints", {**ACCOUNT, **changes}, status=400)
        assert error["error"].startswith(said)
        assert "secret" not in str(error)


async def test_an_account_is_there_once_and_keeps_what_it_needs(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        which = await registration(api)
        error = await api("POST", "/phone-endpoints", ACCOUNT, status=409)
        assert error["error"] == "There is a registration of 1001 at sip.example.com:5070 already"
        error = await api("PUT", f"/phone-endpoints/{which}", {"password": None}, status=400)
        assert error["error"] == "Password cannot be null; leave it out to keep it"


async def test_numbers_and_registrations_are_one_list(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        for number in ("441", "442", "443"):
            await api.number(number)
        for name in ("Desk", "Lobby"):
            await registration(api, username=name, name=name)

        async def listed(**query: Any) -> tuple[list[str], Any]:
            page = await api("GET", "/phone-endpoints", **query)
            return [item.get("number") or item["name"] for item in page["items"]], page["nextOffset"]

        assert await listed() == (["441", "442", "443", "Desk", "Lobby"], None)
        assert await listed(pageSize=2) == (["441", "442"], 2)
        assert await listed(pageSize=2, offset=2) == (["443", "Desk"], 4)
        assert await listed(pageSize=2, offset=4) == (["Lobby"], None)
        assert await listed(pageSize=3) == (["441", "442", "443"], 3)
        assert await listed(pageSize=2, offset=3) == (["Desk", "Lobby"], None)
        assert await listed(type="phone-registration", pageSize=1) == (["Desk"], 1)
        assert await listed(type="e164-ddi", offset=2) == (["443"], None)
        assert await listed(search="lobby") == (["Lobby"], None)
        assert await listed(search="442") == (["442"], None)
        assert await listed(trunkId=NOWHERE) == ([], None)


async def test_an_agent_listens_on_a_registration(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        agent, which = await api.agent(name="Reception"), await registration(api)
        await api("POST", f"/agents/{agent['id']}/listen", {"id": ""}, status=400)
        made = await api.listener(agent["id"], id=which.upper())
        assert (made["registrationId"], made["number"]) == (which, None)
        (item,) = (await api("GET", "/listener"))["items"]
        assert (item["kind"], item["registrationId"], item["registrationName"]) == ("registration", which, "Desk")
        row = await api("GET", f"/phone-endpoints/{which}")
        assert (row["inUse"], row["agentName"]) == (True, "Reception")
        await api("POST", f"/agents/{agent['id']}/listen", {"id": which}, status=409)
        await api("DELETE", f"/phone-endpoints/{which}", status=409)
        await api("DELETE", f"/listener/{made['id']}")
        await api("DELETE", f"/phone-endpoints/{which}")


async def test_the_life_of_a_trunk(tmp_path: Path) -> None:
    async with serving(tmp_path, jambonz_server="jambonz.example.com") as api:
        made = await api("POST", "/trunks", {"name": "Carrier", "flags": {"canRefer": True}}, status=201)
        assert made == {
            "id": made["id"],
            "name": "Carrier",
            "handler": "jambonz",
            "outbound": False,
            "flags": {"canRefer": True},
        }
        path = f"/trunks/{made['id']}"
        changed = await api("PUT", path, {"name": "Renamed", "outbound": True})
        assert (changed["name"], changed["outbound"], changed["flags"]) == ("Renamed", True, {"canRefer": True})
        assert await api("GET", path) == changed
        error = await api("PUT", path, {"name": None}, status=400)
        assert error["error"] == "Name cannot be null; leave it out to keep it"
        body = {"type": "e164-ddi", "number": "442", "trunkId": made["id"], "outbound": True}
        await api("POST", "/phone-endpoints", body, status=201)
        error = await api("DELETE", path, status=409)
        assert error["error"] == "In use: the number 442 is on the trunk; delete it first"
        await api("DELETE", "/phone-endpoints/442")
        await api("DELETE", path)
        await api("GET", path, status=404)


async def test_jambonz_is_told_of_each_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And of nothing else."""
    woken = 0

    def wake(_provisioner: Provisioner) -> None:
        nonlocal woken
        woken += 1

    monkeypatch.setattr(Provisioner, "wake", wake)
    async with serving(tmp_path) as api:
        agent = await api.agent()
        trunk = await api("POST", "/trunks", {"name": "Carrier"}, status=201)
        assert woken == 0
        which = await registration(api)
        await api.number("442")
        path = f"/phone-endpoints/{which}"
        for method, where in (("PUT", path), ("POST", f"{path}/disable"), ("POST", f"{path}/activate")):
            await api(method, where, {})
        await api("PUT", "/phone-endpoints/442", {"handler": "livekit"})
        await api("PUT", f"/trunks/{trunk['id']}", {"name": "Renamed"})
        assert woken == 7
        await api("GET", "/phone-endpoints")
        await api.listener(agent["id"], id=which)
        await api("DELETE", path, status=409)
        await api("DELETE", "/phone-endpoints/442")
        assert woken == 8


async def test_a_call_by_a_registration_comes_to_its_listener(tmp_path: Path) -> None:
    async with whole_service(tmp_path) as service:
        owner_agent = (await service.store.listeners.list(DEFAULT_OWNER))[0].agent_id
        which = await service.store.registrations.create(
            DEFAULT_OWNER, registrar="sip.example.com", username="1001", password="p", handler="jambonz"
        )
        trunk = {"originating_sip_trunk_name": f"{CARRIER_PREFIX}{which}"}

        async def answered(**changes: Any) -> str:
            status, body = await service.post("/jambonz/call", call_hook(**trunk, **changes))
            assert status == 200
            return "listen" if '"listen"' in body else "declined"

        assert await answered(to="1001") == "declined"
        await service.store.listeners.create(
            DEFAULT_OWNER, owner_agent, number=None, options=ListenerOptions(), registration_id=which
        )
        assert await answered(to="1001") == "listen"
        assert await answered(to=None) == "listen"
        await service.store.registrations.set_status(DEFAULT_OWNER, which, "disabled")
        assert await answered(to="1001") == "declined"
        assert await answered() == "listen", "its number has a listener of its own"
