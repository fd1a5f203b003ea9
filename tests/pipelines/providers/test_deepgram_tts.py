from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.parts import ProviderError, SpeechAudio, SpeechUsed
from pipelines.providers import deepgram_aura, lines
from pipelines.providers.deepgram_aura import AuraProtocol
from pipelines.providers.deepgram_flux_voice import FluxVoiceProtocol
from pipelines.providers.deepgram_tts import LINES, DeepgramTextToSpeech
from pipelines.providers.deepgram_wire import deepgram_at, pieces
from pipelines.providers.registry import Registry
from pipelines.providers.speaking import Finished, Said, Send, SpeakingProtocol
from pipelines.providers.wire import Failed, Malformed
from tests.pipelines.providers.ear import wait_until
from tests.simulators.deepgram import DeepgramServer, serve_deepgram
from tests.simulators.deepgram_ears import KEY
from tests.simulators.deepgram_voices import WORD_SECONDS, FluxVoiceSession, Spoken, voice
from tests.simulators.live_wire import GARBAGE, Hangup, Out
from tests.simulators.speech_wire import Fault
from tests.steady import PATIENCE

AURA, FLUX = "aura-2-thalia-en", "flux-alexis-en"
both = pytest.mark.parametrize("model", [AURA, FLUX])

SECOND = b"\x10" * 8000


# Pure


def test_long_texts_are_cut_between_words() -> None:
    text = "many words " * 400
    cut = list(pieces(text, 2000))
    assert "".join(cut) == text
    assert max(map(len, cut)) <= 2000
    assert all(piece.endswith(" ") for piece in cut)
    assert [len(piece) for piece in pieces("x" * 4500, 2000)] == [2000, 2000, 500]


def test_aura_is_not_told_too_often_that_a_phrase_is_whole() -> None:
    now = 0.0
    aura = AuraProtocol(AURA, lambda: now)
    for number in range(20):
        assert aura.room == 1
        phrase, _ = aura.begin("yes", {})
        now += 1.0
        assert aura.receive('{"type":"Flushed","sequence_id":0}') == (Finished(phrase),), number
    assert aura.room == 0
    now = 60.0
    assert aura.room == 1
    aura.forget(aura.begin("never sent", {})[0])
    assert aura.room == 1


def turn(flux: FluxVoiceProtocol, number: int, *, sound: float = 0.0) -> str:
    """A turn that has begun, and of which so many seconds came."""
    phrase, _ = flux.begin("one two three", {})
    flux.receive(json.dumps({"type": "SpeechStarted", "speech_id": f"dg_sp_{number}"}))
    if sound:
        flux.receive(SECOND[: int(8000 * sound)])
    return phrase


def metadata(number: int, seconds: float, characters: Any = 13) -> str:
    told = {"speech_id": f"dg_sp_{number}", "audio_duration_ms": round(seconds * 1000)}
    return json.dumps({"type": "SpeechMetadata", "billable_character_count": characters} | told)


def interrupted(ms: int) -> str:
    return json.dumps({"type": "SpeechInterrupted", "audio_played_ms": ms, "metadata": {}})


def warning(code: str) -> str:
    return json.dumps({"type": "Warning", "code": code, "description": "no"})


def place(messages: Sequence[str]) -> int | None:
    """Where the one message interrupts."""
    [message] = messages
    data = json.loads(message)
    assert data.pop("type") == "Interrupt"
    if not data:
        return None
    assert set(data) == {"playback_offset"}
    assert data["playback_offset"]["type"] == "time_ms"
    return int(data["playback_offset"]["value"])


def test_a_turn_of_flux_ends_with_its_metadata() -> None:
    flux = FluxVoiceProtocol(FLUX)
    phrase, sent = flux.begin("Good evening.", {})
    assert [json.loads(message) for message in sent] == [{"type": "Speak", "text": "Good evening."}, {"type": "Flush"}]
    assert flux.receive(SECOND) == (), "sound before it began is another's"
    flux.receive('{"type":"SpeechStarted","speech_id":"dg_sp_1"}')
    assert flux.receive(SECOND) == (Said(phrase, (SpeechAudio(SECOND),)),)
    assert flux.receive('{"type":"Flushed","speech_id":"dg_sp_1"}') == ()
    assert flux.receive(b"more") == (Said(phrase, (SpeechAudio(b"more"),)),)
    assert flux.receive(metadata(0, 1)) == (), "another's"
    assert flux.receive(metadata(1, 1)) == (Finished(phrase, (SpeechUsed({"characters": 13.0}),)),)
    assert len(flux) == 0
    assert flux.receive(SECOND) == ()
    turn(flux, 2)
    assert flux.receive(metadata(2, 1, characters=None)) == (Finished("phrase-2"),)


def test_an_interruption_is_placed_on_the_sound_of_the_session() -> None:
    flux = FluxVoiceProtocol(FLUX)
    turn(flux, 1, sound=1)
    flux.receive(metadata(1, 1))
    phrase = turn(flux, 2, sound=2)
    assert place(flux.leave(phrase, 0.75)) == 1750
    assert flux.holds(phrase), "until it is confirmed"
    assert flux.receive(SECOND) == (), "what is on its way is not wanted"
    assert flux.receive(interrupted(1750)) == ()
    assert len(flux) == 0
    again = turn(flux, 3, sound=1)
    assert place(flux.leave(again, 0.5)) == 2250, "what was made and not heard counts no more"


def test_an_interruption_is_beyond_the_one_before_and_within_what_was_made() -> None:
    flux = FluxVoiceProtocol(FLUX)
    assert place(flux.leave(turn(flux, 1, sound=1), 0.0)) == 1
    flux.receive(interrupted(1))
    assert place(flux.leave(turn(flux, 2, sound=1), 0.0)) == 2
    flux.receive(interrupted(2))
    assert place(flux.leave(turn(flux, 3, sound=1), 9.0)) == 1002


def test_what_has_no_sound_yet_is_interrupted_as_soon_as_it_has() -> None:
    flux = FluxVoiceProtocol(FLUX)
    phrase = turn(flux, 1)
    assert flux.leave(phrase, 0.0) == ()
    assert flux.receive(b"") == ()
    [sent] = flux.receive(SECOND)
    assert isinstance(sent, Send)
    assert place([sent.message]) == 1
    assert flux.receive(SECOND) == ()
    flux.receive(interrupted(1))
    assert len(flux) == 0
    phrase = turn(flux, 2)
    flux.leave(phrase, 0.0)
    assert flux.receive(metadata(2, 0)) == ()
    assert len(flux) == 0, "it has ended without any"


def test_an_interruption_that_is_not_heeded() -> None:
    flux = FluxVoiceProtocol(FLUX)
    assert flux.receive(warning("SYNTHESIS_RETRYING")) == ()
    flux.leave(turn(flux, 1, sound=1), 0.5)
    assert flux.receive(warning("INTERRUPT_IN_PROGRESS")) == ()
    assert flux.receive(warning("NEVER_HEARD_OF")) == ()
    assert flux.receive(warning("NO_AUDIO_GENERATED")) == ()
    [again] = flux.receive(SECOND)
    assert isinstance(again, Send)
    assert place([again.message]) == 500
    [unplaced] = flux.receive(warning("INVALID_INTERRUPT_OFFSET"))
    assert isinstance(unplaced, Send)
    assert place([unplaced.message]) is None
    assert flux.holds("phrase-1")
    [failed] = flux.receive(warning("INVALID_INTERRUPT_OFFSET"))
    assert isinstance(failed, Failed)


def test_an_interruption_that_crosses_the_end() -> None:
    for answer, then in ((warning("NO_ACTIVE_SPEECH"), 2500), (interrupted(500), 1000)):
        flux = FluxVoiceProtocol(FLUX)
        flux.leave(turn(flux, 1, sound=1), 0.5)
        assert flux.receive(metadata(1, 2)) == ()
        assert len(flux) == 1
        assert flux.receive(answer) == ()
        assert len(flux) == 0
        assert place(flux.leave(turn(flux, 2, sound=1), 0.5)) == then


@pytest.mark.parametrize("make", [lambda: AuraProtocol(AURA, lambda: 0.0), lambda: FluxVoiceProtocol(FLUX)])
def test_what_is_no_message(make: Callable[[], SpeakingProtocol]) -> None:
    for garbage in GARBAGE:
        protocol = make()
        if isinstance(garbage, bytes):
            assert protocol.receive(garbage) == ()
        else:
            with pytest.raises(Malformed):
                protocol.receive(garbage)
    [failed] = make().receive('{"type":"Error","code":"DATA-0000","description":"no"}')
    assert failed == Failed("bad_request", "DATA-0000: no")


class Wire:
    """A client and the simulated vendor, whose messages take as long as a test says."""

    def __init__(self, vendor: Spoken) -> None:
        self.client = FluxVoiceProtocol(FLUX)
        self.session = FluxVoiceSession(vendor, {"model": FLUX})
        self.to_vendor: list[str] = []
        self.to_client: list[Out] = self.session.opened()
        self.sound = 0.0  # of the phrase under way
        self.finished = 0
        self.heard = ""  # of the latest phrase that was left
        self._vendor = vendor

    def up(self) -> None:
        if self.to_vendor:
            message, under_way = self.to_vendor.pop(0), bool(self.session._text)
            self.to_client += self.session.receive(message)
            if "Interrupt" in message and under_way:
                assert self._vendor.interrupted[-1][0] == self.heard

    def down(self) -> None:
        if self.to_client:
            out = self.to_client.pop(0)
            assert not isinstance(out, Hangup)
            assert isinstance(out, str | bytes)
            for event in self.client.receive(out):
                match event:
                    case Said(_, events):
                        self.sound += sum(len(one.data) for one in events if isinstance(one, SpeechAudio)) / 8000
                    case Finished():
                        self.finished += 1
                    case Send(message):
                        self.to_vendor.append(message)
                    case _:
                        raise AssertionError(event)

    def speak(self) -> None:
        if self.session.speaking:
            self.to_client += self.session.go_on()

    def take(self, steps: list[str]) -> None:
        for step in steps:
            {"up": self.up, "down": self.down, "speak": self.speak}[step]()


steps = st.lists(st.sampled_from(["up", "down", "speak"]), max_size=20)


@given(
    st.lists(st.tuples(steps, st.booleans(), st.integers(0, 1200), steps), max_size=6),
    st.sampled_from(["interrupted", "warning"]),
    st.integers(0, 3),
)
@example([([], False, 0, []), (["up", "up", "speak", "down", "down", "speak", "down"], True, 250, [])], "warning", 1)
def test_however_messages_cross_flux_is_interrupted_rightly(
    phrases: list[tuple[list[str], bool, int, list[str]]], after_the_end: Literal["interrupted", "warning"], late: int
) -> None:
    """By the simulation's rules: beyond the last interruption, within what was made, and one turn at a time. What it
    takes to have been heard was."""
    vendor = Spoken(after_the_end=after_the_end, late_words=late)
    wire, broken, text = Wire(vendor), 0, "one two three four"
    for before, leaves, ms, after in phrases:
        phrase, messages = wire.client.begin(text, {})
        wire.to_vendor += messages
        wire.sound = 0.0
        wire.take(before)
        if leaves and wire.client.holds(phrase):
            heard = min(ms, round(wire.sound * 1000))
            wire.heard = " ".join(word for n, word in enumerate(text.split()) if (n + 0.6) * 300 <= heard)
            wire.to_vendor += wire.client.leave(phrase, heard / 1000)
            broken += 1
        wire.take(after)
        for _ in range(12):
            wire.take(["up", "speak", "down", "down"])
        assert len(wire.client) == 0, "the socket is free for another phrase"
    assert vendor.mistakes == []
    assert len(vendor.interrupted) <= broken
    assert wire.finished + broken == len(phrases)


# Over a socket


@asynccontextmanager
async def speaking(
    server: DeepgramServer, model: str = AURA, *, key: str = KEY, **settings: Any
) -> AsyncGenerator[DeepgramTextToSpeech, None]:
    tts = DeepgramTextToSpeech(deepgram_at(key, server.base_url), model, settings=replace(LINES, **settings))
    try:
        yield tts
    finally:
        await tts.close()
    await wait_until(lambda: server.open == 0)


async def sound_of(tts: DeepgramTextToSpeech, text: str) -> bytes:
    async with asyncio.timeout(PATIENCE):
        return b"".join([event.data async for event in tts.synthesize(text) if isinstance(event, SpeechAudio)])


@both
async def test_phrases_share_a_socket(model: str) -> None:
    async with serve_deepgram() as server:
        async with speaking(server, model) as tts:
            await tts.prepare()
            await tts.prepare()
            assert await sound_of(tts, "Good evening.") == voice("Good evening.")
            assert await sound_of(tts, "What can I do?") == voice("What can I do?")
            assert await sound_of(tts, "…") == b""
            assert len(server.queries) == 1
        [(path, query)] = server.queries
        assert path == ("/v1/speak" if model == AURA else "/v2/speak")
        assert dict(query) == {"model": model, "encoding": "mulaw", "sample_rate": "8000"}
        assert server.messages == ["Speak", "Flush", "Speak", "Flush", "Close"]
        assert server.mistakes == []


async def test_flux_tells_what_a_phrase_cost() -> None:
    async with serve_deepgram() as server, speaking(server, FLUX) as tts:
        events = [event async for event in tts.synthesize("Good evening.")]
        assert events[-1] == SpeechUsed({"characters": 13.0})


@both
async def test_phrases_at_once_have_a_socket_each_and_wait_for_one(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve_deepgram() as server, speaking(server, model, most=2) as tts:
        texts = ["one two three", "four five six", "seven eight nine"]
        assert await asyncio.gather(*(sound_of(tts, text) for text in texts)) == [voice(text) for text in texts]
        assert len(server.queries) == 2
        monkeypatch.setattr(lines, "TURN_SECONDS", 0.05)
        async with (
            aclosing(tts.synthesize("one two " * 9)) as first,
            aclosing(tts.synthesize("one two " * 9)) as second,
        ):
            await anext(first)
            await anext(second)
            with pytest.raises(ProviderError, match="all its sockets spoke") as caught:
                await sound_of(tts, "three")
        assert caught.value.kind == "unavailable"
        assert server.mistakes == []


@both
async def test_a_phrase_broken_off_is_never_heard_in_the_next(model: str) -> None:
    async with serve_deepgram(late_words=2) as server, speaking(server, model) as tts:
        stop = "Clear" if model == AURA else "Interrupt"
        for number in range(15):
            async with aclosing(tts.synthesize("this is never heard " * 10)) as broken:
                await anext(broken)
            assert await sound_of(tts, f"number {number}") == voice(f"number {number}")
            await wait_until(lambda: server.messages.count(stop) > number)  # noqa: B023 - of this round
            await asyncio.sleep(0.02)
        assert server.messages.count(stop) == 15
        assert len(server.queries) == 2, "sockets are used again once they are free"
        assert server.mistakes == []


async def test_flux_is_told_how_much_was_heard() -> None:
    async with serve_deepgram(late_words=1) as server, speaking(server, FLUX) as tts:
        assert await sound_of(tts, "one two") == voice("one two")
        for _ in range(2):
            heard = 0.0
            async with aclosing(tts.synthesize_heard("three four five six seven " * 4, lambda: heard)) as phrase:  # noqa: B023
                for _ in range(4):
                    await anext(phrase)
                heard = 2.5 * WORD_SECONDS  # the third word is cut in its middle
            await wait_until(lambda: len(server.interrupted) > 0)
            await asyncio.sleep(0.05)
        assert server.interrupted == [("three four", 600 + 750), ("three four", 600 + 750 + 750)]
        assert await sound_of(tts, "eight") == voice("eight")
        assert len(server.queries) == 1
        assert server.mistakes == []


@pytest.mark.parametrize("code", ["INVALID_INTERRUPT_OFFSET", "INTERRUPT_IN_PROGRESS", "NO_AUDIO_GENERATED"])
async def test_a_socket_whose_interruption_is_not_heeded_is_used_or_dropped(code: str) -> None:
    async with serve_deepgram(refuses=[code]) as server, speaking(server, FLUX, left_seconds=0.3) as tts:
        async with aclosing(tts.synthesize("this is never heard " * 30)) as broken:
            await anext(broken)
        await asyncio.sleep(0.4)
        assert server.open == (0 if code == "INTERRUPT_IN_PROGRESS" else 1)
        assert await sound_of(tts, "four") == voice("four")
        assert server.mistakes == []
        assert len(server.queries) == (2 if code == "INTERRUPT_IN_PROGRESS" else 1)


@both
async def test_a_socket_that_does_not_answer_is_dropped(model: str) -> None:
    async with serve_deepgram(faults=[Fault("uncleared")]) as server, speaking(server, model, left_seconds=0.05) as tts:
        async with aclosing(tts.synthesize("one two three")) as broken:
            await anext(broken)
        await wait_until(lambda: server.open == 0)
        assert await sound_of(tts, "four") == voice("four")
        assert len(server.queries) == 2


async def test_aura_is_spared_too_many_flushes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepgram_aura, "FLUSHES_SECONDS", 60.0)
    async with serve_deepgram() as server, speaking(server) as tts:
        for number in range(45):
            assert await sound_of(tts, f"number {number}") == voice(f"number {number}")
        assert len(server.queries) == 3
        assert server.mistakes == []


@both
async def test_a_kept_socket_that_went_away_is_replaced_unnoticed(model: str) -> None:
    async with serve_deepgram(faults=[Fault("forgotten")]) as server, speaking(server, model) as tts:
        assert await sound_of(tts, "one") == voice("one")
        assert await sound_of(tts, "two three") == voice("two three")
        assert len(server.queries) == 2
    async with serve_deepgram(idle_seconds=0.1) as server, speaking(server, model) as tts:
        await tts.prepare()
        await wait_until(lambda: server.open == 0)
        assert await sound_of(tts, "one two") == voice("one two")


@both
async def test_a_phrase_that_was_heard_in_part_is_not_said_again(model: str) -> None:
    async with serve_deepgram(faults=[Fault("drop", after=0.8)]) as server, speaking(server, model) as tts:
        assert await sound_of(tts, "one") == voice("one")
        async with aclosing(tts.synthesize("two three four")) as phrase:
            assert await anext(phrase) == SpeechAudio(voice("two"))
            with pytest.raises(ProviderError) as caught:
                await anext(phrase)
        assert caught.value.kind == "unavailable"
        assert server.spoken == ["one", "two three four"]


async def test_nothing_is_kept_for_long() -> None:
    async with serve_deepgram() as server, speaking(server, kept_seconds=0.05) as tts:
        await sound_of(tts, "one")
        await wait_until(lambda: server.open == 0)
        assert await sound_of(tts, "two") == voice("two")
    async with serve_deepgram() as server, speaking(server, FLUX, longest_seconds=0.1) as tts:
        await sound_of(tts, "one")
        await asyncio.sleep(0.15)
        assert await sound_of(tts, "two") == voice("two")
        assert len(server.queries) == 2


@both
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("refused", 401), "auth"),
        (Fault("refused", 429), "rate_limit"),
        (Fault("silence"), "timeout"),
        (Fault("half_open"), "timeout"),
        (Fault("error"), "timeout"),
        (Fault("huge"), "protocol"),
    ],
)
async def test_faults_of_a_voice(model: str, fault: Fault, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "SOUND_SECONDS", 0.1)
    monkeypatch.setattr(lines, "CROWDED_SECONDS", (0.01, 0.01))
    async with serve_deepgram(faults=[fault] * 3) as server, speaking(server, model) as tts:
        with pytest.raises(ProviderError) as caught:
            await sound_of(tts, "one two")
        assert caught.value.kind == kind
        assert KEY not in str(caught.value)
        server.faults.clear()
        assert await sound_of(tts, "three") == voice("three")


@both
async def test_long_phrases_are_several_messages(model: str) -> None:
    text = "many words " * 400
    async with serve_deepgram() as server, speaking(server, model) as tts:
        async with aclosing(tts.synthesize(text)) as phrase:
            await anext(phrase)
        assert server.messages[:4] == ["Speak", "Speak", "Speak", "Flush"]
        assert server.spoken == [text]
        assert server.mistakes == []


async def test_which_voice_is_asked_where() -> None:
    async with serve_deepgram() as server:
        providers = Registry({"DEEPGRAM_API_KEY": KEY, "DEEPGRAM_BASE_URL": server.base_url})
        for model in (AURA, FLUX):
            tts = providers.text_to_speech("deepgram", voice=model)
            assert isinstance(tts, DeepgramTextToSpeech)
            assert await sound_of(tts, "one") == voice("one")
        assert [path for path, _ in server.queries] == ["/v1/speak", "/v2/speak"]
        await providers.close_all()
        await wait_until(lambda: server.open == 0)
        assert server.mistakes == []
