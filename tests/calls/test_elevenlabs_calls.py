"""Whole calls on virtual time that the simulated ElevenLabs hears and speaks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from jambonz.simulator.caller import AwaitAgentSilence, AwaitAgentSpeech, HangUp, Speak, Wait
from jambonz.simulator.report import CallReport
from pipelines.parts import Message
from pipelines.providers.elevenlabs_stt import ElevenLabsSpeechToText
from pipelines.providers.elevenlabs_tts import ElevenLabsTextToSpeech
from pipelines.providers.elevenlabs_wire import elevenlabs_at
from tests.calls.office import Office
from tests.clock import run_virtual
from tests.simulators.codeword import CodewordRecogniser, CodewordVoice, heard_words, plain_words, speak
from tests.simulators.elevenlabs_ears import ScribeSession
from tests.simulators.elevenlabs_voices import MultiContextSession, Spoken
from tests.simulators.memory_socket import MemorySocket, Session, join
from tests.simulators.replies import Answer, ReplyModel, always

AGENT: dict[str, Any] = {"options": {"greeting": "Hello."}}
LONG = "One two three four five six seven. Eight nine ten eleven twelve thirteen fourteen fifteen."


class ElevenLabsOffice(Office):
    """``vendor`` is at both ends."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        vendor: Spoken,
        model: ReplyModel,
        agent: Mapping[str, Any] = AGENT,
        *,
        pace: float = 0.02,
        **more: Any,
    ) -> None:
        def session(path: str, query: Mapping[str, str]) -> Session:
            return ScribeSession(vendor, query) if "realtime" in path else MultiContextSession(vendor, query)

        self.vendor = vendor
        self.sockets: list[MemorySocket] = join(monkeypatch, session, pace=pace)
        self.stt, self.tts = (
            ElevenLabsSpeechToText(elevenlabs_at("", "http://elevenlabs")),
            ElevenLabsTextToSpeech(elevenlabs_at("", "http://elevenlabs")),
        )
        super().__init__(
            agent,
            model,
            voice=cast(CodewordVoice, self.tts),
            recogniser=cast(CodewordRecogniser, self.stt),
            **more,
        )

    async def __aexit__(self, *error: object) -> None:
        await super().__aexit__(*error)
        await self.stt.close()
        await self.tts.close()
        assert not any(socket.is_open for socket in self.sockets)
        assert self.vendor.mistakes == []

    def say(self, text: str) -> Speak:
        return Speak(speak(text, code=self.vendor.code))

    def ear(self, report: CallReport) -> list[str]:
        return heard_words(report.heard, code=self.vendor.code)


def echo(messages: Sequence[Message]) -> Sequence[Answer]:
    return [f"You said {messages[-1].content}"]


def test_a_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with ElevenLabsOffice(monkeypatch, Spoken(), ReplyModel(echo)) as office:
            report = await office.call(
                AwaitAgentSilence(),
                office.say("a table for two"),
                AwaitAgentSilence(),
                office.say("thank you"),
                AwaitAgentSilence(),
                HangUp(),
            )
            assert office.ear(report) == plain_words("hello you said a table for two you said thank you")
            assert office.said("user") == ["A table for two.", "Thank you."]
            assert office.said("agent") == ["Hello.", "You said A table for two.", "You said Thank you."]
            assert office.said("error") == []
            assert len(office.sockets) == 2, "one hears, and one speaks"
            [usage] = office.store.usage.values()
            assert usage["tts", "elevenlabs"] == {
                "characters": len("Hello.You said A table for two.You said Thank you.")
            }
            [sound] = office.vendor.sound
            assert usage["stt", "elevenlabs"]["audio_seconds"] == pytest.approx(len(sound) / 8000 - 2.0, abs=0.1)

    run_virtual(main())


@pytest.mark.parametrize("ways", [{}, {"counts_from": "text", "plural": True, "gaps": False}])
@pytest.mark.parametrize("after", [0.5, 0.9, 1.4, 2.0, 3.1])
def test_who_breaks_in_has_heard_what_the_log_says(
    after: float, ways: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Word by word: the vendor tells where each of them is."""

    async def main() -> None:
        model = ReplyModel(lambda messages: [LONG] if "go" in messages[-1].content.lower() else ["Goodbye."])
        async with ElevenLabsOffice(monkeypatch, Spoken(**ways), model) as office:
            report = await office.call(
                AwaitAgentSilence(),
                office.say("go on"),
                AwaitAgentSpeech(),
                Wait(after),
                office.say("stop it please now"),
                AwaitAgentSilence(),
                HangUp(),
            )
            hello, cut, goodbye = office.said("agent")
            assert (hello, goodbye) == ("Hello.", "Goodbye.")
            assert LONG.startswith(cut)
            assert 1 <= len(cut.split()) < len(LONG.split())
            assert office.ear(report) == plain_words(f"hello {cut} goodbye")
            assert office.said("user") == ["Go on.", "Stop it please now."]
            assert office.pipelines[0].history.entries[-3].content == cut
            assert [event["confirmed"] for event in office.status("bargeIn")] == [True]
            assert office.said("error") == []
            assert len(office.sockets) == 2, "a context is cancelled, and not the connection"

    run_virtual(main())


def test_a_recogniser_whose_socket_is_lost_in_the_middle_of_a_turn_loses_no_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        async with ElevenLabsOffice(monkeypatch, Spoken(limit_seconds=8.5), ReplyModel(echo)) as office:
            said = "one two three four five six seven eight nine ten"
            report = await office.call(AwaitAgentSilence(), office.say(said), AwaitAgentSilence(), HangUp())
            assert office.said("user") == [f"{said.capitalize()}."]
            assert office.ear(report) == plain_words(f"hello you said {said}")
            assert len(office.vendor.sound) == 2

    run_virtual(main())


def test_calls_share_their_sockets_for_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        model = ReplyModel(always("One two three four five six."))
        async with ElevenLabsOffice(monkeypatch, Spoken(), model, pace=0.005, max_calls=10) as office:

            async def one(number: int) -> CallReport:
                await asyncio.sleep(0.05 * number)
                return await office.call(AwaitAgentSilence(), office.say("go on"), AwaitAgentSilence(), HangUp())

            for report in await asyncio.gather(*(one(number) for number in range(8))):
                assert office.ear(report) == plain_words("hello one two three four five six")
            assert len(office.sockets) <= 8 + 2

    run_virtual(main())
