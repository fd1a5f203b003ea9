"""A call whose sound goes past this service: a browser has it with Ultravox, by Ultravox's own ``joinUrl``.

What is ours of it: its record and log, its functions, its place within the limits, and the look at whether it is over.
That it is over is told by a webhook, too, which only wakes: what counts is what Ultravox answers when it is asked.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import structlog

from gateway.call_record import CallRecord
from gateway.equipment import Equipment
from gateway.realtime import http_tools
from gateway.surroundings import Surroundings
from gateway.waiting import first_of
from pipelines.events import EndReason, UsageReported
from pipelines.history import History
from pipelines.parts import ProviderError, ToolCall
from pipelines.realtime.setup import setup_of
from pipelines.tools import Toolbox, ToolResult
from pipelines.tools.means import Means
from store.calls import NewCall
from store.listeners import ListenerForCall
from ultravox.calls import HttpTool
from ultravox.model import MAX_SECONDS
from ultravox.records import CallState, Minutes

log = structlog.get_logger(__name__)

JOIN_SECONDS = 3.0
"""Between two looks whether somebody has joined: Ultravox gives up after 30 s."""

POLL_SECONDS = 10.0
"""Between two looks at a call that goes on; each costs two requests."""

REASON_SECONDS = 1.0
MOST_LOOKS = 5
"""A call that is over tells why a moment later: so many looks are for that."""

LONGEST_SECONDS = MAX_SECONDS + 300.0
"""Past it a call is over, whatever Ultravox answers, or does not."""

MOST_PAGES = 50
"""Of messages, in one look."""


class RemoteCall:
    """:meth:`invite` whoever is to join it; then :meth:`run` it to its end."""

    def __init__(
        self,
        listener: ListenerForCall,
        around: Surroundings,
        equipment: Equipment,
        tool_url: Callable[[str, str, str], str],
    ) -> None:
        """``tool_url`` is where Ultravox asks for a function: of
        the call's id, its token, and the function's name."""
        row = NewCall(
            owner=listener.owner,
            agent_id=listener.agent_id,
            listener_id=listener.id,
            model_name=listener.agent.model_name,
            platform="ultravox",
            caller_id=None,
            called_id=None,
            metadata=listener.options.metadata,
        )
        self.id = row.id
        self.record = CallRecord(row, listener, around)
        self.token = secrets.token_urlsafe(24)
        self.join_url = ""
        """A secret: it carries the token of the call at Ultravox."""
        self._listener = listener
        self._models = equipment.models
        self._tool_url = tool_url
        self._clock = asyncio.get_running_loop().time
        self._told = self.record.log
        self._log = self._told.bound
        self._toolbox = self._tools(equipment.means)
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._minutes = Minutes()
        self._cursor, self._read = "", 0  # of the page of messages that was read last, and how many of it
        self._billed: float | None = None

    def _tools(self, means: Means) -> Toolbox:
        agent, call = self._listener.agent, self.record.row
        about = {"callId": call.id, "callerId": None, "calledId": None, "model": agent.model_name}
        means = replace(
            means, call_id=call.id, tenant=call.owner.organisation_id, metadata={"aplisay": about}, log=self._log
        )
        in_browser = [function.name for function in agent.functions if function.implementation == "client"]
        return Toolbox(
            agent.functions,
            call.metadata,
            {*in_browser, *http_tools(agent)},
            keys=agent.keys,
            means=means,
            tell=self._told.on_event,
        )

    # Its beginning

    async def invite(self) -> None:
        """Have Ultravox make the call. Raises :class:`ProviderError`; then the record says so, and there is none."""
        agent, given_away = self._listener.agent, http_tools(self._listener.agent)
        ours = {
            function.name: HttpTool(self._tool_url(self.id, self.token, function.name), "POST")
            for function in agent.functions
            if function.implementation != "client"
        }
        try:
            model = self._models.ultravox(agent, {**ours, **given_away})
            setup = setup_of(agent, model.capabilities, self._toolbox.specs, History(agent.prompt), first=True)
            created = await model.invite(setup)
        except ProviderError as error:
            self.never("failed", "failed", str(error))
            raise
        self.record.row = replace(self.record.row, platform_call_id=created.call_id)
        self.join_url = created.join_url

    def never(self, status: str, reason: str, sentence: str) -> None:
        """There is no place for it, or it cannot be made."""
        self.record.never(status, reason, sentence)

    # Its life

    async def run(self) -> None:
        """Until it is over."""
        self.record.begin(ultravox_call=self.record.row.platform_call_id)
        reason: EndReason = "failed"
        try:
            reason = await self._attend(self._clock() + LONGEST_SECONDS)
            await self._look_up_minutes(over=True)
        except Exception as error:  # noqa: BLE001 - whatever it was, it ends this call and no other
            self._log.error("the call failed", exc_info=error)
        finally:
            if self._billed is not None:  # the metric is counted when the webhook tells of it
                self._told.usage.add(UsageReported("llm", "ultravox", {"billed_seconds": self._billed}))
            self.record.end(reason)

    def look(self) -> None:
        """Something has happened to it at Ultravox."""
        self._wake.set()

    def shut_down(self) -> None:
        """The service stops, and its patience is over."""
        self._stop.set()

    async def _attend(self, latest: float) -> EndReason:
        """Why it ended, once it has."""
        joined, looks, seconds = False, 0, JOIN_SECONDS
        while True:
            await first_of(self._wake, self._stop, seconds=seconds)
            self._wake.clear()
            if self._stop.is_set():
                await self._hang_up()
                return "shutdown"
            try:
                state = await self._state()
                if state.joined and not joined:
                    joined, seconds = True, POLL_SECONDS
                    self._told.note("answer", {"callId": self.id})
                if state.ended:
                    looks, seconds = looks + 1, REASON_SECONDS
                    self._billed = state.billed_seconds
                    if state.reason is not None or looks >= MOST_LOOKS:
                        return state.reason or "caller"
                elif joined:
                    await self._look_up_minutes()
            except ProviderError as error:
                self._log.warning("cannot look at a call", provider="ultravox", kind=error.kind, error=str(error))
                if error.kind == "bad_request":  # it is not there any more
                    return "failed"
            if self._clock() >= latest:
                self._told.note("error", "Ultravox does not tell whether the call is over; it has to be by now.")
                return "failed"

    async def _state(self) -> CallState:
        return CallState.parse(await self._models.rest().get_call(self.record.row.platform_call_id or ""))

    async def _hang_up(self) -> None:
        try:
            await self._models.rest().hang_up(self.record.row.platform_call_id or "")
        except ProviderError as error:
            self._log.warning("cannot end a call", provider="ultravox", kind=error.kind, error=str(error))

    async def _look_up_minutes(self, *, over: bool = False) -> None:
        """Enter into the log what was said since. The latest message may still grow, unless the call is over."""
        for _ in range(MOST_PAGES):
            try:
                page = await self._models.rest().messages(self.record.row.platform_call_id or "", self._cursor)
            except ProviderError as error:
                self._log.warning("cannot read what was said", provider="ultravox", kind=error.kind, error=str(error))
                return
            new = page.messages[self._read :]
            if not over and not page.following:
                new = new[:-1]
            for message in new:
                for event in self._minutes.read(message):
                    self._told.on_event(event)
            self._read += len(new)
            if not page.following:
                return
            self._cursor, self._read = page.following, 0

    # Its functions

    async def use(self, invocation: str, name: str, arguments: Mapping[str, Any]) -> ToolResult:
        """Run a function for Ultravox: so somebody has joined, and something was said."""
        self.look()
        return await self._toolbox.run(ToolCall(invocation, name, arguments))
