"""What the cascade makes of turns, keys and coughs, in whole calls on virtual time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import pytest

from jambonz.simulator.caller import AwaitAgentSilence, AwaitAgentSpeech, Cough, Dtmf, HangUp, Speak, Wait
from pipelines.parts import ToolCall, TranscriptListener
from tests.calls.office import Office
from tests.clock import run_virtual
from tests.simulators.codeword import CodewordRecogniser, CodewordStream, heard_words, plain_words, speak
from tests.simulators.replies import ReplyModel, always


class StretchRecogniser(CodewordRecogniser):
    """Keeps sound only from when it is told of speech to when it is told of a pause, and a little from before."""

    def open(self, listener: TranscriptListener, *, language: str, hints: Sequence[str] = ()) -> CodewordStream:
        self.open_streams += 1
        return StretchStream(self, listener)


class StretchStream(CodewordStream):
    def __init__(self, recogniser: CodewordRecogniser, listener: TranscriptListener) -> None:
        super().__init__(recogniser, listener)
        self._before: deque[bytes] = deque(maxlen=15)

    def push(self, pcm: bytes) -> None:
        (self._frames if self._active else self._before).append(pcm)

    def speech_started(self) -> None:
        self._active = True
        self._frames += self._before
        self._before.clear()

    def speech_paused(self) -> None:
        super().speech_paused()
        self._active = False


def test_words_after_a_pause_are_heard() -> None:
    """A recogniser that transcribes stretches has to be told that speech goes on."""

    async def main() -> None:
        recogniser = StretchRecogniser()
        async with Office(
            {"options": {"greeting": "Hello."}}, ReplyModel(always("Yes.")), recogniser=recogniser
        ) as office:
            await office.call(
                AwaitAgentSilence(),
                Speak(speak("I would like")),
                Wait(0.3),
                Speak(speak("to book a")),
                Wait(0.35),
                Speak(speak("table for two")),
                AwaitAgentSilence(),
                HangUp(),
            )
            assert office.said("user") == ["i would like to book a table for two"]

    run_virtual(main())


def test_keys_pressed_into_an_open_barge_in_decide_it() -> None:
    """Otherwise the tools of the next answer would wait for a decision that never comes."""
    look = {"name": "look", "implementation": "stub", "result": "free"}
    agent = {"options": {"greeting": "Press one two three for a table. " * 5}, "functions": [look]}

    def script(messages: object) -> list[str | ToolCall]:
        return ["At nine."] if "free" in str(messages) else [ToolCall("1", "look")]

    async def main() -> None:
        async with Office(agent, ReplyModel(script)) as office:
            report = await office.call(
                AwaitAgentSpeech(), Wait(1.0), Cough(100), Dtmf("7#", ms=60, gap_ms=60), AwaitAgentSilence(), HangUp()
            )
            assert office.said("user") == ["7"]
            assert heard_words(report.heard)[-2:] == plain_words("at nine")
            [barge_in] = office.status("bargeIn")
            assert barge_in["confirmed"]

    run_virtual(main())


@pytest.mark.parametrize("interruptible", [True, False])
def test_keys_wait_for_what_has_to_be_heard(interruptible: bool) -> None:
    text = "This call is recorded for quality and training."
    agent = {"options": {"greeting": {"text": text, "interruptible": interruptible}}}

    async def main() -> None:
        async with Office(agent, ReplyModel(always("Thank you."))) as office:
            report = await office.call(AwaitAgentSpeech(), Dtmf("7#", ms=60, gap_ms=60), AwaitAgentSilence(), HangUp())
            assert office.said("user") == ["7"]
            heard = heard_words(report.heard)
            assert heard[-2:] == plain_words("thank you")
            assert (heard[:-2] == plain_words(text)) is not interruptible

    run_virtual(main())


def test_noises_do_not_keep_a_call_up_for_ever() -> None:
    """A noise ends the silence, and puts the next question off; only what the caller says starts the ladder anew."""
    idle = {"timeout": 3, "prompts": ["Are you there?"], "farewell": "Goodbye then."}

    async def main() -> None:
        async with Office({"options": {"greeting": "Hello.", "idle": idle}}, ReplyModel(always("Yes."))) as office:
            coughs = [step for _ in range(20) for step in (Wait(2.0), Cough(100))]
            report = await office.call(*coughs, HangUp())
            assert heard_words(report.heard) == ["hello"]
        async with Office({"options": {"greeting": "Hello.", "idle": idle}}, ReplyModel(always("Yes."))) as office:
            coughs = [step for _ in range(20) for step in (Wait(4.5), Cough(100))]
            report = await office.call(*coughs, HangUp())
            assert office.ending() == "idle"
            assert heard_words(report.heard) == plain_words("hello are you there goodbye then")

    run_virtual(main())
