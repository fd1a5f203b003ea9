from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.audio import MULAW_8K
from media.g711 import pcm_to_mulaw
from pipelines.ears import Ears
from pipelines.parts import ProviderError, SttStream, Transcript
from pipelines.providers import hearing
from pipelines.providers.elevenlabs_scribe import ScribeProtocol
from pipelines.providers.elevenlabs_stt import ElevenLabsSpeechToText
from pipelines.providers.elevenlabs_wire import bare, elevenlabs_at, kind_of_close
from pipelines.providers.wire import Failed, HearingEvent, Renew, Strange
from pipelines.standby import Standby
from pipelines.turn_events import SpeechDropped, TurnEnded, TurnEvent
from pipelines.turns import TurnSettings
from tests.pipelines.providers.ear import Ear, wait_until
from tests.pipelines.providers.google_caller import NeverWrong
from tests.simulators.codeword import speak
from tests.simulators.elevenlabs import ElevenLabsServer, serve_elevenlabs
from tests.simulators.elevenlabs_ears import KEY, Heard, ScribeSession
from tests.simulators.live_wire import GARBAGE
from tests.simulators.speech_wire import Fault

QUIET = MULAW_8K.silence(20)
QUERY = {"model_id": "scribe_v2_realtime", "audio_format": "ulaw_8000"}


def scribe(language: str = "en-GB", hints: Sequence[str] = (), first: int = 0) -> ScribeProtocol:
    protocol = ScribeProtocol("scribe_v2_realtime", language, hints, first=first)
    protocol.connected(0.0)
    return protocol


class Line:
    """A protocol that hears sound: what it sends, and when."""

    def __init__(self, protocol: ScribeProtocol) -> None:
        self.protocol = protocol
        self.sent: list[dict[str, Any]] = []
        self.frames = 0

    @property
    def at(self) -> float:
        return self.frames / 50

    def hear(self, seconds: float, frame: bytes = QUIET) -> None:
        for _ in range(round(seconds * 50)):
            self.frames += 1
            self._send([self.protocol.audio(frame)])

    def start(self) -> None:
        self._send(self.protocol.speech_started(self.at))

    def pause(self, now: float = 0.0) -> None:
        self._send(self.protocol.speech_paused(self.at, now))

    def end(self) -> None:
        self._send(self.protocol.end_segment(self.at))

    @property
    def commits(self) -> list[bool]:
        return [message["commit"] for message in self.sent]

    def _send(self, messages: Sequence[str | bytes]) -> None:
        self.sent += [json.loads(message) for message in messages if message]


def committed(text: str) -> str:
    return json.dumps({"message_type": "committed_transcript", "text": text})


def partial(text: str) -> str:
    return json.dumps({"message_type": "partial_transcript", "text": text})


def only(events: Sequence[HearingEvent]) -> Transcript:
    (event,) = events
    assert isinstance(event, Transcript)
    return event


# Pure


def test_a_pause_is_committed_and_the_answer_is_the_segment() -> None:
    line = Line(scribe(first=7))
    line.hear(1.0)
    line.start()
    line.hear(2.0)
    assert only(line.protocol.receive(partial("I want"), 0.0)).text == "I want"
    line.pause(now=100.0)
    whole = only(line.protocol.receive(committed("I want a table."), 100.25))
    assert (whole.segment, whole.text, whole.final, whole.over) == (7, "I want a table.", False, False)
    assert (whole.audio_seconds, whole.took) == pytest.approx((2.1, 0.25))
    assert line.protocol.settled == pytest.approx(3.0)
    assert line.commits.count(True) == 1


def test_what_is_supposed_does_not_pass_for_all_of_it() -> None:
    line = Line(scribe())
    line.start()
    line.hear(2.0)
    assert only(line.protocol.receive(partial("one two"), 0.0)).audio_seconds < 0.1
    assert line.protocol.receive(partial(""), 0.0) == ()


def test_pieces_of_a_segment_are_one_text() -> None:
    line = Line(scribe())
    line.start()
    line.hear(1.0)
    line.pause()
    assert only(line.protocol.receive(committed("My number is"), 0.0)).text == "My number is"
    line.hear(0.5)
    line.start()
    assert only(line.protocol.receive(partial("five"), 0.0)).text == "My number is five"
    line.hear(0.5)
    line.pause()
    assert only(line.protocol.receive(committed("five six."), 0.0)).text == "My number is five six."
    assert line.protocol.receive(committed("five six."), 0.0) == (), "twice is once"


def test_the_messages() -> None:
    line = Line(scribe())
    line.start()
    for number in range(50):
        line.hear(0.02, bytes([number]) * 160)
    line.pause()
    sound = [b64decode(message["audio_base_64"]) for message in line.sent]
    assert sound == [*(bytes([number]) * 160 for number in range(50)), b""]
    assert line.commits == [False] * 50 + [True]
    assert {tuple(message) for message in line.sent} == {("message_type", "audio_base_64", "commit", "sample_rate")}
    assert {message["sample_rate"] for message in line.sent} == {8000}


def test_too_little_sound_is_committed_when_it_is_enough() -> None:
    """A commit of less than 0.3 s may cost the session."""
    line = Line(scribe())
    line.start()
    line.hear(1.0)
    line.pause()
    line.hear(0.04)
    line.start()
    line.hear(0.2)
    line.pause(now=5.0)
    assert line.commits.count(True) == 1
    line.hear(0.2)
    assert line.commits.count(True) == 2
    assert only(line.protocol.receive(committed("Yes"), 5.1)).text == "Yes"
    assert only(line.protocol.receive(committed("please."), 5.3)).took == pytest.approx(0.3)


def test_the_answer_to_a_segment_that_is_over_is_nobodys() -> None:
    line = Line(scribe())
    line.start()
    line.hear(1.0)
    line.pause()
    line.end()
    assert line.protocol.receive(partial("too"), 0.0) == ()
    assert line.protocol.receive(committed("too late"), 0.0) == ()
    line.hear(1.0)
    line.start()
    line.hear(1.0)
    line.pause()
    assert only(line.protocol.receive(committed("and new"), 0.0)).text == "and new"


def test_what_others_say_between_turns_is_committed_apart() -> None:
    line = Line(scribe())
    line.hear(3.0)
    assert line.protocol.receive(partial("the radio"), 0.0) == ()
    line.hear(0.6)
    assert line.commits.count(True) == 1
    line.start()
    line.hear(1.0)
    assert line.protocol.receive(committed("the radio plays"), 0.0) == ()
    assert only(line.protocol.receive(partial("hello"), 0.0)).text == "hello"


def test_words_that_come_before_our_voice_activity_notices_are_the_callers() -> None:
    line = Line(scribe())
    line.hear(3.0)
    line.protocol.receive(partial("I"), 0.0)
    line.hear(0.2)
    line.start()
    line.hear(2.0)
    assert line.commits.count(True) == 0
    line.pause()
    assert only(line.protocol.receive(committed("I want."), 0.0)).text == "I want."


def test_words_of_speech_that_was_dropped_are_not_the_next_turns() -> None:
    line = Line(scribe())
    line.start()
    line.hear(0.5)
    line.protocol.receive(partial("uh-huh"), 0.0)
    line.end()
    line.hear(1.0)
    assert line.commits.count(True) == 1
    line.start()
    assert line.protocol.receive(committed("Uh-huh."), 0.0) == ()


def test_silence_is_committed_now_and_then_and_speech_before_the_vendor_does_it() -> None:
    line = Line(scribe())
    line.hear(65.0)
    assert line.commits.count(True) == 3
    for _ in range(3):
        assert line.protocol.receive(committed(""), 0.0) == ()
    line.start()
    line.hear(80.0)
    assert line.commits.count(True) == 4
    assert only(line.protocol.receive(committed("a long speech"), 0.0)).text == "a long speech"


def test_a_commit_that_the_vendor_passes_over_is_made_again() -> None:
    line = Line(scribe())
    line.start()
    line.hear(1.0)
    line.pause(now=1.0)
    assert line.protocol.receive(json.dumps({"message_type": "commit_throttled", "error": "Ignored."}), 1.1) == ()
    line.hear(0.4)
    assert line.commits.count(True) == 2
    assert only(line.protocol.receive(committed("Hello."), 1.6)).text == "Hello."


def test_a_commit_that_was_never_answered_is_given_up() -> None:
    line = Line(scribe())
    line.start()
    line.hear(1.0)
    line.pause()
    line.end()
    line.hear(6.5)
    line.start()
    line.hear(1.0)
    line.pause()
    assert only(line.protocol.receive(committed("Hello."), 0.0)).text == "Hello."


def test_a_commit_of_the_vendors_own_is_taken_where_somebody_speaks() -> None:
    line = Line(scribe())
    assert line.protocol.receive(committed("the radio"), 0.0) == ()
    line.start()
    line.hear(2.0)
    assert only(line.protocol.receive(committed("so far"), 0.0)).text == "so far"


def test_another_socket_is_asked_again() -> None:
    line = Line(scribe())
    line.start()
    line.hear(2.0)
    line.pause(now=10.0)
    warmth = [json.loads(message) for message in line.protocol.connected(0.0)]
    assert sum(len(b64decode(message["audio_base_64"])) for message in warmth) == 16_000
    assert not any(message["commit"] for message in warmth)
    for _ in range(10):
        line.protocol.audio(QUIET * 10)
    (again,) = line.protocol.replayed()
    assert json.loads(again)["commit"] is True
    assert only(line.protocol.receive(committed("Hello."), 11.0)).took == pytest.approx(1.0)
    assert line.protocol.replayed() == ()
    line.pause(now=12.0)
    line.protocol.connected(2.0)
    assert line.protocol.replayed() == (), "there is too little to commit"
    assert ["true" in str(line.protocol.audio(QUIET)) for _ in range(17)] == [False] * 16 + [True]


def test_what_is_asked_of_the_vendor() -> None:
    hints = ["Acme & Co", "x" * 21, "", *(f"word {number}" for number in range(60))]
    query = scribe("en-GB", hints).query()
    assert query[:4] == [
        ("model_id", "scribe_v2_realtime"),
        ("audio_format", "ulaw_8000"),
        ("commit_strategy", "manual"),
        ("language_code", "en"),
    ]
    terms = [value for name, value in query if name == "keyterms"]
    assert (len(terms), terms[:2]) == (50, ["Acme & Co", "word 0"])
    assert "language_code" not in dict(scribe("").query())
    assert [bare(tag) for tag in ("de", "pt_BR", "zh-Hans-CN", "")] == ["de", "pt", "zh", ""]


def test_what_is_no_message_is_passed_over() -> None:
    protocol = scribe()
    for message in (*GARBAGE, '{"message_type":"committed_transcript"}', '{"message_type":"nonsense"}'):
        (event,) = protocol.receive(message, 0.0)
        assert isinstance(event, Strange), message
    for kind in ("session_started", "warning", "committed_transcript_with_timestamps", "edited_transcript"):
        assert protocol.receive(json.dumps({"message_type": kind, "text": "x"}), 0.0) == ()


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("auth_error", "auth"),
        ("quota_exceeded", "auth"),
        ("unaccepted_terms", "auth"),
        ("rate_limited", "rate_limit"),
        ("queue_overflow", "rate_limit"),
        ("resource_exhausted", "rate_limit"),
        ("insufficient_audio_activity", "unavailable"),
        ("input_error", "bad_request"),
        ("invalid_request", "bad_request"),
        ("chunk_size_exceeded", "bad_request"),
        ("transcriber_error", "server"),
        ("a_new_error", "server"),
    ],
)
def test_errors_are_told_apart(kind: str, fault: str) -> None:
    (event,) = scribe().receive(json.dumps({"message_type": kind, "error": "No luck."}), 0.0)
    assert event == Failed(fault, f"{kind}: No luck.")  # type: ignore[arg-type]


def test_a_session_that_has_lasted_as_long_as_it_may_is_no_error() -> None:
    message = json.dumps({"message_type": "session_time_limit_exceeded", "error": "Enough."})
    assert scribe().receive(message, 0.0) == (Renew(),)


def test_an_error_without_a_name_is_told_by_its_words() -> None:
    message = json.dumps({"message_type": "error", "error": "Your quota is used up."})
    assert scribe().receive(message, 0.0) == (Failed("auth", "Your quota is used up."),)


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (1000, "", "unavailable"),
        (1008, "", "unavailable"),
        (1008, "session_time_limit_exceeded", "unavailable"),
        (1008, "Invalid API key", "auth"),
        (1008, "quota_exceeded", "auth"),
        (1009, "", "bad_request"),
        (1011, "Too many concurrent requests", "rate_limit"),
    ],
)
def test_reasons_of_closed_sockets(code: int, reason: str, kind: str) -> None:
    assert kind_of_close(code, reason) == kind


WORDS = "one two three four five six seven eight nine ten".split()  # noqa: SIM905


@given(
    turns=st.lists(
        st.lists(st.tuples(st.integers(1, 4), st.integers(10, 60)), min_size=1, max_size=3), min_size=1, max_size=5
    ),
    silence=st.integers(10, 400),
    lag=st.integers(0, 8),
)
def test_whatever_is_said_the_words_of_a_turn_are_all_of_its_words(
    turns: list[list[tuple[int, int]]], silence: int, lag: int
) -> None:
    """Turns of parts (so many words, then a pause of so many frames); answers come ``lag`` frames late. The simulated
    Scribe listens."""
    heard = Heard()
    session, protocol = ScribeSession(heard, QUERY), ScribeProtocol("scribe_v2_realtime", "", ())
    frames, late, text = 0, list[tuple[int, str]](), ""

    def send(messages: Sequence[str | bytes]) -> None:
        nonlocal late
        late += [(frames + lag, str(out)) for message in messages if message for out in session.receive(message)]

    def hear(sound: bytes) -> None:
        nonlocal frames, late, text
        for at in range(0, len(sound), 160):
            frames += 1
            send([protocol.audio(sound[at : at + 160])])
            due, late = [out for at, out in late if at <= frames], [(at, out) for at, out in late if at > frames]
            for out in due:
                for event in protocol.receive(out, frames / 50):
                    assert isinstance(event, Transcript)
                    text = event.text

    send(protocol.connected(0.0))
    for parts in turns:
        hear(QUIET * silence)
        said: list[str] = []
        text = ""
        for words, pause in parts:
            spoken = [WORDS[(frames + number) % len(WORDS)] for number in range(words)]
            said += spoken
            sound = pcm_to_mulaw(speak(" ".join(spoken), code=heard.code))
            hear(sound[:800])
            send(protocol.speech_started(frames / 50))
            hear(sound[800:])
            hear(QUIET * 10)
            send(protocol.speech_paused(frames / 50, frames / 50))
            hear(QUIET * (pause - 10))
        hear(QUIET * 30)
        assert text.lower().replace(".", "").split() == said
        send(protocol.end_segment(frames / 50))
    assert heard.mistakes == []


# Over a socket


@asynccontextmanager
async def listening(
    server: ElevenLabsServer,
    *,
    keep_alive: float = 4.0,
    hints: tuple[str, ...] = (),
    key: str = KEY,
    language: str = "en-GB",
) -> AsyncGenerator[tuple[SttStream, Ear], None]:
    stt = ElevenLabsSpeechToText(elevenlabs_at(key, server.base_url), keep_alive=keep_alive)
    ear = Ear()
    stream = stt.open(ear, language=language, hints=hints)
    try:
        yield stream, ear
    finally:
        await stt.close()
    await wait_until(lambda: server.open == 0)


def say(server: ElevenLabsServer, stream: SttStream, text: str) -> bytes:
    """Before it connected, too: the sound waits."""
    spoken = pcm_to_mulaw(speak(text, code=server.code))
    stream.push(QUIET)
    stream.speech_started()
    for at in range(0, len(spoken), 160):
        stream.push(spoken[at : at + 160])
    for _ in range(10):
        stream.push(QUIET)
    stream.speech_paused()
    return QUIET + spoken + QUIET * 10


async def all_of(ear: Ear, text: str) -> Transcript:
    """The transcript that is no supposition."""
    await ear.until(lambda: text in ear.texts and ear.transcripts[-1].audio_seconds > 0.1)
    assert ear.texts[-1] == text
    return ear.transcripts[-1]


WARMTH = QUIET * 100


async def test_turns() -> None:
    async with serve_elevenlabs(spellings={"i": "I"}) as server:
        async with listening(server, hints=("Acme & Co", "Bistro")) as (stream, ear):
            first = say(server, stream, "i want a table")
            whole = await all_of(ear, "I want a table.")
            assert 1.3 < whole.audio_seconds < 1.6
            stream.end_segment()
            second = say(server, stream, "for two")
            assert (await all_of(ear, "For two.")).segment == whole.segment + 1
            assert bytes(server.sound[0]) == WARMTH + first + second
        assert ear.errors == []
        assert ear.used == [{"audio_seconds": pytest.approx(len(first + second) / 8000)}]
        ((path, query),) = server.queries
        assert path == "/v1/speech-to-text/realtime"
        assert [value for name, value in query if name == "keyterms"] == ["Acme & Co", "Bistro"]
        assert dict(query)["language_code"] == "en"
        assert server.mistakes == []


async def test_a_word_at_the_very_beginning_is_not_kept_waiting() -> None:
    async with serve_elevenlabs() as server, listening(server) as (stream, ear):
        say(server, stream, "yes")
        await ear.hears("Yes.")
        assert server.mistakes == []


async def test_a_dropped_stream_is_replaced_and_hears_what_was_not_committed() -> None:
    async with serve_elevenlabs(faults=[Fault("drop", after=4.0)]) as server:
        async with listening(server) as (stream, ear):
            say(server, stream, "one two three")
            await ear.hears("One two three.")
            stream.end_segment()
            again = say(server, stream, "four five six seven eight")
            await ear.hears("Four five six seven eight.")
        assert [error.kind for error in ear.errors] == ["unavailable"]
        assert bytes(server.sound[1]) == WARMTH + again
        assert server.mistakes == []


async def test_a_session_that_has_reached_its_limit_is_followed_by_another() -> None:
    async with serve_elevenlabs(limit_seconds=4.0) as server:
        async with listening(server) as (stream, ear):
            say(server, stream, "one two three")
            await ear.hears("One two three.")
            stream.end_segment()
            say(server, stream, "four five six seven")
            await ear.hears("Four five six seven.")
        assert [error.kind for error in ear.errors] == ["unavailable"]
        assert server.mistakes == []


async def test_a_commit_that_is_passed_over_costs_no_words() -> None:
    async with serve_elevenlabs(throttles=1) as server, listening(server) as (stream, ear):
        say(server, stream, "hello")
        for _ in range(30):
            stream.push(QUIET)
        await ear.hears("Hello.")
        assert ear.errors == []


@pytest.mark.parametrize(
    ("fault", "kind", "sockets"),
    [
        (Fault("refused", 401), "auth", 1),
        (Fault("refused", 400), "bad_request", 1),
        (Fault("refused", 429), "rate_limit", 3),
        (Fault("refused", 503), "server", 3),
        (Fault("error", name="auth_error"), "auth", 1),
        (Fault("error", name="quota_exceeded"), "auth", 1),
        (Fault("error", name="rate_limited"), "rate_limit", 3),
        (Fault("error", name="resource_exhausted"), "rate_limit", 3),
        (Fault("error", name="transcriber_error"), "server", 3),
        (Fault("close", 1000, name=""), "unavailable", 3),
        (Fault("close", 1008, name="quota_exceeded"), "auth", 1),
        (Fault("drop"), "unavailable", 3),
        (Fault("huge"), "protocol", 3),
    ],
)
async def test_faults_are_told_apart_and_attempts_are_bounded(
    fault: Fault, kind: str, sockets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "RETRY_SECONDS", 0.01)
    async with serve_elevenlabs(faults=[fault] * 10) as server:
        async with listening(server) as (stream, ear):
            stream.push(QUIET)
            await ear.until(lambda: ear.over)
            say(server, stream, "to nobody")
        assert [error.kind for error in ear.errors] == [kind] * sockets
        assert not any(KEY in str(error) for error in ear.errors)
        assert len(server.queries) == sockets


async def test_a_wrong_key_is_no_place_to_try_again() -> None:
    async with serve_elevenlabs() as server:
        async with listening(server, key="wrong") as (_, ear):
            await ear.until(lambda: ear.over)
        assert [error.kind for error in ear.errors] == ["auth"]
        assert "wrong" not in str(ear.errors[0])


async def test_garbage_is_told_once_and_passed_over() -> None:
    async with serve_elevenlabs(faults=[Fault("garbage")]) as server:
        async with listening(server) as (stream, ear):
            say(server, stream, "hello")
            await ear.hears("Hello.")
        assert [error.kind for error in ear.errors] == ["protocol"]


async def test_late_transcripts_and_none_at_all() -> None:
    async with serve_elevenlabs(faults=[Fault("late", after=0.1), Fault("silence")]) as server:
        async with listening(server) as (stream, ear):
            say(server, stream, "hello")
            assert (await all_of(ear, "Hello.")).took >= 0.1
        async with listening(server) as (stream, ear):
            say(server, stream, "hello")
            await wait_until(lambda: len(server.commits) == 2)
        assert ear.transcripts == []
        assert ear.errors == []


async def test_a_caller_without_sound_keeps_the_socket() -> None:
    async with serve_elevenlabs(idle_seconds=0.3) as server:
        async with listening(server, keep_alive=0.05) as (_, ear):
            await asyncio.sleep(0.6)
        assert ear.errors == []
        assert len(server.queries) == 1
        assert [message["commit"] for message in server.sent[10:]] == [False] * (len(server.sent) - 10)
        assert len(server.sent) > 15
        async with listening(server, keep_alive=60) as (_, ear):
            await ear.until(lambda: ear.errors)
        assert ear.errors[0].kind == "unavailable"
        assert server.mistakes == []


async def test_turns_end_by_what_is_heard() -> None:
    """With the turn machine: three turns, the second of them with a pause in it."""
    now, turns, errors = [0.0], list[TurnEvent](), list[ProviderError]()
    used: list[tuple[str, Mapping[str, float]]] = []
    async with serve_elevenlabs() as server:
        stt = ElevenLabsSpeechToText(elevenlabs_at(KEY, server.base_url))
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
            on_usage=lambda provider, units: used.append((provider, units)),
            spawn=asyncio.get_running_loop().create_task,
            clock=lambda: now[0],
        )

        async def hear(sound: bytes) -> None:
            for at in range(0, len(sound), 160):
                now[0] += 0.02
                ears.hear(sound[at : at + 160])
                await asyncio.sleep(0.001)

        for text in ("i want a table", "my number is|five five", "thank you"):
            await hear(QUIET * 20)
            for part in text.split("|"):
                await hear(pcm_to_mulaw(speak(part, code=server.code)) + QUIET * 15)
            await hear(QUIET * 105)
        await ears.close()
        await stt.close()
        ended = [event.text for event in turns if isinstance(event, TurnEnded)]
        assert ended == ["I want a table.", "My number is. Five five.", "Thank you."]
        assert not any(isinstance(event, SpeechDropped) for event in turns)
        assert errors == []
        ((provider, units),) = used
        assert provider == "elevenlabs"
        assert units == {"audio_seconds": pytest.approx(now[0], abs=0.02)}
        assert server.messages < now[0] * 50 / 2, "three frames share a message"
        assert server.mistakes == []
        await wait_until(lambda: server.open == 0)
