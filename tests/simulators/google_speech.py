"""A simulated Google on loopback: ``google.cloud.speech.v2.Speech/StreamingRecognize`` and
``google.cloud.texttospeech.v1.TextToSpeech/StreamingSynthesize``, over gRPC, as the SDKs call them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from google.cloud.speech_v2.types import cloud_speech
from google.cloud.texttospeech_v1.types import cloud_tts

from tests.simulators.google_sessions import (
    Ended,
    Fault,
    Google,
    RecognitionSession,
    RecognizeRequest,
    RecognizeResponse,
    SynthesisSession,
    SynthesizeRequest,
    SynthesizeResponse,
)

RECOGNIZE = "/google.cloud.speech.v2.Speech/StreamingRecognize"
SYNTHESIZE = "/google.cloud.texttospeech.v1.TextToSpeech/StreamingSynthesize"
_LISTINGS = {
    "/google.cloud.speech.v2.Speech/ListRecognizers": cloud_speech.ListRecognizersRequest.pb(),
    "/google.cloud.texttospeech.v1.TextToSpeech/ListVoices": cloud_tts.ListVoicesRequest.pb(),
}


@dataclass
class GoogleServer(Google):
    """``endpoint`` is what GOOGLE_SPEECH_ENDPOINT and GOOGLE_TTS_ENDPOINT are to hold. ``allows`` judges the bearer's
    token of each call; without it nobody is asked for one."""

    port: int = 0
    allows: Callable[[str], bool] | None = None
    refusal: Fault | None = None
    """What everything is answered with."""

    listed: list[str] = field(default_factory=list)
    """What it was asked for a list of."""

    def __post_init__(self) -> None:
        self.peers: list[str] = []
        self.ended = asyncio.Event()
        self._server: grpc.aio.Server | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, tls: grpc.ServerCredentials | None = None) -> None:
        """On the port that it had, if it had one."""
        grpc.aio.init_grpc_aio()  # or else gRPC waits for its thread, blocking the loop, whenever nothing is open
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((_Handlers(self),))
        address = f"127.0.0.1:{self.port}"
        add = self._server.add_insecure_port(address) if tls is None else self._server.add_secure_port(address, tls)
        self.port = add
        await self._server.start()

    async def stop(self) -> None:
        """Every call and connection is broken off."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None


@asynccontextmanager
async def serve_google(
    tls: grpc.ServerCredentials | None = None, **settings: Any
) -> AsyncGenerator[GoogleServer, None]:
    """``settings`` are :class:`GoogleServer`'s."""
    server = GoogleServer(**settings)
    await server.start(tls)
    try:
        yield server
    finally:
        await server.stop()


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, server: GoogleServer) -> None:
        self._server = server

    def service(self, handler_call_details: Any) -> Any:
        if handler_call_details.method == RECOGNIZE:
            return grpc.stream_stream_rpc_method_handler(
                self._recognize, RecognizeRequest.FromString, RecognizeResponse.SerializeToString
            )
        if handler_call_details.method in _LISTINGS:
            return grpc.unary_unary_rpc_method_handler(
                self._list, _LISTINGS[handler_call_details.method].FromString, lambda _: b""
            )
        if handler_call_details.method == SYNTHESIZE:
            return grpc.stream_stream_rpc_method_handler(
                self._synthesize, SynthesizeRequest.FromString, SynthesizeResponse.SerializeToString
            )
        return None

    async def _list(self, request: Any, context: Any) -> None:
        """Nothing is in the lists: it is asked whether it is there, and who is asking."""
        self._server.listed.append(request.parent if hasattr(request, "parent") else request.language_code)
        try:
            self._admit(context)
        except Ended as ended:
            await context.abort(grpc.StatusCode[ended.status], ended.details)

    async def _recognize(self, _: Any, context: Any) -> None:
        await self._answer(context, self._hear)

    async def _synthesize(self, _: Any, context: Any) -> None:
        await self._answer(context, self._speak)

    async def _answer(self, context: Any, how: Any) -> None:
        server = self._server
        server.peers.append(context.peer())
        server.open += 1
        status, details = "OK", ""
        try:
            self._admit(context)
            await how(context)
        except Ended as ended:
            status, details = ended.status, ended.details
        finally:
            server.open -= 1
            server.ended.set()
        if status != "OK":
            await context.abort(grpc.StatusCode[status], details)

    def _admit(self, context: Any) -> None:
        if self._server.refusal is not None:
            raise Ended(self._server.refusal.status, self._server.refusal.details)
        if self._server.allows is None:
            return
        token = dict(context.invocation_metadata()).get("authorization", "")
        if not token.startswith("Bearer ") or not self._server.allows(token.removeprefix("Bearer ")):
            raise Ended("UNAUTHENTICATED", "Request had invalid authentication credentials.")

    async def _hear(self, context: Any) -> None:
        now = asyncio.get_running_loop().time
        session = RecognitionSession(self._server, now())
        while True:
            request = await _read(context, session.due() - now() + 0.001)
            if request is None:
                session.check(now())
                continue
            last = request is grpc.aio.EOF
            answers = session.half_closed() if last else session.receive(request, now())
            fault = session.fault
            delay = self._server.delay + (fault.seconds if fault is not None and fault.what == "slow" else 0.0)
            for answer in answers:
                await asyncio.sleep(delay)
                await context.write(answer)
            if session.blind or (session.mute and last):
                await asyncio.Event().wait()
            if last:
                return

    async def _speak(self, context: Any) -> None:
        session = SynthesisSession(self._server)
        while (request := await _read(context, self._server.voice_idle_seconds)) is not grpc.aio.EOF:
            if request is None:
                raise session.idle()
            session.receive(request)
        fault = session.fault
        await asyncio.sleep(self._server.first_sound_seconds)
        for answer in session.half_closed():
            await asyncio.sleep(fault.seconds if fault is not None and fault.what == "slow" else 0.0)
            await context.write(answer)
            await asyncio.sleep(self._server.per_word_seconds)
        if session.mute:
            await asyncio.Event().wait()


async def _read(context: Any, patience: float) -> Any:
    """The next request; None if none came within so many seconds."""
    reading = asyncio.ensure_future(context.read())
    try:
        await asyncio.wait([reading], timeout=max(patience, 0.0))
    finally:
        if not reading.done():
            reading.cancel()
    return reading.result() if reading.done() else None
