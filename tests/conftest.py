"""What holds for every test: loopback only (pytest-socket), warnings are errors, and nothing blocks an event loop."""

from __future__ import annotations

import gc
import os
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator, Mapping

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import HealthCheck, settings

from gateway import logs
from tests.steady import SteadyLoop, WallClockLoop

# Collecting garbage as often as Python does by itself would be a fifth of what whole calls cost on virtual time.
gc.freeze()
gc.set_threshold(50_000, 20, 50)

# How long an example takes says something of the machine, which may be busy, and nothing of what is tested.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], AbstractEventLoop]]:
    """What a machine is busy with beside a test is not the test's time."""
    return {"loop": WallClockLoop if item.get_closest_marker("wall_clock") else SteadyLoop}


@pytest.fixture(autouse=True)
def logging_as_configured() -> None:
    """A test that starts a command has the logs configured for the whole process; the next begins with them anew."""
    logs.configure("info", "console")


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[BlockBuster]:
    """A blocking call made on a running event loop fails the test that made it."""
    with blockbuster_ctx() as blockbuster:
        yield blockbuster


@pytest.fixture
def in_place_of_threads(no_blocking_calls: BlockBuster) -> None:
    """Files are written where threads would: virtual time has none."""
    no_blocking_calls.deactivate()


@pytest.fixture(params=["webhooks", "application"])
def by_both(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The test's calls come by webhooks, and once more by the WebSocket application API."""
    from tests.calls.office import Office  # of no use to tests without calls

    way = str(request.param)
    monkeypatch.setattr(Office, "application", way == "application")
    return way


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI everything that a test may need is there: a test that skips has not looked."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    skipped = reporter.stats.get("skipped", [])
    if skipped and os.environ.get("CI") == "true" and session.exitstatus == 0:
        reporter.write_line(f"{len(skipped)} skipped, and in CI nothing may be", red=True)
        session.exitstatus = 1
