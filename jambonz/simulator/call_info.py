"""What a feature server tells of a call: the bodies of its hooks and the first frame of a listen socket."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from typing import Any

SIP_REASONS = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    404: "Not Found",
    408: "Request Timeout",
    410: "Gone",
    480: "Temporarily Unavailable",
    486: "Busy Here",
    487: "Request Terminated",
    484: "Address Incomplete",
    500: "Internal Server Error",
    503: "Service Unavailable",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
    607: "Unwanted",
}

_KEPT = frozenset({"customerData", "sip", "env_vars", "args"})
"""Keys below which nothing is renamed."""


def snake_case_keys(value: Any) -> Any:
    """Every key in snake_case, at every depth, but for what lies under a few keys that keep their own."""
    if isinstance(value, dict):
        return {
            key if key in _KEPT else _snake(key): item if key in _KEPT else snake_case_keys(item)
            for key, item in value.items()
        }
    return [snake_case_keys(item) for item in value] if isinstance(value, list) else value


def _snake(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key)).lower()


def _uuid() -> str:
    return str(uuid.uuid4())


@dataclass(slots=True)
class CallInfo:
    """The attributes of one leg. ``from_`` and ``to`` are as SIP brought them, with or without a plus."""

    from_: str
    to: str
    direction: str = "inbound"
    sip_headers: dict[str, str] = field(default_factory=dict)
    wideband: bool = False
    """Whether the INVITE offers a codec of 16 kHz, besides G.711."""
    caller_name: str = ""
    call_sid: str = field(default_factory=_uuid)
    account_sid: str = field(default_factory=_uuid)
    application_sid: str = field(default_factory=_uuid)
    trace_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    call_id: str = field(default_factory=_uuid)
    sbc_callid: str = field(default_factory=_uuid)
    parent_call_sid: str | None = None
    originating_sip_ip: str = "203.0.113.7"
    originating_sip_trunk_name: str = "simulated trunk"
    local_sip_address: str = "127.0.0.1:5060"
    call_status: str = "trying"
    sip_status: int = 100
    sip_reason: str = "Trying"
    customer_data: Any = None
    duration: int | None = None
    call_termination_by: str | None = None

    def set_status(self, call_status: str, sip_status: int, sip_reason: str | None = None) -> None:
        self.call_status = call_status
        self.sip_status = sip_status
        self.sip_reason = sip_reason or SIP_REASONS.get(sip_status, "Unknown")

    def attributes(self) -> dict[str, Any]:
        """In camelCase, as the listen socket gets them; absent ones left out."""
        attributes: dict[str, Any] = {
            "callSid": self.call_sid,
            "direction": self.direction,
            "from": self.from_,
            "to": self.to,
            "callId": self.call_id,
            "sbcCallid": self.sbc_callid,
            "sipStatus": self.sip_status,
            "sipReason": self.sip_reason,
            "callStatus": self.call_status,
            "callerId": self.from_,
            "accountSid": self.account_sid,
            "traceId": self.trace_id,
            "applicationSid": self.application_sid,
            "fsSipAddress": self.local_sip_address,
            "parentCallSid": self.parent_call_sid,
            "originatingSipIp": self.originating_sip_ip,
            "originatingSipTrunkName": self.originating_sip_trunk_name,
            "callTerminationBy": self.call_termination_by,
            "duration": self.duration,
            "customerData": self.customer_data,
        }
        return {key: value for key, value in attributes.items() if value is not None}

    def hook_payload(self, results: dict[str, Any] | None = None) -> dict[str, Any]:
        """The body of a status or action hook."""
        payload = snake_case_keys({**self.attributes(), **(results or {})})
        assert isinstance(payload, dict)  # noqa: S101 - a dict's keys were renamed
        return payload

    def session_payload(self, env_vars: dict[str, Any]) -> dict[str, Any]:
        """The body of the call hook of an inbound call: other fields than any later hook's."""
        uri = f"sip:{self.to}@127.0.0.1"
        headers = {
            "via": "SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK776asdhds",
            "max-forwards": "70",
            "from": f'"{self.caller_name}" <sip:{self.from_}@127.0.0.1>;tag={self.call_sid[:8]}',
            "to": f"<{uri}>",
            "call-id": self.call_id,
            "cseq": "1 INVITE",
            "contact": "<sip:127.0.0.1:5070>",
            "content-type": "application/sdp",
            "X-Account-Sid": self.account_sid,
            "X-Call-Sid": self.call_sid,
            "X-Forwarded-For": self.originating_sip_ip,
            "X-Originating-Carrier": self.originating_sip_trunk_name,
            **self.sip_headers,
        }
        g722, rtpmap = ("9 ", "a=rtpmap:9 G722/8000\r\n") if self.wideband else ("", "")
        body = (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio 4000 RTP/AVP {g722}0 8 101\r\n{rtpmap}a=rtpmap:101 telephone-event/8000\r\n"
        )
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return {
            "sip": {
                "headers": headers,
                "raw": f"INVITE {uri} SIP/2.0\r\n{lines}\r\n{body}",
                "body": body,
                "method": "INVITE",
                "version": "2.0",
                "uri": uri,
                "payload": [{"type": "application/sdp", "content": body}],
            },
            "direction": self.direction,
            "trace_id": self.trace_id,
            "has_recording": False,
            "caller_name": self.caller_name,
            "call_sid": self.call_sid,
            "account_sid": self.account_sid,
            "application_sid": self.application_sid,
            "from": self.from_,
            "to": self.to,
            "call_id": self.call_id,
            "sip_status": self.sip_status,
            "sip_reason": self.sip_reason,
            "call_status": self.call_status,
            "sbc_callid": self.sbc_callid,
            "originating_sip_ip": self.originating_sip_ip,
            "originating_sip_trunk_name": self.originating_sip_trunk_name,
            "local_sip_address": self.local_sip_address,
            "service_provider_sid": "00000000-0000-0000-0000-000000000000",
            "defaults": {
                "synthesizer": {"vendor": "google", "language": "en-GB", "voice": "en-GB-Standard-A"},
                "recognizer": {"vendor": "google", "language": "en-GB"},
            },
            "env_vars": env_vars,
        }
