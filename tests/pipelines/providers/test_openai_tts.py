from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import numpy as np
import pytest

from media.audio import PCM_24K
from pipelines.parts import ProviderError, SpeechAudio
from pipelines.providers.compatible import speech_account
from pipelines.providers.openai_tts import SPEAKERS, SpeechServer, speech_fields
from pipelines.providers.registry import Registry
from tests.simulators.codeword import heard_words, plain_words, speak
from tests.simulators.openai_speech import KEY, Reply, SpeechSimulation, serve_speech
from tests.steady import PATIENCE

TEXT = "Good morning, what can I do for you?"


@pytest.fixture
async def server() -> AsyncGenerator[SpeechSimulation, None]:
    async with serve_speech() as server:
        yield server
        assert server.mistakes == []


@asynccontextmanager
async def speaking(
    server: SpeechSimulation, *, key: str = KEY, base_url: str = "", **settings: Any
) -> AsyncGenerator[SpeechServer, None]:
    account = speech_account("openai", api_key=key, base_url=base_url or f"{server.base_url}/v1")
    yield SpeechServer(account, "gpt-4o-mini-tts", "marin", **settings)
    await account.close()


async def chunks(voice: SpeechServer, text: str = TEXT) -> list[bytes]:
    async with asyncio.timeout(PATIENCE):
        return [event.data async for event in voice.synthesize(text) if isinstance(event, SpeechAudio)]


def words(sound: bytes) -> list[str]:
    """Of sound at 24 kHz."""
    return heard_words(np.frombuffer(sound, np.int16)[::3].tobytes())


async def fault(voice: SpeechServer) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await chunks(voice)
    return caught.value


async def test_a_phrase_is_spoken(server: SpeechSimulation) -> None:
    async with speaking(server, more={"instructions": "Friendly."}) as voice:
        await voice.prepare()
        assert (voice.name, voice.format) == ("openai", PCM_24K)
        assert words(b"".join(await chunks(voice))) == plain_words(TEXT)
        assert server.requests == [
            {
                "model": "gpt-4o-mini-tts",
                "voice": "marin",
                "response_format": "pcm",
                "instructions": "Friendly.",
                "input": TEXT,
            }
        ]
        assert await chunks(voice, "…") == []
        assert len(server.requests) == 1


@pytest.mark.parametrize("chunk", [1, 3, 961, 4097])
async def test_chunks_of_any_length_are_whole_samples_and_one_sound(server: SpeechSimulation, chunk: int) -> None:
    server.replies = [Reply(chunk=chunk)]
    async with speaking(server) as voice:
        sound = await chunks(voice, "Good")
        assert all(len(data) % 2 == 0 for data in sound)
        assert b"".join(sound) == np.repeat(np.frombuffer(speak("Good"), np.int16), 3).tobytes()


async def test_half_a_sample_at_the_end_is_left_out(server: SpeechSimulation) -> None:
    server.replies = [Reply(body=b"\x01\x02\x03\x04\x05")]
    async with speaking(server) as voice:
        assert b"".join(await chunks(voice)) == b"\x01\x02\x03\x04"


async def test_sound_comes_as_it_is_made(server: SpeechSimulation) -> None:
    server.replies = [Reply(hang_after=4800)]
    async with speaking(server) as voice, aclosing(voice.synthesize(TEXT)) as sound:
        async with asyncio.timeout(PATIENCE):
            assert isinstance(await anext(sound), SpeechAudio)


async def test_long_texts_are_several_requests(server: SpeechSimulation) -> None:
    async with speaking(server) as voice:
        text = "again " * 1400
        sound = b"".join(await chunks(voice, text))
        assert [len(request["input"]) for request in server.requests] == [4092, 4092, 216]
        assert len(words(sound)) == 1400


async def test_one_connection_serves_many_phrases(server: SpeechSimulation) -> None:
    async with speaking(server) as voice:
        for _ in range(3):
            await chunks(voice)
        assert len(set(server.peers)) == 1


@pytest.mark.parametrize(
    ("reply", "kind", "requests"),
    [
        (Reply(400), "bad_request", 1),
        (Reply(400, detail=True), "bad_request", 1),
        (Reply(403), "auth", 1),
        (Reply(404), "bad_request", 1),
        (Reply(429, headers={"Retry-After": "9"}), "rate_limit", 1),
        (Reply(500), "server", 2),
        (Reply(503, detail=True), "server", 2),
    ],
)
async def test_refusals_are_told_apart(server: SpeechSimulation, reply: Reply, kind: str, requests: int) -> None:
    reply.message = f"no, {KEY} may not"
    server.replies = [reply]
    async with speaking(server) as voice:
        error = await fault(voice)
    assert (error.kind, len(server.requests)) == (kind, requests)
    assert KEY not in str(error)
    assert kind in ("auth",) or "may not" in str(error)
    assert kind != "rate_limit" or "retry after 9 s" in str(error)


async def test_a_wrong_key_is_no_place_to_try_again(server: SpeechSimulation) -> None:
    async with speaking(server, key="sk-wrong") as voice:
        error = await fault(voice)
    assert (error.kind, server.requests) == ("auth", [])
    assert "sk-wrong" not in str(error)


@pytest.mark.parametrize("failure", [Reply(503), Reply(break_after=0)])
async def test_one_failure_before_the_first_sound_is_not_noticed(server: SpeechSimulation, failure: Reply) -> None:
    server.replies = [failure, Reply()]
    async with speaking(server) as voice:
        assert words(b"".join(await chunks(voice))) == plain_words(TEXT)


@pytest.mark.parametrize(("reply", "kind"), [(Reply(break_after=9600), "connect"), (Reply(hang_after=9600), "timeout")])
async def test_a_phrase_that_was_heard_in_part_is_not_said_again(
    server: SpeechSimulation, reply: Reply, kind: str
) -> None:
    server.replies = [reply]
    async with speaking(server, next_sound_seconds=0.2) as voice:
        heard: list[bytes] = []

        async def listen() -> None:
            async for event in voice.synthesize(TEXT):
                assert isinstance(event, SpeechAudio)
                heard.append(event.data)

        with pytest.raises(ProviderError) as caught:
            await listen()
    assert (caught.value.kind, len(b"".join(heard)), len(server.requests)) == (kind, 9600, 1)


async def test_a_first_sound_that_comes_too_late(server: SpeechSimulation) -> None:
    server.replies = [Reply(first_after=30.0)]
    async with speaking(server, first_sound_seconds=0.1) as voice:
        assert (await fault(voice)).kind == "timeout"
    assert len(server.requests) == 1


async def test_a_slow_voice_may_go_on_as_long_as_it_does(server: SpeechSimulation) -> None:
    server.replies = [Reply(chunk=14400, each_after=0.08)]
    async with speaking(server, first_sound_seconds=0.3, next_sound_seconds=0.3) as voice:
        assert words(b"".join(await chunks(voice))) == plain_words(TEXT)


async def test_nobody_there(server: SpeechSimulation, unused_tcp_port: int) -> None:
    async with speaking(server, base_url=f"http://127.0.0.1:{unused_tcp_port}/v1") as voice:
        assert (await fault(voice)).kind == "connect"


@pytest.mark.parametrize(
    ("body", "content_type", "named"),
    [
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "audio/wav", "WAV"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "audio/pcm", "WAV"),
        (b"ID3\x04\x00\x00\x00", "audio/mpeg", "MP3"),
        (b"\xff\xfb\x90\x64\x00", "audio/mpeg", "MP3"),
        (b"OggS\x00\x02", "audio/ogg", "Ogg"),
        (b'{"audio": "AAA="}', "application/json", "application/json"),
        (b"<html>", "text/html", "text/html"),
        (b"", "audio/pcm", "without any sound"),
        (b"\x00", "audio/pcm", "without any sound"),
    ],
)
@pytest.mark.parametrize("chunk", [1, None])
async def test_what_is_no_pcm_is_said_to_be_what_it_is(
    server: SpeechSimulation, body: bytes, content_type: str, named: str, chunk: int | None
) -> None:
    server.replies = [Reply(body=body, content_type=content_type, chunk=chunk)]
    async with speaking(server) as voice:
        error = await fault(voice)
    assert error.kind == "protocol"
    assert named in str(error)
    assert len(server.requests) == 1


async def test_samples_that_look_like_a_frame_of_mp3_are_samples(server: SpeechSimulation) -> None:
    server.replies = [Reply(body=b"\xff\xfb\x90\x64", content_type="audio/pcm")]
    async with speaking(server) as voice:
        assert await chunks(voice) == [b"\xff\xfb\x90\x64"]


async def test_a_voice_without_end(server: SpeechSimulation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.providers.openai_tts._MOST_SOUND", 1 << 20)
    server.replies = [Reply(body=bytes(5 << 20))]
    async with speaking(server) as voice:
        error = await fault(voice)
    assert (error.kind, "without end" in str(error)) == ("protocol", True)


async def test_breaking_off_stops_the_request(server: SpeechSimulation) -> None:
    server.replies = [Reply(hang_after=4800), Reply()]
    async with speaking(server) as voice:
        async with aclosing(voice.synthesize(TEXT)) as sound:
            await anext(sound)
        async with asyncio.timeout(PATIENCE):
            await server.left.wait()
        assert words(b"".join(await chunks(voice, "Hello"))) == ["hello"]


async def test_cancelling_before_the_first_sound_stops_the_request(server: SpeechSimulation) -> None:
    server.replies = [Reply(first_after=30.0)]
    async with speaking(server) as voice:
        task = asyncio.create_task(chunks(voice))
        async with asyncio.timeout(PATIENCE):
            await server.arrived.wait()
            task.cancel()
            await asyncio.wait([task])
            await server.left.wait()


@pytest.mark.parametrize(
    ("vendor", "language", "voice", "model"),
    [
        ("openai", "de-DE", "marin", "gpt-4o-mini-tts"),
        ("kokoro", "en-US", "af_heart", "kokoro"),
        ("kokoro", "en-GB", "bf_emma", "kokoro"),
        ("speaches", "en", "af_heart", "speaches-ai/Kokoro-82M-v1.0-ONNX"),
    ],
)
async def test_voices_by_name(vendor: str, language: str, voice: str, model: str) -> None:
    async with serve_speech(vendor=vendor) as server:
        providers = Registry({f"{vendor.upper()}_API_KEY": KEY, f"{vendor.upper()}_BASE_URL": server.base_url})
        made = providers.text_to_speech(vendor, language)
        assert providers.text_to_speech(vendor, language) is made
        other = providers.text_to_speech(vendor, language, model="another")
        quick = providers.text_to_speech(vendor, language, vendor_specific={vendor: {"speech": {"speed": 1.2}}})
        assert len({made, other, quick}) == 3
        for speaker in (made, other, quick):
            assert isinstance(speaker, SpeechServer)
            assert speaker.name == vendor
            assert words(b"".join(await chunks(speaker))) == plain_words(TEXT)
        await providers.close_all()
        assert [request["voice"] for request in server.requests] == [voice] * 3
        assert [request["model"] for request in server.requests] == [model, "another", model]
        assert [request.get("speed") for request in server.requests] == [None, None, 1.2]
        assert len(set(server.peers)) == 1
        assert server.mistakes == []


def test_languages_without_a_voice_and_fields_that_are_not_to_be_set() -> None:
    providers = Registry({})
    with pytest.raises(ValueError, match=r"kokoro has no voice of its own for 'de' here; name one in tts\.voice"):
        providers.text_to_speech("kokoro", "de")
    with pytest.raises(ValueError, match="openai needs OPENAI_API_KEY"):
        providers.text_to_speech("openai")
    with pytest.raises(ValueError, match=r"vendorSpecific\.openai\.speech has no sped; it takes instructions, speed"):
        speech_fields("openai", {"openai": {"speech": {"sped": 1}}})
    with pytest.raises(ValueError, match=r"vendorSpecific\.kokoro\.speech has no voice"):
        speech_fields("kokoro", {"kokoro": {"speech": {"voice": "af_sky"}}})
    for wrong in ({"openai": 5}, {"openai": {"speech": "fast"}}):
        with pytest.raises(ValueError, match="object"):
            speech_fields("openai", wrong)
    assert speech_fields("kokoro", {"kokoro": {"speech": {"lang_code": "a"}}}) == {"lang_code": "a"}
    assert speech_fields("openai", {"kokoro": 5}) == {}
    assert SPEAKERS["openai"].voice_for("cy") == "marin"


async def test_the_vendors_own_sdk_understands_the_simulator(sdk: Any, server: SpeechSimulation) -> None:
    """The judge of the simulation: unchanged, it streams speech, and hears of errors."""
    server.replies = [Reply(), Reply(429)]
    client = await asyncio.to_thread(sdk.AsyncOpenAI, api_key=KEY, base_url=f"{server.base_url}/v1", max_retries=0)
    speech = client.audio.speech.with_streaming_response
    fields = {"model": "gpt-4o-mini-tts", "voice": "marin", "input": TEXT, "response_format": "pcm"}
    try:
        async with speech.create(**fields, instructions="Friendly.", speed=1.5) as response:
            sound = b"".join([data async for data in response.iter_bytes()])
        assert words(sound) == plain_words(TEXT)
        with pytest.raises(sdk.RateLimitError):
            async with speech.create(**fields):
                pass
    finally:
        await client.close()


@pytest.fixture(scope="module")
def sdk() -> Any:
    """Imported outside the loop: it reads hundreds of files."""
    import openai

    return openai
