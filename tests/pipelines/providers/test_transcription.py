from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from media.audio import PCM_8K, Clip
from media.wav import wav_bytes
from pipelines.ears import Ears
from pipelines.parts import ProviderError, SttStream
from pipelines.providers.compatible import speech_account, transcription_units
from pipelines.providers.registry import Registry
from pipelines.providers.transcription import MOST_PROMPT, TranscriptionServer
from pipelines.standby import Standby
from pipelines.turn_events import TurnEnded, TurnEvent
from pipelines.turns import TurnSettings
from tests.pipelines.providers.ear import Ear
from tests.simulators.codeword import PeakDetector, speak
from tests.simulators.openai_speech import KEY, Reply, SpeechSimulation, serve_speech
from tests.steady import PATIENCE

QUIET = PCM_8K.silence(20)


@pytest.fixture
async def server() -> AsyncGenerator[SpeechSimulation, None]:
    async with serve_speech(vendor="speaches") as server:
        yield server
        assert server.mistakes == []


@asynccontextmanager
async def listening(
    server: SpeechSimulation,
    *,
    language: str = "en-GB",
    hints: Sequence[str] = (),
    key: str = KEY,
    base_url: str = "",
    **settings: Any,
) -> AsyncGenerator[tuple[SttStream, Ear], None]:
    account = speech_account("speaches", api_key=key, base_url=base_url or f"{server.base_url}/v1")
    ear = Ear()
    stream = TranscriptionServer(account, "whisper", **settings).open(ear, language=language, hints=hints)
    yield stream, ear
    await stream.close()
    await account.close()


def say(stream: SttStream, text: str) -> None:
    """Up to the pause after it."""
    sound = speak(text)
    stream.speech_started()
    for at in range(0, len(sound), PCM_8K.frame_bytes):
        stream.push(sound[at : at + PCM_8K.frame_bytes])
    for _ in range(10):
        stream.push(QUIET)
    stream.speech_paused()


async def test_a_turn_is_heard_and_counted(server: SpeechSimulation) -> None:
    hints = ["Acme & Co", "Bistro"]
    async with listening(server, hints=hints) as (stream, ear):
        say(stream, "I want a table.")
        heard = await ear.hears("i want a table")
        assert (heard.segment, heard.final) == (0, False)
        assert heard.audio_seconds == pytest.approx(1.4)
        assert heard.took > 0
        assert ear.used == [{"audio_seconds": pytest.approx(1.4)}]
        [request] = server.requests
        assert request == {
            "model": "whisper",
            "response_format": "json",
            "language": "en",
            "prompt": "Acme & Co, Bistro",
        }


async def test_neither_language_nor_hints(server: SpeechSimulation) -> None:
    async with listening(server, language="") as (stream, ear):
        say(stream, "hello")
        await ear.hears("hello")
    assert server.requests == [{"model": "whisper", "response_format": "json"}]


async def test_no_more_hints_than_there_is_room_for(server: SpeechSimulation) -> None:
    async with listening(server, hints=[f"hint number {n}" for n in range(200)]) as (stream, ear):
        say(stream, "hello")
        await ear.hears("hello")
    prompt = server.requests[0]["prompt"]
    assert MOST_PROMPT - 20 < len(prompt) <= MOST_PROMPT
    assert prompt.endswith(f"hint number {prompt.count(',')}")


async def test_after_a_pause_all_of_the_segment_is_heard_anew_and_the_part_is_aborted(server: SpeechSimulation) -> None:
    server.replies = [Reply(first_after=30.0), Reply()]
    async with listening(server) as (stream, ear):
        say(stream, "my number is")
        async with asyncio.timeout(PATIENCE):
            await server.arrived.wait()
            say(stream, "five six")
            await server.left.wait()
        await ear.hears("my number is five six")
        assert ear.texts == ["my number is five six"]
        stream.end_segment()
        say(stream, "thank you")
        assert (await ear.hears("thank you")).segment == 1
        assert ear.errors == []


async def test_what_is_wanted_no_more_is_aborted(server: SpeechSimulation) -> None:
    server.replies = [Reply(first_after=30.0)]
    async with listening(server) as (stream, ear):
        say(stream, "never mind")
        async with asyncio.timeout(PATIENCE):
            await server.arrived.wait()
            stream.end_segment()
            await server.left.wait()
        assert ear.transcripts == []
        assert ear.errors == []


async def test_closing_aborts(server: SpeechSimulation) -> None:
    server.replies = [Reply(first_after=30.0)]
    async with listening(server) as (stream, _):
        say(stream, "bye")
        await server.arrived.wait()
    async with asyncio.timeout(PATIENCE):
        await server.left.wait()


async def test_one_connection_serves_many_turns(server: SpeechSimulation) -> None:
    async with listening(server) as (stream, ear):
        for word in ("one", "two", "three"):
            say(stream, word)
            await ear.hears(word)
            stream.end_segment()
    assert len(set(server.peers)) == 1


@pytest.mark.parametrize("failure", [Reply(503), Reply(500, detail=True), Reply(break_after=0), Reply(break_after=5)])
async def test_one_failure_is_not_noticed(server: SpeechSimulation, failure: Reply) -> None:
    server.replies = [failure, Reply()]
    async with listening(server) as (stream, ear):
        say(stream, "hello")
        await ear.hears("hello")
        assert ear.errors == []
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("reply", "kind", "requests"),
    [
        (Reply(400, detail=True), "bad_request", 1),
        (Reply(403), "auth", 1),
        (Reply(404, detail=True), "bad_request", 1),
        (Reply(429, headers={"Retry-After": "9"}), "rate_limit", 1),
        (Reply(503), "server", 2),
        (Reply(break_after=0), "connect", 2),
        (Reply(first_after=30.0), "timeout", 1),
        (Reply(hang_after=5), "timeout", 1),
        (Reply(body=b"{not json"), "protocol", 1),
        (Reply(body=b"[" * 100_000), "protocol", 1),
        (Reply(body=b'{"text": 5}'), "protocol", 1),
        (Reply(body=b'"text"'), "protocol", 1),
        (Reply(body=b'{"text": "' + b"x" * (5 << 20) + b'"}'), "protocol", 1),
    ],
    ids=str,
)
async def test_faults_are_told_apart_and_the_next_turn_is_heard(
    server: SpeechSimulation, reply: Reply, kind: str, requests: int
) -> None:
    reply.message = f"no, {KEY} may not"
    server.replies = [reply] * requests + [Reply()]
    async with listening(server, deadline_seconds=0.5) as (stream, ear):
        say(stream, "hello")
        await ear.until(lambda: ear.errors)
        assert [error.kind for error in ear.errors] == [kind]
        assert KEY not in str(ear.errors[0])
        assert kind != "rate_limit" or "retry after 9 s" in str(ear.errors[0])
        assert len(server.requests) == requests
        assert ear.transcripts == []
        stream.end_segment()
        say(stream, "again")
        await ear.hears("again")


async def test_a_wrong_key_is_named_as_such_and_not_repeated(server: SpeechSimulation) -> None:
    async with listening(server, key="sk-wrong") as (stream, ear):
        say(stream, "hello")
        await ear.until(lambda: ear.errors)
        assert ear.errors[0].kind == "auth"
        assert "sk-wrong" not in str(ear.errors[0])


async def test_nobody_there(server: SpeechSimulation, unused_tcp_port: int) -> None:
    async with listening(server, base_url=f"http://127.0.0.1:{unused_tcp_port}/v1") as (stream, ear):
        say(stream, "hello")
        await ear.until(lambda: ear.errors)
        assert ear.errors[0].kind == "connect"


@pytest.mark.parametrize(
    ("usage", "units"),
    [
        (None, {"audio_seconds": 3.0}),
        ({"type": "duration", "seconds": 4}, {"audio_seconds": 4.0}),
        (
            {"type": "tokens", "input_tokens": 30, "output_tokens": 5, "total_tokens": 35},
            {"input_tokens": 30.0, "output_tokens": 5.0},
        ),
        ({"type": "tokens", "input_tokens": "many"}, {"audio_seconds": 3.0}),
        ({"seconds": float("nan"), "input_tokens": float("inf")}, {"audio_seconds": 3.0}),
        ("much", {"audio_seconds": 3.0}),
    ],
)
def test_usage_is_what_the_vendor_reports_or_what_was_sent(usage: Any, units: Mapping[str, float]) -> None:
    assert transcription_units(usage, 3.0) == units


async def test_usage_of_the_answer_is_told(server: SpeechSimulation) -> None:
    server.usage = {"type": "duration", "seconds": 10}
    async with listening(server) as (stream, ear):
        say(stream, "hello")
        await ear.hears("hello")
        assert ear.used == [{"audio_seconds": 10.0}]


async def test_marks_for_noises_are_no_words(server: SpeechSimulation) -> None:
    server.texts = [" [Music] Hello, (laughs) there, "]
    async with listening(server) as (stream, ear):
        say(stream, "hello")
        await ear.hears("Hello, there")


@asynccontextmanager
async def conversing(*servers: SpeechSimulation) -> AsyncGenerator[Conversation, None]:
    """With the turn machine, and a recogniser at each of ``servers``."""
    accounts = [
        speech_account(f"server{number}", api_key=KEY, base_url=f"{server.base_url}/v1")
        for number, server in enumerate(servers)
    ]
    conversation = Conversation([TranscriptionServer(account, "whisper") for account in accounts])
    yield conversation
    await conversation.ears.close()
    for account in accounts:
        await account.close()


class Conversation:
    def __init__(self, recognisers: Sequence[TranscriptionServer]) -> None:
        self.now = 0.0
        self.turns: list[TurnEvent] = []
        self.errors: list[ProviderError] = []
        self.ears = Ears(
            Standby("stt", recognisers),
            None,
            TurnSettings(),
            language="en-GB",
            hints=(),
            format=PCM_8K,
            detector=PeakDetector(),
            on_turn=lambda event, _: self.turns.append(event),
            on_error=self.errors.append,
            on_usage=lambda provider, units: None,
            spawn=asyncio.get_running_loop().create_task,
            clock=lambda: self.now,
        )

    async def hear(self, sound: bytes) -> None:
        for at in range(0, len(sound), PCM_8K.frame_bytes):
            self.now += 0.02
            self.ears.hear(sound[at : at + PCM_8K.frame_bytes])
            await asyncio.sleep(0.001)

    @property
    def ended(self) -> list[str]:
        return [event.text for event in self.turns if isinstance(event, TurnEnded)]


async def test_turns_end_by_what_is_heard(server: SpeechSimulation) -> None:
    """Three turns, the second of them with a pause in it."""
    async with conversing(server) as conversation:
        for text in ("I want a table.", "my number is _ five six", "Thank you."):
            for number, part in enumerate(text.split("_")):
                await conversation.hear(QUIET * 15 * number + speak(part))
            await conversation.hear(QUIET * 120)
    assert conversation.ended == ["i want a table", "my number is five six", "thank you"]
    assert conversation.errors == []


@pytest.mark.parametrize("reply", [Reply(401), Reply(429), Reply(503), Reply(400)], ids=str)
async def test_another_recogniser_hears_what_one_could_not(server: SpeechSimulation, reply: Reply) -> None:
    server.replies = [reply]
    async with serve_speech(vendor="speaches") as other, conversing(server, other) as conversation:
        for text in ("I want a table.", "Thank you."):
            await conversation.hear(speak(text) + QUIET * 120)
        assert conversation.ended == ["i want a table", "thank you"]
        assert len(conversation.errors) == 1
        assert len(other.requests) == 2


@pytest.mark.parametrize(
    ("vendor", "model"), [("groq", "whisper-large-v3-turbo"), ("speaches", "Systran/faster-whisper-small")]
)
async def test_recognisers_by_name(vendor: str, model: str) -> None:
    async with serve_speech(vendor=vendor) as server:
        providers = Registry({f"{vendor.upper()}_API_KEY": KEY, f"{vendor.upper()}_BASE_URL": server.base_url})
        made, other = providers.speech_to_text(vendor), providers.speech_to_text(vendor, model="another")
        assert providers.speech_to_text(vendor) is made
        for recogniser in (made, other):
            assert (recogniser.name, recogniser.format) == (vendor, PCM_8K)
            await recogniser.prepare()
            ear = Ear()
            stream = recogniser.open(ear, language="en")
            say(stream, "hello")
            await ear.hears("hello")
            await stream.close()
        await providers.close_all()
        assert [request["model"] for request in server.requests] == [model, "another"]
        assert server.mistakes == []


def test_groq_needs_a_key_and_speaches_none() -> None:
    with pytest.raises(ValueError, match="groq needs GROQ_API_KEY"):
        Registry({}).speech_to_text("groq")
    assert Registry({}).speech_to_text("speaches").name == "speaches"


@pytest.mark.parametrize("vendor", ["openai", "groq"])
async def test_the_vendors_own_sdks_understand_the_simulator(sdks: dict[str, Any], vendor: str) -> None:
    """The judges of the simulation: unchanged, they have a file transcribed, and hear of errors."""
    async with serve_speech(vendor=vendor, usage={"type": "duration", "seconds": 2}) as server:
        server.replies = [Reply(), Reply(429)]
        if vendor == "openai":
            make = lambda: sdks["openai"].AsyncOpenAI(api_key=KEY, base_url=f"{server.base_url}/v1", max_retries=0)  # noqa: E731
        else:
            make = lambda: sdks["groq"].AsyncGroq(api_key=KEY, base_url=server.base_url, max_retries=0)  # noqa: E731
        client = await asyncio.to_thread(make)
        file = ("caller.wav", wav_bytes(Clip(PCM_8K, speak("hello there"))), "audio/wav")
        fields = {"model": "whisper", "language": "en", "prompt": "Acme", "response_format": "json"}
        try:
            heard = await client.audio.transcriptions.create(file=file, **fields)
            assert heard.text == "hello there"
            assert vendor == "groq" or heard.usage.seconds == 2
            with pytest.raises(sdks[vendor].RateLimitError):
                await client.audio.transcriptions.create(file=file, **fields)
        finally:
            await client.close()
        assert server.requests[0] == fields
        assert server.mistakes == []


@pytest.fixture(scope="module")
def sdks() -> dict[str, Any]:
    """Imported outside the loop: they read hundreds of files."""
    import groq
    import openai

    return {"openai": openai, "groq": groq}
