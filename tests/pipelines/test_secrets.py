from __future__ import annotations

from typing import Any

from pipelines.agent.secrets import OF_OPTIONS, put_in, take_out

OPTIONS: dict[str, Any] = {
    "greeting": "Hi.",
    "recording": {"enabled": True, "key": "mine"},
    "callHook": {"url": "https://example.com", "hashKey": "shared"},
    "vendorSpecific": {
        "openai": {"reasoning": {"effort": "low"}},
        "ultravox": {
            "sharedSecrets": ["one"],
            "callbacks": {"ended": {"url": "https://x.org", "secrets": ["two"]}},
        },
    },
}


def test_secrets_are_taken_out_and_put_in_again() -> None:
    left, secrets = take_out(OPTIONS, OF_OPTIONS)
    assert secrets == {
        "recording.key": "mine",
        "callHook.hashKey": "shared",
        "vendorSpecific.ultravox.sharedSecrets": ["one"],
        "vendorSpecific.ultravox.callbacks.ended.secrets": ["two"],
    }
    assert not any(secret in str(left) for secret in ("mine", "shared'", "one", "two"))
    assert left["vendorSpecific"]["openai"] == OPTIONS["vendorSpecific"]["openai"]
    assert put_in(left, secrets) == OPTIONS
    assert OPTIONS["recording"]["key"] == "mine", "what was given is as it was"
    assert "key" not in left["recording"]


def test_what_has_no_place_or_was_said_otherwise_is_not_put_in() -> None:
    secrets = {"recording.key": "mine", "callHook.hashKey": "shared"}
    assert put_in({"recording": {"key": None}}, secrets) == {"recording": {"key": None}}
    assert put_in({"recording": {"key": "other"}, "callHook": None}, secrets) == {
        "recording": {"key": "other"},
        "callHook": None,
    }
    assert take_out({"recording": {"key": None}, "callHook": "text"}, OF_OPTIONS) == (
        {"recording": {"key": None}, "callHook": "text"},
        {},
    )
