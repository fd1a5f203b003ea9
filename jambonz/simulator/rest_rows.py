"""What the simulated REST API takes for a row of each table, and makes of it: the checks of api-server, and those of
the database behind it, which answers with a 500.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

Row = dict[str, Any]

HOOKS = ("call_hook", "call_status_hook", "messaging_hook")

_COLUMNS = {
    "applications": frozenset(
        {"name", "account_sid", "service_provider_sid", "app_json", "record_all_calls", "env_vars"}
        | {"speech_synthesis_vendor", "speech_synthesis_language", "speech_synthesis_voice"}
        | {"speech_recognizer_vendor", "speech_recognizer_language", *HOOKS}
    ),
    "phone_numbers": frozenset(
        {"number", "voip_carrier_sid", "account_sid", "application_sid", "service_provider_sid"}
    ),
    "voip_carriers": frozenset(
        {"name", "description", "account_sid", "service_provider_sid", "application_sid", "e164_leading_plus"}
        | {"requires_register", "register_username", "register_sip_realm", "register_password", "register_status"}
        | {"register_from_user", "register_from_domain", "register_public_ip_in_contact", "tech_prefix", "diversion"}
        | {"inbound_auth_username", "inbound_auth_password", "is_active", "dtmf_type", "outbound_sip_proxy"}
        | {"trunk_type"}
    ),
    "sip_gateways": frozenset(
        {"ipv4", "netmask", "port", "inbound", "outbound", "voip_carrier_sid", "is_active", "protocol"}
        | {"send_options_ping", "use_sips_scheme", "pad_crypto", "remove_ice", "dtls_off"}
    ),
}
_LONGEST = {"name": 64, "register_username": 64, "register_password": 64, "register_sip_realm": 64, "ipv4": 128}
_FLAGS = ("requires_register", "is_active", "inbound", "outbound", "e164_leading_plus", "register_public_ip_in_contact")
_CHOICES = {"trunk_type": ("static_ip", "auth", "reg"), "protocol": ("udp", "tcp", "tls", "tls/srtp")}
_IPV4 = re.compile(r"(\d{1,3}\.){3}\d{1,3}")


class ApiError(Exception):
    """An answer other than success: ``{"msg": ...}`` with ``status``."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def stored(table: str, data: Row) -> Row:
    """As the database keeps it. Flags are 0 or 1. What it cannot keep is a 500."""
    for name, value in data.items():
        if name not in _COLUMNS[table]:
            raise ApiError(500, f"Unknown column '{name}' in 'field list'")
        if isinstance(value, str) and len(value) > _LONGEST.get(name, 4096):
            raise ApiError(500, f"Data too long for column '{name}' at row 1")
        if name in _CHOICES and value not in _CHOICES[name]:
            raise ApiError(500, f"Data truncated for column '{name}' at row 1")
    return {name: int(value) if name in _FLAGS and value is not None else value for name, value in data.items()}


def check_hooks(data: Row, *, required: bool) -> None:
    """When an application is made, both hooks are looked into: one that is missing is a crash."""
    for hook in ("call_hook", "call_status_hook"):
        if required and not isinstance(data.get(hook), dict):
            raise ApiError(500, "Cannot read properties of undefined (reading 'url')")
    for hook in HOOKS:
        url = data[hook].get("url", "") if data.get(hook) else None
        if url is not None and not str(url).startswith(("http://", "https://", "ws://", "wss://")):
            raise ApiError(400, f"{hook} has an invalid url")


def hook_row(data: Row, known: Mapping[str, Any] | None) -> Row:
    """One that comes with the sid of the one there is changes it; another is a new one."""
    new = {"webhook_sid": str(uuid.uuid4()), "method": "POST", "username": None, "password": None, **data}
    if "webhook_sid" in data:
        if known is None or known["webhook_sid"] != data["webhook_sid"]:
            raise ApiError(500, "a webhook of another application")
        return {**known, **data}
    return new


def check_carrier(data: Row, known: Row) -> None:
    """``known`` is the row of a PUT: what is left out is as it is there."""
    row = {**known, **data}
    if row.get("requires_register"):
        for name in ("register_username", "register_password"):
            if not str(row.get(name) or "").strip():
                raise ApiError(400, f"{name} is required when requires_register is true")
    if re.search(r"\s", str(data.get("register_username") or "")):
        raise ApiError(400, "register_username must not contain whitespace")
    for name in ("register_sip_realm", "register_from_domain"):
        value = data.get(name)
        if name == "register_sip_realm" and value == "":
            raise ApiError(400, "register_sip_realm must not be empty string; use null to fall back to gateway IP")
        if value and (re.match(r"sips?:", value, re.IGNORECASE) or re.search(r"\s", value) or "." not in value):
            raise ApiError(400, f"{name} must be a valid domain or IP address (no sip: prefix, no spaces)")


def check_gateway(data: Row) -> None:
    if re.search(r"\s", str(data.get("ipv4") or "")):
        raise ApiError(400, "Gateway must not contain whitespace")
    if data.get("inbound") and not _IPV4.fullmatch(str(data.get("ipv4"))):
        raise ApiError(400, "Inbound gateway must be IPv4 address")
    if not data.get("inbound") and data.get("outbound") and data.get("netmask") not in (None, 32):
        raise ApiError(400, "For outbound only gateway netmask can only be 32")
