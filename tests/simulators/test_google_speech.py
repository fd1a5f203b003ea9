"""Google's own clients against the simulated Google: they take it for the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest
from google.api_core import exceptions
from google.cloud import texttospeech_v1 as tts
from google.cloud.speech_v2 import SpeechAsyncClient
from google.cloud.speech_v2.services.speech.transports import SpeechGrpcAsyncIOTransport
from google.cloud.speech_v2.types import cloud_speech as stt
from google.cloud.texttospeech_v1.services.text_to_speech.transports import TextToSpeechGrpcAsyncIOTransport

from media.wav import read_wav
from tests.simulators.google_sessions import Fault
from tests.simulators.google_speech import GoogleServer, serve_google
from tests.simulators.mulaw_words import CUT, RATE, heard, speak
from tests.steady import PATIENCE

RECOGNIZER = "projects/p/locations/global/recognizers/_"
QUIET = b"\xff"


@asynccontextmanager
async def speech_client(server: GoogleServer) -> AsyncGenerator[SpeechAsyncClient, None]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        # The client looks for files as it is made.
        yield await asyncio.to_thread(lambda: SpeechAsyncClient(transport=SpeechGrpcAsyncIOTransport(channel=channel)))


@asynccontextmanager
async def voice_client(server: GoogleServer) -> AsyncGenerator[tts.TextToSpeechAsyncClient, None]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield await asyncio.to_thread(
            lambda: tts.TextToSpeechAsyncClient(transport=TextToSpeechGrpcAsyncIOTransport(channel=channel))
        )


def first(model: str = "telephony", *, recognizer: str = RECOGNIZER, **config: Any) -> stt.StreamingRecognizeRequest:
    given = {
        "explicit_decoding_config": {"encoding": "MULAW", "sample_rate_hertz": 8000, "audio_channel_count": 1},
        "model": model,
        "language_codes": ["en-US"],
        "features": {"enable_word_time_offsets": model != "chirp_3"},
    } | config
    features = {"interim_results": True}
    return stt.StreamingRecognizeRequest(
        recognizer=recognizer, streaming_config={"config": given, "streaming_features": features}
    )


def pieces(sound: bytes, size: int = 800) -> Iterator[stt.StreamingRecognizeRequest]:
    for at in range(0, len(sound), size):
        yield stt.StreamingRecognizeRequest(audio=sound[at : at + size])


async def recognise(
    client: SpeechAsyncClient, requests: Sequence[stt.StreamingRecognizeRequest], *, stay: float = 0.0
) -> list[stt.StreamingRecognizeResponse]:
    """All that it says. ``stay``: how long nothing more is sent before the end."""

    async def send() -> AsyncIterator[stt.StreamingRecognizeRequest]:
        for request in requests:
            yield request
        await asyncio.sleep(stay)

    async with asyncio.timeout(PATIENCE):
        return [response async for response in await client.streaming_recognize(requests=send())]


def finals(responses: Sequence[stt.StreamingRecognizeResponse]) -> str:
    results = [result for response in responses for result in response.results if result.is_final]
    return "".join(result.alternatives[0].transcript for result in results)


async def test_the_client_hears_what_was_said() -> None:
    sound = speak("I want a table") + QUIET * RATE + speak("for two") + QUIET * RATE
    async with serve_google() as server, speech_client(server) as client:
        responses = await recognise(client, [first(), *pieces(sound)])
    assert finals(responses) == "i want a table for two"
    results = [result for response in responses for result in response.results]
    interim = [result.alternatives[0].transcript for result in results if not result.is_final]
    assert "i want" in interim
    assert CUT in interim, "a word under way is misheard"
    final = next(result for result in results if result.is_final)
    words = [(word.word, word.start_offset.total_seconds()) for word in final.alternatives[0].words]
    assert words == [("i", 0.0), ("want", 0.3), ("a", 0.6), ("table", 0.9)]
    assert final.result_end_offset.total_seconds() == pytest.approx(1.4)
    assert responses[-1].metadata.total_billed_duration.total_seconds() == 4
    assert (server.mistakes, server.open) == ([], 0)


async def test_half_a_word_is_misheard() -> None:
    sound = speak("one two three")
    async with serve_google() as server, speech_client(server) as client:
        assert finals(await recognise(client, [first(), *pieces(sound[:6000])])) == f"one two {CUT}"
        assert finals(await recognise(client, [first(), *pieces(sound[1500:])])) == f"{CUT} two three"


@pytest.mark.parametrize("model", ["chirp_2", "chirp_3"])
async def test_chirp_says_nothing_before_it_is_final(model: str) -> None:
    async with serve_google() as server, speech_client(server) as client:
        responses = await recognise(client, [first(model), *pieces(speak("one two three"))])
    assert [result.is_final for response in responses for result in response.results] == [True]
    assert bool(responses[0].results[0].alternatives[0].words) == (model == "chirp_2")


@pytest.mark.parametrize(
    ("requests", "what"),
    [
        ([first(recognizer="projects/p/recognizers/_")], "Invalid resource name"),
        ([first("no_such")], 'The model "no_such" does not exist.'),
        ([first(language_codes=["en"])], "Unsupported language codes"),
        ([first(language_codes=["en-US", "de-DE"])], "Unsupported language codes"),
        ([first(auto_decoding_config={})], "no header to detect"),
        ([first(adaptation={"phrase_sets": [{"inline_phrase_set": {"phrases": [{"value": "x"}]}}]})], "adaptation"),
        ([first("chirp_2", adaptation={"phrase_sets": [{"inline_phrase_set": {"phrases": [{}]}}]})], "100 characters"),
        ([first("chirp_3", features={"enable_word_time_offsets": True})], "word_time_offsets"),
        ([*pieces(b"\xff" * 100)], "Invalid resource name"),
        ([first(), first()], "must only have audio"),
        ([first(), stt.StreamingRecognizeRequest()], "must only have audio"),
        ([first(), *pieces(QUIET * 25_601, 25_601)], "maximum of 25600 bytes"),
    ],
)
async def test_what_google_refuses(requests: Sequence[stt.StreamingRecognizeRequest], what: str) -> None:
    async with serve_google() as server, speech_client(server) as client:
        with pytest.raises(exceptions.InvalidArgument, match=what):
            await recognise(client, requests)
        assert len(server.mistakes) == 1


async def test_a_stream_ends_in_time_whatever_happens() -> None:
    """Nothing is being sent when it does: gRPC would tell of that instead."""
    async with serve_google(limit_seconds=0.3) as server, speech_client(server) as client:
        with pytest.raises(exceptions.Aborted, match="Max duration of 5 minutes reached for stream"):
            await recognise(client, [first(), *pieces(QUIET * (RATE // 5))], stay=5)
        with pytest.raises(exceptions.Aborted, match="Max duration of 5 minutes reached for stream"):
            await recognise(client, [first()], stay=5)
    async with serve_google(idle_seconds=0.2) as server, speech_client(server) as client:
        with pytest.raises(exceptions.Aborted, match="no more client requests"):
            await recognise(client, [first()], stay=5)
    async with serve_google(ahead_seconds=0.5) as server, speech_client(server) as client:
        with pytest.raises(exceptions.OutOfRange, match="close to real time"):
            await recognise(client, [first(), *pieces(QUIET * (RATE * 3 // 5))], stay=5)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("UNAVAILABLE", exceptions.ServiceUnavailable),
        ("ABORTED", exceptions.Aborted),
        ("RESOURCE_EXHAUSTED", exceptions.ResourceExhausted),
        ("UNAUTHENTICATED", exceptions.Unauthenticated),
        ("PERMISSION_DENIED", exceptions.PermissionDenied),
    ],
)
async def test_bad_days(status: str, error: type[Exception]) -> None:
    faults = [Fault("status", status), Fault("status", status, after=0.5)]
    async with serve_google(speech_faults=list(faults)) as server, speech_client(server) as client:
        for requests in ([first()], [first(), *pieces(speak("one two three"), 8000)]):
            # Nothing is sent as the end comes: gRPC would call that an internal error.
            with pytest.raises(error):
                await recognise(client, requests, stay=5)
        assert finals(await recognise(client, [first(), *pieces(speak("one two three"))])) == "one two three"
    async with serve_google(voice_faults=[Fault("status", status)]) as server, voice_client(server) as client:
        with pytest.raises(error):
            await say(client, "one")


# Voices


def voice(name: str = "en-US-Chirp3-HD-Kore", encoding: str = "MULAW", **more: Any) -> tts.StreamingSynthesizeRequest:
    config = {
        "voice": {"language_code": "en-US", "name": name, **more},
        "streaming_audio_config": {"audio_encoding": encoding, "sample_rate_hertz": 8000},
    }
    return tts.StreamingSynthesizeRequest(streaming_config=config)


async def say(
    client: tts.TextToSpeechAsyncClient,
    *texts: str,
    config: tts.StreamingSynthesizeRequest | None = None,
    stay: float = 0.0,
) -> list[bytes]:
    async def send() -> AsyncIterator[tts.StreamingSynthesizeRequest]:
        yield config or voice()
        for text in texts:
            yield tts.StreamingSynthesizeRequest(input={"text": text})
        await asyncio.sleep(stay)

    async with asyncio.timeout(PATIENCE):
        return [answer.audio_content async for answer in await client.streaming_synthesize(requests=send())]


async def test_the_client_hears_a_voice() -> None:
    async with serve_google() as server, voice_client(server) as client:
        sound = await say(client, "Good evening, ", "what can I do?")
        assert heard(b"".join(sound)) == ["good", "evening", "what", "can", "i", "do"]
        assert len(sound) == 6
        assert (server.spoken, server.mistakes) == (["Good evening, what can I do?"], [])


async def test_voices_as_no_one_wants_them() -> None:
    faults = [Fault("header"), Fault("odd"), Fault("empty")]
    async with serve_google(voice_faults=list(faults)) as server, voice_client(server) as client:
        with_header = await say(client, "one two")
        assert heard(read_wav(with_header[0]).data) == ["one"]
        odd = await say(client, "one two")
        assert heard(b"".join(odd)) == ["one", "two"]
        assert any(len(piece) % 2 for piece in odd)
        assert await say(client, "one two") == []


@pytest.mark.parametrize(
    ("config", "texts", "what"),
    [
        (voice("en-US-Neural2-C"), ["one"], "only Chirp 3: HD voices are supported"),
        (voice("en-GB-Chirp3-HD-Kore"), ["one"], "only Chirp 3: HD voices are supported"),
        (voice(model_name="gemini-2.5-flash-tts"), ["one"], "take no model"),
        (voice(language_code="en"), ["one"], "Invalid language code"),
        (voice(encoding="LINEAR16"), ["one"], "Unsupported audio encoding"),
        (voice(), ["x" * 5001], "longer than 5000 bytes"),
        (voice(), [""], "must only have input with text"),
        (tts.StreamingSynthesizeRequest(input={"text": "one"}), [], "must have a streaming_config"),
    ],
)
async def test_what_a_voice_refuses(config: tts.StreamingSynthesizeRequest, texts: list[str], what: str) -> None:
    async with serve_google() as server, voice_client(server) as client:
        with pytest.raises(exceptions.InvalidArgument, match=what):
            await say(client, *texts, config=config)
        assert len(server.mistakes) == 1


async def test_a_voice_does_not_wait_for_ever() -> None:
    async with serve_google(voice_idle_seconds=0.2) as server, voice_client(server) as client:
        with pytest.raises(exceptions.Aborted, match="long duration elapsed without input"):
            await say(client, "one", stay=5)
