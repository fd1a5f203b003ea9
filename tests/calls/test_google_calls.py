"""Whole calls on virtual time that the simulated Google hears and speaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from jambonz.simulator.caller import AwaitAgentSilence, BargeIn, HangUp, Speak
from media.g711 import mulaw_to_pcm, pcm_to_mulaw
from pipelines.parts import Message
from pipelines.providers.google_limits import Limits
from pipelines.providers.google_stt import GoogleSpeechToText
from pipelines.providers.google_tts import GoogleTextToSpeech
from tests.calls.office import Office
from tests.clock import run_virtual
from tests.simulators.codeword import CodewordRecogniser, CodewordVoice, plain_words
from tests.simulators.google_memory import MemoryGoogle
from tests.simulators.google_sessions import Fault
from tests.simulators.mulaw_words import CUT, heard, speak
from tests.simulators.replies import ReplyModel, always

VOICE = ("en-GB-Chirp3-HD-Kore", "en-GB")
AGENT: dict[str, Any] = {"options": {"greeting": "Hello."}}

# Words of one length, where a phrase is broken off: Google's streams do not time them, and what was heard of a phrase
# is reckoned by its letters.


def office_of(google: MemoryGoogle, model: ReplyModel, *others: MemoryGoogle, limits: Limits | None = None) -> Office:
    """``others`` speak when the first one fails."""
    stt = GoogleSpeechToText(google, limits=limits or Limits())
    voices = [cast(CodewordVoice, GoogleTextToSpeech(one, *VOICE)) for one in (google, *others)]
    return Office(AGENT, model, voice=voices[0], recogniser=cast(CodewordRecogniser, stt), voices=voices[1:])


def saying(text: str) -> Speak:
    return Speak(mulaw_to_pcm(speak(text)))


def ear(audio: bytes) -> list[str]:
    return heard(pcm_to_mulaw(audio))


def test_a_conversation() -> None:
    async def main() -> None:
        google = MemoryGoogle(delay=0.15, first_sound_seconds=0.15)
        model = ReplyModel(always("You want a table."), first=0.3)
        async with office_of(google, model) as office:
            report = await office.call(
                AwaitAgentSilence(), saying("i want a table please"), AwaitAgentSilence(), HangUp()
            )
            assert ear(report.heard) == plain_words("hello you want a table")
            assert office.said("user") == ["i want a table please"]
            assert office.said("agent") == ["Hello.", "You want a table."]
            assert office.said("error") == []
            [latency] = report.response_latencies
            assert latency < 1.6
            [usage] = office.store.usage.values()
            assert usage["tts", "google"] == {"characters": len("Hello.") + len("You want a table.")}
            lasted = len(report.heard) / 16_000
            assert lasted - 1 < usage["stt", "google"]["audio_seconds"] < lasted + 2
        assert (google.mistakes, google.open) == ([], 0)

    run_virtual(main())


def test_an_interruption_breaks_the_phrase_off_and_is_understood() -> None:
    async def main() -> None:
        google = MemoryGoogle(delay=0.1, per_word_seconds=0.05)
        long = "well they open each noon till nine when both boys come"

        def script(messages: Sequence[Message]) -> Any:
            return ["Alright."] if "stop" in messages[-1].content else [long]

        async with office_of(google, ReplyModel(script)) as office:
            report = await office.call(
                AwaitAgentSilence(),
                saying("count please"),
                BargeIn(mulaw_to_pcm(speak("stop it please")), after=1.5),
                AwaitAgentSilence(),
                HangUp(),
            )
            assert office.said("user") == ["count please", "stop it please"]
            greeting, cut, answer = office.said("agent")
            assert (greeting, answer) == ("Hello.", "Alright.")
            assert long.startswith(cut)
            assert 3 <= len(cut.split()) <= 9
            words = [word for word in ear(report.heard) if word != CUT]
            assert words == plain_words(f"{greeting} {cut} {answer}")
            [latency] = report.barge_in_latencies
            assert latency <= 0.25
        assert google.mistakes == []

    run_virtual(main())


def test_streams_that_end_and_drop_in_a_call_are_not_noticed() -> None:
    """Each turn meets another bad day: its words are understood all the same, and the caller waits for no answer."""

    async def main() -> None:
        faults = [
            Fault("status", "ABORTED", after=4.5),
            Fault("status", "UNAVAILABLE", after=3.0),
            None,
            Fault("ends", after=4.0),
            Fault("silence", after=3.0),
        ]
        google = MemoryGoogle(delay=0.1, limit_seconds=20.0, speech_faults=list(faults))
        said = [f"this is my sentence number {number}" for number in range(8)]
        limits = Limits(recycle=12.0, latest=18.0)
        async with office_of(google, ReplyModel(always("I see.")), limits=limits) as office:
            steps = [step for text in said for step in (saying(text), AwaitAgentSilence())]
            report = await office.call(AwaitAgentSilence(), *steps, HangUp(), patience=90)
            assert office.said("user") == said
            assert ear(report.heard) == plain_words("hello " + "i see " * 8)
            assert max(report.response_latencies) < 3.0
        assert google.mistakes == []
        assert google.speech_faults == []

    run_virtual(main())


def test_a_voice_that_dies_in_a_phrase_is_followed_from_the_next_word() -> None:
    async def main() -> None:
        google = MemoryGoogle(voice_faults=[None, Fault("status", "INTERNAL", after=0.9)])
        other = MemoryGoogle()
        async with office_of(google, ReplyModel(always("They will have that soon.")), other) as office:
            report = await office.call(AwaitAgentSilence(), saying("a table"), AwaitAgentSilence(), HangUp())
            words = ear(report.heard)
            assert [word for word in words if word != CUT] == plain_words("hello they will have that soon")
            assert other.spoken == ["soon."]

    run_virtual(main())
