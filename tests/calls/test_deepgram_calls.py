"""Whole calls on virtual time whose ears, or whose voice, are the simulated Deepgram's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from jambonz.simulator.caller import AwaitAgentSilence, BargeIn, HangUp, Speak, Wait
from pipelines.parts import Message, ToolCall
from pipelines.providers.deepgram_stt import DeepgramSpeechToText
from pipelines.providers.deepgram_tts import DeepgramTextToSpeech
from pipelines.providers.deepgram_wire import deepgram_at
from tests.calls.office import Office
from tests.clock import run_virtual
from tests.simulators.codeword import (
    CodewordRecogniser,
    CodewordVoice,
    heard_words,
    mulaw_code,
    plain_words,
    speak,
)
from tests.simulators.deepgram_ears import FluxSession
from tests.simulators.deepgram_voices import AuraSession, FluxVoiceSession, Spoken
from tests.simulators.memory_socket import join
from tests.simulators.replies import ReplyModel, always

HANG_UP: dict[str, Any] = {
    "functions": [{"name": "hangup", "implementation": "builtin", "platform": "hangup", "description": "End the call."}]
}
AGENT: dict[str, Any] = {"options": {"greeting": "Hello."}} | HANG_UP


def flux_office(
    monkeypatch: pytest.MonkeyPatch, vendor: Spoken, model: ReplyModel, *, eager: bool = True, voice: float = 0.0
) -> Office:
    join(monkeypatch, lambda _, query: FluxSession(vendor, query))
    stt = DeepgramSpeechToText(deepgram_at("", "http://deepgram"), flux=True, eager=eager)
    return Office(AGENT, model, voice=CodewordVoice(first=voice), recogniser=cast(CodewordRecogniser, stt), max_calls=1)


def answered(monkeypatch: pytest.MonkeyPatch, *, eager: bool) -> float:
    """The latency of an answer to words that do not tell whether they are all, where Flux takes 0.8 s to be sure."""

    async def main() -> float:
        vendor = Spoken(texts=["The blue one."], ends_after=0.8)
        model = ReplyModel(always("You are welcome."), first=0.3)
        async with flux_office(monkeypatch, vendor, model, eager=eager, voice=0.15) as office:
            report = await office.call(AwaitAgentSilence(), Speak(speak("the blue one")), AwaitAgentSilence(), HangUp())
            assert office.said("user") == ["The blue one."]
            assert heard_words(report.heard) == plain_words("hello you are welcome")
            assert len(model.told) == 1
        assert vendor.mistakes == []
        [latency] = report.response_latencies
        return latency

    return run_virtual(main())


def test_an_answer_is_prepared_at_the_likely_end_of_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the model and the voice take, is not added to what Flux takes to be sure."""
    prepared, unprepared = answered(monkeypatch, eager=True), answered(monkeypatch, eager=False)
    assert unprepared - prepared == pytest.approx(0.45, abs=0.04)


def test_a_guess_at_a_turn_that_goes_on_is_neither_heard_nor_remembered_nor_acted_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        def script(messages: Sequence[Message]) -> Any:
            said = messages[-1].content
            return ["Goodbye then.", ToolCall("1", "hangup")] if "monday" not in said else ["Monday it is."]

        vendor = Spoken(texts=["The blue one | from monday"], ends_after=0.8)
        model = ReplyModel(script)
        async with flux_office(monkeypatch, vendor, model) as office:
            report = await office.call(
                AwaitAgentSilence(),
                Speak(speak("the blue one")),
                Wait(0.5),
                Speak(speak("from monday")),
                AwaitAgentSilence(),
                HangUp(),
            )
            assert [told[-1].content for told in model.told] == ["The blue one", "The blue one from monday"]
            assert heard_words(report.heard) == plain_words("hello monday it is")
            assert office.said("user") == ["The blue one from monday"]
            assert office.said("agent") == ["Hello.", "Monday it is."]
            assert office.said("function_calls") == []
            assert report.ended_by == "caller"
            history = office.pipelines[0].history.entries
            assert [(entry.role, entry.content) for entry in history] == [
                ("assistant", "Hello."),
                ("user", "The blue one from monday"),
                ("assistant", "Monday it is."),
            ]
        assert vendor.mistakes == []

    run_virtual(main())


def test_a_guess_that_flux_takes_back_is_void_though_the_caller_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """It hears a breath that the voice activity does not; what it holds for likely next is guessed anew."""

    async def main() -> None:
        vendor = Spoken(texts=["The blue one"], ends_after=0.7, wavers=True)
        model = ReplyModel(always("You are welcome."), first=0.05)
        async with flux_office(monkeypatch, vendor, model) as office:
            report = await office.call(AwaitAgentSilence(), Speak(speak("the blue one")), AwaitAgentSilence(), HangUp())
            assert len(model.told) >= 2
            assert {told[-1].content for told in model.told} == {"The blue one"}
            assert office.said("user") == ["The blue one"]
            assert heard_words(report.heard) == plain_words("hello you are welcome")
            assert [entry.content for entry in office.pipelines[0].history.entries] == [
                "Hello.",
                "The blue one",
                "You are welcome.",
            ]
            assert model.open == 0
            assert office.voice.open == 0
        assert vendor.mistakes == []

    run_virtual(main())


WORDS = "one two six ten red day sun sea air oak elm ash"
"""Of a length, at the pace that an English voice is taken to have: where words are, is not told but reckoned."""


def voice_office(vendor: Spoken, model: ReplyModel, voice: str) -> Office:
    vendor.code = mulaw_code()
    tts = DeepgramTextToSpeech(deepgram_at("", "http://deepgram"), voice)
    return Office(AGENT, model, voice=cast(CodewordVoice, tts))


@pytest.mark.parametrize("voice", ["flux-alexis-en", "aura-2-thalia-en"])
@pytest.mark.parametrize("pace", [0.25, 0.01])
def test_the_log_is_what_was_heard_of_an_answer_that_is_interrupted(
    pace: float, voice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And Flux has the same words, where it was interrupted while it spoke."""

    async def main() -> None:
        flux = voice.startswith("flux")
        vendor = Spoken(late_words=1, clock=asyncio.get_running_loop().time)
        session = FluxVoiceSession if flux else AuraSession
        sockets = join(monkeypatch, lambda _, query: session(vendor, query), pace=pace)
        model = ReplyModel(lambda messages: ["Alright."] if "stop" in messages[-1].content else [WORDS])
        office = voice_office(vendor, model, voice)
        async with office:
            report = await office.call(
                AwaitAgentSilence(),
                Speak(speak("count")),
                BargeIn(speak("stop it please"), after=1.45),
                AwaitAgentSilence(),
                HangUp(),
            )
            assert vendor.code is not None
            heard = heard_words(report.heard, code=vendor.code)
            assert heard[:5] == ["hello", *WORDS.split()[:4]]
            assert heard[-1] == "alright"
            assert len(heard) < 10
            assert plain_words(" ".join(office.said("agent"))) == heard
            history = [entry.content for entry in office.pipelines[0].history.entries if entry.role == "assistant"]
            assert plain_words(" ".join(history)) == heard
            while_it_spoke = pace > 0.1
            if flux and while_it_spoke:
                [(spoken, ms)] = vendor.interrupted
                assert spoken == " ".join(heard[1:-1])
                assert ms - 300 == pytest.approx(len(heard[1:-1]) * 300, abs=200)
            else:
                assert vendor.interrupted == []
            assert vendor.messages.count("Clear") == (1 if while_it_spoke and not flux else 0)
            [used] = office.store.usage.values()
            assert used["tts", "deepgram"] == {"characters": sum(map(len, vendor.spoken))}
        await cast(DeepgramTextToSpeech, office.voice).close()
        assert vendor.mistakes == []
        assert len(sockets) == 1, "it is used for what comes next"

    run_virtual(main())
