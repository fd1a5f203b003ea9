"""The stream's rules, against a recogniser whose answers the test holds back."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from media.audio import PCM_8K
from pipelines.parts import ProviderError, Transcript
from pipelines.providers.utterances import LONGEST_SECONDS, UtteranceStream, tidy
from tests.clock import run_virtual
from tests.pipelines.providers.ear import Ear

FRAME = 320


class Recogniser:
    """Answers when the test says so: what it was given, and the future for its words."""

    def __init__(self) -> None:
        self.jobs: list[tuple[bytes, asyncio.Future[str]]] = []

    async def hear(self, pcm: bytes) -> str:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.jobs.append((pcm, future))
        return await future


def frame(value: int) -> bytes:
    """20 ms in which every sample is ``value``, so that a test sees which frames were recognised."""
    return np.full(FRAME // 2, value, np.int16).tobytes()


def frames_in(pcm: bytes) -> list[int]:
    return [int(np.frombuffer(pcm[at : at + 2], np.int16)[0]) for at in range(0, len(pcm), FRAME)]


async def settle() -> None:
    await asyncio.sleep(0.001)


class Call:
    def __init__(self) -> None:
        self.recogniser, self.listener = Recogniser(), Ear()
        self.stream = UtteranceStream(self.recogniser.hear, self.listener)

    def push(self, *values: int) -> None:
        for value in values:
            self.stream.push(frame(value))


def test_a_segment_has_its_pre_roll_and_nothing_else() -> None:
    async def main() -> None:
        call = Call()
        call.push(*range(100, 130))
        call.stream.speech_started()
        call.stream.speech_started()
        call.push(1, 2, 3)
        call.stream.speech_paused()
        await settle()
        [(pcm, words)] = call.recogniser.jobs
        assert frames_in(pcm) == [*range(115, 130), 1, 2, 3]
        await asyncio.sleep(0.25)
        words.set_result("Hello.")
        await settle()
        [heard] = call.listener.transcripts
        assert (heard.segment, heard.text, heard.final, heard.audio_seconds) == (0, "Hello.", False, 0.36)
        assert heard.took == pytest.approx(0.25, abs=0.01)
        await call.stream.close()

    run_virtual(main())


def test_speech_that_goes_on_is_transcribed_as_a_whole_and_the_part_is_not_delivered() -> None:
    async def main() -> None:
        call = Call()
        call.stream.speech_started()
        call.push(*[1] * 10)
        call.stream.speech_paused()
        await settle()
        call.push(*range(50, 100))
        call.stream.speech_started()
        call.push(*[2] * 10)
        call.stream.speech_paused()
        await settle()
        (_, first), (pcm, second) = call.recogniser.jobs
        assert first.cancelled()
        assert frames_in(pcm) == [*[1] * 10, *range(85, 100), *[2] * 10]  # of a long pause only the pre-roll is kept
        second.set_result("Both.")
        await settle()
        assert [(t.segment, t.text) for t in call.listener.transcripts] == [(0, "Both.")]
        await call.stream.close()

    run_virtual(main())


def test_an_ended_segment_is_not_heard_of_again() -> None:
    async def main() -> None:
        call = Call()
        call.stream.speech_started()
        call.push(*[1] * 10)
        call.stream.speech_paused()
        await settle()
        call.stream.end_segment()
        await settle()
        assert call.recogniser.jobs[0][1].cancelled()
        call.stream.speech_started()
        call.push(*[2] * 10)
        call.stream.speech_paused()
        await settle()
        pcm, words = call.recogniser.jobs[1]
        assert frames_in(pcm) == [2] * 10
        words.set_result("New.")
        await settle()
        assert [(t.segment, t.text) for t in call.listener.transcripts] == [(1, "New.")]
        await call.stream.close()

    run_virtual(main())


def test_sound_that_was_speech_is_counted_once_however_often_it_is_transcribed() -> None:
    async def main() -> None:
        call = Call()
        call.push(*range(5))
        for _ in range(2):
            call.stream.speech_started()
            call.push(*[1] * 40)
            call.stream.speech_paused()
            await settle()
        assert call.listener.used == []
        call.stream.end_segment()
        assert call.listener.used == [{"audio_seconds": pytest.approx(1.7)}]
        call.push(*[0] * 500)  # silence
        call.stream.speech_started()
        call.push(*[2] * int(LONGEST_SECONDS * 50))  # so long that it is cut
        await call.stream.close()
        seconds = [units["audio_seconds"] for units in call.listener.used]
        assert len(seconds) == 3
        assert sum(seconds) == pytest.approx(1.7 + 0.3 + LONGEST_SECONDS)

    run_virtual(main())


def test_a_listener_may_end_the_segment_while_it_is_told() -> None:
    async def main() -> None:
        call = Call()
        stream, told = call.stream, call.listener.on_transcript

        def take_the_turn(transcript: Transcript) -> None:
            told(transcript)
            stream.end_segment()
            stream.speech_started()
            call.push(*[3] * 10)
            stream.speech_paused()

        call.listener.on_transcript = take_the_turn  # type: ignore[method-assign]
        stream.speech_started()
        call.push(*[1] * 10)
        stream.speech_paused()
        await settle()
        call.recogniser.jobs[0][1].set_result("One.")
        await settle()
        assert len(call.recogniser.jobs) == 2
        assert [(t.segment, t.text) for t in call.listener.transcripts] == [(0, "One.")]
        await stream.close()
        assert call.recogniser.jobs[1][1].cancelled()

    run_virtual(main())


def test_a_long_speech_is_cut_where_it_is_quiet_and_comes_in_order() -> None:
    async def main() -> None:
        call = Call()
        call.stream.speech_started()
        loud, quiet = [1000] * 600, [0] * 20
        call.push(*loud, *quiet, *loud)
        call.stream.speech_paused()
        await settle()
        [(first, words)] = call.recogniser.jobs
        assert len(frames_in(first)) in range(600, 621)
        assert PCM_8K.seconds(first) < LONGEST_SECONDS
        words.set_result("The first part.")
        await settle()
        second, words = call.recogniser.jobs[1]
        assert len(first) + len(second) == 1220 * FRAME
        words.set_result("The second.")
        await settle()
        assert [(t.segment, t.text, t.final) for t in call.listener.transcripts] == [
            (0, "The first part.", True),
            (1, "The second.", False),
        ]
        await call.stream.close()

    run_virtual(main())


def test_a_click_is_no_words_and_costs_nothing() -> None:
    async def main() -> None:
        call = Call()
        call.stream.speech_started()
        call.push(1, 2)
        call.stream.speech_paused()
        await settle()
        assert call.recogniser.jobs == []
        assert [(t.segment, t.text) for t in call.listener.transcripts] == [(0, "")]
        await call.stream.close()

    run_virtual(main())


def test_an_error_is_told_and_the_next_segment_is_heard() -> None:
    async def main() -> None:
        call = Call()
        for _ in range(2):
            call.stream.speech_started()
            call.push(*[1] * 10)
            call.stream.speech_paused()
            await settle()
            call.recogniser.jobs[-1][1].set_exception(ProviderError("moonshine", "timeout", "too slow"))
            await settle()
            call.stream.end_segment()
        assert [error.kind for error in call.listener.errors] == ["timeout", "timeout"]
        await call.stream.close()

    run_virtual(main())


@pytest.mark.parametrize(
    ("heard", "words"),
    [(" Hello. ", "Hello."), ("♪♪", ""), ("[Music] Yes,", "Yes"), ("(coughs)", ""), ("Well -", "Well"), ("", "")],
)
def test_artefacts_are_no_words(heard: str, words: str) -> None:
    assert tidy(heard) == words
