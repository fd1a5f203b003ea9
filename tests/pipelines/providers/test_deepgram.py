from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from media.audio import MULAW_8K
from pipelines.ears import Ears
from pipelines.parts import ProviderError, SttStream, Transcript
from pipelines.providers import hearing
from pipelines.providers.deepgram_flux import FORCE_END_TURN, FluxProtocol
from pipelines.providers.deepgram_nova import FINALIZE, NovaProtocol
from pipelines.providers.deepgram_stt import DeepgramSpeechToText
from pipelines.providers.deepgram_wire import deepgram_at
from pipelines.providers.registry import Registry
from pipelines.providers.wire import Failed, Strange
from pipelines.standby import Standby
from pipelines.turn_events import SpeechDropped, TurnEnded, TurnEvent
from pipelines.turns import TurnSettings
from tests.pipelines.providers.ear import wait_until
from tests.simulators.deepgram import DeepgramServer, serve_deepgram
from tests.simulators.deepgram_ears import KEY
from tests.simulators.live_wire import GARBAGE
from tests.simulators.speech_wire import Fault
from tests.steady import PATIENCE

LOUD = b"\x10" * 160
QUIET = MULAW_8K.silence(20)


# Nova, pure


def results(start: float, end: float, text: str, *, final: bool, finalized: bool = False, timed: bool = True) -> str:
    found = text.split()
    each = (end - start) / max(len(found), 1)
    words = [
        {"word": word.lower(), "punctuated_word": word, "start": start + each * i, "end": start + each * (i + 1)}
        for i, word in enumerate(found)
    ]
    alternative = {"transcript": text, "confidence": 0.9, "words": words if timed else []}
    return json.dumps(
        {
            "type": "Results",
            "start": start,
            "duration": end - start,
            "is_final": final,
            "from_finalize": finalized,
            "channel": {"alternatives": [alternative]},
        }
    )


def only(events: Any) -> Transcript:
    (event,) = events
    assert isinstance(event, Transcript)
    return event


def test_final_windows_and_the_latest_supposition_are_one_text() -> None:
    nova = NovaProtocol("nova-3", "en-GB", ())
    nova.speech_started(1.1)
    assert only(nova.receive(results(1, 2, "I want", final=False), 2.1)).text == "I want"
    assert only(nova.receive(results(1, 3, "I want a table", final=True), 3.1)).text == "I want a table"
    assert only(nova.receive(results(3, 4, "for", final=False), 4.1)).text == "I want a table for"
    assert nova.speech_paused(5.0, 100.0) == (FINALIZE,)
    last = only(nova.receive(results(3, 5, "for two.", final=True, finalized=True), 100.25))
    assert (last.segment, last.text, last.final, last.over) == (0, "I want a table for two.", False, False)
    assert (last.audio_seconds, last.took) == pytest.approx((4.0, 0.25))
    assert nova.settled == 5.0


def test_a_supposition_covers_its_words_and_a_final_window_all_of_it() -> None:
    nova = NovaProtocol("nova-3", "", ())
    nova.speech_started(0.1)
    assert only(nova.receive(results(0, 1, "one", final=False), 0)).audio_seconds == pytest.approx(1.0)
    assert only(nova.receive(results(0, 2, "one", final=False, timed=False), 0)).audio_seconds == pytest.approx(0.001)
    assert nova.receive(results(0, 2, "", final=False), 0) == ()
    assert only(nova.receive(results(0, 2.5, "", final=True), 0)).audio_seconds == pytest.approx(2.5)


def test_words_of_a_segment_that_is_over_are_not_the_next_ones() -> None:
    nova = NovaProtocol("nova-3", "", (), first=7)
    nova.speech_started(0.1)
    nova.speech_paused(2.0, 0)
    nova.end_segment(2.5)
    for timed in (True, False):
        assert nova.receive(results(0, 2, "too late", final=True, finalized=True, timed=timed), 0) == ()
    nova.speech_started(2.6)
    later = only(nova.receive(results(1, 4, "late and new words here now", final=True), 0))
    assert (later.segment, later.text) == (8, "new words here now")


def test_what_was_heard_long_before_the_caller_spoke_is_no_part_of_it() -> None:
    nova = NovaProtocol("nova-3", "", ())
    assert only(nova.receive(results(0, 2, "the radio", final=True), 0)).text == "the radio"
    nova.speech_started(5.0)
    assert only(nova.receive(results(4.6, 6, "hello", final=True), 0)).text == "hello"


def test_pauses_within_a_turn_are_not_covered_speech() -> None:
    """Else what was said before a long pause would pass for all of it."""
    nova = NovaProtocol("nova-3", "", ())
    nova.speech_started(1.1)
    nova.speech_paused(2.0, 0)
    before = only(nova.receive(results(1, 4, "my number is", final=True, finalized=True), 0))
    assert before.audio_seconds == pytest.approx(3.0)
    nova.speech_started(5.0)
    again = only(nova.receive(results(4, 4.7, "", final=True), 0))
    assert again.audio_seconds == pytest.approx(1.0)
    assert only(nova.receive(results(4.7, 6, "five", final=True), 0)).audio_seconds == pytest.approx(2.2)


def test_a_pause_without_words_is_told_to_have_none() -> None:
    nova = NovaProtocol("nova-3", "", ())
    nova.speech_started(1.1)
    nova.speech_paused(2.0, 5.0)
    assert only(nova.receive(results(0, 2, "", final=True, finalized=True), 5.1)).text == ""


def test_another_socket_has_another_time() -> None:
    nova = NovaProtocol("nova-3", "", ())
    nova.speech_started(10.1)
    nova.receive(results(10, 12, "before", final=True), 0)
    nova.receive(results(12, 13, "lost", final=False), 0)
    nova.speech_paused(14.0, 0)
    nova.connected(12.0)
    assert nova.replayed() == (FINALIZE,)
    again = only(nova.receive(results(0, 2, "after", final=True, finalized=True), 0))
    assert again.text == "before after"
    assert again.audio_seconds == pytest.approx(4.0)
    assert nova.replayed() == ()
    assert nova.settled == 14.0


@pytest.mark.parametrize("make", [lambda: NovaProtocol("nova-3", "", ()), lambda: FluxProtocol("", ())])
def test_what_is_no_message_is_passed_over(make: Callable[[], Any]) -> None:
    protocol = make()
    more = ('{"type":"Results"}', '{"type":"TurnInfo","event":"Update"}', '{"type":"Nonsense"}', '{"type":1}')
    for message in (*GARBAGE, *more):
        (event,) = protocol.receive(message, 0.0)
        assert isinstance(event, Strange), message
    (error,) = protocol.receive('{"type":"Error","code":"DATA-0000","description":"bad sound"}', 0.0)
    assert error == Failed("bad_request", "DATA-0000: bad sound")


# Flux, pure


def turn_info(event: str, turn: int, end: float, text: str) -> str:
    info = {"type": "TurnInfo", "event": event, "turn_index": turn, "audio_window_start": 0, "audio_window_end": end}
    return json.dumps(info | {"transcript": text, "words": [], "end_of_turn_confidence": 0.5})


def test_the_end_of_a_turn_is_over_until_the_caller_goes_on() -> None:
    flux = FluxProtocol("en", ())
    flux.speech_started(0.1)
    assert only(flux.receive(turn_info("StartOfTurn", 0, 0.5, "I"), 0)).over is False
    assert only(flux.receive(turn_info("Update", 0, 1.0, "I want"), 0)).text == "I want"
    ended = only(flux.receive(turn_info("EndOfTurn", 0, 2.0, "I want a table."), 0))
    assert (ended.text, ended.over, ended.audio_seconds) == ("I want a table.", True, 2.0)
    assert only(flux.receive(turn_info("Update", 1, 2.25, ""), 0)).over, "silence takes nothing back"
    more = only(flux.receive(turn_info("StartOfTurn", 1, 3.0, "For"), 0))
    assert (more.text, more.over, more.segment) == ("I want a table. For", False, 0)
    assert only(flux.receive(turn_info("EndOfTurn", 1, 4.0, "For two."), 0)).over is True
    assert flux.end_segment(4.1) == ()


def test_a_turn_that_we_take_before_it_ends_is_ended_and_forgotten() -> None:
    flux = FluxProtocol("en", ())
    flux.speech_started(0.1)
    flux.receive(turn_info("StartOfTurn", 3, 0.5, "Yes"), 0)
    flux.speech_paused(1.0, 0)
    assert flux.end_segment(1.5) == (FORCE_END_TURN,)
    assert flux.receive(turn_info("Update", 3, 1.55, "Yes"), 0) == ()
    assert flux.receive(turn_info("EndOfTurn", 3, 1.6, "Yes."), 0) == ()
    assert flux.end_segment(1.7) == ()
    flux.speech_started(2.0)
    fresh = only(flux.receive(turn_info("StartOfTurn", 4, 2.5, "No"), 0))
    assert (fresh.segment, fresh.text) == (2, "No")


def test_silence_is_told_once_it_is_sure() -> None:
    flux = FluxProtocol("en", ())
    flux.speech_started(0.2)
    flux.speech_paused(1.0, 0)
    assert flux.receive(turn_info("Update", 0, 1.2, ""), 0) == ()
    assert only(flux.receive(turn_info("Update", 0, 1.6, ""), 0)).text == ""


def test_a_likely_end_stands_until_it_is_taken_back_or_confirmed() -> None:
    flux = FluxProtocol("en", (), eager=True)
    assert ("eager_eot_threshold", "0.5") in flux.query()
    flux.speech_started(0.1)

    def told(event: str, end: float, text: str, turn: int = 0) -> tuple[str, bool, bool]:
        transcript = only(flux.receive(turn_info(event, turn, end, text), 0))
        return transcript.text, transcript.likely, transcript.over

    assert told("Update", 1.0, "I want") == ("I want", False, False)
    assert told("EagerEndOfTurn", 1.2, "I want a table") == ("I want a table", True, False)
    assert told("Update", 1.4, "I want a table") == ("I want a table", True, False)
    assert told("TurnResumed", 1.6, "I want a table") == ("I want a table", False, False)
    assert told("Update", 1.8, "I want a table") == ("I want a table", False, False)
    assert told("EagerEndOfTurn", 2.0, "I want a table for two") == ("I want a table for two", True, False)
    assert told("EndOfTurn", 2.2, "I want a table for two") == ("I want a table for two", False, True)
    assert told("StartOfTurn", 3.0, "Please", 1) == ("I want a table for two Please", False, False)
    assert told("EagerEndOfTurn", 3.2, "Please", 1)[1]
    assert not told("Update", 3.4, "Please do", 1)[1], "other words, though it did not say so"


def test_a_likely_end_is_of_its_socket_and_its_segment() -> None:
    flux = FluxProtocol("en", (), eager=True)
    flux.speech_started(0.1)
    flux.receive(turn_info("EagerEndOfTurn", 0, 1.0, "Yes"), 0)
    flux.connected(0.0)
    assert not only(flux.receive(turn_info("Update", 0, 1.0, "Yes"), 0)).likely
    flux.receive(turn_info("EagerEndOfTurn", 0, 1.2, "Yes"), 0)
    flux.speech_paused(1.0, 0)
    assert flux.end_segment(1.3) == (FORCE_END_TURN,)
    flux.speech_started(1.5)
    assert not only(flux.receive(turn_info("Update", 1, 2.0, "Yes"), 0)).likely


# Over a socket


class Ear:
    def __init__(self) -> None:
        self.transcripts: list[Transcript] = []
        self.errors: list[ProviderError] = []
        self.over = 0
        self.used: list[Mapping[str, float]] = []
        self._news = asyncio.Event()

    def on_transcript(self, transcript: Transcript) -> None:
        self.transcripts.append(transcript)
        self._news.set()

    def on_stt_error(self, error: ProviderError) -> None:
        self.errors.append(error)
        self._news.set()

    def on_stt_over(self) -> None:
        self.over += 1
        self._news.set()

    def on_stt_usage(self, units: Mapping[str, float]) -> None:
        self.used.append(units)

    async def until(self, met: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not met():
                self._news.clear()
                await self._news.wait()

    def heard(self, text: str) -> bool:
        return text in self.texts

    @property
    def texts(self) -> list[str]:
        return [transcript.text for transcript in self.transcripts]


@asynccontextmanager
async def listening(
    server: DeepgramServer, *, hints: tuple[str, ...] = (), key: str = KEY, **settings: Any
) -> AsyncGenerator[tuple[SttStream, Ear], None]:
    stt = DeepgramSpeechToText(deepgram_at(key, server.base_url), **settings)
    ear = Ear()
    stream = stt.open(ear, language="en-GB", hints=hints)
    try:
        yield stream, ear
    finally:
        await stt.close()
    await wait_until(lambda: server.open == 0)


def say(stream: SttStream, frames: int = 30) -> None:
    """Before it connected, too: the sound waits."""
    stream.push(QUIET)
    stream.speech_started()
    for _ in range(frames):
        stream.push(LOUD)
    for _ in range(10):
        stream.push(QUIET)
    stream.speech_paused()


async def test_a_turn_over_nova() -> None:
    async with serve_deepgram(texts=["I want a table.", "For two."]) as server:
        async with listening(server, hints=("Acme & Co", "Bistro")) as (stream, ear):
            say(stream)
            await ear.until(lambda: "I want a table." in ear.texts)
            whole = ear.transcripts[-1]
            assert 0.6 < whole.audio_seconds < 1.0
            stream.end_segment()
            say(stream)
            await ear.until(lambda: "For two." in ear.texts)
            assert ear.transcripts[-1].segment == whole.segment + 1
            assert bytes(server.sound[0]) == (QUIET + LOUD * 30 + QUIET * 10) * 2
        assert ear.errors == []
        ((path, query),) = server.queries
        assert path == "/v1/listen"
        wanted = {("model", "nova-3"), ("encoding", "mulaw"), ("sample_rate", "8000"), ("interim_results", "true")}
        assert wanted <= set(query)
        assert [value for name, value in query if name == "keyterm"] == ["Acme & Co", "Bistro"]
        assert server.messages == ["Finalize", "Finalize", "CloseStream"]
        assert server.mistakes == []


async def test_a_turn_over_flux() -> None:
    async with serve_deepgram(texts=["I want a table."]) as server:
        async with listening(server, flux=True) as (stream, ear):
            say(stream)
            for _ in range(30):
                stream.push(QUIET)
            await ear.until(lambda: ear.transcripts and ear.transcripts[-1].over)
            assert ear.texts[-1] == "I want a table."
            told = [transcript.over for transcript in ear.transcripts]
            assert told == sorted(told), "and it stays over"
            assert not told[0]
            stream.end_segment()
        assert server.queries[0][0] == "/v2/listen"
        assert dict(server.queries[0][1])["model"] == "flux-general-en"
        assert server.messages == ["CloseStream"]
        assert ear.errors == []
        assert server.mistakes == []


@pytest.mark.parametrize("eager", [True, False])
async def test_likely_ends_of_turns_are_told_if_they_are_asked_for(eager: bool) -> None:
    async with serve_deepgram(texts=["I want a table | for two."]) as server:
        async with listening(server, flux=True, eager=eager) as (stream, ear):
            say(stream)
            for frame in [QUIET] * 5 + [LOUD] * 20 + [QUIET] * 25:
                stream.push(frame)
            await ear.until(lambda: ear.transcripts and ear.transcripts[-1].over)
        likely = dict.fromkeys(transcript.text for transcript in ear.transcripts if transcript.likely)
        assert list(likely) == (["I want a table", "I want a table for two."] if eager else [])
        assert ear.texts[-1] == "I want a table for two."
        assert server.mistakes == []


async def test_a_dropped_stream_is_replaced_and_hears_what_was_not_final() -> None:
    async with serve_deepgram(texts=["First.", "Second."], faults=[Fault("drop", after=1.5)]) as server:
        async with listening(server) as (stream, ear):
            say(stream)
            await ear.until(lambda: "First." in ear.texts)
            stream.end_segment()
            say(stream, frames=60)
            await ear.until(lambda: "Second." in ear.texts)
            assert ear.texts[-1] == "Second."
            assert 1.2 < ear.transcripts[-1].audio_seconds < 1.6
        assert [error.kind for error in ear.errors] == ["unavailable"]
        assert bytes(server.sound[1]) == QUIET + LOUD * 60 + QUIET * 10
        assert server.mistakes == []


async def test_no_more_than_five_seconds_wait_for_a_socket() -> None:
    async with serve_deepgram(texts=["Hello."]) as server, listening(server) as (stream, ear):
        for _ in range(1500):
            stream.push(QUIET)
        say(stream)
        await ear.until(lambda: "Hello." in ear.texts)
        assert len(server.sound[0]) == 5 * MULAW_8K.bytes_per_second
        assert 0.6 < ear.transcripts[-1].audio_seconds < 1.0


@pytest.mark.parametrize(
    ("fault", "kind", "sockets"),
    [
        (Fault("refused", 401), "auth", 1),
        (Fault("refused", 400), "bad_request", 1),
        (Fault("refused", 429), "rate_limit", 3),
        (Fault("refused", 503), "server", 3),
        (Fault("close", 1011), "timeout", 3),
        (Fault("drop"), "unavailable", 3),
        (Fault("error"), "timeout", 3),
    ],
)
async def test_faults_are_told_apart_and_attempts_are_bounded(
    fault: Fault, kind: str, sockets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "RETRY_SECONDS", 0.01)
    async with serve_deepgram(faults=[fault] * 10) as server:
        async with listening(server) as (stream, ear):
            stream.push(LOUD)
            await ear.until(lambda: len(ear.errors) == sockets)
            await asyncio.sleep(0.1)
            say(stream)  # to nobody
        assert [error.kind for error in ear.errors] == [kind] * sockets
        assert not any(KEY in str(error) for error in ear.errors)
        assert len(server.queries) == sockets


async def test_a_wrong_key_is_no_place_to_try_again() -> None:
    async with serve_deepgram() as server:
        async with listening(server, key="wrong") as (_, ear):
            await ear.until(lambda: ear.errors)
        assert [error.kind for error in ear.errors] == ["auth"]
        assert "wrong" not in str(ear.errors[0])


async def test_nobody_there(unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing, "RETRY_SECONDS", 0.01)
    server = DeepgramServer(base_url=f"http://127.0.0.1:{unused_tcp_port}")
    async with listening(server) as (_, ear):
        await ear.until(lambda: len(ear.errors) == 3)
    assert {error.kind for error in ear.errors} == {"connect"}


async def test_garbage_is_told_once_and_passed_over() -> None:
    async with serve_deepgram(texts=["Hello."], faults=[Fault("garbage")]) as server:
        async with listening(server) as (stream, ear):
            say(stream)
            await ear.until(lambda: "Hello." in ear.texts)
        assert [error.kind for error in ear.errors] == ["protocol"]


async def test_late_results_and_none_at_all() -> None:
    async with serve_deepgram(texts=["Late."], faults=[Fault("late", after=0.1), Fault("silence")]) as server:
        async with listening(server) as (stream, ear):
            say(stream)
            await ear.until(lambda: "Late." in ear.texts)
            assert ear.transcripts[-1].took >= 0.1
        async with listening(server) as (stream, ear):
            say(stream)
            await wait_until(lambda: server.messages.count("Finalize") == 2)
        assert ear.transcripts == []
        assert ear.errors == []


@pytest.mark.parametrize("flux", [False, True])
async def test_a_caller_without_sound_keeps_the_socket(flux: bool) -> None:
    async with serve_deepgram(idle_seconds=0.3) as server:
        async with listening(server, flux=flux, keep_alive=0.05) as (_, ear):
            await asyncio.sleep(0.6)
        assert ear.errors == []
        assert len(server.queries) == 1
        assert flux or server.messages.count("KeepAlive") > 5
        async with listening(server, flux=flux, keep_alive=60) as (_, ear):
            await ear.until(lambda: ear.errors)
        assert ear.errors[0].kind == "timeout"


async def test_segments_of_a_later_stream_have_higher_numbers() -> None:
    async with serve_deepgram(texts=["One.", "Two."]) as server:
        stt = DeepgramSpeechToText(deepgram_at(KEY, server.base_url))
        ear = Ear()
        for text in ("One.", "Two."):
            stream = stt.open(ear, language="en")
            say(stream)
            await ear.until(partial(ear.heard, text))
            await stream.close()
        assert ear.transcripts[-1].segment > ear.transcripts[0].segment
        await stt.close()


class Voice:
    """Voice activity that is never wrong."""

    echo = None
    closely = True

    def hear(self, frame: bytes, now: float) -> bool:
        return frame == LOUD

    def hear_all(self, frames: Sequence[bytes], now: float) -> list[bool]:
        return [self.hear(frame, now) for frame in frames]


@pytest.mark.parametrize("flux", [False, True])
async def test_turns_end_by_what_is_heard(flux: bool) -> None:
    """With the turn machine: three turns, the second of them with a pause in it."""
    now, turns, errors = [0.0], list[TurnEvent](), list[ProviderError]()
    used: list[tuple[str, Mapping[str, float]]] = []
    texts = ["I want a table."] + (["My number is five five. Six seven."] if flux else ["My number is", "five five."])
    async with serve_deepgram(texts=[*texts, "Thank you."]) as server:
        stt = DeepgramSpeechToText(deepgram_at(KEY, server.base_url), flux=flux)
        ears = Ears(
            Standby("stt", [stt]),
            None,
            TurnSettings(),
            language="en-GB",
            hints=(),
            format=MULAW_8K,
            detector=Voice(),
            on_turn=lambda event, _: turns.append(event),
            on_error=errors.append,
            on_usage=lambda provider, units: used.append((provider, units)),
            spawn=asyncio.get_running_loop().create_task,
            clock=lambda: now[0],
        )

        async def hear(frame: bytes, frames: int) -> None:
            for _ in range(frames):
                now[0] += 0.02
                ears.hear(frame)
                await asyncio.sleep(0.001)

        for pause in (0, 15, 0):
            await hear(QUIET, 20)
            await hear(LOUD, 30)
            if pause:
                await hear(QUIET, pause)
                await hear(LOUD, 30)
            await hear(QUIET, 120)
        await ears.close()
        await stt.close()
        ended = [event.text for event in turns if isinstance(event, TurnEnded)]
        assert ended == ["I want a table.", " ".join(texts[1:]), "Thank you."]
        assert not any(isinstance(event, SpeechDropped) for event in turns)
        assert errors == []
        ((provider, units),) = used
        assert provider == stt.name
        assert units == {"audio_seconds": pytest.approx(now[0], abs=0.06)}
        assert server.mistakes == []
        await wait_until(lambda: server.open == 0)


# Names


async def test_deepgram_by_name() -> None:
    async with serve_deepgram(texts=["Hello."]) as server:
        providers = Registry({"DEEPGRAM_API_KEY": KEY, "DEEPGRAM_BASE_URL": server.base_url})
        nova, flux, aura = (
            providers.speech_to_text("deepgram"),
            providers.speech_to_text("deepgram-flux"),
            providers.text_to_speech("deepgram"),
        )
        assert (nova.name, flux.name, aura.name) == ("deepgram", "deepgram-flux", "deepgram")
        assert providers.speech_to_text("deepgram") is nova
        assert providers.text_to_speech("deepgram", "en-AU") is aura
        assert {part.format for part in (nova, flux, aura)} == {MULAW_8K}
        ear = Ear()
        say(nova.open(ear, language="en-GB"))
        await ear.until(lambda: "Hello." in ear.texts)
        await providers.close_all()
        await wait_until(lambda: server.open == 0)


@pytest.mark.parametrize(("vendor", "usual"), [("deepgram", "nova-3"), ("deepgram-flux", "flux-general-en")])
async def test_a_model_that_the_agent_names(vendor: str, usual: str) -> None:
    named = "nova-2-phonecall" if vendor == "deepgram" else "flux-general-multi"
    async with serve_deepgram(texts=["Hello.", "Hello."]) as server:
        providers = Registry({"DEEPGRAM_API_KEY": KEY, "DEEPGRAM_BASE_URL": server.base_url})
        for model in (named, None):
            ear = Ear()
            say(providers.speech_to_text(vendor, model=model).open(ear, language="en-GB"))
            await ear.until(lambda ear=ear: "Hello." in ear.texts)  # type: ignore[misc]
        assert providers.speech_to_text(vendor, model=named) is providers.speech_to_text(vendor, model=named)
        await providers.close_all()
        first, second = (dict(query) for _, query in server.queries)
        assert (first["model"], second["model"]) == (named, usual)
        assert ("language_hint" in first, "language_hint" in second) == ("multi" in named, False)
        assert server.mistakes == []


async def test_eager_recognisers_are_others() -> None:
    providers = Registry({"DEEPGRAM_API_KEY": KEY})
    assert providers.speech_to_text("deepgram-flux", eager=True) is not providers.speech_to_text("deepgram-flux")
    assert providers.speech_to_text("deepgram", eager=True) is providers.speech_to_text("deepgram")
    await providers.close_all()


def test_deepgram_without_a_key_or_a_voice() -> None:
    for make in (lambda: Registry({}).speech_to_text("deepgram"), lambda: Registry({}).text_to_speech("deepgram")):
        with pytest.raises(ValueError, match="needs DEEPGRAM_API_KEY"):
            make()
    with pytest.raises(ValueError, match=r"name one in tts\.voice"):
        Registry({"DEEPGRAM_API_KEY": KEY}).text_to_speech("deepgram", "nl")
    with pytest.raises(ValueError, match="has to begin with http"):
        Registry({"DEEPGRAM_BASE_URL": "ws://there"}).speech_to_text("deepgram")
    assert "secret" not in repr(deepgram_at("secret"))
