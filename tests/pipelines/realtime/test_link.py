"""One session after the other: whatever happens, somebody has each of them, and none is left."""

from __future__ import annotations

import asyncio
from typing import Any

from pipelines.parts import ProviderError
from pipelines.realtime.link import Link
from pipelines.realtime.model import RealtimeEvent, Setup
from tests.clock import run_virtual
from tests.simulators.realtime_memory import MemoryModel


class Nobody:
    def on_model_event(self, event: RealtimeEvent) -> None: ...

    def on_link_lost(self, reason: str) -> None: ...

    def on_link_restored(self, *, renewed: bool) -> None: ...

    def on_link_given_up(self, error: ProviderError) -> None: ...

    def on_link_fault(self, error: Exception) -> None: ...


def test_no_session_follows_the_last_one() -> None:
    """The call ends while another session is being opened, and the present one takes a while to say goodbye."""

    async def main() -> None:
        loop, model = asyncio.get_running_loop(), MemoryModel(lambda heard, history: ("", ()))
        link = Link(
            model, lambda: Setup("be brief"), Nobody(), spawn=loop.create_task, clock=loop.time, opener=model.open
        )
        await link.prepare(1.0)
        link.begin()
        [session] = model.sessions
        close = session.close

        async def take_a_while(model: Any) -> Any:
            await asyncio.sleep(2.0)
            return await close(model)

        session.close = take_a_while  # type: ignore[method-assign]
        link.renew()
        await asyncio.sleep(0.1)
        link.tick(loop.time(), quiet=True)
        await asyncio.sleep(0.01)
        await link.close()
        assert model.open_sessions == 0
        assert len(asyncio.all_tasks()) == 1

    run_virtual(main())
