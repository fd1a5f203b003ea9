"""The official SDK is the judge: unchanged, it talks to the simulated Deepgram, whose messages are those it knows."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from blockbuster import BlockBuster

with warnings.catch_warnings():
    # The SDK is built on the legacy client of websockets, which warns of itself.
    warnings.filterwarnings("ignore", r"websockets\.", DeprecationWarning)
    from deepgram import AsyncDeepgramClient
    from deepgram.core.api_error import ApiError
    from deepgram.environment import DeepgramClientEnvironment
    from deepgram.listen.v1 import types as listen_v1
    from deepgram.listen.v1.socket_client import AsyncV1SocketClient as ListenV1
    from deepgram.listen.v2 import types as listen_v2
    from deepgram.listen.v2.socket_client import AsyncV2SocketClient as ListenV2
    from deepgram.speak.v1 import types as speak_v1
    from deepgram.speak.v1.socket_client import AsyncV1SocketClient as SpeakV1
    from deepgram.speak.v2 import types as speak_v2
    from deepgram.speak.v2.socket_client import AsyncV2SocketClient as SpeakV2

    _sdk = AsyncDeepgramClient(api_key="")
    _ = _sdk.listen.v1, _sdk.listen.v2, _sdk.speak.v1, _sdk.speak.v2  # what these import

from tests.simulators.deepgram import DeepgramServer, serve_deepgram
from tests.simulators.deepgram_ears import KEY
from tests.simulators.deepgram_voices import voice
from tests.simulators.speech_wire import Fault
from tests.steady import PATIENCE

LOUD, QUIET = b"\x10" * 160, b"\xff" * 160
MULAW: Any = {"encoding": "mulaw", "sample_rate": "8000"}

LISTEN_V1 = {
    "Results": listen_v1.ListenV1Results,
    "Metadata": listen_v1.ListenV1Metadata,
}
LISTEN_V2 = {
    "Connected": listen_v2.ListenV2Connected,
    "TurnInfo": listen_v2.ListenV2TurnInfo,
    "Error": listen_v2.ListenV2FatalError,
}
SPEAK_V1 = {
    "Metadata": speak_v1.SpeakV1Metadata,
    "Flushed": speak_v1.SpeakV1Flushed,
    "Cleared": speak_v1.SpeakV1Cleared,
}


SPEAK_V2 = {
    "Connected": speak_v2.SpeakV2Connected,
    "SpeechStarted": speak_v2.SpeakV2SpeechStarted,
    "SpeechMetadata": speak_v2.SpeakV2SpeechMetadata,
    "SpeechInterrupted": speak_v2.SpeakV2SpeechInterrupted,
    "Flushed": speak_v2.SpeakV2Flushed,
    "SessionMetadata": speak_v2.SpeakV2SessionMetadata,
    "Warning": speak_v2.SpeakV2Warning,
    "Error": speak_v2.SpeakV2Error,
}


def client(server: DeepgramServer, key: str = KEY) -> AsyncDeepgramClient:
    places = {"base": server.base_url, "agent": server.base_url, "agent_rest": server.base_url}
    sockets = server.base_url.replace("http", "ws")
    return AsyncDeepgramClient(api_key=key, environment=DeepgramClientEnvironment(production=sockets, **places))


class Witness:
    """Sees what comes, as the SDK's client gives it, and as it came."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self.raw: list[str | bytes] = []
        receive = socket._websocket.recv

        async def recv() -> str | bytes:
            message: str | bytes = await receive()
            self.raw.append(message)
            return message

        socket._websocket.recv = recv

    async def until(self, kind: str, **fields: Any) -> list[Any]:
        """What comes until a message of that type, with such fields, which is the last."""
        found: list[Any] = []
        async with asyncio.timeout(PATIENCE):
            while True:
                found.append(await self._socket.recv())
                last = found[-1]
                if getattr(last, "type", None) == kind and all(getattr(last, n) == v for n, v in fields.items()):
                    return found

    def check(self, types: dict[str, Any], *seen: str) -> None:
        """Each message is one of its type, to the last field; each type that was ``seen`` is there."""
        messages = [json.loads(message) for message in self.raw if isinstance(message, str)]
        assert {message["type"] for message in messages} == set(seen)
        for message in messages:
            assert _extra(types[message["type"]].model_validate(message)) == []


def _extra(model: Any) -> list[str]:
    """Fields that the SDK does not know, however deep."""
    found = [f"{type(model).__name__}.{name}" for name in model.model_extra or {}]
    for name in type(model).model_fields:
        value = getattr(model, name)
        values: Sequence[Any] = value if isinstance(value, list) else [value]
        for one in values:
            if hasattr(one, "model_fields_set"):
                found += _extra(one)
    return found


@pytest.fixture(autouse=True)
def let_the_sdk_read_its_version(no_blocking_calls: BlockBuster) -> None:
    """It does so at each connection."""
    for function in no_blocking_calls.functions.values():
        function.can_block_in("deepgram/core/client_wrapper.py", {"get_headers"})


@pytest.fixture
async def server() -> AsyncIterator[DeepgramServer]:
    async with serve_deepgram() as server:
        yield server


async def test_nova(server: DeepgramServer) -> None:
    server.texts = ["I want a table."]
    socket: ListenV1
    async with client(server).listen.v1.connect(
        model="nova-3", interim_results="true", endpointing="false", keyterm=["Acme", "Bistro"], **MULAW
    ) as socket:
        witness = Witness(socket)
        for frame in [LOUD] * 30 + [QUIET] * 10:
            await socket.send_media(frame)
        await socket.send_keep_alive()
        await socket.send_finalize()
        final = (await witness.until("Results", from_finalize=True))[-1]
        assert final.channel.alternatives[0].transcript == "I want a table."
        assert final.channel.alternatives[0].words[0].punctuated_word == "I"
        await socket.send_close_stream()
        assert (await witness.until("Metadata"))[-1].duration == pytest.approx(0.8)
    witness.check(LISTEN_V1, "Results", "Metadata")
    assert server.mistakes == []


async def test_flux_with_eager_turns(server: DeepgramServer) -> None:
    server.texts = ["I want a table | for two."]
    socket: ListenV2
    async with client(server).listen.v2.connect(
        model="flux-general-en", eager_eot_threshold=0.5, eot_threshold=0.7, **MULAW
    ) as socket:
        witness = Witness(socket)
        for frame in [LOUD] * 30 + [QUIET] * 15 + [LOUD] * 15 + [QUIET] * 25 + [LOUD] * 10:
            await socket.send_media(frame)
        seen = await witness.until("TurnInfo", event="EndOfTurn")
        told = [(message.event, message.transcript) for message in seen if message.type == "TurnInfo"]
        assert [event for event, _ in told if event != "Update"] == [
            "StartOfTurn",
            "EagerEndOfTurn",
            "TurnResumed",
            "EagerEndOfTurn",
            "EndOfTurn",
        ]
        assert [text for event, text in told if event == "EagerEndOfTurn"] == [
            "I want a table",
            "I want a table for two.",
        ]
        assert seen[-1].transcript == "I want a table for two."
        assert seen[-1].trigger == "model"
        server.texts = ["Yes."]
        for frame in [LOUD] * 10:
            await socket.send_media(frame)
        await socket.send_force_end_turn()
        assert (await witness.until("TurnInfo", event="EndOfTurn"))[-1].trigger == "manual"
        await socket.send_close_stream()
    witness.check(LISTEN_V2, "Connected", "TurnInfo")
    assert server.mistakes == []


async def test_aura(server: DeepgramServer) -> None:
    socket: SpeakV1
    async with client(server).speak.v1.connect(model="aura-2-thalia-en", **MULAW) as socket:
        witness = Witness(socket)
        await socket.send_text(speak_v1.SpeakV1Text(text="Good evening."))
        await socket.send_flush()
        sound = [part for part in await witness.until("Flushed") if isinstance(part, bytes)]
        assert b"".join(sound) == voice("Good evening.")
        await socket.send_text(speak_v1.SpeakV1Text(text="never heard " * 50))
        await socket.send_flush()
        await socket.send_clear()
        assert len(await witness.until("Cleared")) < 50
        await socket.send_close()
    witness.check(SPEAK_V1, "Metadata", "Flushed", "Cleared")
    assert server.mistakes == []


def interrupt(ms: int) -> Any:
    offset = speak_v2.SpeakV2InterruptPlaybackOffset(type="time_ms", value=ms)
    return speak_v2.SpeakV2Interrupt(type="Interrupt", playback_offset=offset)


async def test_flux_speaks_and_is_interrupted(server: DeepgramServer) -> None:
    server.late_words = 1
    socket: SpeakV2
    async with client(server).speak.v2.connect(model="flux-alexis-en", **MULAW) as socket:
        witness = Witness(socket)
        for text in ("Good", " evening."):
            await socket.send_speak(speak_v2.SpeakV2Speak(type="Speak", text=text))
        await socket.send_flush()
        seen = await witness.until("SpeechMetadata")
        sound = [part for part in seen if isinstance(part, bytes)]
        assert b"".join(sound) == voice("Good evening.")
        assert (seen[-1].audio_duration_ms, seen[-1].billable_character_count) == (600, 13)
        await socket.send_speak(speak_v2.SpeakV2Speak(type="Speak", text="one two three four five six seven eight"))
        await socket.send_flush()
        await witness.until("SpeechStarted")
        for _ in range(3):
            assert isinstance(await socket.recv(), bytes)
        await socket.send_interrupt(interrupt(600 + 650))
        cut = (await witness.until("SpeechInterrupted"))[-1]
        assert (cut.audio_played_ms, cut.text_spoken) == (1250, "one two")
        assert cut.text_remaining == "three four five six seven eight"
        await socket.send_close()
        assert (await witness.until("SessionMetadata"))[-1].total_audio_duration_ms == 1250
    witness.check(
        SPEAK_V2,
        "Connected",
        "SpeechStarted",
        "Flushed",
        "SpeechMetadata",
        "SpeechInterrupted",
        "SessionMetadata",
    )
    assert server.mistakes == []


async def test_interrupts_that_flux_does_not_heed(server: DeepgramServer) -> None:
    async with client(server).speak.v2.connect(model="flux-alexis-en", **MULAW) as socket:
        witness = Witness(socket)
        await socket.send_interrupt()
        assert (await witness.until("Warning"))[-1].code == "NO_AUDIO_GENERATED"
        for _ in range(2):
            await socket.send_speak(speak_v2.SpeakV2Speak(type="Speak", text="one two three four five six seven"))
            await socket.send_flush()
            await witness.until("SpeechStarted")
            assert isinstance(await socket.recv(), bytes)
            await socket.send_interrupt(interrupt(200))
        assert (await witness.until("Warning"))[-1].code == "INVALID_INTERRUPT_OFFSET"
        await socket.send_interrupt()
        cut = (await witness.until("SpeechInterrupted"))[-1]
        assert (cut.text_spoken, cut.text_remaining) == (None, None)
        await socket.send_flush()
        assert (await witness.until("Warning"))[-1].code == "NO_ACTIVE_SPEECH"
        assert "an Interrupt at 200 ms, after one at 200" in server.mistakes


async def test_a_wrong_key_and_a_fault(server: DeepgramServer) -> None:
    with pytest.raises(ApiError) as caught:
        async with client(server, "wrong").listen.v2.connect(model="flux-general-en", **MULAW):
            pass
    assert caught.value.status_code == 401
    server.faults = [Fault("error")]
    async with client(server).listen.v2.connect(model="flux-general-en", **MULAW) as socket:
        witness = Witness(socket)
        assert (await witness.until("Error"))[-1].code == "NET-0002"
    witness.check(LISTEN_V2, "Error")
