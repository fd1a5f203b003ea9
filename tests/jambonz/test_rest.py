"""The client of Jambonz's REST API, over sockets on loopback."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from jambonz import rest
from jambonz.rest import Refused, RestApi, Unavailable
from jambonz.simulator.rest_api import ApiServer
from tests.jambonz.simulator.service import Service
from tests.simulators.jambonz_wire import jambonz_on_loopback


async def ask(api: RestApi, path: str = "/PhoneNumbers", method: str = "GET", body: Any = None) -> Any:
    try:
        return await api.request(method, path, body)
    finally:
        await api.close()


async def test_a_number_is_made_found_changed_and_deleted() -> None:
    async with jambonz_on_loopback(ApiServer(api_key="key")) as url:
        api = RestApi(url, "key")
        try:
            made = await api.request("POST", "/PhoneNumbers", {"number": "+441"})
            assert [row["number"] for row in await api.request("GET", "/PhoneNumbers")] == ["441"]
            assert await api.request("PUT", f"/PhoneNumbers/{made['sid']}", {"application_sid": None}) is None
            assert await api.request("DELETE", f"/PhoneNumbers/{made['sid']}") is None
        finally:
            await api.close()
        assert await ask(RestApi(f"{url}/v1", "key")) == []


async def test_what_is_refused_says_why() -> None:
    async with jambonz_on_loopback(ApiServer(api_key="key")) as url:
        with pytest.raises(Refused, match="number is missing") as refused:
            await ask(RestApi(url, "key"), method="POST", body={"number": "4 4"})
        assert refused.value.status == 400


async def test_a_command_is_accepted_in_a_word_and_refused_in_a_sentence() -> None:
    """Neither is JSON: Express's phrase for the status, and what the feature server says."""
    server = ApiServer(api_key="key")
    server.calls.add(sid := str(uuid.uuid4()))
    call, command = f"/Accounts/{server.account_sid}/Calls/{sid}", {"dtmf": {"digit": "1"}}
    async with jambonz_on_loopback(server) as url:
        assert await ask(RestApi(url, "key"), call, "PUT", command) is None
        server.on_update = Service([]).jambonz().update_call
        with pytest.raises(Refused, match=rf"^call session is gone for call_sid {sid}$") as refused:
            await ask(RestApi(url, "key"), call, "PUT", command)
        assert refused.value.status == 422
        with pytest.raises(Refused, match=r"^Not Found$"):
            await ask(RestApi(url, "key"), call.replace(sid, str(uuid.uuid4())), "PUT", command)


def answering(status: int, text: str = "", **headers: str) -> Callable[[web.Request], Any]:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    return handler


@pytest.mark.parametrize(
    ("handler", "said", "retry"),
    [
        (answering(500, '{"msg": "ER_LOCK_DEADLOCK"}'), "was answered with 500: ER_LOCK_DEADLOCK", True),
        (answering(502, "<html>Bad Gateway</html>"), "was answered with 502", True),
        (answering(429), "too many requests", False),
        (answering(403, '{"msg": "insufficient privileges"}'), "is JAMBONZ_API_KEY a key of this account", False),
        (answering(302, Location="http://127.0.0.1:9/"), "was answered with 302", True),
        (answering(200, "<html>a portal</html>"), "something that is not JSON", False),
    ],
)
async def test_what_is_no_answer(handler: Callable[[web.Request], Any], said: str, retry: bool) -> None:
    async with jambonz_on_loopback(ApiServer(api_key="key"), {"/PhoneNumbers": handler}) as url:
        with pytest.raises(Unavailable, match=said) as unavailable:
            await ask(RestApi(url, "key"))
        assert unavailable.value.retry is retry


async def test_a_wrong_key_is_told_without_it() -> None:
    async with jambonz_on_loopback(ApiServer(api_key="key")) as url:
        with pytest.raises(Unavailable, match="JAMBONZ_API_KEY") as unavailable:
            await ask(RestApi(url, "a-wrong-key"))
        assert "a-wrong-key" not in str(unavailable.value)


async def test_nobody_there() -> None:
    async with jambonz_on_loopback(ApiServer(api_key="key")) as url:
        pass
    with pytest.raises(Unavailable, match="was not answered"):
        await ask(RestApi(url, "key"))


async def test_an_answer_has_a_deadline_to_its_last_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "REQUEST_SECONDS", 0.1)

    async def trickle(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"[")
        await asyncio.sleep(5)
        return answer

    async with jambonz_on_loopback(ApiServer(api_key="key"), {"/PhoneNumbers": trickle}) as url:
        with pytest.raises(Unavailable, match=r"was not answered within 0\.1 s"):
            await ask(RestApi(url, "key"))


async def test_an_answer_that_does_not_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "LARGEST_ANSWER", 1000)
    handler = answering(200, "[" + " " * 2000 + "]")
    async with jambonz_on_loopback(ApiServer(api_key="key"), {"/PhoneNumbers": handler}) as url:
        with pytest.raises(Unavailable, match="larger than 1000 bytes"):
            await ask(RestApi(url, "key"))
