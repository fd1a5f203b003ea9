"""The official SDK is the judge: unchanged, it talks to the simulated ElevenLabs, whose messages are those it knows.

It has no client for several contexts over one socket: there, its types judge what both sides send.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from elevenlabs import AsyncElevenLabs, AudioFormat, CommitStrategy, ElevenLabs, RealtimeEvents, VoiceSettings
from elevenlabs import types as known
from elevenlabs.core.api_error import ApiError
from elevenlabs.realtime.scribe import RealtimeAudioOptions
from pydantic import ValidationError
from websockets.exceptions import InvalidStatus

from media.g711 import mulaw_to_pcm, pcm_to_mulaw
from pipelines.parts import SpeechAudio
from pipelines.providers.elevenlabs_stt import ElevenLabsSpeechToText
from pipelines.providers.elevenlabs_tts import ElevenLabsTextToSpeech
from pipelines.providers.elevenlabs_wire import elevenlabs_at
from pipelines.providers.socket import ProviderSocket
from tests.pipelines.providers.ear import Ear, wait_until
from tests.simulators.codeword import heard_words, speak
from tests.simulators.elevenlabs import ElevenLabsServer, serve_elevenlabs
from tests.simulators.elevenlabs_ears import KEY
from tests.simulators.speech_wire import Fault

SCRIBE: dict[str, Any] = {
    "session_started": known.SessionStartedPayload,
    "partial_transcript": known.PartialTranscriptPayload,
    "committed_transcript": known.CommittedTranscriptPayload,
    "committed_transcript_with_timestamps": known.CommittedTranscriptWithTimestampsPayload,
    "commit_throttled": known.ScribeThrottledErrorPayload,
    "chunk_size_exceeded": known.ScribeChunkSizeExceededErrorPayload,
    "input_error": known.ScribeInputErrorPayload,
    "quota_exceeded": known.ScribeQuotaExceededErrorPayload,
    "session_time_limit_exceeded": known.ScribeSessionTimeLimitExceededErrorPayload,
}
OPTIONS: dict[str, Any] = {
    "model_id": "scribe_v2_realtime",
    "audio_format": AudioFormat.ULAW_8000,
    "sample_rate": 8000,
    "commit_strategy": CommitStrategy.MANUAL,
}


def strangers(model: Any) -> list[str]:
    """Fields that the SDK does not know, however deep."""
    found = [f"{type(model).__name__}.{name}" for name in model.model_extra or {}]
    for name in type(model).model_fields:
        value = getattr(model, name)
        values: Sequence[Any] = value if isinstance(value, list) else [value]
        for one in values:
            if hasattr(one, "model_fields_set"):
                found += strangers(one)
    return found


@pytest.fixture
async def server() -> AsyncIterator[ElevenLabsServer]:
    async with serve_elevenlabs() as server:
        yield server
        await wait_until(lambda: server.open == 0)


class Witness:
    """A session by the SDK, and what it tells of it."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.told: list[Any] = []
        for event in RealtimeEvents:
            if event not in (RealtimeEvents.OPEN, RealtimeEvents.CLOSE, RealtimeEvents.ERROR):
                connection.on(event, self.told.append)

    @classmethod
    async def open(cls, server: ElevenLabsServer, key: str = KEY, **options: Any) -> Witness:
        client = AsyncElevenLabs(api_key=key, base_url=server.base_url)
        return cls(await client.speech_to_text.realtime.connect(cast(RealtimeAudioOptions, OPTIONS | options)))

    async def say(self, server: ElevenLabsServer, text: str) -> None:
        sound = b"\xff" * 16_000 + pcm_to_mulaw(speak(text, code=server.code))
        for at in range(0, len(sound), 800):
            await self.connection.send({"audio_base_64": b64encode(sound[at : at + 800]).decode()})

    async def until(self, kind: str) -> None:
        await wait_until(lambda: kind in self.kinds)

    @property
    def kinds(self) -> list[str]:
        return [message["message_type"] for message in self.told]

    def check(self, *seen: str) -> None:
        assert set(self.kinds) == set(seen)
        for message in self.told:
            assert strangers(SCRIBE[message["message_type"]].model_validate(message)) == [], message


async def test_scribe(server: ElevenLabsServer) -> None:
    witness = await Witness.open(server, include_timestamps=True, language_code="en", keyterms=["Acme", "Bistro"])
    await witness.say(server, "one two three four")
    await witness.connection.commit()
    await witness.until("committed_transcript_with_timestamps")
    await witness.connection.close()
    texts = [message["text"] for message in witness.told if message["message_type"].startswith("committed")]
    assert texts == ["One two three four."] * 2
    witness.check(*list(SCRIBE)[:4])
    assert [value for name, value in server.queries[0][1] if name == "keyterms"] == ["Acme", "Bistro"]
    assert server.mistakes == []


@pytest.mark.parametrize("name", ["quota_exceeded", "session_time_limit_exceeded"])
async def test_errors_of_scribe(server: ElevenLabsServer, name: str) -> None:
    server.faults = [Fault("error", name=name, after=0.5)]
    witness = await Witness.open(server)
    await witness.say(server, "")
    await witness.until(name)
    await witness.connection.close()
    witness.check("session_started", name)


async def test_a_key_that_is_not_known(server: ElevenLabsServer) -> None:
    with pytest.raises(InvalidStatus, match="401"):
        await Witness.open(server, key="wrong")


async def test_too_early_a_commit(server: ElevenLabsServer) -> None:
    witness = await Witness.open(server)
    await witness.connection.send({"audio_base_64": b64encode(b"\xff" * 800).decode()})
    await witness.connection.commit()
    await witness.until("commit_throttled")
    await witness.connection.close()
    witness.check("session_started", "commit_throttled")
    assert server.mistakes == ["a commit of 0.10 s of sound"]


def fits(message: dict[str, Any], *types: Any) -> bool:
    """Whether it is of one of these types, and has nothing besides."""
    for one in types:
        try:
            if not strangers(one.model_validate(message)):
                return True
        except ValidationError:
            continue
    return False


def test_what_fits_is_told_from_what_does_not() -> None:
    final = known.FinalOutputMulti
    assert fits({"isFinal": True, "contextId": "a"}, known.AudioOutputMulti, final)
    assert not fits({"isFinal": True, "contextId": "a", "tempo": 1}, known.AudioOutputMulti, final)
    assert not fits({"isFinal": False, "contextId": "a"}, known.AudioOutputMulti, final)
    told = {"chars": ["a"], "charStartTimesMs": [0], "charDurationsMs": ["long"]}
    assert not fits({"audio": "", "alignment": told}, known.AudioOutputMulti, final)


async def test_contexts(server: ElevenLabsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What we send, and what the simulation answers."""
    came: list[str | bytes] = []
    take = ProviderSocket._message

    def witness(self: ProviderSocket, data: bytes, *, text: bool) -> None:
        came.append(data)
        take(self, data, text=text)

    monkeypatch.setattr(ProviderSocket, "_message", witness)
    tts = ElevenLabsTextToSpeech(elevenlabs_at(KEY, server.base_url), settings={"stability": 0.5, "speed": 1.1})
    spoken = [event async for event in tts.synthesize("A table for 2, please.")]
    assert any(isinstance(event, SpeechAudio) for event in spoken)
    async with aclosing(tts.synthesize("This is broken off, one two three four.")) as broken:
        await anext(broken)
    await tts.close()
    assert len(server.sent) == 7
    sent = (known.InitializeConnectionMulti, known.SendTextMulti, known.CloseContext, known.CloseSocket)
    assert [message for message in server.sent if not fits(message, *sent)] == []
    assert len(came) > 8
    told = (known.AudioOutputMulti, known.FinalOutputMulti)
    assert [message for message in came if not fits(json.loads(message), *told)] == []
    assert server.mistakes == []


async def test_chunks(server: ElevenLabsServer) -> None:
    """What we send to Scribe."""
    stt = ElevenLabsSpeechToText(elevenlabs_at(KEY, server.base_url))
    ear = Ear()
    stream = stt.open(ear, language="en")
    stream.speech_started()
    sound = pcm_to_mulaw(speak("one two", code=server.code))
    for at in range(0, len(sound), 160):
        stream.push(sound[at : at + 160])
    stream.speech_paused()
    await ear.hears("One two.")
    await stt.close()
    assert len(server.sent) > 10
    assert [message for message in server.sent if not fits(message, known.InputAudioChunkPayload)] == []
    assert server.mistakes == []


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Of a server that is trusted."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.mark.filterwarnings("ignore:ConnectionClosed:DeprecationWarning")
async def test_one_text_over_tls(tls: ssl.SSLContext) -> None:
    """The SDK's own client of speech from a stream of text. It blocks, and speaks TLS only."""

    def convert(base_url: str, key: str = KEY) -> bytes:
        def text() -> Iterator[str]:
            yield from ("Good ", "evening, ", "a table ", "for 2.")

        client = ElevenLabs(api_key=key, base_url=base_url)
        settings = VoiceSettings(stability=0.5, similarity_boost=0.7)
        return b"".join(
            client.text_to_speech.convert_realtime(
                "JBFqnCBsd6RMkjVDRZzb",
                text=text(),
                model_id="eleven_flash_v2_5",
                output_format="ulaw_8000",
                voice_settings=settings,
            )
        )

    async with serve_elevenlabs(tls) as server:
        sound = await asyncio.to_thread(convert, server.base_url)
        assert heard_words(mulaw_to_pcm(sound), code=server.code) == ["good", "evening", "a", "table", "for", "2"]
        assert server.spoken == ["Good evening, a table for 2."]
        with pytest.raises(InvalidStatus, match="401"):
            await asyncio.to_thread(convert, server.base_url, "wrong")
        server.faults = [Fault("close", 1008, name="quota_exceeded")]
        with pytest.raises(ApiError, match="quota_exceeded"):
            await asyncio.to_thread(convert, server.base_url)
        assert server.mistakes == []
