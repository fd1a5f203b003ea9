from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from media.audio import MULAW_8K
from pipelines.parts import ProviderError, SpeechAudio, WordTiming
from pipelines.providers import lines
from pipelines.providers.cartesia_tts import CartesiaTextToSpeech, cartesia_lines, speech_settings
from pipelines.providers.cartesia_wire import CartesiaProtocol, cartesia_at
from pipelines.providers.lines import LineSettings
from pipelines.providers.registry import Registry
from pipelines.providers.speaking import Broken, Finished, Said
from pipelines.providers.wire import MOST_DESCRIPTION, Failed, Malformed, failure
from tests.pipelines.providers.ear import wait_until
from tests.simulators.cartesia import CartesiaServer, serve_cartesia
from tests.simulators.cartesia_voices import KEY, PIECE_BYTES, WORD_SECONDS
from tests.simulators.live_wire import GARBAGE
from tests.simulators.speech_wire import Fault
from tests.steady import PATIENCE

VOICE = "f786b574-daa5-4673-aa0c-cbe3e8534c02"
SETTINGS = {"model_id": "sonic-3", "voice": {"mode": "id", "id": VOICE}, "language": "en"}


# Pure


def message(kind: str, name: str | None = "p-1", **fields: Any) -> str:
    return json.dumps({"type": kind, "context_id": name, "done": False, "status_code": 206} | fields)


def chunk(sound: bytes, name: str = "p-1") -> str:
    return message("chunk", name, data=b64encode(sound).decode(), step_time=1)


def begun(text: str = "Good evening.") -> CartesiaProtocol:
    protocol = CartesiaProtocol("p")
    assert protocol.begin(text, SETTINGS)[0] == "p-1"
    return protocol


def test_a_request() -> None:
    name, [sent] = CartesiaProtocol("p").begin("Good evening.", SETTINGS)
    assert json.loads(sent) == {
        "context_id": name,
        "model_id": "sonic-3",
        "transcript": "Good evening.",
        "voice": {"mode": "id", "id": VOICE},
        "language": "en",
        "output_format": {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000},
        "continue": False,
        "add_timestamps": True,
        "use_normalized_timestamps": False,
        "max_buffer_delay_ms": 0,
    }


def test_sound_and_words_until_it_is_done() -> None:
    protocol = begun()
    timed = {"words": ["good"], "start": [0.1], "end": [0.4]}
    assert protocol.receive(message("timestamps", word_timestamps=timed)) == (
        Said("p-1", [WordTiming("Good", 0.1, 0.4)]),
    )
    assert protocol.receive(chunk(b"\x10" * 8000)) == (Said("p-1", (SpeechAudio(b"\x10" * 8000),)),)
    assert protocol.receive(message("flush_done", flush_done=True, flush_id=1)) == ()
    assert protocol.receive(chunk(b"")) == ()
    assert len(protocol) == 1
    assert protocol.receive(message("done", done=True)) == (Finished("p-1", [WordTiming("evening.", 0.4, 1.0)]),)
    assert len(protocol) == 0
    assert protocol.receive(chunk(b"late")) == ()


def test_what_comes_after_it_was_left_is_passed_over() -> None:
    protocol = begun()
    assert protocol.begin("Yes.", SETTINGS)[0] == "p-2"
    assert [json.loads(sent) for sent in protocol.leave("p-1", 0.5)] == [{"context_id": "p-1", "cancel": True}]
    for late in (chunk(b"late"), message("timestamps"), message("done"), message("error", status_code=500)):
        assert protocol.receive(late) == ()
    assert protocol.receive(chunk(b"yes", "p-2")) == (Said("p-2", (SpeechAudio(b"yes"),)),)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, "auth"),
        (402, "auth"),
        (408, "timeout"),
        (429, "rate_limit"),
        (400, "bad_request"),
        (500, "server"),
        (None, "server"),
    ],
)
def test_errors_are_told_apart(status: int | None, kind: str) -> None:
    told: dict[str, Any] = {"title": "Sorry", "message": "It is so", "status_code": status, "error_code": None}
    [broken] = begun().receive(message("error", **told))
    assert isinstance(broken, Broken)
    assert (broken.why.kind, broken.why.message) == (kind, f"Sorry: It is so (status {status or 0})")
    [failed] = begun().receive(message("error", None, **told))
    assert isinstance(failed, Failed)
    assert failed.kind == kind


def test_no_part_of_the_key_is_in_an_error() -> None:
    place = cartesia_at("sk_car_0123456789")
    told = failure(Failed("server", f"{'x' * (MOST_DESCRIPTION - 9)} {place.api_key}"), place, "cartesia")
    assert "sk_" not in str(told)


def test_an_error_may_name_its_context_in_its_request() -> None:
    told = message("error", None, request_id="550e8400:p-1:8a0f5f3a", status_code=429)
    [broken] = begun().receive(told)
    assert isinstance(broken, Broken)
    left = begun()
    left.leave("p-1", 0)
    assert left.receive(told) == (), "nobody hears it any more, and the socket is well"


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {"words": ["good"]},
        {"words": ["good"], "start": [0.1], "end": []},
        {"words": [1], "start": [0.1], "end": [0.2]},
        {"words": ["good"], "start": ["0.1"], "end": [0.2]},
        {"words": ["good"], "start": [-1], "end": [0.2]},
        {"words": ["good"], "start": [float("nan")], "end": [0.2]},
        {"words": ["good"], "start": [True], "end": [0.2]},
    ],
)
def test_times_that_are_none(told: Any) -> None:
    assert begun().receive(message("timestamps", word_timestamps=told)) == ()


@pytest.mark.parametrize("strange", [*GARBAGE, message("chunk", data="not base64!"), message("chunk", data=None)])
def test_what_is_no_message(strange: str | bytes) -> None:
    with pytest.raises(Malformed):
        begun().receive(strange)


def test_settings_of_the_voice() -> None:
    def settings(speech: Any) -> Any:
        return speech_settings("de-DE", {"cartesia": {"speech": speech}})

    assert speech_settings("en_GB", {}) == {"language": "en"}
    assert settings({"speed": 1.2, "emotion": "calm"}) == {
        "language": "de",
        "generation_config": {"speed": 1.2, "emotion": "calm"},
    }
    for speech, sentence in (
        ({"pitch": 1}, "has no pitch; it takes speed, volume and emotion"),
        ({"speed": 2}, "speed is 2; it goes from 0.6 to 1.5"),
        ({"volume": True}, "volume is True"),
        ({"emotion": 1}, "emotion is 1; it is a word"),
        ("calm", "is an object, and so is its speech"),
    ):
        with pytest.raises(ValueError, match=sentence):
            settings(speech)


# Over a socket


@asynccontextmanager
async def speaking(
    server: CartesiaServer, *, key: str = KEY, settings: LineSettings | None = None, room: int | None = None
) -> AsyncGenerator[CartesiaTextToSpeech, None]:
    shared = cartesia_lines(cartesia_at(key, server.base_url))
    if settings is not None:
        shared.settings = settings
    tts = CartesiaTextToSpeech(shared, VOICE, more={"language": "en"})
    try:
        yield tts
    finally:
        await shared.close()
    await wait_until(lambda: server.open == 0)
    await wait_until(lambda: server.active == 0)


async def speech_of(tts: CartesiaTextToSpeech, text: str) -> tuple[bytes, list[WordTiming]]:
    async with asyncio.timeout(PATIENCE):
        events = [event async for event in tts.synthesize(text)]
    sound = b"".join(event.data for event in events if isinstance(event, SpeechAudio))
    return sound, [event for event in events if isinstance(event, WordTiming)]


async def sound_of(tts: CartesiaTextToSpeech, text: str) -> bytes:
    return (await speech_of(tts, text))[0]


@pytest.mark.parametrize("timed", ["before", "after"])
@pytest.mark.parametrize("marks", [True, False])
async def test_a_phrase_and_where_its_words_are(marks: bool, timed: Any) -> None:
    text = "Well, we are open — call us at 10 o'clock!"
    async with serve_cartesia(marks=marks, timed=timed) as server, speaking(server) as tts:
        await tts.prepare()
        sound, words = await speech_of(tts, text)
        assert sound == server.voice(text)
        assert [timing.word for timing in words] == text.split()
        starts = [timing.start for timing in words if timing.word != "—"]
        assert starts == pytest.approx([WORD_SECONDS * number for number in range(9)])
        assert words[-1].end == pytest.approx(MULAW_8K.seconds(sound))
        assert await sound_of(tts, "…") == b""
        assert server.opened == 1
        assert server.mistakes == []


async def test_words_that_are_never_timed_are_left_to_the_sound() -> None:
    async with serve_cartesia(timed="never") as server, speaking(server) as tts:
        assert await speech_of(tts, "Good evening.") == (server.voice("Good evening."), [])


async def test_phrases_of_many_calls_share_sockets() -> None:
    texts = [f"this is call {number}" for number in range(30)]
    async with serve_cartesia() as server, speaking(server) as tts:
        assert await asyncio.gather(*(sound_of(tts, text) for text in texts)) == [server.voice(text) for text in texts]
        assert server.opened == 2, "each has room for 20"
        assert server.mistakes == []


async def test_a_phrase_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "TURN_SECONDS", 0.1)
    monkeypatch.setattr(CartesiaProtocol, "room", 1)
    settings = LineSettings(most=1, most_kept=1, kept_seconds=30)
    async with serve_cartesia() as server, speaking(server, settings=settings) as tts:
        said = await asyncio.gather(sound_of(tts, "one"), sound_of(tts, "two"))
        assert list(said) == [server.voice("one"), server.voice("two")]
        async with aclosing(tts.synthesize("one " * 50)) as long:
            await anext(long)
            with pytest.raises(ProviderError, match=r"all its sockets spoke for 0\.1 s") as caught:
                await sound_of(tts, "two")
        assert caught.value.kind == "unavailable"
        assert server.opened == 1


async def test_a_phrase_broken_off_is_cancelled_and_never_heard_again() -> None:
    async with serve_cartesia(late_pieces=3) as server, speaking(server) as tts:
        for number in range(20):
            async with aclosing(tts.synthesize("this is never heard " * 10)) as broken:
                await anext(broken)
            text = f"number {number}"
            assert await sound_of(tts, text) == server.voice(text)
        assert len(server.cancelled) == 20
        assert server.opened == 1
        assert server.mistakes == []


async def test_a_phrase_broken_off_before_its_socket_is_open_is_never_asked_for() -> None:
    async with serve_cartesia() as server, speaking(server) as tts:
        phrase = asyncio.ensure_future(anext(tts.synthesize("never heard")))
        await asyncio.sleep(0)
        phrase.cancel()
        await asyncio.wait([phrase])
        assert await sound_of(tts, "heard") == server.voice("heard")
        assert server.spoken == ["heard"]
        assert server.opened == 1


async def test_a_kept_socket_that_went_away_is_replaced_unnoticed() -> None:
    async with serve_cartesia(faults=[Fault("forgotten")]) as server, speaking(server) as tts:
        assert await sound_of(tts, "one") == server.voice("one")
        assert await sound_of(tts, "two three") == server.voice("two three")
        assert server.opened == 2
    async with serve_cartesia(idle_seconds=0.1) as server, speaking(server) as tts:
        await tts.prepare()
        await wait_until(lambda: server.open == 0)
        assert await sound_of(tts, "one two") == server.voice("one two")


async def test_phrases_that_share_a_lost_socket_are_all_spoken_by_another() -> None:
    async with serve_cartesia(faults=[Fault("forgotten")]) as server, speaking(server) as tts:
        await sound_of(tts, "one")
        texts = [f"call {number}" for number in range(5)]
        assert await asyncio.gather(*(sound_of(tts, text) for text in texts)) == [server.voice(text) for text in texts]
        assert server.opened == 2
        assert server.mistakes == []


async def test_a_phrase_that_was_heard_in_part_is_not_said_again() -> None:
    async with serve_cartesia(faults=[Fault("drop", after=0.6)]) as server, speaking(server) as tts:
        heard = bytearray()

        async def listen() -> None:
            async for event in tts.synthesize("one two three four"):
                if isinstance(event, SpeechAudio):
                    heard.extend(event.data)

        with pytest.raises(ProviderError) as caught:
            await listen()
        assert caught.value.kind == "unavailable"
        assert heard == server.voice("one two three four")[: 2 * PIECE_BYTES]
        assert server.spoken == ["one two three four"]
        assert await sound_of(tts, "five") == server.voice("five")


async def test_there_is_room_again_within_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "CROWDED_SECONDS", (0.2, 0.2))
    async with serve_cartesia(most_contexts=1) as server, speaking(server) as tts:
        said = await asyncio.gather(sound_of(tts, "one two"), sound_of(tts, "three"))
        assert list(said) == [server.voice("one two"), server.voice("three")]
        assert len(server.requests) == 3
        server.most_contexts = 0
        with pytest.raises(ProviderError, match="concurrency_limited") as caught:
            await sound_of(tts, "four")
        assert caught.value.kind == "rate_limit"
        assert len(server.requests) == 6, "attempts are bounded"
        assert server.opened == 1, "and the socket is none the worse"


async def test_nothing_is_kept_for_long_nor_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CartesiaProtocol, "room", 1)
    settings = LineSettings(most=8, most_kept=2, kept_seconds=0.1)
    async with serve_cartesia() as server, speaking(server, settings=settings) as tts:
        await asyncio.gather(*(sound_of(tts, "one") for _ in range(5)))
        assert server.opened == 5
        await wait_until(lambda: server.open == 2)
        await wait_until(lambda: server.open == 0)
        assert await sound_of(tts, "two") == server.voice("two")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("refused", 401), "auth"),
        (Fault("refused", 400), "bad_request"),
        (Fault("refused", 429), "rate_limit"),
        (Fault("refused", 503), "server"),
        (Fault("silence"), "timeout"),
        (Fault("half_open"), "timeout"),
        (Fault("drop"), "unavailable"),
        (Fault("close", 1011), "unavailable"),
        (Fault("error"), "server"),
        (Fault("huge"), "protocol"),
    ],
)
async def test_faults_of_a_voice(fault: Fault, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "SOUND_SECONDS", 0.2)
    monkeypatch.setattr(lines, "CROWDED_SECONDS", (0.01, 0.01))
    async with serve_cartesia(faults=[fault] * 3) as server, speaking(server) as tts:
        with pytest.raises(ProviderError) as caught:
            await sound_of(tts, "one two")
        assert caught.value.kind == kind
        assert KEY not in str(caught.value)
        server.faults.clear()
        assert await sound_of(tts, "three") == server.voice("three"), "and the next phrase is spoken"


@pytest.mark.parametrize("fault", [Fault("garbage"), Fault("late", after=0.1)])
async def test_days_that_are_good_enough(fault: Fault) -> None:
    async with serve_cartesia(faults=[fault]) as server, speaking(server) as tts:
        assert await sound_of(tts, "one two") == server.voice("one two")
        assert server.opened == 1


async def test_a_wrong_key_and_nobody_there(unused_tcp_port: int) -> None:
    async with serve_cartesia() as server, speaking(server, key="wrong") as tts:
        with pytest.raises(ProviderError) as caught:
            await tts.prepare()
        assert caught.value.kind == "auth"
        assert server.opened == 1
    async with speaking(CartesiaServer(base_url=f"http://127.0.0.1:{unused_tcp_port}")) as tts:
        with pytest.raises(ProviderError) as caught:
            await sound_of(tts, "one")
        assert caught.value.kind == "connect"


# Names


async def test_cartesia_by_name() -> None:
    async with serve_cartesia() as server:
        providers = Registry({"CARTESIA_API_KEY": KEY, "CARTESIA_BASE_URL": server.base_url})
        katie, other = (
            providers.text_to_speech("cartesia"),
            providers.text_to_speech("cartesia", "de", "other", model="m"),
        )
        assert isinstance(katie, CartesiaTextToSpeech)
        assert (katie.name, katie.format, katie.voice, katie.model) == ("cartesia", MULAW_8K, VOICE, "sonic-3")
        assert providers.text_to_speech("cartesia", "en-GB") is katie
        faster = {"cartesia": {"speech": {"speed": 1.1}}}
        assert providers.text_to_speech("cartesia", vendor_specific=faster) is not katie
        for tts in (katie, other):
            assert isinstance(tts, CartesiaTextToSpeech)
            assert await sound_of(tts, "one") == server.voice("one")
        asked = [(request["model_id"], request["voice"]["id"], request["language"]) for request in server.requests]
        assert asked == [("sonic-3", VOICE, "en"), ("m", "other", "de")]
        assert server.opened == 1, "voices share sockets"
        await providers.close_all()
        await wait_until(lambda: server.open == 0)
        assert server.mistakes == []


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Registry({}).text_to_speech("cartesia"), "cartesia needs CARTESIA_API_KEY"),
        (lambda: Registry({"CARTESIA_API_KEY": "k"}).text_to_speech("cartesia", "nl"), r"name one in tts\.voice"),
    ],
)
def test_cartesia_without_a_key_or_a_voice(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()
