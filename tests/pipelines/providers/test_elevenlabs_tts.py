from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.audio import MULAW_8K
from media.g711 import mulaw_to_pcm
from pipelines.parts import ProviderError, SpeechAudio, SpeechEvent, WordTiming
from pipelines.providers import lines
from pipelines.providers.elevenlabs_contexts import ContextProtocol
from pipelines.providers.elevenlabs_tts import LINES, MODEL, VOICE, ElevenLabsTextToSpeech, speech_settings
from pipelines.providers.elevenlabs_wire import elevenlabs_at, needs_dialogue
from pipelines.providers.registry import Registry
from pipelines.providers.speaking import Broken, Finished, Said, SpeakingEvent
from pipelines.providers.wire import Failed, Malformed
from tests.pipelines.providers.ear import Ear, wait_until
from tests.simulators.codeword import heard_words, plain_words
from tests.simulators.elevenlabs import ElevenLabsServer, serve_elevenlabs
from tests.simulators.elevenlabs_ears import KEY
from tests.simulators.live_wire import GARBAGE
from tests.simulators.speech_wire import Fault
from tests.steady import PATIENCE

# Contexts, pure


def protocol(voice: str = "v", model: str = MODEL, language: str = "en-GB") -> ContextProtocol:
    return ContextProtocol(voice, model, language)


def sound(name: str, data: bytes = b"\x00" * 160, **more: Any) -> str:
    return json.dumps({"audio": b64encode(data).decode(), "contextId": name} | more)


def told(characters: Sequence[tuple[str, int, int]], base: int = 0, s: str = "") -> dict[str, Any]:
    return {
        "chars": [character for character, _, _ in characters],
        f"char{s}StartTimesMs": [start - base for _, start, _ in characters],
        f"char{s}DurationsMs": [lasts for _, _, lasts in characters],
    }


def evenly(text: str, each: int = 50) -> list[tuple[str, int, int]]:
    return [(character, index * each, each) for index, character in enumerate(text)]


def aligned(name: str, text: str, **more: Any) -> str:
    """50 ms for each character."""
    return sound(name, bytes(400 * len(text)), alignment=told(evenly(text)), **more)


def final(name: str) -> str:
    return json.dumps({"isFinal": True, "contextId": name})


def timings(events: Sequence[SpeechEvent]) -> list[tuple[str, float, float]]:
    return [(e.word, round(e.start, 2), round(e.end, 2)) for e in events if isinstance(e, WordTiming)]


def of(events: Sequence[SpeakingEvent]) -> list[SpeechEvent]:
    return [part for event in events if isinstance(event, Said | Finished) for part in event.events]


def test_a_text_is_a_context_that_is_closed_with_it() -> None:
    contexts = protocol()
    name, messages = contexts.begin("Good  evening.", {})
    assert [json.loads(message) for message in messages] == [
        {"text": " ", "context_id": name},
        {"text": "Good evening. ", "context_id": name, "flush": True},
        {"context_id": name, "close_context": True},
    ]
    some = contexts.receive(aligned(name, "Good eve"))
    assert some == [Said(name, [WordTiming("Good", 0.0, 0.2), SpeechAudio(bytes(3200))])]
    assert timings(of(contexts.receive(aligned(name, "ning. ")))) == [("evening.", 0.25, 0.65)]
    assert contexts.receive(final(name)) == [Finished(name, [])]
    assert len(contexts) == 0
    assert contexts.receive(sound(name)) == ()


def test_settings_of_the_voice_are_in_the_first_message_of_a_context() -> None:
    _, (first, *others) = protocol().begin("Hello.", {"stability": 0.5})
    assert json.loads(first)["voice_settings"] == {"stability": 0.5}
    assert not any("voice_settings" in message for message in others)


def test_what_is_not_wanted_counts_until_it_is_final() -> None:
    contexts = protocol()
    name, _ = contexts.begin("one two", {})
    other, _ = contexts.begin("three", {})
    assert name != other
    assert contexts.leave(name, 0.0) == ()
    assert contexts.receive(aligned(name, "one two")) == [], "late"
    assert contexts.holds(name)
    assert contexts.receive(final(name)) == []
    assert (len(contexts), contexts.holds(name)) == (1, False)
    contexts.forget(other)
    assert len(contexts) == 0


def test_words_are_those_of_the_text_and_not_those_that_are_read_aloud() -> None:
    contexts = protocol()
    name, _ = contexts.begin("It costs $5.", {})
    aloud = told(evenly("It costs five dollars. "))
    heard = timings(of(contexts.receive(aligned(name, "It costs $5.", normalizedAlignment=aloud))))
    assert [word for word, _, _ in heard] == ["It", "costs", "$5."]


def test_where_there_is_nothing_else_what_is_read_aloud_tells() -> None:
    contexts = protocol()
    name, _ = contexts.begin("At 5 then", {})
    message = sound(name, bytes(400 * 12), alignment=None, normalizedAlignment=told(evenly("At five then")))
    assert timings(of(contexts.receive(message))) == [("At", 0.0, 0.1), ("5", 0.1, 0.4), ("then", 0.4, 0.6)]


def test_words_that_were_not_told_share_the_end() -> None:
    contexts = protocol()
    name, _ = contexts.begin("one two three", {})
    contexts.receive(aligned(name, "one two "))
    contexts.receive(sound(name, bytes(4800)))
    assert timings(of(contexts.receive(json.dumps({"is_final": True, "context_id": name})))) == [("three", 0.35, 1.0)]


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        [],
        {},
        told([]),
        told(evenly("Hi"))["chars"],
        told(evenly("Hi")) | {"chars": "Hi"},
        told(evenly("Hi")) | {"charDurationsMs": [1]},
        told(evenly("Hi")) | {"charDurationsMs": [1, "1"]},
        told(evenly("Hi")) | {"charStartTimesMs": [0, -1]},
        told(evenly("Hi")) | {"charStartTimesMs": [0, True]},
        told(evenly("Hi")) | {"chars": ["H", 1]},
    ],
)
def test_nonsense_tells_nothing_of_the_words(nonsense: Any) -> None:
    contexts = protocol()
    name, _ = contexts.begin("Hi", {})
    assert of(contexts.receive(sound(name, alignment=nonsense))) == [SpeechAudio(bytes(160))]


@given(
    words=st.lists(st.text(st.characters(categories=["L"]), min_size=1, max_size=8), min_size=1, max_size=8),
    cuts=st.sets(st.integers(1, 60)),
    each=st.integers(20, 90),
    lead=st.integers(0, 200),
    from_text=st.booleans(),
    gaps=st.booleans(),
    plural=st.booleans(),
)
def test_however_it_is_cut_the_words_and_their_times_are_those_of_the_text(
    words: list[str], cuts: set[int], each: int, lead: int, from_text: bool, gaps: bool, plural: bool
) -> None:
    """And whether times count from the text's beginning or the piece's, and whether the gaps at its end are told."""
    text = " ".join(words)
    characters = [(character, lead + start, lasts) for character, start, lasts in evenly(f"{text} ", each)]
    contexts = protocol()
    name, _ = contexts.begin(text, {})
    found: list[SpeechEvent] = []
    edges = [0, *sorted(cut for cut in cuts if cut < len(characters)), len(characters)]
    for first, last in pairwise(edges):
        before = characters[first][1] if first else 0
        after = characters[last][1] if last < len(characters) else characters[-1][1] + each
        piece = characters[first:last]
        while not gaps and piece and piece[-1][0] == " ":
            piece.pop()
        times = told(piece, 0 if from_text else before, "s" if plural else "")
        found += of(contexts.receive(sound(name, bytes(8 * (after - before)), alignment=times)))
    assert [word for word, _, _ in timings(found)] == words
    at = 0
    for timing, word in zip([event for event in found if isinstance(event, WordTiming)], words, strict=True):
        assert timing.start == pytest.approx((lead + at * each) / 1000)
        assert timing.end == pytest.approx((lead + (at + len(word)) * each) / 1000)
        at += len(word) + 1


def test_errors_are_of_a_context_or_of_the_socket() -> None:
    contexts = protocol()
    name, _ = contexts.begin("one", {})
    other, _ = contexts.begin("two", {})
    error = {"message": "Slow down.", "error": "too_many_concurrent_requests", "code": 1008}
    why = Failed("rate_limit", "too_many_concurrent_requests: Slow down.")
    assert contexts.receive(json.dumps(error | {"contextId": name})) == (Broken(name, why),)
    assert contexts.receive(json.dumps(error)) == (why,)
    assert contexts.receive(json.dumps({"error": "Your quota is used up."})) == (
        Failed("auth", "Your quota is used up."),
    )
    contexts.leave(other, 0.0)
    assert contexts.receive(json.dumps(error | {"contextId": other})) == ()
    assert len(contexts) == 0


def test_what_is_no_message() -> None:
    contexts = protocol()
    name, _ = contexts.begin("one", {})
    for message in GARBAGE:
        if message == '{"neverHeardOf": [1]}':
            assert contexts.receive(message) == ()
        else:
            with pytest.raises(Malformed):
                contexts.receive(message)
    assert contexts.receive('{"contextId":{},"audio":[]}') == ()
    assert contexts.receive('{"type":"flush_done","context_id":"phrase-1"}') == []
    for audio in ("§", [1]):
        (broken,) = contexts.receive(json.dumps({"audio": audio, "contextId": name}))
        assert broken == Broken(name, Failed("protocol", "it sent sound that is not in base64"))


def test_what_is_asked_of_the_vendor() -> None:
    assert protocol("a/b?c").path == "/v1/text-to-speech/a%2Fb%3Fc/multi-stream-input"
    assert dict(protocol().query()) == {
        "model_id": "eleven_flash_v2_5",
        "output_format": "ulaw_8000",
        "language_code": "en",
        "auto_mode": "true",
        "sync_alignment": "true",
        "inactivity_timeout": "180",
    }
    for model, language in (("eleven_multilingual_v2", "en"), (MODEL, "cy"), (MODEL, "")):
        assert "language_code" not in dict(protocol(model=model, language=language).query()), (model, language)


# Over a socket


@asynccontextmanager
async def speaking(server: ElevenLabsServer, **settings: Any) -> AsyncGenerator[ElevenLabsTextToSpeech, None]:
    tts = ElevenLabsTextToSpeech(elevenlabs_at(KEY, server.base_url), **{"language": "en-GB"} | settings)
    try:
        yield tts
    finally:
        await tts.close()
    await wait_until(lambda: server.open == 0)


async def speech_of(tts: ElevenLabsTextToSpeech, text: str) -> list[SpeechEvent]:
    async with asyncio.timeout(PATIENCE):
        return [event async for event in tts.synthesize(text)]


async def sound_of(tts: ElevenLabsTextToSpeech, text: str) -> bytes:
    return joined(await speech_of(tts, text))


async def into(heard: list[SpeechEvent], speech: AsyncGenerator[SpeechEvent, None]) -> None:
    async with aclosing(speech) as events:
        async for event in events:
            heard.append(event)  # noqa: PERF401 - what comes before an error is there, too


def joined(events: Sequence[SpeechEvent]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, SpeechAudio))


EVENING = "Good evening, a table for 2 — at 5?"


@pytest.mark.parametrize(
    "ways",
    [
        {},
        {"counts_from": "text"},
        {"plural": True},
        {"gaps": False},
        {"snake": True},
        {"counts_from": "text", "plural": True, "gaps": False, "snake": True},
    ],
)
async def test_a_phrase_and_where_its_words_are(ways: dict[str, Any]) -> None:
    """In all the ways in which the vendor may tell. A mark alone is a word of no time."""
    async with serve_elevenlabs(**ways) as server, speaking(server) as tts:
        events = await speech_of(tts, EVENING)
        assert joined(events) == server.voice(EVENING)
        assert [word for word, _, _ in timings(events)] == EVENING.split()
        starts = [start for _, start, _ in timings(events)]
        assert starts == [0.0, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 1.8, 2.1]
        assert 2.25 <= timings(events)[-1][2] <= 2.4, "with the mark after it, or without"
        assert server.spoken == [EVENING]
        assert server.mistakes == []


@pytest.mark.parametrize(("aligned", "told"), [("normalized", EVENING.split()), ("none", [])])
async def test_without_an_alignment_of_the_text(aligned: str, told: list[str]) -> None:
    async with serve_elevenlabs(aligned=aligned) as server, speaking(server) as tts:
        events = await speech_of(tts, EVENING)
        assert joined(events) == server.voice(EVENING)
        assert [word for word, _, _ in timings(events)] == told
        assert server.mistakes == []


async def test_phrases_share_a_socket() -> None:
    async with serve_elevenlabs() as server, speaking(server) as tts:
        await tts.prepare()
        await tts.prepare()
        for text in ("Good evening.", "What can I do?", "Hm."):
            assert await sound_of(tts, text) == server.voice(text)
        assert await speech_of(tts, "…") == []
        ((at, asked),) = server.queries
        assert at == f"/v1/text-to-speech/{VOICE}/multi-stream-input"
        assert asked == protocol().query()
        assert not any("voice_settings" in message for message in server.sent)
        assert server.mistakes == []


async def test_five_phrases_at_once_share_a_socket_and_more_get_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while it is still being opened."""
    texts = [f"{word} one two three four" for word in "a b c d e f g h i j".split()]  # noqa: SIM905
    async with serve_elevenlabs() as server, speaking(server, lines=replace(LINES, most=2)) as tts:
        assert await asyncio.gather(*(sound_of(tts, text) for text in texts)) == [server.voice(text) for text in texts]
        assert len(server.queries) == 2
        assert server.mistakes == []
        monkeypatch.setattr(lines, "TURN_SECONDS", 0.05)
        server.pace = 60.0  # nobody comes to an end
        phrases = [tts.synthesize(text) for text in texts]
        waiting = [asyncio.ensure_future(anext(phrase)) for phrase in phrases]
        await wait_until(lambda: len(server.spoken) == 20)
        with pytest.raises(ProviderError, match="all its sockets spoke") as caught:
            await sound_of(tts, "one too many")
        assert caught.value.kind == "unavailable"
        assert server.mistakes == []
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_who_waits_for_room_gets_it() -> None:
    async with serve_elevenlabs(pace=0.02) as server, speaking(server, lines=replace(LINES, most=1)) as tts:
        texts = [f"{word} one" for word in "a b c d e f g h i j k l".split()]  # noqa: SIM905
        assert await asyncio.gather(*(sound_of(tts, text) for text in texts)) == [server.voice(text) for text in texts]
        assert len(server.queries) == 1
        assert server.mistakes == []


async def test_a_phrase_broken_off_is_never_heard_in_the_next_and_costs_no_connection() -> None:
    """What was flushed is made to its end: it comes late, and is passed over."""
    async with serve_elevenlabs(pace=0.02) as server, speaking(server) as tts:
        for number in range(8):
            async with aclosing(tts.synthesize("this is never heard " * 5)) as broken:
                await anext(broken)
            text = f"number {number}"
            assert await sound_of(tts, text) == server.voice(text)
        assert len(server.spoken) == 16
        assert len(server.queries) <= 3
        assert server.open == min(len(server.queries), 3)
        assert server.mistakes == []


async def test_a_phrase_that_is_not_wanted_any_more_as_the_socket_opens_is_not_sent() -> None:
    async with serve_elevenlabs() as server, speaking(server) as tts:
        task = asyncio.create_task(sound_of(tts, "never sent"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await sound_of(tts, "sent") == server.voice("sent")
        assert server.spoken == ["sent"]
        assert len(server.queries) == 1
        assert server.mistakes == []


async def test_a_socket_that_does_not_say_what_is_final_says_no_more_phrases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "SOUND_SECONDS", 0.1)
    async with serve_elevenlabs(final=False) as server:
        async with speaking(server) as tts:
            heard: list[SpeechEvent] = []
            with pytest.raises(ProviderError) as caught:
                await into(heard, tts.synthesize("one two"))
            assert caught.value.kind == "timeout"
            assert joined(heard) == server.voice("one two")
            await wait_until(lambda: server.open == 0)
        async with speaking(server, lines=replace(LINES, left_seconds=0.1)) as tts:
            async with aclosing(tts.synthesize("three four five")) as broken:
                await anext(broken)
            await wait_until(lambda: server.open == 0)
        assert server.mistakes == []


async def test_settings_of_a_voice() -> None:
    settings = {"stability": 0.4, "use_speaker_boost": False}
    async with serve_elevenlabs() as server, speaking(server, settings=settings) as tts:
        for text in ("one", "two"):
            assert await sound_of(tts, text) == server.voice(text)
        told = [message["voice_settings"] for message in server.sent if "voice_settings" in message]
        assert told == [settings] * 2
        assert server.mistakes == []


async def test_a_kept_socket_that_went_away_is_replaced_unnoticed() -> None:
    async with serve_elevenlabs(faults=[Fault("forgotten")]) as server, speaking(server) as tts:
        assert await sound_of(tts, "one") == server.voice("one")
        assert await sound_of(tts, "two three") == server.voice("two three")
        assert len(server.queries) == 2
    async with serve_elevenlabs(idle_seconds=0.1) as server, speaking(server) as tts:
        await tts.prepare()
        await wait_until(lambda: server.open == 0)
        assert await sound_of(tts, "one two") == server.voice("one two")
        assert server.mistakes == []


async def test_a_phrase_that_was_heard_in_part_is_not_said_again() -> None:
    async with serve_elevenlabs(faults=[Fault("drop", after=0.7)]) as server, speaking(server) as tts:
        assert await sound_of(tts, "one") == server.voice("one")
        heard: list[SpeechEvent] = []
        with pytest.raises(ProviderError) as caught:
            await into(heard, tts.synthesize("two three four five"))
        assert caught.value.kind == "unavailable"
        assert joined(heard)
        assert server.voice("two three four five").startswith(joined(heard))
        assert server.spoken == ["one", "two three four five"]


async def test_a_context_that_fails_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "CROWDED_SECONDS", (0.01, 0.01))
    refuses = {"one two": "voice_not_found", "three four": "too_many_concurrent_requests"}
    async with serve_elevenlabs(refuses=refuses) as server, speaking(server) as tts:
        texts = ["one two", "three four", "five six"]
        no, crowded, yes = await asyncio.gather(*(sound_of(tts, text) for text in texts), return_exceptions=True)
        assert isinstance(no, ProviderError)
        assert isinstance(crowded, ProviderError)
        assert (no.kind, crowded.kind) == ("bad_request", "rate_limit")
        assert KEY not in f"{no} {crowded}"
        assert yes == server.voice("five six")
        assert sorted(server.spoken) == ["five six", "one two", "three four", "three four", "three four"]
        assert len(server.queries) == 1
        assert server.mistakes == []


async def test_a_socket_that_is_lost_is_lost_to_all_who_hear_it() -> None:
    async with serve_elevenlabs(faults=[Fault("drop", after=0.5)]) as server, speaking(server) as tts:
        texts = ["one two three", "four five six", "seven eight nine"]
        results = await asyncio.gather(*(sound_of(tts, text) for text in texts), return_exceptions=True)
        assert [getattr(result, "kind", None) for result in results] == ["unavailable"] * 3
        assert await sound_of(tts, "ten") == server.voice("ten")


async def test_nothing_is_kept_for_long() -> None:
    async with serve_elevenlabs() as server, speaking(server, lines=replace(LINES, kept_seconds=0.05)) as tts:
        await sound_of(tts, "one")
        await wait_until(lambda: server.open == 0)
        assert await sound_of(tts, "two") == server.voice("two")
        assert server.mistakes == []


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("refused", 401), "auth"),
        (Fault("refused", 402), "auth"),
        (Fault("refused", 404), "bad_request"),
        (Fault("refused", 429), "rate_limit"),
        (Fault("refused", 503), "server"),
        (Fault("error", name="quota_exceeded"), "auth"),
        (Fault("error", name="invalid_api_key"), "auth"),
        (Fault("error", name="voice_not_found"), "bad_request"),
        (Fault("error", name="max_active_conversations"), "unavailable"),
        (Fault("error", name="system_busy", after=0.5), "rate_limit"),
        (Fault("close", 1008, name="quota_exceeded"), "auth"),
        (Fault("close", 1011), "unavailable"),
        (Fault("silence"), "timeout"),
        (Fault("silence", after=0.5), "timeout"),
        (Fault("half_open"), "timeout"),
        (Fault("huge", after=0.5), "protocol"),
    ],
)
async def test_faults_of_a_voice(fault: Fault, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "SOUND_SECONDS", 0.4)
    monkeypatch.setattr(lines, "CROWDED_SECONDS", (0.01, 0.01))
    async with serve_elevenlabs(faults=[fault] * 3) as server, speaking(server) as tts:
        with pytest.raises(ProviderError) as caught:
            await sound_of(tts, "one two three four")
        assert caught.value.kind == kind
        assert KEY not in str(caught.value)
        server.faults.clear()
        assert await sound_of(tts, "three") == server.voice("three"), "and the next phrase is spoken"
        assert server.mistakes == []


async def test_garbage_is_passed_over_and_slowness_is_borne() -> None:
    async with serve_elevenlabs(faults=[Fault("garbage"), Fault("late", after=0.05)]) as server:
        for _ in range(2):
            async with speaking(server) as tts:
                assert await sound_of(tts, "one two three") == server.voice("one two three")
        assert server.mistakes == []


async def test_nobody_there(unused_tcp_port: int) -> None:
    server = ElevenLabsServer(base_url=f"http://127.0.0.1:{unused_tcp_port}")
    async with speaking(server) as tts:
        with pytest.raises(ProviderError) as caught:
            await tts.prepare()
        assert caught.value.kind == "connect"
        with pytest.raises(ProviderError) as caught:
            await sound_of(tts, "one")
        assert caught.value.kind == "connect"


async def test_who_speaks_as_it_is_closed_is_told() -> None:
    async with serve_elevenlabs(pace=60.0) as server, speaking(server) as tts:
        speech = asyncio.create_task(sound_of(tts, "one two"))
        await wait_until(lambda: server.spoken)
        await tts.close()
        with pytest.raises(ProviderError, match="it was closed"):
            await speech


# Names


async def test_elevenlabs_by_name() -> None:
    async with serve_elevenlabs() as server:
        providers = Registry({"ELEVENLABS_API_KEY": KEY, "ELEVENLABS_BASE_URL": server.base_url})
        ears, voice = providers.speech_to_text("elevenlabs"), providers.text_to_speech("elevenlabs")
        assert (ears.name, voice.name) == ("elevenlabs", "elevenlabs")
        assert {ears.format, voice.format} == {MULAW_8K}
        assert providers.speech_to_text("elevenlabs") is ears
        assert providers.speech_to_text("elevenlabs", model="scribe_v3_live") is not ears
        assert providers.text_to_speech("elevenlabs", "en-GB") is voice
        for other in (
            providers.text_to_speech("elevenlabs", "de-DE"),
            providers.text_to_speech("elevenlabs", voice="EXAVITQu4vr4xnSDxMaL"),
            providers.text_to_speech("elevenlabs", model="eleven_multilingual_v2"),
        ):
            assert other is not voice
            events = [event async for event in other.synthesize("Guten Tag.")]
            assert heard_words(mulaw_to_pcm(joined(events)), code=server.code) == plain_words("guten tag")
        asked = [dict(query) for _, query in server.queries]
        assert [query.get("language_code") for query in asked] == ["de", "en", None]
        assert [query["model_id"] for query in asked] == [MODEL, MODEL, "eleven_multilingual_v2"]
        assert "EXAVITQu4vr4xnSDxMaL" in server.queries[1][0]
        stream = ears.open(Ear(), language="en")
        await wait_until(lambda: len(server.queries) == 4)
        await providers.close_all()
        await stream.close()
        await wait_until(lambda: server.open == 0)
        assert server.mistakes == []


def test_elevenlabs_without_a_key_or_with_a_model_of_another_wire() -> None:
    for make in (lambda: Registry({}).speech_to_text("elevenlabs"), lambda: Registry({}).text_to_speech("elevenlabs")):
        with pytest.raises(ValueError, match="needs ELEVENLABS_API_KEY"):
            make()
    with pytest.raises(ValueError, match=r"eleven_v3 is to be had on another wire .* in tts\.model"):
        Registry({"ELEVENLABS_API_KEY": "k"}).text_to_speech("elevenlabs", model="eleven_v3")
    for speech, sentence in (
        ({"tempo": 1}, "has no tempo; it takes stability"),
        ({"speed": 2}, r"speed is 2; it goes from 0\.7 to 1\.2"),
        ({"stability": True}, "stability is True; it goes from 0 to 1"),
        ({"use_speaker_boost": 1}, "use_speaker_boost is 1; it is true or false"),
        ("fast", "is an object, and so is its speech"),
    ):
        with pytest.raises(ValueError, match=sentence):
            speech_settings("en", {"elevenlabs": {"speech": speech}})
    assert speech_settings("en-GB", {}) == {"language": "en", "settings": {}}
    dialogue = ["eleven_v3", "eleven_v3_conversational", "eleven_v4_turbo"]
    assert [name for name in [*dialogue, MODEL, "eleven_multilingual_v2"] if needs_dialogue(name)] == dialogue
    assert "secret" not in repr(elevenlabs_at("secret"))
    assert elevenlabs_at("secret").headers == {"xi-api-key": "secret"}
