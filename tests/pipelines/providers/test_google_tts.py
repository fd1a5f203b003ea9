"""Google's voices, over gRPC on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

import pytest

from media.audio import MULAW_8K, Clip
from media.wav import wav_bytes
from pipelines.parts import ProviderError, SpeechAudio
from pipelines.providers import google_tts
from pipelines.providers.google_account import Account
from pipelines.providers.google_cloud import Cloud, VoiceService
from pipelines.providers.google_tts import GoogleTextToSpeech
from pipelines.providers.google_wire import without_header
from tests.pipelines.providers.ear import wait_until
from tests.simulators.google_sessions import SECRET, Fault
from tests.simulators.google_speech import GoogleServer, serve_google
from tests.simulators.mulaw_words import heard, speak
from tests.steady import PATIENCE

VOICE, LANGUAGE = "en-GB-Chirp3-HD-Kore", "en-GB"


@asynccontextmanager
async def speaking(
    server: GoogleServer, patience: tuple[float, float] = (5.0, 5.0)
) -> AsyncGenerator[GoogleTextToSpeech, None]:
    """``patience``: for the first sound, and for each further one."""
    first, then = patience
    account = Account.of("tts", {"GOOGLE_TTS_ENDPOINT": server.endpoint})
    service = VoiceService(Cloud("tts", account))
    try:
        yield GoogleTextToSpeech(service, VOICE, LANGUAGE, first_sound_seconds=first, next_sound_seconds=then)
    finally:
        await service.close()
    await wait_until(lambda: server.open == 0)


async def sound_of(tts: GoogleTextToSpeech, text: str) -> bytes:
    async with asyncio.timeout(PATIENCE):
        return b"".join([event.data async for event in tts.synthesize(text) if isinstance(event, SpeechAudio)])


async def test_phrases_share_a_connection() -> None:
    async with serve_google() as server, speaking(server) as tts:
        await tts.prepare()
        await tts.prepare()
        assert await sound_of(tts, "Good evening.") == speak("good evening")
        texts = ["What can I do?", "One moment.", "Goodbye then."]
        assert await asyncio.gather(*(sound_of(tts, text) for text in texts)) == [speak(text) for text in texts]
        assert await sound_of(tts, "…") == b""
        assert server.spoken[0] == "Good evening."
        assert sorted(server.spoken[1:]) == sorted(texts)
        assert len(set(server.peers)) == 1
        config = server.voices[0].streaming_config
        assert (config.voice.name, config.voice.language_code, config.voice.model_name) == (VOICE, LANGUAGE, "")
        assert server.mistakes == []


async def test_a_phrase_broken_off_is_over_and_never_heard_in_the_next() -> None:
    async with serve_google(per_word_seconds=0.002) as server, speaking(server) as tts:
        for number in range(20):
            async with aclosing(tts.synthesize("this is never heard " * 20)) as broken:
                await anext(broken)
            await wait_until(lambda: server.open == 0)
            assert await sound_of(tts, f"number {number}") == speak(f"number {number}")
        assert len(set(server.peers)) == 1


async def test_a_phrase_that_nobody_fetches_ends_with_its_task() -> None:
    async with serve_google(voice_faults=[Fault("silence")]) as server, speaking(server) as tts:
        task = asyncio.create_task(sound_of(tts, "one two"))
        await wait_until(lambda: server.spoken)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await wait_until(lambda: server.open == 0)


@pytest.mark.parametrize("what", ["header", "odd", "slow"])
async def test_sound_is_the_same_however_it_comes(what: str) -> None:
    fault = Fault(what, seconds=0.01)  # type: ignore[arg-type]
    async with serve_google(voice_faults=[fault]) as server, speaking(server) as tts:
        assert await sound_of(tts, "one two three") == speak("one two three")


def test_a_header_is_taken_off_and_sound_is_left_alone() -> None:
    sound = speak("one")
    assert without_header(wav_bytes(Clip(MULAW_8K, sound)))[: len(sound)] == sound
    assert without_header(sound) == sound
    assert without_header(b"RIFF\0\0\0\0WAVEfmt \x02\0\0\0ab" + b"data\4\0\0\0abcd") == b"abcd"
    assert without_header(b"RIFF\0\0\0\0WAVEfmt ") == b""


async def test_a_long_phrase_is_several_inputs() -> None:
    text = " ".join(f"word{number}" for number in range(600))
    async with serve_google() as server, speaking(server) as tts:
        assert heard(await sound_of(tts, text)) == text.split()
        # The most bytes that a character may have.
        await sound_of(tts, "🎉a" * 1500)
        assert server.mistakes == []


@pytest.mark.parametrize(
    ("status", "kind", "calls"),
    [
        ("UNAUTHENTICATED", "auth", 1),
        ("PERMISSION_DENIED", "auth", 1),
        ("INVALID_ARGUMENT", "bad_request", 1),
        ("RESOURCE_EXHAUSTED", "rate_limit", 1),
        ("INTERNAL", "server", 1),
        ("DEADLINE_EXCEEDED", "timeout", 1),
        ("UNAVAILABLE", "unavailable", 2),
        ("ABORTED", "unavailable", 2),
    ],
)
async def test_faults_are_told_apart(status: str, kind: str, calls: int) -> None:
    """A lost connection is worth a second attempt, if nothing was heard."""
    details = "Getting it did not work, " * 30
    faults = [Fault("status", status, details) for _ in range(3)]
    async with serve_google(voice_faults=list(faults)) as server, speaking(server) as tts:
        with pytest.raises(ProviderError, match=status) as caught:
            await sound_of(tts, "one two")
        assert (caught.value.kind, caught.value.provider) == (kind, "google")
        assert len(str(caught.value)) < 350
        assert len(server.voice_faults) == 3 - calls
        server.voice_faults.clear()
        assert await sound_of(tts, "three") == speak("three")


async def test_a_phrase_that_was_heard_in_part_is_not_said_again() -> None:
    async with serve_google(voice_faults=[Fault("status", after=0.5)]) as server, speaking(server) as tts:
        async with aclosing(tts.synthesize("two three four")) as phrase:
            assert await anext(phrase) == SpeechAudio(speak("two"))
            assert await anext(phrase) == SpeechAudio(speak("three"))
            with pytest.raises(ProviderError) as caught:
                await anext(phrase)
        assert caught.value.kind == "unavailable"
        assert server.spoken == ["two three four"]


async def test_a_connection_that_went_away_is_replaced_unnoticed() -> None:
    async with serve_google() as server, speaking(server) as tts:
        assert await sound_of(tts, "one") == speak("one")
        await server.stop()
        await server.start()
        assert await sound_of(tts, "two") == speak("two")
        assert len(set(server.peers)) == 2


async def test_sound_is_not_waited_for_for_ever() -> None:
    faults, patience = [Fault("silence"), Fault("silence", after=0.3)], (0.1, 0.15)
    async with serve_google(voice_faults=list(faults)) as server, speaking(server, patience) as tts:
        for seconds in patience:
            with pytest.raises(ProviderError, match=f"no sound came for {seconds:g} s") as caught:
                await sound_of(tts, "one two three")
            assert caught.value.kind == "timeout"
            await wait_until(lambda: server.open == 0)
        assert await sound_of(tts, "one") == speak("one")


async def test_a_voice_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(google_tts, "_MOST_SOUND", 500_000)
    async with serve_google(voice_faults=[Fault("endless")]) as server, speaking(server) as tts:
        with pytest.raises(ProviderError, match="speaks without end") as caught:
            await sound_of(tts, "one")
        assert caught.value.kind == "protocol"


async def test_nobody_there(unused_tcp_port: int) -> None:
    async with speaking(GoogleServer(port=unused_tcp_port)) as tts:
        await tts.prepare()
        with pytest.raises(ProviderError) as caught:
            await sound_of(tts, "one")
        assert caught.value.kind == "connect"
        assert SECRET not in str(caught.value)
