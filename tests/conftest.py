"""What holds for every test: loopback only (pytest-socket), warnings are errors, and nothing blocks an event loop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[BlockBuster]:
    """A blocking call made on a running event loop fails the test that made it."""
    with blockbuster_ctx() as blockbuster:
        yield blockbuster
