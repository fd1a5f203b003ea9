"""The simulated REST API surprises like the real one."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from jambonz.simulator.rest_api import ApiServer, Response

KEY = {"Authorization": "Bearer key"}
HOOKS = {"call_hook": {"url": "https://a/call"}, "call_status_hook": {"url": "https://a/status"}}


@pytest.fixture
def server() -> ApiServer:
    return ApiServer(api_key="key")


def request(server: ApiServer, method: str, target: str, data: Any = None) -> Response:
    return server.handle(method, "/v1" + target, KEY, b"" if data is None else json.dumps(data).encode())


def test_without_the_key_it_is_401_in_plain_text(server: ApiServer) -> None:
    for headers in ({}, {"authorization": "Bearer other"}, {"authorization": "Basic key"}):
        assert server.handle("GET", "/v1/PhoneNumbers", headers) == (401, "text/plain", b"Unauthorized")
    assert server.handle("GET", "/v1/PhoneNumbers", {"AUTHORIZATION": "Bearer key"}).status == 200


def test_numbers_lose_their_plus_and_are_not_validated(server: ApiServer) -> None:
    sid = request(server, "POST", "/PhoneNumbers", {"number": "+442079460000"}).json["sid"]
    assert request(server, "GET", f"/PhoneNumbers/{sid}").json["number"] == "442079460000"
    assert request(server, "POST", "/PhoneNumbers", {"number": "abc"}).status == 201
    assert request(server, "POST", "/PhoneNumbers", {"number": "44 20"}).status == 400


def test_the_same_number_is_accepted_twice_unless_the_carrier_is_the_same(server: ApiServer) -> None:
    carrier = request(server, "POST", "/VoipCarriers", {"name": "c"}).json["sid"]
    for data in ({"number": "44"}, {"number": "+44"}, {"number": "44", "voip_carrier_sid": carrier}):
        assert request(server, "POST", "/PhoneNumbers", data).status == 201
    assert request(server, "POST", "/PhoneNumbers", {"number": "44", "voip_carrier_sid": carrier}).status == 422
    assert len(request(server, "GET", "/PhoneNumbers?filter=44").json) == 3


def test_a_number_is_bound_to_an_application_and_cannot_change(server: ApiServer) -> None:
    application = request(server, "POST", "/Applications", {"name": "a", **HOOKS}).json["sid"]
    number = request(server, "POST", "/PhoneNumbers", {"number": "44"}).json["sid"]
    assert request(server, "PUT", f"/PhoneNumbers/{number}", {"application_sid": application}).status == 204
    assert request(server, "PUT", f"/PhoneNumbers/{number}", {"number": "45"}).status == 400
    refused = request(server, "DELETE", f"/Applications/{application}")
    assert (refused.status, refused.json) == (422, {"msg": "cannot delete application with phone numbers"})
    assert request(server, "DELETE", f"/PhoneNumbers/{number}").status == 204
    assert request(server, "DELETE", f"/Applications/{application}").status == 204
    assert request(server, "GET", f"/Applications/{application}") == (404, "", b"")


def test_an_application_without_a_status_hook_is_a_500(server: ApiServer) -> None:
    answer = request(server, "POST", "/Applications", {"name": "a", "call_hook": HOOKS["call_hook"]})
    assert (answer.status, answer.json) == (500, {"msg": "Cannot read properties of undefined (reading 'url')"})


def test_an_applications_id_is_answered_as_sid(server: ApiServer) -> None:
    answer = request(server, "POST", "/Applications", {"name": "a", **HOOKS}).json
    assert set(answer) == {"sid"}
    row = request(server, "GET", f"/Applications/{answer['sid']}").json
    assert row["application_sid"] == answer["sid"]
    assert row["call_hook"]["url"] == "https://a/call"
    assert "webhook_sid" in row["call_hook"]
    assert request(server, "POST", "/Applications", {"name": "a", **HOOKS}).status == 422
    bad = {"name": "b", **HOOKS, "call_hook": {"url": "ftp://a"}}
    assert request(server, "POST", "/Applications", bad).status == 400


def test_pages_only_when_asked_for(server: ApiServer) -> None:
    for number in range(7):
        request(server, "POST", "/PhoneNumbers", {"number": str(number)})
    assert len(request(server, "GET", "/PhoneNumbers").json) == 7
    page = request(server, "GET", "/PhoneNumbers?page=2&page_size=5").json
    assert (page["total"], page["page"], page["page_size"]) == (7, 2, 5)
    assert [row["number"] for row in page["data"]] == ["5", "6"]


def test_the_account_and_its_webhook_secret(server: ApiServer) -> None:
    account = f"/Accounts/{server.account_sid}"
    secret = request(server, "GET", f"{account}/WebhookSecret").json["webhook_secret"]
    assert request(server, "GET", account).json["webhook_secret"] == secret
    assert request(server, "GET", f"{account}/WebhookSecret?regenerate=true").json["webhook_secret"] != secret
    assert request(server, "GET", "/ServiceProviders").json == []
    assert request(server, "GET", "/Accounts/nonsense").json == {"msg": "Bad request"}
    assert request(server, "GET", f"/Accounts/{uuid.uuid4()}").status == 404


def test_calls_are_created_and_controlled(server: ApiServer) -> None:
    calls = f"/Accounts/{server.account_sid}/Calls"
    speech = dict.fromkeys(
        (*(f"speech_synthesis_{one}" for one in ("vendor", "language", "voice")), "speech_recognizer_vendor"), "x"
    )
    data = {"from": "44", "to": {"type": "phone", "number": "45"}, "call_hook": "https://a", **speech}
    for bad, said in (
        ({"from": ""}, "missing from"),
        ({"to": {"type": "phone"}}, "missing or invalid to"),
        ({"to": "45"}, "missing or invalid to"),
        ({}, "either application_sid or set of"),
    ):
        assert said in request(server, "POST", calls, {**data, **bad}).json["msg"]
    data["speech_recognizer_language"] = "x"
    assert request(server, "POST", calls, {**data, "call_hook": "/a"}).json["msg"] == "call_hook url be an absolute url"
    for objected in ({"timeout": 1.5}, {"timeout": True}, {"tag": "a"}, {"ringFor": 7}):
        answer = request(server, "POST", calls, {**data, **objected})
        assert (answer.status, answer.content_type) == (500, "text/plain"), "the feature server's word is not given on"
    sid = request(server, "POST", calls, data).json["sid"]
    assert request(server, "PUT", f"{calls}/{sid}", {"call_hook": {"url": "https://a"}}).status == 202
    assert server.updates == [(sid, {"call_hook": {"url": "https://a"}})]
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "no valid options supplied to updateCall"),
        ({"call_status": "completed", "mute_status": "mute"}, "multiple options are not allowed in updateCall"),
        ({"call_status": "busy"}, "invalid call_status"),
        ({"listen_status": "stop"}, "invalid listen_status"),
        ({"dtmf": {"duration": 100}}, "invalid dtmf"),
        ({"tag": "a"}, "invalid tag data"),
        ({"sip_request": {"method": "INFO"}}, "sip_request requires method, content_type and content properties"),
        ({"record": {"recordingID": "r"}}, "record requires action property"),
        (
            {"record": {"action": "stopCallRecording"}},
            "record requires siprecServerURL property when starting recording",
        ),
    ]
    for bad, message in wrong:
        answer = request(server, "PUT", f"{calls}/{sid}", bad)
        assert (answer.status, answer.json) == (400, {"msg": message})
    assert request(server, "PUT", f"{calls}/{uuid.uuid4()}", {"call_status": "completed"}).status == 404
    assert request(server, "POST", calls, {"from": "44"}).status == 400
    server.feature_servers = 0
    assert request(server, "POST", calls, data).status == 480


def test_what_there_is_not(server: ApiServer) -> None:
    assert request(server, "GET", "/Nothing").status == 404
    assert server.handle("POST", "/v1/PhoneNumbers", KEY, b"{").status == 400
    assert server.handle("POST", "/v1/PhoneNumbers", KEY, b"[]").status == 400
    assert request(server, "PATCH", "/PhoneNumbers", {}).status == 404


def test_a_put_is_sparse_and_one_of_nothing_but_known_hooks_is_a_500(server: ApiServer) -> None:
    sid = request(server, "POST", "/Applications", {"name": "a", **HOOKS}).json["sid"]
    before = request(server, "GET", f"/Applications/{sid}").json
    hook = {**before["call_hook"], "url": "https://b/call"}
    answer = request(server, "PUT", f"/Applications/{sid}", {"call_hook": hook})
    assert (answer.status, "SQL syntax" in answer.json["msg"]) == (500, True)
    assert request(server, "PUT", f"/Applications/{sid}", {"name": "a", "call_hook": hook}).status == 204
    after = request(server, "GET", f"/Applications/{sid}").json
    assert after == {**before, "call_hook": hook}
    assert request(server, "PUT", f"/Applications/{sid}", {"call_status_hook": {"url": "https://c"}}).status == 204
    assert request(server, "GET", f"/Applications/{sid}").json["call_hook"] == hook


def test_an_older_server_forgets_the_hooks_that_a_put_leaves_out(server: ApiServer) -> None:
    server.forgetful = True
    sid = request(server, "POST", "/Applications", {"name": "a", **HOOKS}).json["sid"]
    request(server, "PUT", f"/Applications/{sid}", {"name": "a", "call_hook": {"url": "https://b"}})
    assert request(server, "GET", f"/Applications/{sid}").json["call_status_hook"] is None


def test_what_the_database_does_not_take_is_a_500(server: ApiServer) -> None:
    carrier = {"name": "c"}
    for wrong in ({"colour": "red"}, {"name": "x" * 65}, {"trunk_type": "pigeon"}):
        assert request(server, "POST", "/VoipCarriers", carrier | wrong).status == 500
    assert (
        request(server, "POST", "/PhoneNumbers", {"number": "44", "application_sid": str(uuid.uuid4())}).status == 500
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"register_password": " "}, "register_password is required when requires_register is true"),
        ({"register_username": "a b"}, "register_username must not contain whitespace"),
        ({"register_sip_realm": "sip:a.b"}, "register_sip_realm must be a valid domain or IP address"),
        ({"register_sip_realm": "localhost"}, "register_sip_realm must be a valid domain or IP address"),
        ({"register_from_domain": "localhost"}, "register_from_domain must be a valid domain or IP address"),
        ({"application_sid": "unknown"}, "unknown application_sid"),
    ],
)
def test_carriers_that_register_are_looked_at(server: ApiServer, wrong: Any, said: str) -> None:
    carrier = {"name": "c", "requires_register": True, "register_username": "a", "register_password": "b"}
    sid = request(server, "POST", "/VoipCarriers", carrier).json["sid"]
    assert request(server, "GET", f"/VoipCarriers/{sid}").json["requires_register"] == 1
    assert request(server, "GET", f"/VoipCarriers/{sid}").json["register_status"] == {}
    for method, path, data in (
        ("POST", "/VoipCarriers", {**carrier, **wrong}),
        ("PUT", f"/VoipCarriers/{sid}", wrong),
    ):
        answer = request(server, method, path, data)
        assert answer.status == 400
        assert answer.json["msg"].startswith(said)


def test_gateways_are_listed_by_carrier_and_go_with_it(server: ApiServer) -> None:
    carrier = request(server, "POST", "/VoipCarriers", {"name": "c"}).json["sid"]
    gateway = {"voip_carrier_sid": carrier, "ipv4": "sip.example.com", "inbound": 0, "outbound": 1}
    assert request(server, "POST", "/SipGateways", gateway).status == 201
    assert request(server, "POST", "/SipGateways", gateway | {"inbound": 1}).status == 400
    assert request(server, "POST", "/SipGateways", gateway | {"netmask": 24}).status == 400
    assert request(server, "GET", "/SipGateways").status == 400
    (row,) = request(server, "GET", f"/SipGateways?voip_carrier_sid={carrier}").json
    assert (row["ipv4"], row["netmask"], row["is_active"], row["port"]) == ("sip.example.com", 32, 1, None)
    number = request(server, "POST", "/PhoneNumbers", {"number": "44", "voip_carrier_sid": carrier}).json["sid"]
    assert request(server, "DELETE", f"/VoipCarriers/{carrier}").status == 422
    request(server, "DELETE", f"/PhoneNumbers/{number}")
    assert request(server, "DELETE", f"/VoipCarriers/{carrier}").status == 204
    assert server.gateways == {}
