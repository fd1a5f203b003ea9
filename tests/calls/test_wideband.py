"""Whole calls on a leg of 16 kHz, on virtual time: what the ear had is what the log and the model say, as at 8 kHz."""

from __future__ import annotations

from typing import Any

import pytest

from jambonz.simulator.caller import AwaitAgentSilence, BargeIn, HangUp, Speak, Wait, telephone_sound
from jambonz.simulator.report import CallReport, VerbStarted
from media.audio import PCM_8K, PCM_16K, PCM_24K, AudioFormat, Clip
from tests.calls.office import Office
from tests.calls.test_realtime_openai import TOOLS, agent_seconds, always
from tests.calls.test_realtime_vendors import SAID, TALK, words_said
from tests.calls.vendor_offices import AGENT, HELLO, LONG, VENDORS, OpenAIOffice, office_of
from tests.clock import run_virtual
from tests.simulators.coarse import read_coarsely
from tests.simulators.codeword import heard_words, plain_words, speak
from tests.simulators.openai_realtime import History, Reply
from tests.simulators.openai_realtime_voice import codewords, hiss
from tests.simulators.replies import ReplyModel
from tests.simulators.replies import always as answers

WIDE: dict[str, Any] = {"audio": {"sampleRate": 16000}}
GREETING: dict[str, Any] = {"options": {"greeting": HELLO, "idle": {"timeout": None}, **WIDE}}


def narrow(report: CallReport) -> bytes:
    """What the ear had, at 8 kHz, where speech can be read."""
    return telephone_sound(Clip(report.format, report.heard))


def listened(report: CallReport) -> tuple[int, int]:
    """The rates that Jambonz was asked for: of the caller's sound, and of ours."""
    [listen] = [e.properties for e in report.events if isinstance(e, VerbStarted) and e.verb == "listen"]
    return listen["sampleRate"], listen["bidirectionalAudio"]["sampleRate"]


def test_a_cascade() -> None:
    async def main() -> None:
        async with Office(GREETING, ReplyModel(answers("one two three four five six seven eight nine ten"))) as office:
            report = await office.call(
                AwaitAgentSilence(),
                Speak(speak("count")),
                BargeIn(speak("wait a moment"), after=1.0),
                AwaitAgentSilence(),
                HangUp(),
            )
            assert listened(report) == (16000, 16000)
            assert office.legs[0].format == report.format == PCM_16K
            assert office.said("user") == ["count", "wait a moment"]
            assert heard_words(narrow(report)) == plain_words(" ".join(office.said("agent")))
            assert report.underruns == []

    run_virtual(main())


def test_openai_realtime() -> None:
    """PCM at 24 kHz both ways."""

    def reply(user: str, history: History) -> Reply:
        if user == "thanks":
            return Reply("Goodbye then.", [("hangup", {})])
        if user == "count":
            return Reply(LONG)
        return Reply("It is there.") if history[-1][1] == "found" else Reply("Let me look.", [("look", {})])

    async def main() -> None:
        async with OpenAIOffice(
            GREETING | TOOLS, reply, ["look", "count", "stop", "thanks"], voice=codewords
        ) as office:
            report = await office.call(
                AwaitAgentSilence(),
                Speak(speak("look")),
                AwaitAgentSilence(),
                Speak(speak("count")),
                BargeIn(speak("stop it"), after=2.0),
                AwaitAgentSilence(),
                Speak(speak("thanks")),
                Wait(10),
            )
            [simulation] = office.simulations
            for side in ("input", "output"):
                assert simulation.session["audio"][side]["format"] == {"type": "audio/pcm", "rate": PCM_24K.rate}
            assert listened(report) == (16000, 16000)
            assert heard_words(narrow(report)) == plain_words(" ".join(office.said("agent")))
            assert [t for role, t in simulation.history() if role == "assistant"][2] == office.said("agent")[2]
            assert office.ending() == "agent"
            assert office.mistakes == []

    run_virtual(main())


@pytest.mark.parametrize(
    ("telephone", "seed"), [*((PCM_16K, seed) for seed in range(4)), *((PCM_8K, seed) for seed in range(2))], ids=str
)
def test_audio_end_ms_is_what_the_caller_heard(telephone: AudioFormat, seed: int) -> None:
    """With a codec of 16 kHz; and with one of 8 kHz although the INVITE offered more, where marks tell nothing."""

    async def one(number: int) -> float:
        async with OpenAIOffice(GREETING, always(" ".join(["word"] * 20)), ["count", "stop"], voice=hiss) as office:
            report = await office.call(
                AwaitAgentSilence(),
                Speak(speak("count")),
                BargeIn(speak("stop it"), after=0.1 + 0.023 * number),
                Wait(0.4),
                HangUp(),
                telephone=telephone,
                offers_wideband=True,
            )
            assert listened(report) == (16000, 16000)
            assert office.mistakes == []
            told = [event for event in office.simulations[0].received if event["type"] == "conversation.item.truncate"]
            [end] = [event["audio_end_ms"] for event in told]
            assert report.barge_in_latencies[0] <= 0.25
            asked = report.steps[1].speech_ended
            assert asked is not None
            return float(end) - 1000 * agent_seconds(report, asked)

    async def main() -> list[float]:
        return [await one(25 * seed + number) for number in range(25)]

    assert max(abs(error) for error in run_virtual(main())) <= 60


@pytest.mark.parametrize("vendor", VENDORS)
def test_other_models(vendor: str) -> None:
    async def main() -> None:
        async with office_of(vendor, {**AGENT, "options": {**AGENT["options"], **WIDE}}, SAID) as office:
            report = await office.call(*TALK)
            assert listened(report) == (16000, 16000)
            heard = read_coarsely(narrow(report))
            counted = LONG.split()
            told = [word for word in heard if word in counted]
            assert 4 <= len(told) <= 10
            assert told == counted[: len(told)]
            around = [word for word in heard if word not in counted]
            assert around == plain_words(f"{HELLO} Let me look. It is there. Alright. Goodbye then.")
            if vendor == "gpt-live":  # it tells a word when it begins
                heard.insert(heard.index(told[-1]) + 1, counted[len(told)])
            assert words_said(office) == heard
            assert office.ending() == "agent"
            assert office.status("underrun") == []
            assert office.mistakes == []

    run_virtual(main())


def test_a_call_that_cannot_carry_more_gets_a_leg_of_8_khz() -> None:
    async def main() -> None:
        async with OpenAIOffice(GREETING, always("Yes."), ["yes"], voice=codewords) as office:
            report = await office.call(
                AwaitAgentSilence(), Speak(speak("yes")), AwaitAgentSilence(), HangUp(), telephone=PCM_8K
            )
            assert listened(report) == (8000, 8000)
            assert heard_words(report.heard) == plain_words(" ".join(office.said("agent")))

    run_virtual(main())
