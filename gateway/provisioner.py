"""Keeps Jambonz as the database wants it: at the start, when something changes, and every now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from gateway import metrics
from gateway.provisioning import Run

log = structlog.get_logger(__name__)

PERIOD_SECONDS = 45.0
"""Between two runs: what was lost, or changed in Jambonz, is healed within a minute."""

BUSY_SECONDS = 5.0
"""Another process is at it, and may have begun before what changed here: then it is our turn."""

BUSY_TIMES = 24
"""Longer than the lease of a process that was killed."""

RETRY_SECONDS = (1.0, 4.0)
"""Before a run that Jambonz did not answer is begun again; after the last of them it waits for the next period."""

RUN_SECONDS = 600.0
"""The longest that a run may take. What is not done by then is done by the next one."""

RunOnce = Callable[[float], Awaitable[Run]]
"""A run; none if somebody else has done one within so many seconds."""


class Provisioner:
    """:meth:`run` it in a task. Without ``once`` there is nothing to do: numbers are local."""

    def __init__(self, once: RunOnce | None) -> None:
        self._once = once
        self._changed = asyncio.Event()
        self._said: tuple[str, ...] = ()

    def wake(self) -> None:
        """Something has changed: do not wait for the period to be over."""
        self._changed.set()

    async def run(self) -> None:
        once = self._once
        if once is None:
            return
        await self._look_after(once, 0.0)
        while True:
            try:
                async with asyncio.timeout(PERIOD_SECONDS):
                    await self._changed.wait()
                rest = 0.0
            except TimeoutError:
                rest = PERIOD_SECONDS - BUSY_SECONDS
            await self._look_after(once, rest)

    async def _look_after(self, once: RunOnce, rest: float) -> None:
        """A run, again where that helps, within bounds. ``rest`` of 0: it has to be one that begins from now on."""
        self._changed.clear()
        waits, patience = iter(RETRY_SECONDS), iter(range(BUSY_TIMES))
        while True:
            run = await _attempt(once, rest)
            metrics.provisioning_runs.labels(run.outcome).inc()
            self._tell(run)
            if run.outcome == "busy":
                wait = BUSY_SECONDS if rest == 0 and next(patience, None) is not None else None
            else:
                wait = next(waits, None) if run.again else None
                metrics.provisioning_retries.inc(wait is not None)
            if wait is None:
                return
            await asyncio.sleep(wait)

    def _tell(self, run: Run) -> None:
        """Each problem once, and not in every period."""
        if run.done:
            log.info("Jambonz was changed", steps=len(run.done), of=len(run.plan.steps), outcome=run.outcome)
        if run.outcome == "busy":
            return
        said = tuple(run.problems)
        if said and said != self._said:
            log.warning("Jambonz is not as it should be", outcome=run.outcome, problems=said[:10], all=len(said))
        self._said = said


async def _attempt(once: RunOnce, rest: float) -> Run:
    try:
        async with asyncio.timeout(RUN_SECONDS):
            return await once(rest)
    except TimeoutError:
        return Run("unavailable", problems=[f"it was not done within {RUN_SECONDS:g} s"])
    except Exception as error:  # noqa: BLE001 - whatever a database fails with: the next period tries again
        return Run("unavailable", problems=[f"it could not be done: {str(error) or type(error).__name__}"])
