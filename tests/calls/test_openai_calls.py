"""Whole calls on virtual time whose ears are the simulated OpenAI's: a transcription session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from jambonz.simulator.caller import AwaitAgentSilence, BargeIn, HangUp, Speak, Step, Wait
from media.g711 import mulaw_to_pcm
from pipelines.parts import Message
from pipelines.providers.openai_stt import OpenAISpeechToText
from pipelines.providers.wire import Place
from tests.calls.office import Office
from tests.clock import run_virtual
from tests.simulators.codeword import CodewordRecogniser, CodewordVoice, heard_words, plain_words
from tests.simulators.memory_socket import join
from tests.simulators.openai_transcription import Fault, TranscriptionServer, TranscriptionSession, spoken
from tests.simulators.replies import Answer, ReplyModel

AGENT: dict[str, Any] = {"options": {"greeting": "Hello."}}
MODELS = ("gpt-live-transcribe", "gpt-transcribe")


def says(text: str) -> bytes:
    """The caller's telephone has the sound that the simulation reads."""
    return mulaw_to_pcm(spoken(text))


def reply(messages: Sequence[Message]) -> Sequence[Answer]:
    answers = {"i want a table": "For how many people do you want the table tonight sir", "just for two": "Done."}
    return (answers.get(messages[-1].content, f"You said {messages[-1].content}."),)


def office(monkeypatch: pytest.MonkeyPatch, server: TranscriptionServer, model: str = MODELS[0]) -> Office:
    def make(path: str, query: Any) -> TranscriptionSession:
        assert (path, query) == ("/realtime", {"intent": "transcription", "model": model})
        session = TranscriptionSession(server, server.faults.pop(0) if server.faults else None)
        server.sessions.append(session)
        return session

    join(monkeypatch, make)
    stt = cast(CodewordRecogniser, OpenAISpeechToText(Place("", "http://openai/v1"), model))
    return Office(AGENT, ReplyModel(reply, first=0.2), voice=CodewordVoice(first=0.1), recogniser=stt)


@pytest.mark.parametrize("model", MODELS)
def test_a_conversation_with_a_barge_in(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    """The log has what was said, and of the agent what was heard."""

    async def main() -> None:
        server = TranscriptionServer()
        async with office(monkeypatch, server, model) as calls:
            report = await calls.call(
                AwaitAgentSilence(),
                Speak(says("i want a table")),
                BargeIn(says("just for two"), after=1.2),
                AwaitAgentSilence(),
                HangUp(),
            )
            assert calls.said("user") == ["i want a table", "just for two"]
            greeting, cut, done = calls.said("agent")
            assert (greeting, done) == ("Hello.", "Done.")
            assert "For how many people do you want".startswith(cut)
            assert heard_words(report.heard) == plain_words(f"{greeting} {cut} {done}")
            history = [entry.content for entry in calls.pipelines[0].history.entries if entry.role == "assistant"]
            assert [plain_words(said) for said in history] == [plain_words(said) for said in (greeting, cut, done)]
            [used] = calls.store.usage.values()
            assert used["stt", "openai"]["audio_seconds"] == pytest.approx(7 * 0.3 + 2 * (0.4 + 0.2), abs=0.3)
        assert server.transcripts == ["i want a table", "just for two"]
        assert server.mistakes == []

    run_virtual(main())


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("after", [0.1, 0.5, 0.9, 1.3, 1.7, 2.1])
def test_wherever_the_socket_is_cut_the_caller_is_understood(
    monkeypatch: pytest.MonkeyPatch, model: str, after: float
) -> None:
    async def main() -> None:
        server = TranscriptionServer(faults=[Fault("drop", after=after)])
        async with office(monkeypatch, server, model) as calls:
            steps: list[Step] = [Speak(says("my number is")), Wait(0.35), Speak(says("five six seven eight"))]
            report = await calls.call(AwaitAgentSilence(), *steps, AwaitAgentSilence(), HangUp())
            assert calls.said("user") == ["my number is five six seven eight"]
            assert heard_words(report.heard) == plain_words("hello you said my number is five six seven eight")
        assert len(server.sessions) == 2
        assert server.mistakes == []

    run_virtual(main())
