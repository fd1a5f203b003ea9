from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from media.audio import MULAW_8K
from pipelines.ears import Ears
from pipelines.parts import ProviderError, SttStream, Transcript
from pipelines.providers import hearing
from pipelines.providers.openai_hearing import LIFE_SECONDS, TranscriptionProtocol
from pipelines.providers.openai_stt import OpenAISpeechToText, kind_of_close, session_fields, transcription_options
from pipelines.providers.registry import Registry
from pipelines.providers.wire import Consumed, Failed, HearingEvent, Place, Renew, Strange
from pipelines.standby import Standby
from pipelines.turn_events import SpeechDropped, TurnEnded, TurnEvent
from pipelines.turns import TurnSettings
from tests.pipelines.providers.ear import Ear, wait_until
from tests.pipelines.providers.google_caller import NeverWrong
from tests.simulators.live_wire import GARBAGE
from tests.simulators.openai_transcription import (
    KEY,
    QUIET,
    Fault,
    TranscriptionServer,
    TranscriptionSession,
    serve_transcription,
    spoken,
)

RATE = MULAW_8K.bytes_per_second


# Pure: the protocol against the simulated session, without a socket


class Line:
    """One caller; the socket is there unless it is cut."""

    def __init__(self, model: str = "gpt-live-transcribe", fault: Fault | None = None, **server: Any) -> None:
        self.server = TranscriptionServer(**server)
        self.protocol = TranscriptionProtocol(session_fields(model, "en-GB", (), {}), first=7, wall=lambda: 0.0)
        self.now = 100.0
        self.told: list[HearingEvent] = []
        self.sound = bytearray()
        self.session: TranscriptionSession | None = None
        self.connect(fault)

    def connect(self, fault: Fault | None = None, origin: float = 0.0) -> None:
        self.session = TranscriptionSession(self.server, fault)
        self.server.sessions.append(self.session)
        self.hear(self.session.opened())
        self.send(self.protocol.connected(origin))
        kept = bytes(self.sound[round(origin * RATE) :])
        for at in range(0, len(kept), 1600):
            self.send([self.protocol.audio(kept[at : at + 1600])])
        self.send(self.protocol.replayed())

    def cut(self) -> None:
        self.session = None

    def send(self, messages: Sequence[str | bytes]) -> None:
        for message in messages:
            if self.session is not None and message:
                self.hear(self.session.receive(message))

    def hear(self, outs: Sequence[Any]) -> None:
        for out in outs:
            assert isinstance(out, str)
            self.told += self.protocol.receive(out, self.now)

    @property
    def at(self) -> float:
        return len(self.sound) / RATE

    def push(self, sound: bytes) -> None:
        for at in range(0, len(sound), 160):
            self.now += 0.02
            self.sound += sound[at : at + 160]
            if self.session is not None:
                self.send([self.protocol.audio(sound[at : at + 160])])

    def say(self, text: str, *, pause: bool = True) -> None:
        """Speech is noticed 60 ms after it began, and its end after 200 ms."""
        sound = spoken(text)
        self.push(sound[:480])
        self.send(self.protocol.speech_started(self.at))
        self.push(sound[480:])
        if pause:
            self.push(QUIET * 10)
            self.send(self.protocol.speech_paused(self.at, self.now))

    def end(self) -> None:
        self.send(self.protocol.end_segment(self.at))

    @property
    def transcripts(self) -> list[Transcript]:
        return [event for event in self.told if isinstance(event, Transcript)]

    @property
    def last(self) -> Transcript:
        return self.transcripts[-1]


@pytest.mark.parametrize("model", ["gpt-live-transcribe", "gpt-transcribe", "gpt-realtime-whisper"])
def test_words_come_while_they_are_said_and_a_pause_settles_them(model: str) -> None:
    line = Line(model)
    line.push(QUIET * 500)
    line.say("i want a table")
    texts = [transcript.text for transcript in line.transcripts]
    assert texts[-1] == "i want a table"
    if model != "gpt-transcribe":
        assert texts[:4] == ["i", "i want", "i want a", "i want a table"]
        assert all(transcript.audio_seconds < 0.01 for transcript in line.transcripts[:4]), "nothing is certain yet"
    assert (line.last.segment, line.last.final, line.last.over) == (7, False, False)
    assert line.last.audio_seconds == pytest.approx(1.4, abs=0.1)
    assert line.protocol.settled == pytest.approx(line.at)
    line.push(QUIET * 10)
    line.say("for two")
    assert line.last.text == "i want a table for two"
    line.end()
    line.say("thanks")
    assert (line.last.segment, line.last.text) == (8, "thanks")
    assert line.server.transcripts == ["i want a table", "for two", "thanks"]
    assert line.server.mistakes == []


def test_silence_is_not_sent_and_what_was_said_no_more_is_cleared() -> None:
    line = Line()
    line.push(QUIET * 500)
    assert line.session is not None
    assert line.session.received == 0
    line.say("hello")
    line.push(QUIET * 20)
    line.end()
    line.push(QUIET * 500)
    line.say("again")
    line.end()
    seconds = 2 * (0.34 + 0.3 + 0.2) + 0.4  # each with what lies before, and its pause
    assert line.session.received / RATE == pytest.approx(seconds, abs=0.1)
    kinds = [kind for kind in line.session.messages if kind != "input_audio_buffer.append"]
    assert kinds == ["session.update", *["input_audio_buffer.commit", "input_audio_buffer.clear"] * 1, kinds[3]]
    assert kinds[3] == "input_audio_buffer.commit"
    assert line.server.mistakes == []


def test_a_cough_is_cleared_and_never_transcribed() -> None:
    line = Line()
    line.push(b"\x60" * 480)
    line.send(line.protocol.speech_started(line.at))
    line.push(QUIET * 20)
    line.end()
    line.say("hello")
    assert line.server.transcripts == ["hello"]
    assert line.last.text == "hello"


def test_a_pause_right_after_a_pause_is_padded_for_the_vendor_takes_no_less_than_100_ms() -> None:
    line = Line()
    line.say("yes")
    line.send(line.protocol.speech_started(line.at))
    line.push(QUIET)
    line.send(line.protocol.speech_paused(line.at, line.now))
    assert line.server.mistakes == []
    assert line.last.text == "yes"
    assert line.protocol.settled == pytest.approx(line.at)


@pytest.mark.parametrize(("model", "words"), [("gpt-live-transcribe", "yes"), ("gpt-transcribe", "")])
def test_a_commit_that_is_refused_as_empty_is_a_pause_with_the_words_that_came(model: str, words: str) -> None:
    line = Line(model)
    line.say("yes", pause=False)
    assert line.session is not None
    line.session.receive('{"type":"input_audio_buffer.clear"}')  # the vendor has lost it
    line.push(QUIET)
    line.send(line.protocol.speech_paused(line.at, line.now))
    assert (line.last.text, line.last.audio_seconds > 0.3) == (words, True)
    assert "commit_empty" in line.server.mistakes[0]


def test_transcripts_in_the_wrong_order_are_put_right() -> None:
    line = Line(fault=Fault("reversed"))
    line.say("my number is")
    assert line.last.text == "my number is", "so far as it came"
    assert line.last.audio_seconds < 0.01
    line.push(QUIET * 5)
    line.say("five six")
    assert line.last.text == "my number is five six"
    assert line.last.audio_seconds > 1.5
    assert [transcript.text for transcript in line.transcripts[-2:]] == ["my number is five six"] * 2
    assert line.transcripts[-2].audio_seconds < 0.01, "the second piece alone covers nothing"


def test_commits_that_are_not_acknowledged_are_taken_in_their_order() -> None:
    line = Line("gpt-transcribe", fault=Fault("unnamed"))
    line.say("one two")
    line.end()
    line.say("three")
    assert (line.last.segment, line.last.text) == (8, "three")


def test_what_comes_of_a_segment_that_is_over_is_counted_and_not_told() -> None:
    line = Line(fault=Fault("reversed"))
    line.say("too late")
    line.end()
    told = len(line.transcripts)
    line.say("new")
    assert [transcript.text for transcript in line.transcripts[told:]][-1] == "new"
    assert all("late" not in transcript.text for transcript in line.transcripts[told:])
    assert sum(event.units["audio_seconds"] for event in line.told if isinstance(event, Consumed)) > 1.0


def test_what_comes_twice_or_too_late_is_told_once() -> None:
    line = Line()
    line.say("one")
    kind, item = "conversation.item.input_audio_transcription", "item_00003"
    told = len(line.told)
    line.say("two", pause=False)
    for event in (
        {"type": f"{kind}.delta", "item_id": item, "delta": " one"},
        {
            "type": f"{kind}.completed",
            "item_id": item,
            "transcript": "one",
            "usage": {"type": "duration", "seconds": 1},
        },
    ):
        assert line.protocol.receive(json.dumps(event), line.now) == ()
    line.push(QUIET * 10)
    line.send(line.protocol.speech_paused(line.at, line.now))
    assert [event.text for event in line.transcripts] == ["one", "one", "one two", "one two"]
    assert [type(event) for event in line.told[told:]] == [Transcript, Consumed, Transcript]


@pytest.mark.parametrize(
    ("usage", "units"),
    [
        ("duration", {"audio_seconds": 1.2}),
        ("tokens", {"input_tokens": 12.0, "output_tokens": 4.0}),
        ("none", {"audio_seconds": 1.2}),
    ],
)
def test_usage_is_as_reported_or_what_was_committed(usage: str, units: dict[str, float]) -> None:
    line = Line(usage=usage)
    line.push(QUIET * 35)
    line.say("hello there")
    [used] = [event for event in line.told if isinstance(event, Consumed)]
    assert used.units == pytest.approx(units, abs=1.5 if usage == "tokens" else 0.15)


@pytest.mark.parametrize("model", ["gpt-live-transcribe", "gpt-transcribe"])
@pytest.mark.parametrize("cut", range(0, 3000, 240))
def test_wherever_the_socket_is_cut_no_word_is_lost_or_doubled(model: str, cut: int) -> None:
    """Up to 5 s of sound: from the beginning of the speech, past its pauses, to after its end."""
    line = Line(model)
    line.push(QUIET * 50)
    script: list[Callable[[], None]] = []
    sound = spoken("one two three")

    def push(data: bytes) -> None:
        script.extend(partial(line.push, data[at : at + 160]) for at in range(0, len(data), 160))

    push(sound[:480])
    script.append(lambda: line.send(line.protocol.speech_started(line.at)))
    push(sound[480:])
    push(QUIET * 10)
    script.append(lambda: line.send(line.protocol.speech_paused(line.at, line.now)))
    push(QUIET * 10)
    more = spoken("four five")
    push(more[:320])
    script.append(lambda: line.send(line.protocol.speech_started(line.at)))
    push(more[320:])
    push(QUIET * 10)
    script.append(lambda: line.send(line.protocol.speech_paused(line.at, line.now)))
    push(QUIET * 10)
    gone = cut // 20
    for number, step in enumerate(script):
        if number == gone:
            line.cut()
        if number == gone + 5:
            line.connect(origin=max(line.at - 5.0, line.protocol.settled))
        step()
    if line.session is None:
        line.connect(origin=max(line.at - 5.0, line.protocol.settled))
    assert line.last.text == "one two three four five"
    assert line.last.audio_seconds == pytest.approx(2.0, abs=0.3)
    assert line.last.segment == 7
    line.end()
    line.say("six")
    assert (line.last.segment, line.last.text) == (8, "six")
    assert line.server.mistakes == []


def test_of_more_than_five_seconds_the_words_that_came_are_kept() -> None:
    line = Line()
    words = [f"w{number}" for number in range(40)]
    line.say(" ".join(words), pause=False)  # 12 s without a pause
    line.cut()
    line.connect(origin=line.at - 5.0)
    line.push(QUIET * 10)
    line.send(line.protocol.speech_paused(line.at, line.now))
    heard = line.last.text.split()
    assert heard == sorted(heard, key=lambda word: int(word[1:]))
    assert len(set(words) - set(heard)) <= 2, "one may be cut in two by where the sound begins"
    assert len(heard) - len(set(heard)) <= 1
    assert line.last.audio_seconds == pytest.approx(12.2, abs=0.2)


def test_a_session_near_its_end_is_replaced_in_a_pause() -> None:
    line = Line(lives=100.0)
    line.protocol._wall = time.time
    line.connect()
    line.say("one")
    assert not any(isinstance(event, Renew) for event in line.told)
    line.end()
    line.now += 70
    line.say("two")
    assert isinstance(line.told[-1], Renew)
    assert line.last.text == "two"
    line.connect(origin=line.protocol.settled)
    line.end()
    line.say("three")
    assert line.last.text == "three"


def test_a_life_that_cannot_be_is_not_believed() -> None:
    line = Line()  # it expires in half a century, by the clock of this line
    line.say("one")
    line.end()
    line.now += LIFE_SECONDS * 0.6
    line.say("two")
    assert isinstance(line.told[-1], Renew)


def test_what_could_not_be_transcribed_is_heard_again_once() -> None:
    line = Line(fault=Fault("failed", times=9))
    line.say("one two")
    assert line.told[-1] == Failed("server", f"it could not transcribe: server_error: it went wrong, {KEY}")
    line.connect(Fault("failed", times=9), origin=line.protocol.settled)
    assert (line.last.text, line.last.audio_seconds > 0.7) == ("one two", True), "the words that came are all there is"
    assert sum(isinstance(event, Failed) for event in line.told) == 1
    assert isinstance(line.told[-2], Strange)
    line.end()
    line.say("three")
    assert isinstance(line.told[-1], Failed), "another segment, another try"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "invalid_request_error", "code": "invalid_api_key"}, "auth"),
        ({"type": "insufficient_quota", "code": None}, "rate_limit"),
        ({"type": "invalid_request_error", "code": "model_not_found"}, "bad_request"),
        ({"type": "rate_limit_exceeded", "code": "rate_limit_exceeded"}, "rate_limit"),
        ({"type": "server_error", "code": None}, "server"),
    ],
)
def test_errors_that_end_a_socket(error: dict[str, Any], kind: str) -> None:
    line = Line(fault=Fault("error", error=error))
    line.say("one")
    assert isinstance(line.told[-1], Failed)
    assert line.told[-1].kind == kind


def test_errors_that_do_not() -> None:
    protocol = TranscriptionProtocol(session_fields("m", "", (), {}), secret="sk-secret")
    error = {"type": "invalid_request_error", "code": "unknown_parameter", "message": "sk-secret is none"}
    message = json.dumps({"type": "error", "error": error})
    assert protocol.receive(message, 0.0) == (Strange("an error: unknown_parameter: … is none"),)
    assert protocol.receive('{"type":"error","error":{"code":"session_expired"}}', 0.0) == (Renew(),)
    setup = json.dumps({"type": "error", "error": {**error, "event_id": "setup"}})
    [failed] = protocol.receive(setup, 0.0)
    assert isinstance(failed, Failed)
    assert "settings were refused" in failed.message


def test_another_format_than_ours_is_no_session() -> None:
    protocol = TranscriptionProtocol(session_fields("m", "", (), {}))
    session = {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}}}}
    assert protocol.receive(json.dumps({"type": "session.created", "session": session}), 0.0) == ()
    [failed] = protocol.receive(json.dumps({"type": "session.updated", "session": session}), 0.0)
    assert failed == Failed("protocol", "the session hears audio/pcm and not audio/pcmu, which was asked for")


def test_what_is_no_message_is_passed_over() -> None:
    protocol = TranscriptionProtocol(session_fields("m", "", (), {}))
    for message in (*GARBAGE, '{"type":"neverHeardOf"}', '{"type":5}', '{"type":"session.created"}'):
        [event] = protocol.receive(message, 0.0)
        assert isinstance(event, Strange), message
    named = '{"type":"input_audio_buffer.committed","item_id":"i"}'
    for message in (named, '{"type":"conversation.item.added","item":5}', '{"type":"input_audio_buffer.cleared"}'):
        assert protocol.receive(message, 0.0) == ()
    done = {
        "type": "conversation.item.input_audio_transcription.completed",
        "item_id": "i",
        "transcript": 5,
        "usage": 7,
    }
    assert protocol.receive(json.dumps(done), 0.0) == []


@pytest.mark.parametrize(
    ("model", "hints", "options", "wanted"),
    [
        ("gpt-live-transcribe", ("Acme",), {}, {"language": "de", "keywords": ["Acme"]}),
        ("gpt-transcribe", (), {"prompt": "A dentist's."}, {"language": "de", "prompt": "A dentist's."}),
        ("gpt-4o-transcribe", ("Acme", "Bistro"), {}, {"language": "de", "prompt": "Acme, Bistro"}),
        ("gpt-realtime-whisper", ("Acme",), {"delay": "low"}, {"language": "de", "delay": "low"}),
    ],
)
def test_what_models_are_told(model: str, hints: Sequence[str], options: dict[str, Any], wanted: Any) -> None:
    session = session_fields(model, "de-AT", hints, {**options, "noise_reduction": {"type": "near_field"}})
    assert session["audio"]["input"].pop("transcription") == {"model": model, **wanted}
    assert session == {
        "type": "transcription",
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"},
                "turn_detection": None,
                "noise_reduction": {"type": "near_field"},
            }
        },
    }


# Over a socket


@asynccontextmanager
async def listening(
    server: TranscriptionServer, *, key: str = KEY, **settings: Any
) -> AsyncGenerator[tuple[SttStream, Ear], None]:
    stt = OpenAISpeechToText(Place(key, server.base_url), **settings)
    ear = Ear()
    stream = stt.open(ear, language="en-GB")
    try:
        yield stream, ear
    finally:
        await stt.close()
    await wait_until(lambda: server.open == 0)


def say(stream: SttStream, text: str) -> None:
    """Before it connected, too: the sound waits."""
    sound = spoken(text)
    stream.push(QUIET)
    stream.speech_started()
    for at in range(0, len(sound), 160):
        stream.push(sound[at : at + 160])
    for _ in range(10):
        stream.push(QUIET)
    stream.speech_paused()


async def test_turns_over_a_socket() -> None:
    async with serve_transcription() as server:
        async with listening(server) as (stream, ear):
            say(stream, "i want a table")
            heard = await ear.hears("i want a table")
            stream.end_segment()
            say(stream, "for two")
            later = await ear.hears("for two")
            assert later.segment == heard.segment + 1
            assert ear.errors == []
            assert sum(units["audio_seconds"] for units in ear.used) == pytest.approx(2.4, abs=0.3)
        assert server.queries == [{"intent": "transcription", "model": "gpt-live-transcribe"}]
        assert server.mistakes == []


async def test_the_vendors_own_place_is_not_told_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not OpenAISpeechToText(Place(KEY, "https://api.openai.com/v1"))._elsewhere
    monkeypatch.setattr(
        "pipelines.providers.openai_stt.HOMES", {"openai": type("Home", (), {"url": "http://127.0.0.1"})}
    )
    async with serve_transcription(vendor=True) as server:
        async with listening(server) as (stream, ear):
            say(stream, "hello")
            await ear.hears("hello")
        assert server.queries == [{"intent": "transcription"}]
        assert server.mistakes == []


@pytest.mark.parametrize(
    "fault", [Fault("drop", after=1.0), Fault("close", 1001, after=1.0), Fault("close", 1011, 1.0)]
)
async def test_a_socket_that_is_lost_is_replaced_and_no_word_is(fault: Fault) -> None:
    async with serve_transcription(faults=[fault]) as server:
        async with listening(server) as (stream, ear):
            say(stream, "one two three four five")
            await ear.hears("one two three four five")
            assert [error.kind for error in ear.errors] == ["unavailable"]
            assert all(KEY not in str(error) for error in ear.errors)
        assert len(server.sessions) == 2
        assert server.mistakes == []


@pytest.mark.parametrize(
    ("fault", "kind", "sockets"),
    [
        (Fault("refused", 401), "auth", 1),
        (Fault("refused", 400), "bad_request", 1),
        (Fault("refused", 404), "bad_request", 1),
        (Fault("refused", 429), "rate_limit", 3),
        (Fault("refused", 503), "server", 3),
        (Fault("close", 1008), "bad_request", 1),
        (Fault("drop"), "unavailable", 3),
        (Fault("error", error={"type": "x", "code": "invalid_api_key"}, times=9), "auth", 1),
    ],
)
async def test_faults_are_told_apart_and_attempts_are_bounded(
    fault: Fault, kind: str, sockets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "RETRY_SECONDS", 0.01)
    async with serve_transcription(faults=[fault] * 10) as server, listening(server) as (stream, ear):
        say(stream, "hello")
        await ear.until(lambda: len(ear.errors) == sockets)
        await asyncio.sleep(0.1)
        assert [error.kind for error in ear.errors] == [kind] * sockets
        assert not any(KEY in str(error) for error in ear.errors)
        assert len(server.queries) == sockets
        assert ear.over in (False, True)


async def test_a_wrong_key_is_no_place_to_try_again() -> None:
    async with serve_transcription() as server:
        async with listening(server, key="sk-wrong") as (_, ear):
            await ear.until(lambda: ear.errors)
        assert [error.kind for error in ear.errors] == ["auth"]
        assert "sk-wrong" not in str(ear.errors[0])


async def test_settings_that_are_refused_are_no_place_to_try_again() -> None:
    async with serve_transcription() as server:
        async with listening(server, model="gpt-9-transcribe") as (_, ear):
            await ear.until(lambda: ear.errors)
            await asyncio.sleep(0.05)
        assert [error.kind for error in ear.errors] == ["bad_request"]
        assert "no model gpt-9-transcribe" in str(ear.errors[0])


async def test_nobody_there(unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing, "RETRY_SECONDS", 0.01)
    server = TranscriptionServer(base_url=f"http://127.0.0.1:{unused_tcp_port}/v1")
    async with listening(server) as (_, ear):
        await ear.until(lambda: len(ear.errors) == 3)
    assert {error.kind for error in ear.errors} == {"connect"}


@pytest.mark.parametrize("what", ["garbage", "huge"])
async def test_garbage_is_told_once_and_a_message_too_large_ends_the_socket(what: Any) -> None:
    async with serve_transcription(faults=[Fault(what)]) as server:
        async with listening(server) as (stream, ear):
            say(stream, "hello")
            await ear.hears("hello")
            assert [error.kind for error in ear.errors] == ["protocol"]
            assert what == "garbage" or "a message was too large" in str(ear.errors[0])
        assert len(server.sessions) == (1 if what == "garbage" else 2)


async def test_late_transcripts_and_none_at_all() -> None:
    async with serve_transcription(faults=[Fault("late", after=0.1), Fault("silence"), Fault("mute")]) as server:
        async with listening(server) as (stream, ear):
            say(stream, "late")
            await ear.until(lambda: any(transcript.took >= 0.1 for transcript in ear.transcripts))
        for _ in range(2):
            async with listening(server) as (stream, ear):
                say(stream, "hello")
                await wait_until(lambda: "input_audio_buffer.commit" in server.sessions[-1].messages)
                await asyncio.sleep(0.05)
            assert ear.transcripts == []
            assert ear.errors == []


async def test_a_half_open_socket_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.providers.socket.IDLE_SECONDS", 0.2)
    monkeypatch.setattr("pipelines.providers.socket.PONG_SECONDS", 0.2)
    faults = [Fault("half_open", after=0.5)]
    async with serve_transcription(faults=faults) as server, listening(server) as (stream, ear):
        say(stream, "one two three")
        await ear.hears("one two three")
        assert len(ear.errors) == 1


async def test_what_could_not_be_transcribed_is_heard_again_by_another_socket() -> None:
    async with serve_transcription(faults=[Fault("failed")]) as server, listening(server) as (stream, ear):
        say(stream, "one two")
        await ear.until(lambda: ear.transcripts and ear.transcripts[-1].audio_seconds > 0.5)
        assert ear.texts[-1] == "one two"
        assert [error.kind for error in ear.errors] == ["server"]
        assert KEY not in str(ear.errors[0])


async def test_a_session_is_renewed_without_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing, "STEADY_SECONDS", 0.0)
    monkeypatch.setattr("pipelines.providers.openai_hearing.RENEWED_AFTER", 0.0)
    async with serve_transcription() as server:
        async with listening(server) as (stream, ear):
            for number, word in enumerate(("one", "two", "three"), 2):
                say(stream, word)
                await ear.hears(word)
                stream.end_segment()
                await wait_until(lambda: len(server.sessions) == number)  # noqa: B023 - of this round
            assert ear.errors == []
        assert server.transcripts == ["one", "two", "three"]
        assert server.mistakes == []


async def test_sessions_that_are_over_at_once_are_not_opened_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing, "RETRY_SECONDS", 0.01)
    over = Fault("error", error={"type": "x", "code": "session_expired"}, times=9)
    async with serve_transcription(faults=[over] * 10) as server:
        async with listening(server, model="gpt-transcribe") as (stream, ear):
            say(stream, "hello")
            await ear.until(lambda: len(ear.errors) == 3)
            await asyncio.sleep(0.05)
            assert {error.kind for error in ear.errors} == {"unavailable"}
        assert len(server.queries) == 3


@pytest.mark.parametrize("model", ["gpt-live-transcribe", "gpt-transcribe"])
@pytest.mark.parametrize("fault", [None, Fault("drop", after=2.2), Fault("drop", after=3.0), Fault("drop", after=4.0)])
async def test_turns_end_by_what_is_heard(model: str, fault: Fault | None) -> None:
    """With the turn machine: three turns, the second of them with a pause in it, and a socket that is lost."""
    now, turns, errors = [0.0], list[TurnEvent](), list[ProviderError]()
    used: list[str] = []
    async with serve_transcription(faults=[fault]) as server:
        stt = OpenAISpeechToText(Place(KEY, server.base_url), model)
        ears = Ears(
            Standby("stt", [stt]),
            None,
            TurnSettings(),
            language="en-GB",
            hints=(),
            format=MULAW_8K,
            detector=NeverWrong(),
            on_turn=lambda event, _: turns.append(event),
            on_error=errors.append,
            on_usage=lambda provider, units: used.append(provider),
            spawn=asyncio.get_running_loop().create_task,
            clock=lambda: now[0],
        )

        async def hear(sound: bytes) -> None:
            for at in range(0, len(sound), 160):
                now[0] += 0.02
                ears.hear(sound[at : at + 160])
                await asyncio.sleep(0.002)

        await hear(QUIET * 20)
        for said in ("i want a table", "my number is _ five six seven", "thank you"):
            for number, part in enumerate(said.split("_")):
                await hear(QUIET * 15 * number + spoken(part))
            await hear(QUIET * 120)
        await ears.close()
        await stt.close()
        ended = [event.text for event in turns if isinstance(event, TurnEnded)]
        assert ended == ["i want a table", "my number is five six seven", "thank you"]
        assert not any(isinstance(event, SpeechDropped) for event in turns)
        assert len(errors) == (0 if fault is None else 1)
        assert set(used) == {"openai"}
        assert server.mistakes == []
        await wait_until(lambda: server.open == 0)


# Names


async def test_openai_by_name() -> None:
    async with serve_transcription() as server:
        specific = {"openai": {"transcription": {"prompt": "A dentist's."}}}
        providers = Registry({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url.removesuffix("/v1")})
        made = providers.speech_to_text("openai")
        asked = providers.speech_to_text("openai", vendor_specific=specific)
        older = providers.speech_to_text("openai", model="whisper-1")
        assert providers.speech_to_text("openai") is made
        assert providers.speech_to_text("openai", vendor_specific=specific) is asked
        for recogniser in (made, asked, older):
            assert (recogniser.name, recogniser.format) == ("openai", MULAW_8K)
            await recogniser.prepare()
            ear = Ear()
            stream = recogniser.open(ear, language="en", hints=("Acme",))
            say(stream, "hello")
            await ear.hears("hello")
            await stream.close()
        await providers.close_all()
        await wait_until(lambda: server.open == 0)
        told = [session.settings["transcription"] for session in server.sessions]
        assert [settings.get("model") for settings in told] == ["gpt-live-transcribe"] * 2 + ["whisper-1"]
        assert [settings.get("prompt") for settings in told] == [None, "A dentist's.", "Acme"]
        assert server.mistakes == []


def test_openai_without_a_key_or_with_settings_that_there_are_not() -> None:
    with pytest.raises(ValueError, match="openai needs OPENAI_API_KEY"):
        Registry({}).speech_to_text("openai")
    with pytest.raises(ValueError, match=r"transcription has no model; it takes delay, noise_reduction, prompt"):
        transcription_options({"openai": {"transcription": {"model": "x"}}})
    wrongs: tuple[dict[str, Any], ...] = ({"openai": []}, {"openai": {"transcription": "quick"}})
    for wrong in wrongs:
        with pytest.raises(ValueError, match="object"):
            transcription_options(wrong)


def test_reasons_of_the_vendor_for_closing() -> None:
    assert kind_of_close(4000, "invalid_request_error.beta_api_shape_disabled") == "bad_request"
    assert kind_of_close(1001, "session expired") == "unavailable"
