"""Examples of what each operation takes and answers, by its id: one small office, all the way through.

The OpenAPI gives them out, and the page at ``/api/docs`` begins with them. A test holds each against its schema, and
finds operations that have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

AGENT, LISTENER, CALL = (
    "74809eaa-ccb8-49b8-bf14-f826c6518639",
    "80b5660e-a8f8-4fb9-9215-00c6bc2e4187",
    "bb0f53a9-2a43-4c5c-8f47-0c3e3f5d3a55",
)
KEY, TRUNK = "2f0c7a52-5d0e-4f2c-9b7c-6c2f4c0f8d11", "0f7c1a34-93f4-4c58-8d2e-b1f0a7c1d9e2"
REGISTRATION, RECORDING = "6a3c2f10-1b7e-4d8e-a9c4-5e2d1f0b7a66", "b4d0a3f6-2a18-4f0e-9a55-0f3f6f1c7d21"
ORGANISATION, USER = "5b6e7f88-0a3c-4b59-9a53-0a8a4c8d6c70", "c3a8f0de-54f1-4a3e-8f0b-2b6a1f7f9e10"
NUMBER, CALLER, CALLED = "442079460000", "447700900123", "442079460123"
MADE, CHANGED = "2026-11-20T09:00:00.000Z", "2026-11-20T09:05:00.000Z"
BEGAN, ENDED = "2026-11-20T15:54:50.834Z", "2026-11-20T15:55:00.932Z"

PARAMETERS: Mapping[str, Any] = {
    "agentId": AGENT,
    "listenerId": LISTENER,
    "callId": CALL,
    "keyId": KEY,
    "identifier": NUMBER,
    "search": "recep",
    "searchField": "name",
    "startDate": "2026-11-20T00:00:00Z",
    "endDate": "2026-11-21T00:00:00Z",
    "limit": 50,
    "offset": 0,
    "pageSize": 50,
    "lastIndex": 0,
    "handler": "jambonz",
    "type": "e164-ddi",
    "originate": False,
    "trunkId": TRUNK,
    "Idempotency-Key": "reminder-4711",
}
"""Of paths, queries and headers, by name; of lists, one of them."""

_OPTIONS = {
    "greeting": "Good morning, this is the front desk.",
    "temperature": 0.2,
    "tts": {"vendor": "deepgram", "voice": "aura-2-thalia-en"},
}
_FUNCTION = {
    "name": "opening_hours",
    "description": "When the office is open on a day of the week.",
    "implementation": "rest",
    "method": "get",
    "url": "https://office.example.com/hours/{day}",
    "key": "office",
    "input_schema": {"properties": {"day": {"type": "string", "in": "path", "required": True}}},
}
_DEFINITION = {
    "name": "Reception",
    "description": "Answers the telephone of the office.",
    "modelName": "openai/gpt-6.1-mini",
    "prompt": "You are the receptionist of a dentist. Be brief.",
    "options": _OPTIONS,
    "functions": [_FUNCTION],
}
_AGENT = {
    "id": AGENT,
    "organisationId": ORGANISATION,
    "userId": USER,
    **_DEFINITION,
    "createdAt": MADE,
    "updatedAt": MADE,
}
_LISTENER = {
    "id": LISTENER,
    "agentId": AGENT,
    "type": "jambonz",
    "number": NUMBER,
    "registrationId": None,
    "websocket": False,
    "streamLog": False,
    "metadata": {"site": "north"},
    "recording": None,
    "agentLimit": 10,
    "createdAt": MADE,
}
_CALL_OF_AGENT = {
    "id": CALL,
    "callerId": CALLER,
    "calledId": NUMBER,
    "startedAt": BEGAN,
    "endedAt": ENDED,
    "recordingId": None,
    "status": "ended normally",
}
_CALL = {
    "id": CALL,
    "index": 2,
    "agentId": AGENT,
    "parentId": None,
    "modelName": "openai/gpt-6.1-mini",
    "callerId": CALLER,
    "calledId": NUMBER,
    "startedAt": BEGAN,
    "endedAt": ENDED,
    "status": "ended normally",
    "endReason": "caller",
    "durationMs": 10098,
}
_USAGE = [{"part": "llm", "provider": "openai", "units": {"input_tokens": 812, "output_tokens": 63}}]
_ENDPOINT = {
    "number": NUMBER,
    "name": "Office",
    "handler": "jambonz",
    "outbound": False,
    "trunkId": TRUNK,
    "provisioned": True,
    "inUse": True,
    "agentId": AGENT,
    "agentName": "Reception",
    "createdAt": MADE,
}
_TRUNK = {"id": TRUNK, "name": "Carrier", "handler": "jambonz", "outbound": True, "flags": {"canRefer": True}}
_KEY = {"id": KEY, "name": "dashboard", "scopes": ["calls:read"], "expiresAt": None}

BODIES: Mapping[str, Any] = {
    "create_agent": {**_DEFINITION, "keys": [{"name": "office", "in": "bearer", "value": "a-secret"}]},
    "update_agent": {"prompt": "You are the receptionist of a dentist. Be brief, and kind."},
    "listen": {"number": "*", "options": {"agentLimit": 10, "metadata": {"site": "north"}}},
    "join_listener": {"options": {"metadata": {"cart": 7}}},
    "join_room": {"options": {"metadata": {"cart": 7}}},
    "originate": {"calledId": f"+{CALLED}", "callerId": f"+{NUMBER}", "metadata": {"customer": {"name": "Ann"}}},
    "create_phone_endpoint": {"type": "e164-ddi", "number": "+44 20 7946 0000", "name": "Office"},
    "update_phone_endpoint": {"name": "Front desk"},
    "create_trunk": {"name": "Carrier", "outbound": True, "flags": {"canRefer": True}},
    "update_trunk": {"outbound": True},
    "send_text": {"text": "Are you open on Saturday?", "urgency": "now"},
    "say": {"text": "This call may be recorded.", "urgency": "soon", "interruptible": False},
    "press_keys": {"digits": "1w2#"},
    "transfer_call": {"number": "+442079460999", "text": "I put you through to a colleague."},
    "hang_up": {"text": "We have to close now. Goodbye.", "reason": "closing time"},
    "update_call": {"context": "The caller is Ann Smith, who has an appointment on Friday at ten."},
    "create_key": {"name": "dashboard", "scopes": ["calls:read"]},
    "rotate_key": {"overlap": 3600},
    "update_retention": {"days": 30},
}

ANSWERS: Mapping[str, Any] = {
    "create_agent": _AGENT,
    "list_agents": {
        "agents": [
            {
                **{name: _DEFINITION[name] for name in ("name", "description", "modelName")},
                "id": AGENT,
                "createdAt": MADE,
                "updatedAt": MADE,
            }
        ],
        "next": False,
    },
    "get_agent": {**_AGENT, "listeners": [_LISTENER]},
    "update_agent": {**_AGENT, "updatedAt": CHANGED},
    "list_agent_calls": {"calls": [_CALL_OF_AGENT], "next": False},
    "listen": {
        "id": LISTENER,
        "number": NUMBER,
        "registrationId": None,
        "key": "aW5zdGFuY2U6ODBiNTY2MGUt…",
        "socket": f"/progress/{LISTENER}",
        "expiresAt": None,
    },
    "renew": {"listenerId": LISTENER, "expiresAt": "2026-11-20T09:10:00.000Z"},
    "list_listeners": {
        "items": [
            {
                "agentId": AGENT,
                "agentName": "Reception",
                "listenerId": LISTENER,
                "type": "jambonz",
                "kind": "phone",
                "phoneNumber": NUMBER,
                "registrationId": None,
                "registrationName": None,
                "createdAt": MADE,
                "expiresAt": None,
            }
        ]
    },
    "join_listener": {
        "callId": CALL,
        "audioSocket": {"url": "wss://voice.example.com/audio/pK3o0…", "sampleRate": 8000},
    },
    "join_room": {"callId": CALL, "audioSocket": {"url": "wss://voice.example.com/audio/pK3o0…", "sampleRate": 8000}},
    "get_room_key": {"listenerId": LISTENER, "roomKey": "aW5zdGFuY2U6ODBiNTY2MGUt…"},
    "list_calls": {"calls": [_CALL], "next": False},
    "get_call": {**_CALL, "listenerId": LISTENER, "recordingId": None, "usage": _USAGE},
    "send_text": {"callId": CALL, "command": "text"},
    "say": {"callId": CALL, "command": "say"},
    "commit_turn": {"callId": CALL, "command": "commit"},
    "cancel_answer": {"callId": CALL, "command": "cancel"},
    "press_keys": {"callId": CALL, "command": "dtmf"},
    "transfer_call": {"callId": CALL, "command": "transfer"},
    "hang_up": {"callId": CALL, "command": "hangup"},
    "update_call": {"callId": CALL, "command": "update"},
    "get_call_log": [
        {
            "id": f"{CALL}:4",
            "callId": CALL,
            "seq": 4,
            "type": "user",
            "data": "When are you open on Saturday?",
            "isFinal": True,
            "createdAt": "2026-11-20T15:54:57.040Z",
        }
    ],
    "get_invocation_log": [
        {
            "callId": CALL,
            "organisationId": "00000000-0000-4000-8000-000000000001",
            "userId": "00000000-0000-4000-8000-000000000002",
            "subsystem": "gateway",
            "createdAt": MADE,
            "updatedAt": MADE,
            "log": '{"event": "call over", "level": "info", "reason": "caller", "seconds": 34.1}\n',
        }
    ],
    "originate": {
        "success": True,
        "message": f"{CALLED} is being rung",
        "data": {
            "callId": CALL,
            "listenerId": LISTENER,
            "callerId": NUMBER,
            "calledId": CALLED,
            "organisationId": ORGANISATION,
        },
    },
    "create_phone_endpoint": {"success": True, "number": NUMBER, "trunkId": None},
    "list_phone_endpoints": {"items": [_ENDPOINT], "nextOffset": None},
    "get_phone_endpoint": _ENDPOINT,
    "update_phone_endpoint": {"success": True, "message": f"The number {NUMBER} was changed"},
    "delete_phone_endpoint": {"success": True, "message": f"The number {NUMBER} was deleted"},
    "list_phone_numbers": [{"number": NUMBER, "handler": "jambonz", "outbound": False}],
    "activate_phone_endpoint": {"success": True, "id": REGISTRATION, "status": "active", "state": "registering"},
    "disable_phone_endpoint": {"success": True, "id": REGISTRATION, "status": "disabled", "state": "initial"},
    "list_trunks": {"items": [_TRUNK], "nextOffset": None},
    "create_trunk": _TRUNK,
    "get_trunk": _TRUNK,
    "update_trunk": _TRUNK,
    "delete_trunk": {"success": True, "message": "The trunk was deleted"},
    "list_models": {
        "jambonz:anthropic/claude-haiku-5-5": {
            "description": "Claude Haiku 5.5: small and fast",
            "supportsFunctions": True,
            "audioModel": False,
            "hasTelephony": True,
            "hasWebRTC": False,
        },
        "jambonz:openai/gpt-realtime-2.1": {
            "description": "OpenAI Realtime",
            "supportsFunctions": True,
            "audioModel": True,
            "hasTelephony": True,
            "hasWebRTC": False,
        },
    },
    "list_voices": {
        "jambonz": {
            "deepgram": {
                "en": [{"name": "aura-2-thalia-en", "description": "Thalia, of Aura 2", "gender": "female"}],
                "de": [{"name": "aura-2-julius-de", "description": "Julius, of Aura 2", "gender": "male"}],
            },
            "openai": {"any": [{"name": "marin", "description": "Marin", "gender": "female"}]},
        },
        "ultravox": {"ultravox": {"en": [{"name": "Mark", "description": "Mark", "gender": "male"}]}},
    },
    "get_retention": {"days": None, "serviceDays": 365},
    "update_retention": {"days": 30, "serviceDays": 365},
    "pause_recording": {"recordingId": RECORDING, "paused": True},
    "resume_recording": {"recordingId": RECORDING, "paused": False},
    "list_recording_accesses": [
        {"recordingId": RECORDING, "action": "download", "userId": USER, "createdAt": ENDED},
    ],
    "list_keys": {"keys": [{**_KEY, "createdAt": MADE, "lastUsedAt": BEGAN}]},
    "create_key": {**_KEY, "key": "trk_…"},
    "rotate_key": {**_KEY, "key": "trk_…"},
    "create_ticket": {"ticket": "J0n3c…", "expiresAt": "2026-11-20T09:00:30.000000+00:00"},
}

ERRORS: Mapping[int, Any] = {
    400: {
        "error": "Promt is not known; did you mean prompt?",
        "code": "VALIDATION_ERROR",
        "details": [{"path": "promt", "message": "is not known; did you mean prompt?"}],
    },
    401: {"error": "This API key is not known, or has expired", "code": "UNAUTHORIZED"},
    403: {"error": "This needs a key with the scope agents:write; this one has agents:read", "code": "FORBIDDEN"},
    404: {"error": f"There is no agent {AGENT}", "code": "NOT_FOUND"},
    408: {"error": "The body did not come within 30 s", "code": "TIMEOUT"},
    409: {"error": f"The number {NUMBER} is in use", "code": "IN_USE"},
    410: {"error": f"The call {CALL} is over", "code": "CALL_OVER"},
    412: {"error": f"The number {NUMBER} is for livekit, not for jambonz", "code": "NOT_SUPPORTED"},
    413: {"error": "The body is larger than 1048576 bytes", "code": "TOO_LARGE"},
    429: {"error": "There were too many requests with this key; try again in 1.5 s", "code": "TOO_MANY_REQUESTS"},
    500: {"error": "Something went wrong in the service; its log says what", "code": "INTERNAL"},
    501: {
        "error": "The handler livekit is not installed here; use jambonz or ultravox",
        "code": "NOT_IMPLEMENTED",
    },
    503: {"error": "The database cannot be reached just now; try again shortly", "code": "UNAVAILABLE"},
}
"""By status; those without details have null there."""
