"""Jambonz's WebSocket application API, on aiohttp: who is let in, and one socket from its upgrade to its close."""

from __future__ import annotations

import asyncio
import base64
import hmac
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import structlog
from aiohttp import WSMsgType, hdrs, web

from gateway import metrics
from gateway.dispatch import CALL_OVER, Dispatcher
from gateway.settings import Settings
from gateway.switchboard import Switchboard
from gateway.workers.bridge import bridge
from gateway.workers.crew import Crew
from gateway.workers.routing import told_by
from jambonz.application import MAX_RECEIVED_BYTES, SUBPROTOCOL, WRONG_KIND, ApplicationRefused

log = structlog.get_logger(__name__)

START_SECONDS = 5.0
"""From the upgrade to the first message. Jambonz sends it at once."""

SEND_SECONDS = 3.0
"""The longest that Jambonz may take to accept one message: its own patience with an acknowledgement is 5 s."""

HEARTBEAT_SECONDS = 20.0
CLOSE_SECONDS = 1.0

GOING_AWAY = 1001
NO_START = 1008
FAULT = 1011
LOST = 1006
"""No close frame came; never one that is sent."""

_MAX_REASON = 123


@dataclass(frozen=True, slots=True)
class Refusal:
    """Before the upgrade: an HTTP answer."""

    label: Literal["no_password", "unauthorized", "no_subprotocol", "bad_handshake"]
    status: int
    code: str
    sentence: str


def refusal_of(request: web.Request, settings: Settings) -> Refusal | None:
    """Why this is no socket of our Jambonz; None if it is. Nothing is waited for."""
    password = settings.jambonz_application_password
    if password is None and settings.jambonz_webhook_secret is not None:
        # Sockets are not signed: without a password they would be a way around the webhooks' signatures.
        sentence = (
            "Set JAMBONZ_APPLICATION_PASSWORD: webhooks are verified here, and sockets can only be by a password."
        )
        return Refusal("no_password", 403, "FORBIDDEN", sentence)
    if password is not None:
        wanted = f"{settings.jambonz_application_username}:{password.get_secret_value()}".encode()
        if not hmac.compare_digest(_credentials(request), wanted):
            sentence = "The call hook's user and password are not those of this service."
            return Refusal("unauthorized", 401, "UNAUTHORIZED", sentence)
    offered = ",".join(request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, ())).split(",")
    if SUBPROTOCOL not in {name.strip() for name in offered}:
        return Refusal("no_subprotocol", 400, "BAD_REQUEST", f"The socket does not offer {SUBPROTOCOL}.")
    if not web.WebSocketResponse(protocols=(SUBPROTOCOL,)).can_prepare(request):
        return Refusal("bad_handshake", 400, "BAD_REQUEST", "This is no WebSocket handshake.")
    return None


def _credentials(request: web.Request) -> bytes:
    """``user:password`` of Basic authentication; empty where there is none."""
    scheme, _, encoded = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    try:
        return base64.b64decode(encoded.strip(), validate=True) if scheme.lower() == "basic" else b""
    except ValueError:
        return b""


class ApplicationSocket:
    """One socket, which is one call's: a :class:`~gateway.control.Line`."""

    def __init__(self, switchboard: Switchboard, base_url: str, crew: Crew | None = None) -> None:
        """``crew``: its call may be another worker's."""
        self._crew = crew
        self._dispatcher = Dispatcher(switchboard, self, base_url)
        self._ws = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            compress=False,
            heartbeat=HEARTBEAT_SECONDS,
            max_msg_size=MAX_RECEIVED_BYTES,
            timeout=CLOSE_SECONDS,
        )

    async def run(self, request: web.Request) -> web.StreamResponse:
        """Until it is closed. Its call goes on without it, and Jambonz comes back unless it was closed with 1000."""
        code, why = FAULT, ""
        transport = request.transport
        try:
            await self._ws.prepare(request)
            code = await self._read(request)
        except ApplicationRefused as refused:
            code, why = refused.code, str(refused)
            self._refused("malformed", why)
        except ConnectionError:
            code = LOST
        except TimeoutError:
            code, why = NO_START, "Nothing was sent, or nothing was read, for too long."
            self._refused("too_slow", why)
        except asyncio.CancelledError:
            code = GOING_AWAY
            raise
        except Exception as error:
            log.error("an application socket failed", exc_info=error)
        finally:
            self._dispatcher.closed(code)
            await self._close(code, why)
            if transport is not None and transport.get_write_buffer_size():
                transport.abort()  # it reads nothing, and would be waited for
        return self._ws

    async def _read(self, request: web.Request) -> int:
        """The code with which the peer has closed it."""
        seconds: float | None = START_SECONDS
        while True:
            message = await self._ws.receive(seconds)
            first, seconds = seconds is not None, None
            match message.type:
                case WSMsgType.TEXT:
                    slot = await self._other_worker(message.data) if first else None
                    if self._crew is not None and slot is not None:
                        return await bridge(self._crew, slot, self._ws, request, message.data)
                    await self._dispatcher.receive(message.data)
                case WSMsgType.BINARY:
                    raise ApplicationRefused(WRONG_KIND, "Messages are JSON texts; this one is binary.")
                case WSMsgType.CLOSE:
                    return message.data or LOST
                case _:
                    return LOST

    async def _other_worker(self, first: str) -> int | None:
        """Whose call it is that the first message tells of, if it is not this one's."""
        if self._crew is None:
            return None
        slot = await self._crew.whose(told_by(first), begins=True)
        return slot if slot != self._crew.slot else None

    async def send(self, text: str) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._ws.send_str(text)
        except (RuntimeError, OSError) as error:  # aiohttp's words for a socket that is closed
            if isinstance(error, TimeoutError):
                raise
            raise ConnectionResetError("the socket is closed") from error

    async def stop(self) -> None:
        """The service stops. A call that goes on, or has no answer yet, is told to come back: another process may take
        it up."""
        await self._close(CALL_OVER if self._dispatcher.over else GOING_AWAY, "the service stops")

    async def _close(self, code: int, why: str) -> None:
        if not self._ws.prepared or self._ws.closed:
            return
        reason = why.encode()[:_MAX_REASON].decode(errors="ignore").encode()
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(CLOSE_SECONDS + 1):
                await self._ws.close(code=GOING_AWAY if code == LOST else code, message=reason, drain=False)

    def _refused(self, label: str, why: str) -> None:
        metrics.applications_refused.labels(label).inc()
        log.warning("an application socket was closed", reason=label, why=why)
