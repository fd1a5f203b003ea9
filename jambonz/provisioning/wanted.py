"""What ought to be in Jambonz."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

CARRIER_PREFIX = "Trunkline registration "
"""Of the names of registrations' carriers; their ids follow. Jambonz tells the name with each call."""

_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Application:
    """The application that calls are sent to. There is one for each public address of the service."""

    name: str
    call_url: str
    status_url: str
    socket_url: str
    """Of Jambonz's WebSocket API: who has set it in place of the webhooks, with its password, has it so."""

    @classmethod
    def at(cls, public_url: str) -> Application:
        base = public_url.rstrip("/")
        where = base.partition("://")[2]
        return cls(
            f"Trunkline {where}"[:_LONGEST_NAME], f"{base}/jambonz/call", f"{base}/jambonz/status", _socket(base)
        )


@dataclass(frozen=True, slots=True)
class Number:
    """``digits`` in E.164 without ``+``; ``carrier`` is the name of the carrier it comes over, None for any."""

    digits: str
    carrier: str | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """A SIP account. ``registrar`` is a host, or host:port. One that is not ``enabled`` does not register.

    ``given_up``: it failed before, and nobody has changed or activated it since. If Jambonz has given it up, too, it is
    left so.
    """

    id: str
    registrar: str
    username: str
    password: str = field(repr=False)
    auth_username: str | None = None
    transport: str = "udp"
    enabled: bool = True
    given_up: bool = False
    anew: bool = False
    """Somebody has changed or activated it since Jambonz was told of it."""
    told_at: datetime | None = None
    """When Jambonz was last told of it: what it reports of before is of other credentials."""

    @property
    def carrier(self) -> str:
        return f"{CARRIER_PREFIX}{self.id}"

    @property
    def host(self) -> str:
        return self.registrar.partition(":")[0]

    @property
    def port(self) -> int | None:
        """None: Jambonz finds it (by SRV records, or 5060)."""
        port = self.registrar.partition(":")[2]
        return int(port) if port else None

    @property
    def fields(self) -> dict[str, Any]:
        """Of its carrier, but for ``is_active`` and the application. An account with a name of its own for
        authentication (``auth_username``) has the other in From."""
        return {
            "trunk_type": "reg",
            "requires_register": 1,
            "register_username": self.auth_username or self.username,
            "register_from_user": self.username,
            "register_from_domain": self.host,
            "register_sip_realm": self.host,
            "register_password": self.password,
        }

    @property
    def gateway(self) -> dict[str, Any]:
        """Of its carrier's gateway: where it registers. Where calls come from, Jambonz takes from the registration."""
        port = {} if self.port is None else {"port": self.port}
        return {"ipv4": self.host, "netmask": 32, "inbound": 0, "outbound": 1, "protocol": self.transport, **port}


def _socket(base: str) -> str:
    return f"ws{base.removeprefix('http')}/jambonz/application"


def registration_of(carrier: str) -> str | None:
    """The registration's id, if a carrier of this name is one's."""
    return carrier.removeprefix(CARRIER_PREFIX) if carrier.startswith(CARRIER_PREFIX) else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """``numbers`` by their digits, ``registrations`` by their id. ``unreadable`` are registrations that nothing is
    known of but that they are there: what Jambonz has of them stays."""

    application: Application
    numbers: Mapping[str, Number] = field(default_factory=dict)
    registrations: Mapping[str, Registration] = field(default_factory=dict)
    unreadable: frozenset[str] = frozenset()
