"""What is in Jambonz, of what concerns us. Rows come as its REST API gives them: flags as 0 or 1, or as booleans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Hook:
    url: str
    method: str
    sid: str | None = None


@dataclass(frozen=True, slots=True)
class Application:
    sid: str
    name: str
    call: Hook | None
    status: Hook | None
    messaging: Row | None = None
    """As it came: who changes an application gives it back."""


@dataclass(frozen=True, slots=True)
class RegisterStatus:
    """What the last attempt came to. ``at`` is None where Jambonz does not tell."""

    ok: bool
    reason: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Gateway:
    sid: str
    row: Row = field(repr=False)

    def is_like(self, wanted: Row) -> bool:
        """Fields that are not wanted may be anything, but there is no port where none is wanted."""
        if self.row.get("port") is not None and "port" not in wanted:
            return False
        fits = all(same(self.row.get(name), value) for name, value in wanted.items())
        return fits and _flag(self.row.get("is_active", 1))


@dataclass(frozen=True, slots=True)
class Carrier:
    """``row`` may hold a password: it is not shown."""

    sid: str
    name: str
    application_sid: str | None
    active: bool
    row: Row = field(repr=False)
    registered: RegisterStatus | None = None
    gateways: Sequence[Gateway] = ()


@dataclass(frozen=True, slots=True)
class Number:
    sid: str
    digits: str
    carrier_sid: str | None
    application_sid: str | None


@dataclass(frozen=True, slots=True)
class Found:
    account_sid: str
    applications: Sequence[Application] = ()
    carriers: Sequence[Carrier] = ()
    numbers: Sequence[Number] = ()


def read_found(
    account_sid: str,
    applications: Iterable[Row],
    carriers: Iterable[Row],
    numbers: Iterable[Row],
    gateways: Mapping[str, Iterable[Row]],
) -> Found:
    """From lists of rows; ``gateways`` by the sid of their carrier. Rows of other accounts are left out; carriers of no
    account are the service provider's, for all. Raises ValueError or KeyError for what are no such rows."""
    return Found(
        account_sid,
        tuple(_application(row) for row in applications if row.get("account_sid") in (account_sid, None)),
        tuple(
            _carrier(row, gateways.get(row["voip_carrier_sid"], ()))
            for row in carriers
            if row.get("account_sid") in (account_sid, None)
        ),
        tuple(_number(row) for row in numbers if row.get("account_sid") in (account_sid, None)),
    )


def same(found: Any, wanted: Any) -> bool:
    """Flags may be booleans or numbers, and numbers may be texts."""
    if isinstance(wanted, int):
        try:
            return found is not None and int(found) == wanted
        except (TypeError, ValueError):
            return False
    return bool(found == wanted)


def _flag(value: Any) -> bool:
    return same(value, 1)


def _application(row: Row) -> Application:
    messaging = row.get("messaging_hook")
    return Application(
        str(row["application_sid"]),
        str(row.get("name") or ""),
        _hook(row.get("call_hook")),
        _hook(row.get("call_status_hook")),
        messaging if isinstance(messaging, Mapping) and messaging.get("url") else None,
    )


def _hook(value: Any) -> Hook | None:
    if not isinstance(value, Mapping) or not value.get("url"):
        return None
    sid = value.get("webhook_sid")
    return Hook(str(value["url"]), str(value.get("method") or "POST").upper(), str(sid) if sid else None)


def _carrier(row: Row, gateways: Iterable[Row]) -> Carrier:
    return Carrier(
        str(row["voip_carrier_sid"]),
        str(row.get("name") or ""),
        row.get("application_sid"),
        _flag(row.get("is_active", 1)),
        row,
        _status(row.get("register_status")),
        tuple(Gateway(str(gateway["sip_gateway_sid"]), gateway) for gateway in gateways),
    )


def _status(value: Any) -> RegisterStatus | None:
    if not isinstance(value, Mapping) or value.get("status") not in ("ok", "fail"):
        return None
    reason = value.get("reason")
    return RegisterStatus(
        value["status"] == "ok", str(reason) if isinstance(reason, str | int) else "", _moment(value.get("timestamp"))
    )


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _number(row: Row) -> Number:
    return Number(
        str(row["phone_number_sid"]),
        str(row["number"]).removeprefix("+"),
        row.get("voip_carrier_sid"),
        row.get("application_sid"),
    )
