"""Google's recogniser on virtual time, with our own ears, against the simulation without a wire."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.parts import ProviderError, Transcript
from pipelines.providers.google_limits import LIMITS, Limits
from pipelines.providers.google_speech import KEPT_SECONDS
from pipelines.providers.google_stt import CHUNK_SECONDS, GoogleSpeechToText
from pipelines.turns import TurnSettings
from tests.clock import run_virtual
from tests.pipelines.providers.google_caller import QUIET, calling
from tests.simulators.google_memory import MemoryGoogle
from tests.simulators.google_sessions import SECRET, Fault
from tests.simulators.mulaw_words import CUT, RATE, heard, speak

SHORT = Limits(recycle=6.0, latest=9.0)
"""For a Google that ends streams after 10 s."""


def numbered(first: int, count: int) -> str:
    return " ".join(f"word{number % 400}" for number in range(first, first + count))


async def converse(
    google: MemoryGoogle, turns: Sequence[tuple[int, float]], *, model: str | None = None, limits: Limits = SHORT
) -> tuple[list[str], list[str], list[ProviderError]]:
    """Turns of so many words, each with a pause after it: what was said, what was heard, and what went wrong."""
    said: list[str] = []
    async with calling(GoogleSpeechToText(google, model, limits)) as caller:
        await caller.say(pause=1.0)
        for count, pause in turns:
            text = numbered(len(said), count)
            said += text.split()
            await caller.say(text, pause)
        await caller.say(pause=4.0)
    assert google.open == 0
    assert google.mistakes == []
    return said, " ".join(caller.texts).split(), caller.errors


# What it hears


def test_a_turn_is_heard_as_it_was_said() -> None:
    async def main() -> None:
        google = MemoryGoogle(delay=0.15)
        async with calling(GoogleSpeechToText(google)) as caller:
            await caller.say("I want a table for two.", pause=2.5)
            await caller.say("At eight o'clock.", pause=2.5)
        assert caller.texts == ["i want a table for two", "at eight o'clock"]
        assert (caller.errors, caller.dropped, google.mistakes) == ([], [], [])
        assert heard(bytes(google.sounds[0])) == ["i", "want", "a", "table", "for", "two", "at", "eight", "o'clock"]

    run_virtual(main())


def test_a_pause_in_a_turn_is_no_end_of_it() -> None:
    async def main() -> None:
        google = MemoryGoogle(delay=0.1)
        async with calling(GoogleSpeechToText(google)) as caller:
            for pause in (0.3, 0.6, 0.9, 2.5):
                await caller.say("and then", pause)
        assert " ".join(caller.texts) == "and then and then and then and then"

    run_virtual(main())


def test_sound_goes_in_pieces_of_a_tenth_of_a_second() -> None:
    async def main() -> None:
        google = MemoryGoogle()
        async with calling(GoogleSpeechToText(google)) as caller:
            await caller.say("one two three four", pause=3.0)
        assert len(google.requests) <= caller.heard / CHUNK_SECONDS + 5
        assert max(google.requests[1:]) <= 2 * CHUNK_SECONDS * RATE

    run_virtual(main())


@pytest.mark.parametrize("model", ["telephony", "long", "chirp_2", "chirp_3"])
def test_words_are_asked_for_after_a_pause_if_they_do_not_come(model: str) -> None:
    """Chirp tells hardly anything before its result is final, and that takes it long."""

    async def main() -> None:
        google = MemoryGoogle(delay=0.2, endpoint_seconds=5.0)
        stt = GoogleSpeechToText(google, model)
        async with calling(stt, settings=TurnSettings()) as caller:
            for _ in range(3):
                await caller.say("is there a table", pause=2.5)
        assert caller.texts == ["is there a table"] * 3
        assert max(caller.delays) <= 1.7
        assert len(google.configs) >= 3 if model.startswith("chirp") else len(google.configs) <= 4
        assert caller.errors == []

    run_virtual(main())


def test_noise_is_told_to_be_no_words_before_the_turn_machine_gives_up() -> None:
    async def main() -> None:
        google = MemoryGoogle(speech_faults=[Fault("deaf")])
        async with calling(GoogleSpeechToText(google)) as caller:
            await caller.say("cough", pause=3.0)
            await caller.say("hello", pause=3.0)
        assert [dropped.deaf for dropped in caller.dropped] == [False]
        assert caller.texts == ["hello"]
        assert caller.errors == []

    run_virtual(main())


def test_noise_that_does_not_end_is_no_fault_of_the_recogniser() -> None:
    """Half a minute of what voice activity takes for speech, with no word in it."""

    async def main() -> None:
        google = MemoryGoogle(speech_faults=[Fault("deaf") for _ in range(20)])
        async with calling(GoogleSpeechToText(google)) as caller:
            await caller.say(numbered(0, 100), pause=3.0)
            opened = len(google.configs)
            google.speech_faults.clear()
            await caller.say("hello", pause=1.0)
            await caller.say("hello", pause=3.0)
        assert caller.errors == []
        assert opened <= 30 / LIMITS.wordless + 2
        assert caller.texts[-1].endswith("hello")

    run_virtual(main())


@pytest.mark.parametrize("delay", [0.1, 0.6])
@pytest.mark.parametrize("model", ["telephony", "chirp_3"])
def test_words_of_a_turn_are_not_heard_again_in_the_next(delay: float, model: str) -> None:
    """Turns that follow each other so fast that Google takes them for one."""

    async def main() -> None:
        quick = TurnSettings(longest=60.0)
        google = MemoryGoogle(delay=delay, endpoint_seconds=4.0)
        async with calling(GoogleSpeechToText(google, model), settings=quick) as caller:
            for number in range(6):
                await caller.say(numbered(5 * number, 5), pause=1.6)
            await caller.say(pause=4.0)
        assert " ".join(caller.texts) == numbered(0, 30)
        assert len(caller.texts) >= 5
        assert caller.errors == []

    run_virtual(main())


def test_a_caller_who_sends_nothing_costs_nothing_and_is_heard_afterwards() -> None:
    """Google ends streams that get no sound; ours are ended before, and wait for the caller."""

    async def main() -> None:
        google = MemoryGoogle()
        async with calling(GoogleSpeechToText(google)) as caller:
            await caller.say("hold on please", pause=1.0)
            await caller.send_nothing(120)
            opened = len(google.configs)
            await caller.say("here", frames=8)
            assert len(google.configs) == opened + 1, "it is not the pause that opens the next one"
            await caller.send_nothing(20)
            await caller.say("here I am", pause=3.0)
            await caller.send_nothing(30)
            opened = len(google.configs)
        assert caller.texts == ["hold on please", CUT, "here i am"]
        assert caller.errors == []
        assert opened <= 6
        assert caller.seconds < caller.heard + 5

    run_virtual(main())


def test_what_was_used_is_what_is_billed_or_else_what_was_sent() -> None:
    async def main() -> None:
        google = MemoryGoogle()
        async with calling(GoogleSpeechToText(google)) as caller:
            await caller.say("hello there", pause=2.9)
        assert caller.seconds == 4.0, "3.5 s, rounded up as Google does"
        google = MemoryGoogle(speech_faults=[Fault("deaf")])
        async with calling(GoogleSpeechToText(google)) as caller:
            await caller.say(pause=2.5)
        assert caller.seconds == pytest.approx(2.5, abs=0.15), "Google says nothing of a bill where it heard nothing"

    run_virtual(main())


# The seams


def test_a_conversation_over_two_seams_of_five_minutes_loses_no_word() -> None:
    async def main() -> None:
        chance = random.Random(5)
        google = MemoryGoogle(delay=0.15)
        turns = [(chance.randint(2, 10), chance.choice([0.4, 1.8, 3.5])) for _ in range(170)]
        said, found, errors = await converse(google, turns, limits=LIMITS)
        assert found == said
        assert errors == []
        lasted = [len(sound) / RATE for sound in google.sounds]
        assert sum(lasted) > 600
        assert 240 < max(lasted) < 300

    run_virtual(main())


def test_a_monologue_over_the_seam_is_cut_within_no_word() -> None:
    """Nobody pauses, so that the stream is replaced in the middle of a word."""

    async def main() -> None:
        google = MemoryGoogle(delay=0.15, limit_seconds=10.0)
        said, found, errors = await converse(google, [(120, 2.0)])
        assert found == said
        assert errors == []
        assert len(google.configs) >= 4

    run_virtual(main())


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 16), st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9, 1.3, 2.0, 3.0])),
        min_size=4,
        max_size=12,
    ),
    st.sampled_from(["telephony", "telephony", "long", "chirp_2"]),
    st.sampled_from([0.05, 0.15, 0.3]),
    st.sampled_from([0.0, 0.02, 0.08]),
    st.sampled_from([8.0, 12.0, 20.0]),
)
def test_no_word_is_lost_or_doubled_wherever_the_seams_are(
    turns: list[tuple[int, float]], model: str, delay: float, latency: float, limit: float
) -> None:
    async def main() -> None:
        google = MemoryGoogle(delay=delay, latency=latency, limit_seconds=limit)
        limits = Limits(recycle=limit * 0.6, latest=limit * 0.9)
        said, found, errors = await converse(google, turns, model=model, limits=limits)
        assert found == said
        assert errors == []

    run_virtual(main())


# Bad days


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from([1.0, 1.3, 2.0, 3.0])), min_size=4, max_size=10),
    st.lists(
        st.tuples(st.sampled_from(["UNAVAILABLE", "ABORTED", "INTERNAL", "OUT_OF_RANGE", "ends"]), st.floats(0.5, 9.0)),
        min_size=1,
        max_size=4,
    ),
)
def test_streams_that_drop_lose_no_word(turns: list[tuple[int, float]], drops: list[tuple[str, float]]) -> None:
    """As long as what was not final is no more than what is kept."""

    async def main() -> None:
        google = MemoryGoogle(delay=0.15)
        for what, after in drops:
            google.speech_faults += [
                Fault("ends", after=after) if what == "ends" else Fault("status", what, after=after),
                None,
            ]
        said, found, _ = await converse(google, turns, limits=LIMITS)
        assert found == said

    run_virtual(main())


def test_a_stream_that_goes_mute_is_found_out_and_replaced() -> None:
    """With the caller in the middle of a long turn: what was said since is heard again."""

    async def main() -> None:
        google = MemoryGoogle(delay=0.15, speech_faults=[Fault("silence", after=2.0)])
        said, found, errors = await converse(google, [(30, 2.5), (3, 2.5)])
        assert found == said
        assert [error.kind for error in errors] == ["timeout"]

    run_virtual(main())


@pytest.mark.parametrize("what", ["silence", "blackhole"])
def test_a_short_turn_to_a_mute_stream_is_heard_by_the_next(what: str) -> None:
    async def main() -> None:
        google = MemoryGoogle(delay=0.1, speech_faults=[Fault(what)])  # type: ignore[arg-type]
        async with calling(GoogleSpeechToText(google)) as caller:
            await caller.say("hello", pause=3.0)
        assert caller.texts == ["hello"]
        assert [error.kind for error in caller.errors] == ["timeout"]
        assert max(caller.delays) < 2.4

    run_virtual(main())


def test_a_loss_longer_than_what_is_kept_costs_no_more_than_it_must() -> None:
    """Words that were supposed are believed, if their sound is gone; a word at the seam may suffer."""

    async def main() -> None:
        google = MemoryGoogle(
            delay=0.15, endpoint_seconds=60.0, speech_faults=[Fault("status", "UNAVAILABLE", after=15.0)]
        )
        said, found, errors = await converse(google, [(70, 2.5)], limits=LIMITS)
        assert len(set(said) - set(found)) <= 1
        assert len(found) - len(said) <= 1
        assert len(errors) == 1

    run_virtual(main())


def test_without_a_network_for_a_while_five_seconds_are_heard_again() -> None:
    async def main() -> None:
        google = MemoryGoogle(delay=0.05, latency=0.0)
        async with calling(GoogleSpeechToText(google)) as caller:
            google.latency = 8.0  # opening the stream takes so long
            await caller.say(numbered(0, 20), pause=0.0)
            google.latency = 0.0
            await caller.say(numbered(20, 10), pause=3.0)
        assert len(google.sounds[0]) == pytest.approx((KEPT_SECONDS + caller.heard - 8.0) * RATE, abs=0.2 * RATE)

    run_virtual(main())


class Ear:
    def __init__(self) -> None:
        self.errors: list[ProviderError] = []
        self.transcripts: list[Transcript] = []
        self.over = 0

    def on_transcript(self, transcript: Transcript) -> None:
        self.transcripts.append(transcript)

    def on_stt_error(self, error: ProviderError) -> None:
        self.errors.append(error)

    def on_stt_over(self) -> None:
        self.over += 1

    def on_stt_usage(self, units: object) -> None: ...


@pytest.mark.parametrize(
    ("status", "kind", "streams"),
    [
        ("UNAUTHENTICATED", "auth", 1),
        ("PERMISSION_DENIED", "auth", 1),
        ("INVALID_ARGUMENT", "bad_request", 1),
        ("NOT_FOUND", "bad_request", 1),
        ("RESOURCE_EXHAUSTED", "rate_limit", 3),
        ("UNAVAILABLE", "unavailable", 3),
        ("INTERNAL", "server", 3),
        ("ABORTED", "unavailable", 3),
    ],
)
def test_faults_are_told_apart_and_attempts_are_bounded(status: str, kind: str, streams: int) -> None:
    async def main() -> None:
        google = MemoryGoogle(speech_faults=[Fault("status", status) for _ in range(10)])
        ear = Ear()
        stt = GoogleSpeechToText(google)
        stream = stt.open(ear, language="en-GB")
        for _ in range(500):
            stream.push(QUIET)
            await asyncio.sleep(0.02)
        assert [error.kind for error in ear.errors] == [kind] * streams
        assert all(status in str(error) for error in ear.errors)
        assert ear.over == 1
        assert len(google.speech_faults) == 10 - streams
        await stt.close()

    run_virtual(main())


def test_what_it_says_of_a_call_that_is_over_is_not_heard() -> None:
    async def main() -> None:
        google = MemoryGoogle(delay=0.5)
        ear = Ear()
        stt = GoogleSpeechToText(google)
        stream = stt.open(ear, language="en-GB")
        sound = speak("good bye then")
        for at in range(0, len(sound), 160):
            stream.push(sound[at : at + 160])
            await asyncio.sleep(0.02)
        stream.speech_started()
        before = len(ear.transcripts)
        await stream.close()
        await stream.close()
        await asyncio.sleep(5)
        assert len(ear.transcripts) == before
        assert (ear.errors, ear.over, google.open) == ([], 0, 0)
        await stt.close()

    run_virtual(main())


def test_a_close_waits_no_longer_than_a_second() -> None:
    async def main() -> None:
        google = MemoryGoogle(speech_faults=[Fault("silence")])
        stt = GoogleSpeechToText(google)
        stream = stt.open(Ear(), language="en-GB")
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        await stream.close()
        assert asyncio.get_running_loop().time() - began == pytest.approx(1.0, abs=0.01)
        assert google.open == 0
        # One that has not even opened is not waited for.
        google.latency = 60.0
        stream = stt.open(Ear(), language="en-GB")
        await asyncio.sleep(0.5)
        began = asyncio.get_running_loop().time()
        await stt.close()
        assert asyncio.get_running_loop().time() == began

    run_virtual(main())


def test_garbage_is_passed_over() -> None:
    async def main() -> None:
        google = MemoryGoogle(speech_faults=[Fault("garbage")])
        said, found, errors = await converse(google, [(5, 2.0), (5, 2.0)])
        assert found == said
        assert errors == []

    run_virtual(main())


def test_errors_hold_no_more_of_what_the_vendor_says_than_fits_a_log() -> None:
    async def main() -> None:
        details = "far too much to tell, " * 100
        google = MemoryGoogle(speech_faults=[Fault("status", "INVALID_ARGUMENT", details)])
        ear = Ear()
        stt = GoogleSpeechToText(google)
        stt.open(ear, language="en-GB")
        await asyncio.sleep(1)
        await stt.close()
        assert len(str(ear.errors[0])) < 350
        assert SECRET not in str(ear.errors[0])

    run_virtual(main())


# What it is told


def test_streams_are_asked_for_what_the_agent_names() -> None:
    async def main() -> None:
        google = MemoryGoogle()
        for model, language, hints in (
            (None, "en", ("Trunkline",)),
            ("chirp_3", "de", ("Trunkline", "x" * 300)),
            ("chirp_2", "zh-CN", ()),
        ):
            async with calling(GoogleSpeechToText(google, model), language=language, hints=hints) as caller:
                await caller.say(pause=0.5)
                assert caller.errors == []
        first, second, third = (request.streaming_config for request in google.configs)
        assert (first.config.model, list(first.config.language_codes)) == ("telephony", ["en-US"])
        assert not first.config.HasField("adaptation"), "the model for telephones takes no phrases"
        assert first.config.features.enable_word_time_offsets
        phrases = second.config.adaptation.phrase_sets[0].inline_phrase_set.phrases
        assert [phrase.value for phrase in phrases] == ["Trunkline", "x" * 100]
        assert not second.config.features.enable_word_time_offsets
        assert (second.config.model, list(second.config.language_codes)) == ("chirp_3", ["de-DE"])
        assert list(third.config.language_codes) == ["cmn-Hans-CN"]
        assert google.mistakes == []

    run_virtual(main())
