"""A bounded pool of threads for the parts that compute on this machine: never on the event loop, never without end."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from pipelines.parts import ProviderError

R = TypeVar("R")
T = TypeVar("T")
Emit = Callable[[bytes], bool]


class WorkerPool(Generic[R]):
    """``workers`` threads, each job with a resource of type ``R`` to itself (an engine that is not re-entrant).

    At most ``waiting`` jobs wait for a thread; one more is refused as ``unavailable``, so that an overload is an error
    at once and not a queue that grows. A job that is cancelled before it starts never runs. Use it from one event loop
    at a time.
    """

    def __init__(self, provider: str, make: Callable[[], R], *, workers: int, waiting: int, deadline: float) -> None:
        self._provider = provider
        self._make = make
        self._workers = workers
        self._deadline = deadline
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix=provider)
        self._resources: queue.SimpleQueue[R] = queue.SimpleQueue()
        self._places: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(workers + waiting):
            self._places.put(None)
        self._loading: list[Future[None]] = []
        self._making = threading.Lock()  # held in workers only: packages are seldom safe to load twice at once

    async def prepare(self) -> None:
        """Make every worker's resource, once; callers at the same time wait for the same loading."""
        if not self._loading or any(load.done() and load.exception() for load in self._loading):
            self._loading = [self._executor.submit(self._load) for _ in range(self._workers)]
        for load in self._loading:
            await asyncio.shield(asyncio.wrap_future(load))

    def submit(self, job: Callable[[R], T]) -> asyncio.Future[T]:
        """Have ``job`` run in a thread. Cancelling what is returned keeps a job from starting, but does not stop it."""
        try:
            self._places.get_nowait()
        except queue.Empty:
            message = "every worker is busy and the queue is full; take fewer calls at once"
            raise ProviderError(self._provider, "unavailable", message) from None
        try:
            future = self._executor.submit(self._work, job)
        except RuntimeError as error:
            raise ProviderError(self._provider, "unavailable", "it was closed already") from error
        future.add_done_callback(lambda _: self._places.put(None))
        return asyncio.wrap_future(future)

    async def run(self, job: Callable[[R], T]) -> T:
        """The result of ``job``, or a ``timeout`` once the pool's deadline has passed."""
        try:
            async with asyncio.timeout(self._deadline):
                return await self.submit(job)
        except TimeoutError:
            raise self._late() from None

    async def stream(self, job: Callable[[R, Emit], None]) -> AsyncGenerator[bytes, None]:
        """What ``job`` emits, as it emits it. Once the generator is closed ``emit`` answers False: stop."""
        loop = asyncio.get_running_loop()
        chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        stopped = False

        def emit(data: bytes) -> bool:
            if stopped or loop.is_closed():
                return False
            loop.call_soon_threadsafe(chunks.put_nowait, data)
            return True

        work = self.submit(lambda resource: job(resource, emit))
        work.add_done_callback(lambda _: chunks.put_nowait(None))
        try:
            while (chunk := await self._next(chunks)) is not None:
                yield chunk
            await work
        finally:
            stopped = True
            work.cancel()

    async def close(self, dispose: Callable[[R], None] | None = None) -> None:
        """Drop what waits, let what runs come to its end, and ``dispose`` of the resources."""
        await asyncio.to_thread(self._executor.shutdown, wait=True, cancel_futures=True)
        while not self._resources.empty():
            resource = self._resources.get_nowait()
            if dispose is not None:
                dispose(resource)

    async def _next(self, chunks: asyncio.Queue[bytes | None]) -> bytes | None:
        try:
            async with asyncio.timeout(self._deadline):
                return await chunks.get()
        except TimeoutError:
            raise self._late() from None

    def _late(self) -> ProviderError:
        return ProviderError(self._provider, "timeout", f"no result within {self._deadline:g} s")

    def _load(self) -> None:
        self._resources.put(self._made())

    def _made(self) -> R:
        try:
            with self._making:
                return self._make()
        except ProviderError:
            raise
        except Exception as error:
            raise ProviderError(self._provider, "unavailable", f"it could not be loaded: {error}") from error

    def _work(self, job: Callable[[R], T]) -> T:
        try:
            resource = self._resources.get_nowait()
        except queue.Empty:
            resource = self._made()
        try:
            return job(resource)
        finally:
            self._resources.put(resource)
