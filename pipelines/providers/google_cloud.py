"""Google's cloud over gRPC: the connections to it, which are kept, and the calls on them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.parts import ProviderError
from pipelines.providers.google_account import NAME, Account, Sdk, Service, load
from pipelines.providers.google_wire import Answer, StreamEnded, answer

CONNECT_SECONDS = 3.0
MOST_STREAMS = 80
"""On one connection: Google's allow 100, and the next would wait for one of them to end."""

_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),  # channels would share one connection otherwise
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 3_000),  # also how long what was sent may go unacknowledged (TCP_USER_TIMEOUT)
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", int(CONNECT_SECONDS * 1000)),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_retries", 0),
)


@dataclass(slots=True)
class _Channel:
    channel: Any
    streams: int = 0


class Cloud:
    """One of the services, shared by the calls of a process. Connections are kept."""

    def __init__(self, service: Service, account: Account, *, most_streams: int = MOST_STREAMS) -> None:
        self.account = account
        self._service = service
        self._most_streams = most_streams
        self._loading = asyncio.Lock()
        self._sdk: Sdk | None = None
        self._channels: list[_Channel] = []

    async def prepare(self) -> None:
        """Import, find out who we are, and connect. Raises :class:`ProviderError`, but not for want of a connection: a
        call will say why there is none."""
        sdk = await self._load()
        channel = self._channel(sdk).channel
        settled = sdk.grpc.ChannelConnectivity.READY, sdk.grpc.ChannelConnectivity.TRANSIENT_FAILURE
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_SECONDS):
                while (state := channel.get_state(try_to_connect=True)) not in settled:
                    await channel.wait_for_state_change(state)

    async def open(self) -> Call:
        """A call of the service's streaming method, connected. Raises :class:`ProviderError`."""
        sdk = await self._load()
        channel = self._channel(sdk)
        method = channel.channel.stream_stream(
            sdk.streaming.path,
            request_serializer=sdk.streaming.request.SerializeToString,
            response_deserializer=sdk.streaming.response.FromString,
        )
        call = Call(method(), sdk, channel)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await call.connected()
        except BaseException as error:
            call.cancel()
            if not isinstance(error, TimeoutError):
                raise
            message = f"there was no connection within {CONNECT_SECONDS:g} s"
            raise ProviderError(NAME, "timeout", message) from None
        return call

    async def ask(self, **request: str) -> None:
        """Call a method that costs nothing: whether the service is there, and knows us. Raises
        :class:`ProviderError`."""
        sdk = await self._load()
        method = self._channel(sdk).channel.unary_unary(
            sdk.listing.path,
            request_serializer=sdk.listing.request.SerializeToString,
            response_deserializer=sdk.listing.response.FromString,
        )
        try:
            await method(sdk.listing.request(**request), timeout=CONNECT_SECONDS)
        except sdk.grpc.RpcError as error:
            if error.code() is not sdk.grpc.StatusCode.UNIMPLEMENTED:  # a server like it, which cannot tell
                raise StreamEnded(NAME, error.code().name, error.details() or "") from None

    async def project(self) -> str:
        sdk = await self._load()
        if not sdk.project:
            message = "it needs GOOGLE_PROJECT_ID in the environment: the credentials do not name a project"
            raise ProviderError(NAME, "bad_request", message)
        return sdk.project

    async def close(self) -> None:
        channels, self._channels = self._channels, []
        for channel in channels:
            await channel.channel.close()

    async def _load(self) -> Sdk:
        async with self._loading:
            if self._sdk is None:
                self._sdk = await asyncio.to_thread(load, self._service, self.account)
                # Or else gRPC would wait for its thread, blocking the loop, whenever the last connection is closed.
                self._sdk.grpc.aio.init_grpc_aio()
            return self._sdk

    def _channel(self, sdk: Sdk) -> _Channel:
        """One with room for another stream."""
        for channel in self._channels:
            if channel.streams < self._most_streams:
                return channel
        if self.account.plain:
            made = sdk.grpc.aio.insecure_channel(self.account.target, options=_OPTIONS)
        else:
            made = sdk.create_channel(self.account.target, credentials=sdk.credentials, options=_OPTIONS)
        self._channels.append(_Channel(made))
        return self._channels[-1]


class Call:
    """A stream of requests and of answers, as protobuf messages."""

    def __init__(self, call: Any, sdk: Sdk, channel: _Channel) -> None:
        self._call = call
        self._sdk = sdk
        self._over = sdk.grpc.RpcError, sdk.grpc.aio.InternalError, asyncio.InvalidStateError
        self.request = sdk.streaming.request
        channel.streams += 1
        call.add_done_callback(lambda _: _leave(channel))

    async def connected(self) -> None:
        await self._told(self._call.wait_for_connection())

    async def write(self, request: Any) -> bool:
        """Whether the call could take it. Why it could not, :meth:`read` tells."""
        if self._call.done():
            return False
        try:
            # The call's own write would replace what the server said of the end by an internal error, if it fails in
            # the moment of the end.
            await self._call._cython_call.send_serialized_message(request.SerializeToString())  # noqa: SLF001
        except self._over:
            return False
        except asyncio.CancelledError:
            if self._by_us():
                return False
            self.cancel()
            raise
        return True

    async def done_writing(self) -> None:
        try:
            await self._call.done_writing()
        except self._over:
            pass
        except asyncio.CancelledError:
            if not self._by_us():
                raise

    async def read(self) -> Any | None:
        """An answer; None after the last one. Raises :class:`ProviderError`, also after :meth:`cancel`."""
        message = await self._told(self._call.read())
        return None if message is self._sdk.grpc.aio.EOF else message

    def cancel(self) -> None:
        self._call.cancel()

    async def _told(self, what: Any) -> Any:
        try:
            return await what
        except self._sdk.grpc.RpcError as error:
            raise StreamEnded(NAME, error.code().name, error.details() or "") from None
        except asyncio.CancelledError:
            if self._by_us():
                raise ProviderError(NAME, "unavailable", "the stream was broken off") from None
            raise

    def _by_us(self) -> bool:
        """gRPC cancels whoever waits for a call that was cancelled; that is no end of the task."""
        task = asyncio.current_task()
        return task is not None and not task.cancelling()


def _leave(channel: _Channel) -> None:
    channel.streams -= 1


class SpeechService:
    """:class:`pipelines.providers.google_stt.RecognitionService` by Google."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.target = cloud.account.target

    async def prepare(self) -> None:
        await self._cloud.prepare()

    async def recognize(self, config: Mapping[str, Any]) -> SpeechCall:
        recognizer = f"{await self._parent()}/recognizers/_"
        call = await self._cloud.open()
        await call.write(call.request(recognizer=recognizer, streaming_config=config))
        return SpeechCall(call)

    async def ask(self) -> None:
        """As :meth:`Cloud.ask`."""
        await self._cloud.ask(parent=await self._parent())

    async def _parent(self) -> str:
        return f"projects/{await self._cloud.project()}/locations/{self._cloud.account.location}"

    async def close(self) -> None:
        await self._cloud.close()


class SpeechCall:
    """:class:`pipelines.providers.google_stt.Recognition`"""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.done_writing = call.done_writing
        self.cancel = call.cancel

    async def write(self, pcm: bytes) -> bool:
        return await self._call.write(self._call.request(audio=pcm))

    async def read(self) -> Answer | None:
        message = await self._call.read()
        return None if message is None else answer(message)


class VoiceService:
    """:class:`pipelines.providers.google_tts.SynthesisService` by Google."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.target = cloud.account.target

    async def prepare(self) -> None:
        await self._cloud.prepare()

    async def synthesize(self, config: Mapping[str, Any], texts: Sequence[str]) -> VoiceCall:
        call = await self._cloud.open()
        await call.write(call.request(streaming_config=config))
        for text in texts:
            await call.write(call.request(input={"text": text}))
        await call.done_writing()
        return VoiceCall(call)

    async def ask(self) -> None:
        """As :meth:`Cloud.ask`."""
        await self._cloud.ask(language_code="en-US")

    async def close(self) -> None:
        await self._cloud.close()


class VoiceCall:
    """:class:`pipelines.providers.google_tts.Synthesis`"""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.cancel = call.cancel

    async def read(self) -> bytes | None:
        message = await self._call.read()
        return None if message is None else bytes(message.audio_content)
