"""One generation on virtual time: a model, a voice, tools and a playout whose far end plays what it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import pytest

from media.audio import PCM_8K
from media.ledger import Heard
from media.playout import Playout, PlayoutCut, PlayoutEvent, PlayoutFinished, PlayoutStarted
from pipelines.agent import Function
from pipelines.events import PartFailed, PipelineEvent, ToolCalled, ToolReturned, UsageReported
from pipelines.generation import AHEAD_SECONDS, MAX_STEPS, Delivery, Generation, Stage
from pipelines.history import History
from pipelines.parts import (
    Message,
    ModelEvent,
    ProviderError,
    SpeechAudio,
    SpeechEvent,
    SpeechUsed,
    TextDelta,
    ToolCall,
    Usage,
)
from pipelines.phrasebook import phrases
from pipelines.speaker import SPEECH_SECONDS
from pipelines.standby import Standby
from pipelines.thinker import MODEL_SECONDS
from pipelines.tools import Toolbox
from tests.clock import run_virtual
from tests.simulators.codeword import CodewordVoice
from tests.simulators.nowhere import Nowhere
from tests.simulators.replies import Answer, ReplyModel

BROKEN = ProviderError("reply-model", "server", "it is broken")
FUNCTIONS = [
    Function.model_validate({"name": "look", "implementation": "stub", "result": "free at nine"}),
    Function.model_validate({"name": "bye", "implementation": "builtin", "platform": "hangup"}),
]


APOLOGY = phrases("en").went_wrong


class Scene:
    """``answers`` are what the model says to its first request, its second, and so on; the last again and again."""

    def __init__(self, *answers: Sequence[Answer], voice: Any = None, model: Any = None, first: float = 0.1) -> None:
        self.answers = list(answers)
        self.model = model or ReplyModel(lambda _: self._answer(), first=first, per_word=0.05)
        self.voice = voice or CodewordVoice(first=0.1, per_word=0.05)
        self.events: list[PipelineEvent] = []
        self.saying: list[str] = []
        self.over: list[PlayoutEvent] = []
        self.hung_up = 0
        self.decided = asyncio.Event()
        self.decided.set()
        self.playout = Playout(Nowhere(), PCM_8K)
        self.history = History("You are a test.")
        self.history.user("When?")
        clock = asyncio.get_running_loop().time
        self.stage = Stage(
            Standby("llm", [self.model]),
            Standby("tts", [self.voice]),
            self.history,
            Toolbox(FUNCTIONS, {}),
            self.playout,
            PCM_8K,
            self,
            clock,
            self._wait_until_decided,
            self._hang_up,
            lambda generation: None,
        )

    def _answer(self) -> Sequence[Answer]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def _wait_until_decided(self) -> None:
        await self.decided.wait()

    # PipelineHost

    relief = agent_first = caller_holds = False
    answered_at = None

    def on_event(self, event: PipelineEvent) -> None:
        self.events.append(event)

    def on_saying(self, text: str) -> None:
        self.saying.append(text)

    def wake(self) -> None: ...

    def end_call(self, reason: Any) -> None:
        raise AssertionError

    # What tests do

    def begin(self, text: str | None = None) -> Generation:
        generation = Generation(1, text)
        self.playout.begin(1)
        generation.task = asyncio.create_task(Delivery(generation, self.stage).run())
        return generation

    def _hang_up(self) -> None:
        self.hung_up += 1

    async def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds * 50)):
            await asyncio.sleep(0.02)
            self.over += self.playout.tick(asyncio.get_running_loop().time())

    async def heard(self, generation: Generation, seconds: float = 60.0) -> Heard:
        """What was heard of a generation that came to its end."""
        for _ in range(round(seconds * 50)):
            await self.pass_time(0.02)
            for event in self.over:
                if isinstance(event, PlayoutFinished | PlayoutCut):
                    assert generation.task is not None
                    assert generation.task.done()
                    assert self.open == (0, 0)
                    return event.heard
        raise AssertionError("it never ends")

    async def cancel(self, generation: Generation) -> Heard:
        """As an interruption does it."""
        assert generation.task is not None
        generation.task.cancel()
        self.over += self.playout.clear(asyncio.get_running_loop().time(), generation.number)
        with pytest.raises(asyncio.CancelledError):
            await generation.task
        return await self.heard(generation)

    @property
    def open(self) -> tuple[int, int]:
        return self.model.open, self.voice.open

    @property
    def failures(self) -> list[tuple[str, str]]:
        return [(event.part, event.kind) for event in self.events if isinstance(event, PartFailed)]

    @property
    def tools(self) -> list[str]:
        return [event.name for event in self.events if isinstance(event, ToolCalled)]


def play(test: Callable[[], Any]) -> None:
    run_virtual(test())


LOOK = ToolCall("1", "look")
BYE = ToolCall("2", "bye")


def test_an_answer() -> None:
    async def main() -> None:
        scene = Scene(["Good morning. How are you?"])
        generation = scene.begin()
        heard = await scene.heard(generation)
        assert heard.steps == ("Good morning. How are you?",)
        assert heard.complete
        assert scene.saying == ["Good morning.", "How are you?"]
        assert generation.first_token == pytest.approx(0.15)
        assert not generation.failed
        assert generation.first_audio == pytest.approx(0.15 + 0.15 + 0.15, abs=0.06)
        assert scene.failures == []
        usage = [(e.part, dict(e.units)) for e in scene.events if isinstance(e, UsageReported)]
        assert usage == [("tts", {"characters": 13}), ("tts", {"characters": 12})]

    play(main)


def test_what_an_answer_used_is_told_however_it_ends() -> None:
    async def main() -> None:
        def used(scene: Scene) -> list[tuple[str, dict[str, float]]]:
            return [(event.part, dict(event.units)) for event in scene.events if isinstance(event, UsageReported)]

        # Broken off in the middle of a phrase: the vendor was given all of it.
        scene = Scene(["One two three four five six seven eight nine ten."])
        generation = scene.begin()
        await scene.pass_time(0.6)
        await scene.cancel(generation)
        assert used(scene) == [("tts", {"characters": 49})]
        # Refused: nothing of it was used.
        scene = Scene(["Hello."], voice=CodewordVoice(fail_after=0))
        await scene.heard(scene.begin())
        assert scene.failures == [("tts", "server")]
        assert used(scene) == []
        # By the vendor's own count.
        scene = Scene(model=Counting(), voice=Counting())
        await scene.heard(scene.begin())
        tokens = {"input_tokens": 9, "cached_tokens": 4, "cache_write_tokens": 3}
        assert used(scene) == [("llm", tokens), ("tts", {"characters": 3, "output_audio_tokens": 20})]

    play(main)


def test_a_text_is_said_as_it_stands() -> None:
    async def main() -> None:
        scene = Scene(["nobody asks me"])
        heard = await scene.heard(scene.begin("Dr. Smith will see you. Now."))
        assert heard.steps == ("Dr. Smith will see you. Now.",)
        assert scene.model.told == []

    play(main)


def test_tools() -> None:
    async def main() -> None:
        scene = Scene(["Let me see.", LOOK], ["At nine."])
        generation = scene.begin()
        heard = await scene.heard(generation)
        assert heard.steps == ("Let me see.", "At nine.")
        result = Message("tool", "free at nine", tool_call_id="1", name="look")
        assert scene.model.told[1][-2:] == (Message("assistant", "Let me see. ", tool_calls=(LOOK,)), result)
        assert [type(e) for e in scene.events if isinstance(e, ToolCalled | ToolReturned)] == [ToolCalled, ToolReturned]
        assert generation.ends is None

    play(main)


def test_hanging_up() -> None:
    async def main() -> None:
        scene = Scene(["Goodbye.", BYE, LOOK])
        generation = scene.begin()
        heard = await scene.heard(generation)
        assert (heard.text, heard.complete) == ("Goodbye.", True)
        assert (generation.ends, generation.protected, scene.hung_up) == ("agent", True, 1)
        assert scene.tools == ["look", "bye"], "what is called with it is done before, whatever the order"
        assert len(scene.model.told) == 1

    play(main)


@pytest.mark.parametrize(("words", "farewell"), [([], "Farewell."), (["👋"], "Farewell."), (["Goodbye."], "Goodbye.")])
def test_hanging_up_without_a_word_says_the_farewell(words: list[str], farewell: str) -> None:
    async def main() -> None:
        scene = Scene([*words, BYE])
        scene.stage.farewell = "Farewell."
        assert (await scene.heard(scene.begin())).text == farewell
        assert scene.failures == []

    play(main)


def test_hanging_up_without_a_word_and_without_a_farewell_is_no_failure() -> None:
    async def main() -> None:
        scene = Scene([BYE])
        generation = scene.begin()
        assert (await scene.heard(generation)).text == ""
        assert (generation.ends, generation.failed) == ("agent", False)

    play(main)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        pytest.param([[BROKEN]], [], id="before it said a word"),
        pytest.param([["Good morning. How ", BROKEN]], ["Good morning."], id="after a phrase, again and again"),
        pytest.param([["Let me see.", LOOK], [BROKEN]], ["Let me see."], id="after a tool"),
    ],
)
def test_a_model_that_breaks(answers: list[list[Answer]], said: list[str]) -> None:
    async def main() -> None:
        scene = Scene(*answers)
        generation = scene.begin()
        heard = await scene.heard(generation)
        assert heard.steps[-1] == APOLOGY
        assert [text for text in heard.steps[:-1] if text] in (said, []), "nothing that was not said"
        assert generation.failed
        assert scene.failures in ([("llm", "server")], [("llm", "server")] * 2)
        assert heard.complete

    play(main)


class Stalling:
    """A model that says a few words and then nothing more; or, as a voice, a sound and then none."""

    name = "stalling"
    format = PCM_8K

    def __init__(self) -> None:
        self.open = 0
        self.told: list[Any] = []

    async def generate(self, *_: Any) -> AsyncGenerator[ModelEvent, None]:
        self.open += 1
        try:
            yield TextDelta("Good morning. ")
            yield TextDelta("I ")
            yield Usage(10, 0, 2)
            await asyncio.sleep(1e6)
        finally:
            self.open -= 1

    async def synthesize(self, text: str) -> AsyncGenerator[SpeechEvent, None]:
        self.open += 1
        try:
            yield SpeechAudio(bytes(3200))
            await asyncio.sleep(1e6)
        finally:
            self.open -= 1


class Counting:
    """A vendor that counts everything, and in its own way."""

    name = "counting"
    format = PCM_8K
    open = 0

    async def generate(self, *_: Any) -> AsyncGenerator[ModelEvent, None]:
        yield TextDelta("Hello.")
        yield Usage(9, 4, 0, cache_write_tokens=3)

    async def synthesize(self, text: str) -> AsyncGenerator[SpeechEvent, None]:
        yield SpeechAudio(bytes(3200))
        yield SpeechUsed({"characters": 3, "output_audio_tokens": 20})


def test_a_model_that_does_not_go_on() -> None:
    async def main() -> None:
        scene = Scene(model=Stalling())
        heard = await scene.heard(scene.begin())
        assert scene.failures == [("llm", "timeout")]
        assert heard.steps == ("Good morning.", APOLOGY)
        assert asyncio.get_running_loop().time() < MODEL_SECONDS + 10
        [failure] = [event for event in scene.events if isinstance(event, PartFailed)]
        assert failure.message == "stalling: the model did not go on within 15 s"

    play(main)


def test_a_voice_that_does_not_go_on() -> None:
    async def main() -> None:
        scene = Scene(["Good morning. How are you?"], voice=Stalling())
        generation = scene.begin()
        heard = await scene.heard(generation)
        assert scene.failures == [("tts", "timeout")]
        assert APOLOGY not in scene.saying, "there is no voice to say it with"
        assert heard.seconds == pytest.approx(0.2)
        assert generation.failed
        assert asyncio.get_running_loop().time() < SPEECH_SECONDS + 3

    play(main)


@pytest.mark.parametrize("text", [None, "Good morning. How are you?"], ids=["an answer", "a text"])
def test_a_voice_that_breaks(text: str | None) -> None:
    async def main() -> None:
        scene = Scene(["Good morning. How are you?"], voice=CodewordVoice(fail_after=1))
        generation = scene.begin(text)
        heard = await scene.heard(generation)
        assert scene.failures == [("tts", "server")]
        assert heard.seconds == pytest.approx(0.3), "what there was of it is heard"
        assert (generation.failed, len(scene.voice.spoken)) == (True, 1)

    play(main)


def test_the_rest_of_a_number_is_said_as_one_by_the_next_voice() -> None:
    async def main() -> None:
        scene, second = Scene(["Call 555 014 22 now."], voice=CodewordVoice(fail_after=7)), CodewordVoice()
        scene.stage.voices = Standby("tts", [scene.voice, second])
        heard = await scene.heard(scene.begin())
        assert (scene.voice.spoken, second.spoken) == (["Call 5 5 5, 0 1 4, 2 2 now."], ["2 2 now."])
        assert (heard.text, heard.complete) == ("Call 555 014 22 now.", True)

    play(main)


def test_a_voice_that_breaks_at_the_apology() -> None:
    async def main() -> None:
        scene = Scene([BROKEN], voice=CodewordVoice(fail_after=0))
        await scene.heard(scene.begin())
        assert scene.failures == [("llm", "server"), ("tts", "server")]

    play(main)


def test_a_model_that_answers_nothing() -> None:
    async def main() -> None:
        nothing: list[list[list[Answer]]] = [[[]], [["  "]], [["👍 **...**"]], [[LOOK], []]]
        for answers in nothing:
            scene = Scene(*answers)
            generation = scene.begin()
            assert (await scene.heard(generation)).text == APOLOGY
            assert (scene.failures, generation.failed) == ([("llm", "protocol")], True)

    play(main)


@pytest.mark.parametrize(
    ("answer", "protected"),
    [
        ("Good morning. Attention! All of this call is recorded. Hang up if you mind. How are you?", True),
        ("Good morning. Attention! All of this call is recorded.", True),
        ("Good morning. Attention please. All of this call is recorded. How are you?", False),
        ("Attention!", False),
    ],
)
def test_a_notice_of_more_than_one_sentence_is_known_by_its_first(answer: str, protected: bool) -> None:
    async def main() -> None:
        scene = Scene([answer])
        scene.stage.notices = ["Attention! All of this call is recorded. Hang up if you mind."]
        scene.stage.on_protected = lambda generation: setattr(generation, "protected", True)
        generation = scene.begin()
        await scene.heard(generation)
        assert generation.protected is protected

    play(main)


def test_a_model_that_talks_without_end_has_no_hours_of_sound_made() -> None:
    async def main() -> None:
        scene = Scene(["One two three four five six seven eight nine ten. " * 200])
        generation = scene.begin()
        await scene.pass_time(30)
        assert len(scene.voice.spoken) < (30 + AHEAD_SECONDS) / 3 + 3, "three seconds each"
        assert generation.task is not None
        assert not generation.task.done()
        assert scene.over == [PlayoutStarted(1, scene.over[0].at)], "and without a gap"  # type: ignore[union-attr]
        heard = await scene.cancel(generation)
        assert heard.seconds == pytest.approx(29.5, abs=0.5)

    play(main)


def test_a_model_that_asks_for_tools_for_ever() -> None:
    async def main() -> None:
        scene = Scene(["Wait.", LOOK])
        generation = scene.begin()
        heard = await scene.heard(generation)
        assert len(scene.model.told) == MAX_STEPS
        assert heard.steps == (*["Wait."] * MAX_STEPS, APOLOGY)
        assert scene.failures == [("llm", "protocol")]
        assert generation.failed

    play(main)


def test_cancelled_before_it_began() -> None:
    async def main() -> None:
        scene = Scene(["Good morning."])
        heard = await scene.cancel(scene.begin())
        assert (heard.text, heard.complete) == ("", False)
        assert scene.model.told == []

    play(main)


def test_cancelled_while_the_model_thinks() -> None:
    async def main() -> None:
        scene = Scene(["Good morning."], first=5.0)
        generation = scene.begin()
        await scene.pass_time(1)
        assert scene.open == (1, 0)
        heard = await scene.cancel(generation)
        assert (heard.text, scene.failures, scene.saying) == ("", [], [])

    play(main)


def test_cancelled_while_it_speaks() -> None:
    async def main() -> None:
        scene = Scene(["Good morning to you. How are you today? " * 10])
        generation = scene.begin()
        await scene.pass_time(2)
        assert scene.open[0] == 1
        heard = await scene.cancel(generation)
        assert heard.text
        assert "Good morning to you. How are you today?".startswith(heard.text.rstrip())
        assert not heard.complete
        said = len(scene.saying)
        await scene.pass_time(5)
        assert len(scene.saying) == said, "nothing more is made"

    play(main)


def test_no_tool_acts_while_it_is_undecided_whether_the_caller_interrupts() -> None:
    async def main() -> None:
        scene = Scene(["Wait.", LOOK], ["At nine."])
        scene.decided.clear()
        generation = scene.begin()
        await scene.pass_time(5)
        assert scene.tools == []
        scene.decided.set()
        assert (await scene.heard(generation)).steps == ("Wait.", "At nine.")
        assert scene.tools == ["look"]

    play(main)


def test_no_tool_of_an_interrupted_generation_acts() -> None:
    async def main() -> None:
        scene = Scene(["Goodbye.", BYE])
        scene.decided.clear()
        generation = scene.begin()
        await scene.pass_time(5)
        await scene.cancel(generation)
        scene.decided.set()
        await scene.pass_time(1)
        assert (scene.tools, scene.hung_up, generation.ends) == ([], 0, None)

    play(main)


def test_a_fault_of_ours_is_not_taken_for_the_providers() -> None:
    class Faulty(ReplyModel):
        async def generate(self, *_: Any) -> AsyncGenerator[ModelEvent, None]:
            raise RuntimeError("a bug")
            yield

    async def main() -> None:
        scene = Scene(model=Faulty(lambda _: []))
        generation = scene.begin()
        await scene.pass_time(1)
        assert generation.task is not None
        error = generation.task.exception()
        assert isinstance(error, ExceptionGroup)
        assert error.subgroup(RuntimeError) is not None
        assert scene.failures == []

    play(main)
