"""What is asked where no key is needed: by this machine's own, and by pages that its browsers show."""

from __future__ import annotations

import pytest

from gateway.pages import refusal

PUBLIC = "https://voice.example.com/here"


@pytest.mark.parametrize(
    ("host", "origin", "public_url"),
    [
        ("127.0.0.1:8080", None, None),
        ("LocalHost:8080", "http://localhost:8080", None),
        ("[::1]:8080", "http://[::1]:8080", None),
        ("127.0.0.1:8080", "http://localhost:3000", None),
        ("voice.example.com", None, PUBLIC),
        ("voice.example.com", "https://voice.example.com", PUBLIC),
        ("127.0.0.1:8080", "https://voice.example.com", PUBLIC),
    ],
    ids=str,
)
def test_who_is_at_this_machine_is_served(host: str, origin: str | None, public_url: str | None) -> None:
    assert refusal(host, origin, public_url) is None


@pytest.mark.parametrize(
    ("host", "origin", "public_url"),
    [
        ("127.0.0.1:8080", "https://evil.example", None),
        ("127.0.0.1:8080", "null", PUBLIC),
        ("127.0.0.1:8080", "", None),
        ("127.0.0.1:8080", "http://localhost.evil.example", None),
        ("voice.example.com", "https://voice.example.com.evil.example", PUBLIC),
        ("evil.example:8080", None, None),
        ("evil.example:8080", "http://evil.example:8080", PUBLIC),
        ("localhost.evil.example", None, None),
        ("127.0.0.1@evil.example", None, None),
        ("", None, None),
        ("::::", None, None),
    ],
    ids=str,
)
def test_pages_of_others_are_not(host: str, origin: str | None, public_url: str | None) -> None:
    assert refusal(host, origin, public_url) is not None
