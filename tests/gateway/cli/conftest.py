"""The command line reads the environment: none of the outside's reaches a test."""

from __future__ import annotations

import os

import pytest

from gateway.settings import variables


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper() in variables() or name.upper().startswith("TRUNKLINE_"):
            monkeypatch.delenv(name)
