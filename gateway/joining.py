"""Browsers that join an agent at Ultravox, by Ultravox's own WebRTC: their calls, of this process and of others."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from typing import Any

from gateway.asking import Answer, Asking, Unanswered
from gateway.equipment import Equipment
from gateway.remote import RemoteCall
from gateway.surroundings import Surroundings
from gateway.switchboard import Switchboard
from pipelines.tools import ToolResult
from store import Store
from store.listeners import ListenerForCall

TOOL_SECONDS = 30.0
"""The longest that another process is waited for, which runs a function."""

LOOK_UP_SECONDS = 2.0

NO_ANSWER = ToolResult("The function did not answer in time.", failed=True)


class Joining:
    def __init__(
        self, store: Store, switchboard: Switchboard, around: Surroundings, asking: Asking, equipment: Equipment
    ) -> None:
        self._store = store
        self._places, self._live = switchboard.places, switchboard.live
        self._around = around
        self._equipment = equipment
        self._asking = asking
        self._calls: dict[str, RemoteCall] = {}
        asking.answer("function", self._use)
        asking.answer("ended", self._on_ended)

    async def join(self, listener: ListenerForCall, base_url: str) -> RemoteCall:
        """``base_url`` is where Ultravox reaches this service. Raises as
        :meth:`~gateway.places.Places.of` does, and :class:`ProviderError`."""
        if self._places.draining:
            raise self._places.full()

        def url(call_id: str, token: str, name: str) -> str:
            return f"{base_url}/api/hooks/ultravox/{call_id}/{token}/{name}"

        call = RemoteCall(listener, self._around, self._equipment, url)
        begun = False
        try:
            await self._places.admit(call, listener)
            await call.invite()
            self._calls[call.id] = call
            self._live.attend(call).add_done_callback(lambda _: self._calls.pop(call.id))
            begun = True
        finally:
            if not begun:
                self._places.give_back(call.id)
        return call

    def ended(self, ultravox_call_id: str) -> None:
        """A webhook says so: whichever process has the call looks."""
        self._look(ultravox_call_id)
        self._asking.shout("ended", {"call": ultravox_call_id})

    async def use(
        self, call_id: str, token: str, name: str, invocation: str, arguments: Mapping[str, Any]
    ) -> ToolResult | None:
        """Run a function of a call, whichever process has it; None where the token is none of a call under way."""
        about = {"call": call_id, "token": token, "name": name, "id": invocation, "arguments": arguments}
        answer = await self._use(about)
        if answer is None:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                process = await self._store.calls.other_process(call_id)
            if process is not None:
                try:
                    answer = await self._asking.ask(process, "function", about, seconds=TOOL_SECONDS)
                except Unanswered:
                    return NO_ANSWER
        if answer is None:
            return None
        return ToolResult(str(answer["text"]), answer["ends"], bool(answer["failed"]))

    async def _use(self, about: Mapping[str, Any]) -> Answer:
        call = self._calls.get(str(about["call"]))
        if call is None or not hmac.compare_digest(call.token.encode(), str(about["token"]).encode()):
            return None
        result = await call.use(str(about["id"]), str(about["name"]), about["arguments"])
        return {"text": result.text, "ends": result.ends, "failed": result.failed}

    async def _on_ended(self, about: Mapping[str, Any]) -> Answer:
        self._look(str(about["call"]))
        return None

    def _look(self, ultravox_call_id: str) -> None:
        for call in self._calls.values():
            if call.record.row.platform_call_id == ultravox_call_id:
                call.look()
