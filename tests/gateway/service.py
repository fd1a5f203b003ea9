"""The whole service on loopback: the real application and store, with voices and recognisers that can be read exactly,
and a simulated Jambonz that calls it over real HTTP and WebSockets."""

from __future__ import annotations

import asyncio
import json
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.test_utils import TestServer

from gateway.app import create_app
from gateway.factory import ProviderFactory
from gateway.keys import STORE, SWITCHBOARD
from gateway.session import CallSession
from gateway.settings import Settings
from gateway.surroundings import PipelineFactory
from gateway.switchboard import Switchboard
from jambonz.signature import SIGNATURE_HEADER, sign
from jambonz.simulator.caller import AwaitAgentSpeech, Caller, HangUp, Step, Wait
from jambonz.simulator.feature_server import SimulatedJambonz
from jambonz.simulator.network import AiohttpTransport
from jambonz.simulator.report import CallReport
from media.audio import AudioFormat
from pipelines.agent import AgentDefinition
from pipelines.cascade import Cascade, CascadeParts
from pipelines.interlude import Interlude
from store import DEFAULT_OWNER, Store
from store.calls import Call, Calls, Period
from store.listeners import ListenerForCall, ListenerOptions
from tests.simulators.codeword import CodewordRecogniser, CodewordVoice, PeakDetector, read
from tests.simulators.replies import ReplyModel, always
from tests.steady import PATIENCE

KEY = "the-admin-key-of-these-tests"
SECRET = "wh_secret_of_these_tests"
NUMBER = "441234567890"
CALLER = "+447700900123"
PASSWORD = "the-password-of-these-tests"
"""Of the application sockets, where a test sets it."""
GREETING = "Hello there."


class CodewordFactory:
    def __init__(self, model: ReplyModel) -> None:
        self.model = model
        self.voice = CodewordVoice()
        self.recogniser = CodewordRecogniser()
        self.pipelines: list[Cascade] = []

    def pipeline(
        self,
        listener: ListenerForCall,
        session: CallSession,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> Cascade:
        parts = CascadeParts(self.recogniser, self.model, self.voice)
        cascade = Cascade(listener.agent, parts, session, spawn=spawn, clock=asyncio.get_running_loop().time)
        self.pipelines.append(cascade)
        return cascade

    def interlude(self, listener: ListenerForCall, session: CallSession) -> Interlude | None:
        return None

    def recogniser_for(self, listener: ListenerForCall) -> None:
        return None

    def detector(self, format: AudioFormat) -> PeakDetector:
        return PeakDetector()

    async def close(self) -> None: ...


@dataclass(slots=True)
class Service:
    """``listener_id`` is that of the one agent, which answers ``NUMBER``."""

    server: TestServer
    http: aiohttp.ClientSession
    jambonz: SimulatedJambonz
    factory: CodewordFactory
    store: Store
    switchboard: Switchboard
    listener_id: str

    @property
    def url(self) -> str:
        return str(self.server.make_url("")).rstrip("/")

    @property
    def application(self) -> dict[str, str]:
        """The call hook of calls that come by a socket."""
        url = f"ws{self.url.removeprefix('http')}/jambonz/application"
        return {"url": url, "username": "jambonz", "password": PASSWORD}

    # As Jambonz does it

    async def call(self, *steps: Step, to: str = "+" + NUMBER, patience: float = 10.0, **options: Any) -> CallReport:
        return await self.jambonz.place_call(to=to, from_=CALLER, caller=Caller(steps, patience=patience), **options)

    async def answers(self) -> None:
        """Place a call, hear the greeting's first word, hang up: 0.2 s."""
        report = await self.call(AwaitAgentSpeech(), Wait(0.04), HangUp())
        heard = read(report.heard)
        assert heard, "the service does not answer any more"
        assert heard[0].word == "hello"
        assert report.ended_by == "caller"

    async def post(
        self,
        path: str,
        payload: Any,
        *,
        signature: str | None = "",
        headers: Mapping[str, str] | None = None,
        base: str = "",
    ) -> tuple[int, str]:
        """A hook: its answer's status and body. ``payload`` is sent as JSON, or as it is if it is bytes; it is signed
        rightly unless another ``signature`` is given, or None for none. ``base`` is the URL of another service."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        signed = {SIGNATURE_HEADER: signature or sign(body, SECRET, time.time())} if signature is not None else {}
        sent = {"Content-Type": "application/json", **signed, **(headers or {})}
        async with self.http.post((base or self.url) + path, data=body, headers=sent) as answer:
            return answer.status, await answer.text()

    async def ring(self, call_sid: str) -> str:
        """The call hook of a call; the URL of the listen socket that it is to open."""
        status, body = await self.post("/jambonz/call", call_hook(call_sid=call_sid))
        assert status == 200, body
        return str(json.loads(body)[0]["url"])

    async def hang_up(self, call_sid: str) -> None:
        status, _ = await self.post("/jambonz/status", {"call_sid": call_sid, "call_status": "completed"})
        assert status == 204

    @asynccontextmanager
    async def asked_by_who_never_reads(self, request: str) -> AsyncIterator[socket.socket]:
        """``request`` is the lines of one."""
        url = self.server.make_url("")
        with socket.socket() as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.setblocking(False)
            await asyncio.get_running_loop().sock_connect(peer, (url.host, url.port))
            peer.sendall(request.replace("\n", "\r\n").encode() + b"\r\n\r\n")
            yield peer

    async def no_connections(self) -> None:
        """Returns once there are none; raises TimeoutError."""
        runner = self.server.runner
        assert runner is not None
        assert runner.server is not None
        async with asyncio.timeout(PATIENCE):
            while runner.server.connections:  # noqa: ASYNC110 - of aiohttp's
                await asyncio.sleep(0.01)

    async def quiet(self, seconds: float = PATIENCE) -> None:
        """Returns once no call is left; raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while self.switchboard.calls:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)


def call_hook(**changes: Any) -> dict[str, Any]:
    """What Jambonz posts for a new call; None takes a field out."""
    payload = {
        "call_sid": str(uuid.uuid4()),
        "direction": "inbound",
        "from": CALLER,
        "to": NUMBER,
        "call_status": "trying",
        "sip_status": 100,
        **changes,
    }
    return {name: value for name, value in payload.items() if value is not None}


@asynccontextmanager
async def serving(
    directory: Path,
    *,
    agent: Mapping[str, Any] | None = None,
    model: ReplyModel | None = None,
    factory: PipelineFactory | None = None,
    **settings: Any,
) -> AsyncIterator[Service]:
    """``factory`` makes the calls' pipelines, unless it is one of codewords with ``model``. ``settings`` are fields of
    :class:`Settings`."""
    fields = {"data_dir": directory, "admin_key": KEY, "jambonz_webhook_secret": SECRET, "max_calls": 8, **settings}
    codewords = CodewordFactory(model or ReplyModel(always("I hear you.")))
    app = create_app(Settings(**fields), factory or codewords)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(shutdown_timeout=1.0)
    try:
        async with aiohttp.ClientSession() as http, AiohttpTransport() as transport:
            url = str(server.make_url("")).rstrip("/")
            jambonz = SimulatedJambonz(base_url=url, transport=transport, webhook_secret=SECRET)
            listener_id = await _set_up(app[STORE], agent or {})
            yield Service(server, http, jambonz, codewords, app[STORE], app[SWITCHBOARD], listener_id)
    finally:
        await server.close()


async def _set_up(store: Store, agent: Mapping[str, Any]) -> str:
    defaults = {"modelName": "scripted/test", "prompt": "You are a test.", "options": {"greeting": GREETING}}
    made = await store.agents.create(DEFAULT_OWNER, AgentDefinition.model_validate({**defaults, **agent}))
    await store.numbers.create(DEFAULT_OWNER, NUMBER, handler="jambonz")
    listener, _ = await store.listeners.create(DEFAULT_OWNER, made.id, number=NUMBER, options=ListenerOptions())
    return listener.id


class LoudFactory(ProviderFactory):
    """Whatever is loud is speech: words of the simulations are no voice to a detector of voices."""

    def detector(self, format: AudioFormat) -> Any:
        return PeakDetector()


async def recorded(calls: Calls) -> Call:
    """The only call, once its record is closed."""
    async with asyncio.timeout(PATIENCE):
        while True:
            [call] = await calls.of_organisation(DEFAULT_OWNER, after_index=0, limit=2, period=Period())
            if call.ended_at is not None:
                return call
            await asyncio.sleep(0.02)
