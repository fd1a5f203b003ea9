"""Threads are real here, and waited for by events, never by time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from pipelines.parts import ProviderError
from pipelines.providers.workers import Emit, WorkerPool


class Bench:
    """Makes numbered resources, and keeps the threads' jobs waiting until they are let go."""

    def __init__(self) -> None:
        self.made = 0
        self.disposed: list[int] = []
        self.go = threading.Event()
        self.started = threading.Semaphore(0)

    def make(self) -> int:
        self.made += 1
        return self.made

    def wait(self, resource: int) -> int:
        self.started.release()
        assert self.go.wait(10)
        return resource


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
async def pool(bench: Bench) -> AsyncGenerator[WorkerPool[int], None]:
    pool = WorkerPool("thing", bench.make, workers=2, waiting=1, deadline=5.0)
    yield pool
    bench.go.set()
    await pool.close(bench.disposed.append)


async def test_every_worker_is_prepared_once(bench: Bench, pool: WorkerPool[int]) -> None:
    await asyncio.gather(pool.prepare(), pool.prepare())
    await pool.prepare()
    assert bench.made == 2
    assert await pool.run(lambda resource: resource) in (1, 2)
    assert bench.made == 2
    await pool.close(bench.disposed.append)
    assert sorted(bench.disposed) == [1, 2]


async def test_jobs_at_the_same_time_have_a_resource_each(bench: Bench, pool: WorkerPool[int]) -> None:
    jobs = [pool.submit(bench.wait) for _ in range(2)]
    await asyncio.to_thread(bench.started.acquire)
    await asyncio.to_thread(bench.started.acquire)
    bench.go.set()
    assert sorted(await asyncio.gather(*jobs)) == [1, 2]


async def test_what_does_not_fit_in_the_queue_is_refused(bench: Bench, pool: WorkerPool[int]) -> None:
    jobs = [pool.submit(bench.wait) for _ in range(3)]
    with pytest.raises(ProviderError, match="every worker is busy") as caught:
        await pool.run(bench.wait)
    assert caught.value.kind == "unavailable"
    bench.go.set()
    await asyncio.gather(*jobs)
    assert await pool.run(lambda resource: resource)


async def test_a_cancelled_job_that_has_not_started_never_runs(bench: Bench, pool: WorkerPool[int]) -> None:
    busy = [pool.submit(bench.wait) for _ in range(2)]
    ran: list[int] = []
    waiting = pool.submit(ran.append)
    waiting.cancel()
    await asyncio.wait([waiting])
    bench.go.set()
    await asyncio.gather(*busy)
    await pool.run(lambda resource: resource)
    assert ran == []


async def test_a_job_past_its_deadline_is_a_timeout(bench: Bench) -> None:
    pool = WorkerPool("thing", bench.make, workers=1, waiting=1, deadline=0.02)
    with pytest.raises(ProviderError, match="no result within") as caught:
        await pool.run(bench.wait)
    assert caught.value.kind == "timeout"

    def silent(resource: int, emit: Emit) -> None:
        bench.wait(resource)

    with pytest.raises(ProviderError, match="no result within"):
        await anext(pool.stream(silent))
    bench.go.set()
    await pool.close()


async def test_what_cannot_be_loaded_is_unavailable_and_tried_again(bench: Bench) -> None:
    broken = True

    def make() -> int:
        if broken:
            raise OSError("no such file")
        return bench.make()

    pool = WorkerPool("thing", make, workers=1, waiting=1, deadline=5.0)
    for attempt in (pool.prepare, lambda: pool.run(bench.wait)):
        with pytest.raises(ProviderError, match="could not be loaded: no such file"):
            await attempt()
    broken = False
    await pool.prepare()
    assert bench.made == 1
    await pool.close()


async def test_a_closed_pool_refuses(bench: Bench, pool: WorkerPool[int]) -> None:
    await pool.close()
    with pytest.raises(ProviderError, match="closed already"):
        await pool.run(bench.wait)


async def test_a_stream_gives_what_is_emitted_and_then_the_error(pool: WorkerPool[int]) -> None:
    def job(resource: int, emit: Emit) -> None:
        assert emit(b"one")
        assert emit(b"two")
        raise ProviderError("thing", "server", "it broke")

    chunks = pool.stream(job)
    assert [await anext(chunks), await anext(chunks)] == [b"one", b"two"]
    with pytest.raises(ProviderError, match="it broke"):
        await anext(chunks)


async def test_closing_a_stream_tells_the_job_to_stop(bench: Bench, pool: WorkerPool[int]) -> None:
    answers: list[bool] = []
    done = threading.Event()

    def job(resource: int, emit: Emit) -> None:
        answers.append(emit(b"one"))
        bench.wait(resource)
        answers.append(emit(b"two"))
        done.set()

    async with aclosing(pool.stream(job)) as chunks:
        assert await anext(chunks) == b"one"
    bench.go.set()
    await asyncio.to_thread(done.wait, 5)
    assert answers == [True, False]
