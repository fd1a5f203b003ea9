"""What call tests share."""

from __future__ import annotations

import pytest

from tests.calls.office import Office


@pytest.fixture(params=["webhooks", "application"])
def by_both(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The test's calls come by webhooks, and once more by the WebSocket application API."""
    way = str(request.param)
    monkeypatch.setattr(Office, "application", way == "application")
    return way
