"""Jambonz's REST API (api-server 0.9.6), as far as number provisioning, the placing of calls and live call control use
it, with what is surprising about it.

Pure: :meth:`ApiServer.handle` takes a request and gives a response; a test puts it on whatever wire it likes.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from jambonz.simulator.commanding import Incompatible
from jambonz.simulator.rest_calls import check_create_call, check_update_call, feature_server_takes
from jambonz.simulator.rest_rows import (
    HOOKS,
    ApiError,
    Row,
    check_carrier,
    check_gateway,
    check_hooks,
    hook_row,
    stored,
)

_UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)


class Response(NamedTuple):
    status: int
    content_type: str = ""
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ApiServer:
    """What a key of one account's gets to see.

    ``phone_numbers``, ``applications``, ``carriers`` and ``gateways`` are the tables, by sid; ``calls`` the sids that
    live call control knows, and ``updates`` what it was told. ``feature_servers`` of 0 lets no call be created;
    ``on_create`` and ``on_update`` are the feature server, which is given the body and the call's sid.
    ``forgetful``: a PUT of an application takes away the hooks that it leaves out, as servers before 0.9 do.
    """

    def __init__(self, *, api_key: str, webhook_secret: str = "wh_secret_simulated") -> None:  # noqa: S107
        self.api_key = api_key
        self.account_sid = str(uuid.uuid4())
        self.service_provider_sid = str(uuid.uuid4())
        self.webhook_secret = webhook_secret
        self.feature_servers = 1
        self.phone_numbers: dict[str, Row] = {}
        self.applications: dict[str, Row] = {}
        self.carriers: dict[str, Row] = {}
        self.gateways: dict[str, Row] = {}
        self.forgetful = False
        self.calls: set[str] = set()
        self.created_calls: list[Row] = []
        self.updates: list[tuple[str, Row]] = []
        self.on_create: Callable[[Row, str], None] = lambda _body, _sid: None
        self.on_update: Callable[[str, Row], None] = lambda _sid, _data: None

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Response:
        """``target`` is the path (``/v1/...``) with its query."""
        authorization = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
        if authorization != f"Bearer {self.api_key}":
            return Response(401, "text/plain", b"Unauthorized")
        url = urlsplit(target)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        path = url.path.removeprefix("/v1").strip("/").split("/")
        try:
            if any(not _UUID.fullmatch(sid) for sid in path[1::2]):
                raise ApiError(400, "Bad request")
            data = json.loads(body) if body else {}
            if not isinstance(data, dict):
                raise ApiError(400, "Bad request")
            return self._route(method, path, query, data)
        except ValueError:
            return _json(400, {"msg": "Bad request"})
        except ApiError as error:
            return _json(error.status, {"msg": str(error)})

    def _route(self, method: str, path: list[str], query: dict[str, str], data: Row) -> Response:
        match method, path:
            case _, ["PhoneNumbers", *sid]:
                return self._table(method, self.phone_numbers, sid, query, data, self._number, self._change_number)
            case _, ["Applications", *sid]:
                return self._table(
                    method, self.applications, sid, query, data, self._application, self._change_application
                )
            case _, ["VoipCarriers", *sid]:
                return self._table(method, self.carriers, sid, query, data, self._carrier, self._change_carrier)
            case "GET", ["SipGateways"]:
                return self._gateways_of(query)
            case _, ["SipGateways", *sid]:
                return self._table(method, self.gateways, sid, query, data, self._gateway, self._change_gateway)
            case "GET", ["Accounts" | "ServiceProviders", _, "VoipCarriers"]:
                return _json(200, list(self.carriers.values()))
            case "GET", ["ServiceProviders"]:
                return _json(200, [])
            case "GET", ["Accounts"]:
                return _json(200, [self._account()])
            case "GET", ["Accounts", self.account_sid]:
                return _json(200, self._account())
            case "GET", ["Accounts", self.account_sid, "WebhookSecret"]:
                if query.get("regenerate") == "true":
                    self.webhook_secret = f"wh_secret_{uuid.uuid4().hex[:22]}"
                return _json(200, {"webhook_secret": self.webhook_secret})
            case "POST", ["Accounts", self.account_sid, "Calls"]:
                return self._create_call(data)
            case "PUT" | "POST", ["Accounts", self.account_sid, "Calls", call_sid]:
                return self._update_call(call_sid, data)
            case _:
                return Response(404, "text/plain", b"Not Found")

    def _table(
        self,
        method: str,
        table: dict[str, Row],
        sid: list[str],
        query: dict[str, str],
        data: Row,
        make: Callable[[str, Row], Row],
        change: Callable[[str, Row, Row], Row],
    ) -> Response:
        """``make`` gives the row of a POST, ``change`` the one after a PUT; it also objects to a DELETE."""
        match method, sid:
            case "GET", []:
                return _listing(list(table.values()), query)
            case "POST", []:
                new = str(uuid.uuid4())
                table[new] = make(new, data)
                return _json(201, {"sid": new})
            case _, [known] if known not in table:
                return Response(404)
            case "GET", [known]:
                return _json(200, table[known])
            case "PUT", [known]:
                if not data:
                    raise ApiError(500, "You have an error in your SQL syntax near 'WHERE'")
                table[known] = change(method, table[known], data)
                return Response(204)
            case "DELETE", [known]:
                change(method, table[known], {})
                del table[known]
                return Response(204)
            case _:
                return Response(404, "text/plain", b"Not Found")

    def _number(self, sid: str, data: Row) -> Row:
        """A leading plus is dropped, and anything goes but white space: "abc", too. The same number may be there many
        times, as long as no two rows name the same carrier."""
        number = str(data.get("number") or "")
        if not number or re.search(r"\s", number):
            raise ApiError(400, "number is missing or has white space in it")
        number = number.removeprefix("+")
        carrier = data.get("voip_carrier_sid")
        if carrier is not None and carrier not in self.carriers:
            raise ApiError(400, f"voip_carrier not found for sid {carrier}")
        for row in self.phone_numbers.values():
            if carrier is not None and (row["number"], row["voip_carrier_sid"]) == (number, carrier):
                raise ApiError(422, "a phone number with this number and carrier exists already")
        self._there(self.applications, data, "application_sid", 500)
        return {
            "phone_number_sid": sid,
            "voip_carrier_sid": None,
            "application_sid": None,
            "service_provider_sid": self.service_provider_sid,
            **stored("phone_numbers", data),
            "number": number,
            "account_sid": self.account_sid,
        }

    def _change_number(self, _method: str, row: Row, data: Row) -> Row:
        if "number" in data or "voip_carrier_sid" in data:
            raise ApiError(400, "number and carrier of a phone number cannot be changed")
        self._there(self.applications, data, "application_sid", 500)
        return {**row, **stored("phone_numbers", data)}

    def _application(self, sid: str, data: Row) -> Row:
        """``call_status_hook`` is required, which only a crash tells."""
        check_hooks(data, required=True)
        if "name" not in data:
            raise ApiError(400, "missing field name")
        self._only_name(data, sid)
        hooks = {hook: hook_row(data[hook], None) if data.get(hook) else None for hook in HOOKS}
        return {**stored("applications", data), **hooks, "application_sid": sid, "account_sid": self.account_sid}

    def _change_application(self, method: str, row: Row, data: Row) -> Row:
        """The hooks are changed in tables of their own; if nothing else is sent, nothing is left to set."""
        sid = row["application_sid"]
        if method == "DELETE":
            if any(number["application_sid"] == sid for number in self.phone_numbers.values()):
                raise ApiError(422, "cannot delete application with phone numbers")
            return row
        check_hooks(data, required=False)
        self._only_name(data, sid)
        hooks: dict[str, Row | None] = {hook: hook_row(data[hook], row[hook]) for hook in HOOKS if data.get(hook)}
        new = [hook for hook in HOOKS if data.get(hook) and "webhook_sid" not in data[hook]]
        rest = {name: value for name, value in data.items() if name not in HOOKS}
        if self.forgetful:
            hooks = {hook: hooks.get(hook) for hook in HOOKS}
        elif not rest and not new:
            raise ApiError(500, "You have an error in your SQL syntax near 'WHERE application_sid'")
        return {**row, **stored("applications", rest), **hooks}

    def _only_name(self, data: Row, sid: str) -> None:
        if any(row["name"] == data.get("name") and key != sid for key, row in self.applications.items()):
            raise ApiError(422, "Duplicate entry for key 'applications_idx_name'")

    def _carrier(self, sid: str, data: Row) -> Row:
        check_carrier(data, {})
        if "name" not in data:
            raise ApiError(400, "missing field name")
        self._there(self.applications, data, "application_sid", 400)
        defaults = {"application_sid": None, "requires_register": 0, "is_active": 1, "trunk_type": "static_ip"}
        row = {**defaults, "register_status": {}, **stored("voip_carriers", data)}
        return {**row, "voip_carrier_sid": sid, "account_sid": self.account_sid}

    def _change_carrier(self, method: str, row: Row, data: Row) -> Row:
        sid = row["voip_carrier_sid"]
        if method == "DELETE":
            if any(number["voip_carrier_sid"] == sid for number in self.phone_numbers.values()):
                raise ApiError(422, "cannot delete voip carrier with active phone numbers")
            self.gateways = {key: one for key, one in self.gateways.items() if one["voip_carrier_sid"] != sid}
            return row
        if row["account_sid"] != self.account_sid:
            raise ApiError(422, "carrier belongs to a different user")
        check_carrier(data, row)
        self._there(self.applications, data, "application_sid", 400)
        return {**row, **stored("voip_carriers", data)}

    def _gateways_of(self, query: dict[str, str]) -> Response:
        """Never all of them."""
        carrier = query.get("voip_carrier_sid")
        if carrier is None:
            raise ApiError(400, "missing voip_carrier_sid")
        self._there(self.carriers, query, "voip_carrier_sid", 400)
        return _json(200, [row for row in self.gateways.values() if row["voip_carrier_sid"] == carrier])

    def _gateway(self, sid: str, data: Row) -> Row:
        if not data.get("voip_carrier_sid"):
            raise ApiError(400, "missing voip_carrier_sid")
        self._there(self.carriers, data, "voip_carrier_sid", 400)
        check_gateway(data)
        for name in ("ipv4", "inbound", "outbound"):
            if name not in data:
                raise ApiError(500, f"Field '{name}' doesn't have a default value")
        defaults = {"netmask": 32, "port": None, "is_active": 1, "protocol": "udp"}
        return {**defaults, **stored("sip_gateways", data), "sip_gateway_sid": sid}

    def _change_gateway(self, method: str, row: Row, data: Row) -> Row:
        if method == "PUT":
            check_gateway(data)
        return {**row, **stored("sip_gateways", data)}

    def _there(self, table: Mapping[str, Row], data: Mapping[str, Any], name: str, status: int) -> None:
        """What ``data`` names under ``name`` has to be in ``table``."""
        if data.get(name) is not None and data[name] not in table:
            raise ApiError(status, f"unknown {name}")

    def _account(self) -> Row:
        return {"account_sid": self.account_sid, "name": "simulated", "webhook_secret": self.webhook_secret}

    def _create_call(self, data: Row) -> Response:
        """The application's hooks, where one is named, go before those of the body. What the feature server objects to
        is a 500 without a word."""
        if not self.feature_servers:
            raise ApiError(480, "no available feature servers at this time")
        body = check_create_call(data, self.applications) | {"account_sid": self.account_sid}
        if not feature_server_takes(body):
            return Response(500, "text/plain", b"Internal Server Error")
        sid = str(uuid.uuid4())
        self.calls.add(sid)
        self.created_calls.append({**body, "sid": sid})
        self.on_create(body, sid)
        return _json(201, {"sid": sid, "callId": str(uuid.uuid4())})

    def _update_call(self, call_sid: str, data: Row) -> Response:
        """The feature server does all but SIP requests after it has answered; its 422 is given on as it is."""
        check_update_call(data)
        if call_sid not in self.calls:
            return Response(404, "text/plain", b"Not Found")
        self.updates.append((call_sid, data))
        try:
            self.on_update(call_sid, data)
        except Incompatible as error:
            return Response(422, "text/html; charset=utf-8", str(error).encode())
        if data.get("sip_request"):
            return _json(200, {"status": 200, "reason": "OK"})
        return Response(202, "text/plain; charset=utf-8", b"Accepted")


def _json(status: int, value: Any) -> Response:
    return Response(status, "application/json; charset=utf-8", json.dumps(value).encode())


def _listing(rows: list[Row], query: dict[str, str]) -> Response:
    """A bare array, unless a page is asked for."""
    if "filter" in query:
        rows = [row for row in rows if query["filter"] in row.get("number", "")]
    if "name" in query:
        rows = [row for row in rows if query["name"] in row.get("name", "")]
    if "page" not in query:
        return _json(200, rows)
    page, size = int(query["page"]), int(query.get("page_size", 25))
    data = rows[(page - 1) * size : page * size]
    return _json(200, {"total": len(rows), "page": page, "page_size": size, "data": data})
