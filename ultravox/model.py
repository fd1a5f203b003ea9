"""Ultravox as a realtime model: calls made by REST, joined over a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from media.audio import PCM_8K, PCM_16K
from pipelines.parts import ProviderError
from pipelines.realtime.model import Address, Capabilities, SessionOver, Setup
from ultravox.calls import GRACE_SECONDS, CallRefused, HttpTool, call_request
from ultravox.protocol import UltravoxProtocol
from ultravox.rest import CreatedCall, UltravoxRest

MAX_SECONDS = 3600.0
"""Ultravox's own limit of a call, unless another is asked for."""

PLACEHOLDER_SECONDS = 2.0
"""A function that takes longer is answered by a placeholder: the caller is heard again, and told of it."""

END_REASON_SECONDS = 2.0
"""How long the reason of a call's end is waited for: it is written a little after the socket closes."""

_ASK_AGAIN_AFTER = 0.25


@dataclass(frozen=True, slots=True)
class CallAddress(Address):
    """``url`` is the call's join URL, which carries its token; no header is needed."""

    call_id: str = ""
    agents_longest: bool = False
    """The call's longest is that of the agent's definition, and not Ultravox's."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where Ultravox is to tell that a call ended, and what it signs that with."""

    url: str
    secret: str = field(repr=False)


class UltravoxModel:
    """One of Ultravox's models. ``wideband``: sound of 16 kHz instead of the telephone's 8. ``http_tools``: by their
    names, tools that Ultravox asks itself; all others come to us. ``rest`` is closed by whoever made it.
    An agent's own ``callbacks`` go before ``webhook``."""

    name = "ultravox"

    def __init__(
        self,
        rest: UltravoxRest,
        model: str,
        *,
        wideband: bool = False,
        max_seconds: float = MAX_SECONDS,
        http_tools: Mapping[str, HttpTool] | None = None,
        metadata: Mapping[str, str] | None = None,
        webhook: Webhook | None = None,
    ) -> None:
        sound = PCM_16K if wideband else PCM_8K
        self.capabilities = Capabilities(
            input=sound,
            output=sound,
            pacing="burst",
            truncates=False,
            detections=frozenset({"server"}),
            continuous=True,
            idles=True,
            speaks=True,
            frozen_seconds=PLACEHOLDER_SECONDS,
            session_seconds=max_seconds,
        )
        self._rest = rest
        self._model = model
        self._max_seconds = max_seconds
        self._http_tools = dict(http_tools or {})
        self._metadata = dict(metadata or {})
        self._webhook = webhook

    async def dial(self, setup: Setup) -> CallAddress:
        call = await self._create(setup, self.capabilities.input.rate)
        agents_longest = (
            setup.longest_seconds is not None and setup.longest_seconds + GRACE_SECONDS <= self._max_seconds
        )
        return CallAddress(call.join_url, call_id=call.call_id, agents_longest=agents_longest)

    async def invite(self, setup: Setup) -> CreatedCall:
        """A call that a browser joins over WebRTC. Raises :class:`ProviderError`, as :meth:`dial` does."""
        return await self._create(setup, None)

    async def _create(self, setup: Setup, rate: int | None) -> CreatedCall:
        try:
            request = call_request(
                setup,
                model=self._model,
                rate=rate,
                max_seconds=self._max_seconds,
                http_tools=self._http_tools,
                metadata=self._metadata,
            )
        except CallRefused as error:
            raise ProviderError(self.name, "bad_request", str(error)) from None
        if self._webhook is not None:
            ended = {"url": self._webhook.url, "secrets": [self._webhook.secret]}
            request.setdefault("callbacks", {"ended": ended})
        return await self._rest.create_call(request)

    def protocol(self, setup: Setup, handle: str | None = None) -> UltravoxProtocol:
        """Sessions cannot be resumed: ``handle`` is none of ours, and not looked at."""
        return UltravoxProtocol(interruptible=setup.interruptible)

    async def hang_up(self, address: Address) -> SessionOver | None:
        """Ultravox's ``endReason``: ``agent_hangup``, ``timeout``, ``unjoined``, ``connection_error`` or
        ``system_error``; None where it is ``hangup`` (we did), or is not told in time. A call that lasted as long as
        any may goes on in another one, unless that was the agent's own longest."""
        if not isinstance(address, CallAddress):
            return None
        try:
            async with asyncio.timeout(END_REASON_SECONDS):
                while True:
                    reason = (await self._rest.get_call(address.call_id)).get("endReason")
                    if isinstance(reason, str) and reason:
                        if reason == "hangup":
                            return None
                        agents = ("agent_hangup", "timeout") if address.agents_longest else ("agent_hangup",)
                        return SessionOver(reason, by_agent=reason in agents)
                    await asyncio.sleep(_ASK_AGAIN_AFTER)
        except (ProviderError, TimeoutError):
            return None

    async def close(self) -> None:
        """Nothing of its own is open."""
