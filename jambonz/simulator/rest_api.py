"""Jambonz's REST API (api-server 0.9.6), as far as number provisioning and live call control use it, with what is
surprising about it.

Pure: :meth:`ApiServer.handle` takes a request and gives a response; a test puts it on whatever wire it likes.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

Row = dict[str, Any]

_UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_HOOKS = ("call_hook", "call_status_hook", "messaging_hook")
_LIVE_OPTIONS = frozenset(
    {"call_hook", "call_status", "listen_status", "transcribe_status", "mute_status", "conf_hold_status"}
    | {"conf_mute_status", "sip_request", "record", "tag", "dtmf", "conferenceParticipantAction", "dub"}
    | {"boostAudioSignal", "media_path", "whisper"}
)


class Response(NamedTuple):
    status: int
    content_type: str = ""
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ApiError(Exception):
    """An answer other than success: ``{"msg": ...}`` with ``status``."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ApiServer:
    """What a key of one account's gets to see.

    ``phone_numbers``, ``applications`` and ``carriers`` are the tables, by sid; ``calls`` the sids that live call
    control knows, and ``updates`` what it was told. ``feature_servers`` of 0 lets no call be created.
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
        self.calls: set[str] = set()
        self.created_calls: list[Row] = []
        self.updates: list[tuple[str, Row]] = []

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
                return self._table(method, self.phone_numbers, sid, query, data, self._number, self._check_number)
            case _, ["Applications", *sid]:
                return self._table(method, self.applications, sid, query, data, self._application, self._check_unused)
            case _, ["VoipCarriers", *sid]:
                return self._table(method, self.carriers, sid, query, data, self._carrier, _anything)
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
        check: Callable[[str, str, Row], None],
    ) -> Response:
        """``make`` gives the row of a POST, ``check`` objects to a PUT or DELETE."""
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
                check(method, known, data)
                table[known].update(data)
                return Response(204)
            case "DELETE", [known]:
                check(method, known, data)
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
        for row in self.phone_numbers.values():
            if carrier is not None and (row["number"], row["voip_carrier_sid"]) == (number, carrier):
                raise ApiError(422, "a phone number with this number and carrier exists already")
        return {
            "phone_number_sid": sid,
            "number": number,
            "voip_carrier_sid": carrier,
            "account_sid": data.get("account_sid") or self.account_sid,
            "application_sid": data.get("application_sid"),
            "service_provider_sid": self.service_provider_sid,
        }

    def _check_number(self, _method: str, _sid: str, data: Row) -> None:
        if "number" in data or "voip_carrier_sid" in data:
            raise ApiError(400, "number and carrier of a phone number cannot be changed")

    def _application(self, sid: str, data: Row) -> Row:
        """``call_status_hook`` is required, which only a crash tells."""
        if "name" not in data:
            raise ApiError(400, "missing value for name")
        for hook in ("call_hook", "call_status_hook"):
            if not isinstance(data.get(hook), dict):
                raise ApiError(500, "Cannot read properties of undefined (reading 'url')")
        for hook in _HOOKS:
            if hook in data and not str(data[hook].get("url", "")).startswith(
                ("http://", "https://", "ws://", "wss://")
            ):
                raise ApiError(400, f"{hook} has an invalid url")
        if any(row["name"] == data["name"] for row in self.applications.values()):
            raise ApiError(422, "an application with this name exists already")
        hooks = {hook: {"webhook_sid": str(uuid.uuid4()), **data[hook]} for hook in _HOOKS if hook in data}
        return {"messaging_hook": None, **data, **hooks, "application_sid": sid, "account_sid": self.account_sid}

    def _check_unused(self, method: str, sid: str, _data: Row) -> None:
        if method == "DELETE" and any(row["application_sid"] == sid for row in self.phone_numbers.values()):
            raise ApiError(422, "cannot delete application with phone numbers")

    def _carrier(self, sid: str, data: Row) -> Row:
        if "name" not in data:
            raise ApiError(400, "missing value for name")
        return {**data, "voip_carrier_sid": sid, "account_sid": self.account_sid}

    def _account(self) -> Row:
        return {"account_sid": self.account_sid, "name": "simulated", "webhook_secret": self.webhook_secret}

    def _create_call(self, data: Row) -> Response:
        if "from" not in data or not isinstance(data.get("to"), dict):
            raise ApiError(400, "missing value for from or to")
        if "application_sid" not in data and "call_hook" not in data:
            raise ApiError(400, "either application_sid or call_hook is needed")
        if not self.feature_servers:
            raise ApiError(480, "no available feature servers at this time")
        sid = str(uuid.uuid4())
        self.calls.add(sid)
        self.created_calls.append({**data, "sid": sid})
        return _json(201, {"sid": sid, "callId": str(uuid.uuid4())})

    def _update_call(self, call_sid: str, data: Row) -> Response:
        if call_sid not in self.calls:
            return Response(404)
        options = set(data) & _LIVE_OPTIONS
        if not options:
            raise ApiError(400, "no valid options supplied to updateCall")
        if len(options - {"whisper"}) > 1:
            raise ApiError(400, "multiple options are not allowed in updateCall")
        self.updates.append((call_sid, data))
        return _json(200, {"status": 200, "reason": "OK"}) if "sip_request" in options else Response(202)


def _anything(_method: str, _sid: str, _data: Row) -> None:
    """Nothing to object to."""


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
