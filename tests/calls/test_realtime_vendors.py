"""Whole calls on the wires of Gemini Live, GPT-Live and Ultravox, on virtual time."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from jambonz.simulator.caller import AwaitAgentSilence, BargeIn, HangUp, Speak, Step, Wait
from tests.calls.realtime_office import silences
from tests.calls.vendor_offices import (
    AGENT,
    HELLO,
    LONG,
    TOOLS,
    VENDORS,
    GeminiOffice,
    GptLiveOffice,
    OpenAIOffice,
    UltravoxOffice,
    VendorOffice,
    office_of,
)
from tests.clock import run_virtual
from tests.simulators.coarse import read_coarsely
from tests.simulators.codeword import heard_words, plain_words, speak
from tests.simulators.live_wire import Fault
from tests.simulators.openai_realtime import Faults as OpenAIFaults
from tests.simulators.ultravox_call import Faults

TALK: list[Step] = [
    AwaitAgentSilence(),
    Speak(speak("look")),
    AwaitAgentSilence(min_gap=1.5),
    Speak(speak("count")),
    BargeIn(speak("stop it"), after=2.0),
    AwaitAgentSilence(min_gap=1.5),
    Speak(speak("thanks")),
    Wait(10),
]
SAID = ["look", "count", "stop it", "thanks"]


def words_said(office: VendorOffice) -> list[str]:
    return plain_words(" ".join(office.said("agent")))


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_conversation_with_a_tool_an_interruption_and_a_goodbye(vendor: str) -> None:
    async def main() -> None:
        async with office_of(vendor, AGENT, SAID) as office:
            report = await office.call(*TALK)
            heard = read_coarsely(report.heard)
            counted = LONG.split()
            told = [word for word in heard if word in counted]
            assert 4 <= len(told) <= 10
            assert told == counted[: len(told)]
            around = [word for word in heard if word not in counted]
            assert around == plain_words(f"{HELLO} Let me look. It is there. Alright. Goodbye then.")
            if isinstance(office, GptLiveOffice):  # it tells a word when it begins
                [session] = office.server.sessions
                assert words_said(office) == plain_words(
                    " ".join(t.text for t in session.history if t.role == "assistant")
                )
                heard.insert(heard.index(told[-1]) + 1, counted[len(told)])
            assert words_said(office) == heard
            assert office.said("user") == SAID
            assert report.barge_in_latencies[0] <= 0.6
            assert office.ending() == "agent"
            assert report.ended_by == "jambonz"
            assert len(office.status("interrupted")) == 1
            assert [was["confirmed"] for was in office.status("bargeIn")] == [True]
            assert office.status("underrun") == []
            assert office.mistakes == []
        assert office.wire.open_sessions == 0

    run_virtual(main())


def test_nothing_of_a_stream_is_queued() -> None:
    """GPT-Live: its first word and its twentieth are heard as soon as they were said, and silence is not played."""

    async def main() -> None:
        async with GptLiveOffice(AGENT, said=deque(["count"])) as office:
            report = await office.call(AwaitAgentSilence(), Speak(speak("count")), Wait(10), HangUp())
            [hello, long] = office.begins
            [first, second] = report.ear.utterances()
            for span, began, words in ((first, hello, plain_words(HELLO)), (second, long, LONG.split())):
                assert 0 < span.start - began <= 0.35
                assert abs(span.end - began - 0.3 * len(words)) <= 0.35
            assert office.said("agent") == [HELLO, LONG]

    run_virtual(main())


@pytest.mark.parametrize("farewell", [None, "So long."])
def test_a_stream_that_hangs_up_without_a_word(farewell: str | None) -> None:
    async def main() -> None:
        agent = {"options": {**AGENT["options"], "ending": {"farewell": farewell}}, **TOOLS}
        async with GptLiveOffice(agent, said=deque(["hang up"])) as office:
            report = await office.call(AwaitAgentSilence(), Speak(speak("bye")), Wait(30))
            hello = plain_words(HELLO)
            # The farewell is in another voice, which may look like any word to coarse reading.
            assert read_coarsely(report.heard)[: len(hello) if farewell else None] == hello
            assert heard_words(report.heard)[-2:] == (["so", "long"] if farewell else [])
            assert office.ending() == "agent"
            assert report.steps[1].speech_ended is not None
            assert report.ended is not None
            assert report.ended - report.steps[1].speech_ended < 5

    run_virtual(main())


@pytest.mark.parametrize("announced", [8.3, 8.5, 8.7, 8.9, 9.0, 10.0, 11.5])
def test_an_end_that_is_announced_is_not_noticed(announced: float) -> None:
    """Gemini: short sessions, one after the other, each told by the handle of the last. The end is announced while the
    caller speaks, while the model thinks, while it speaks, and in between."""

    async def main() -> None:
        said = [f"word{number}" for number in range(8)]
        async with GeminiOffice(AGENT, said=deque(said), go_away_after=announced, go_away_left=8.0) as office:
            talk = [step for word in said for step in (Speak(speak(word)), AwaitAgentSilence(min_gap=1.0), Wait(2))]
            report = await office.call(AwaitAgentSilence(), *talk, HangUp())
            assert len(office.server.sessions) >= 3
            for session in office.server.sessions[1:]:
                assert session.setup["sessionResumption"]["handle"] in office.server.handles
            assert office.said("user") == said
            assert office.said("agent") == [HELLO, *(f"You said {word}" for word in said)]
            assert read_coarsely(report.heard) == plain_words(" ".join(office.said("agent")))
            assert [type for type, _ in office.log() if type == "error"] == []
            assert max(report.response_latencies) <= 1.5
            assert office.mistakes == []
        assert office.wire.open_sessions == 0

    run_virtual(main())


LOST: dict[str, Any] = {
    "openai": OpenAIFaults(drop_after_ms=3300),
    "gemini": Fault("close", code=1006, after=18),
    "gpt-live": Fault("close", code=1006, after=130),
    "ultravox": Faults(cut_speech=2.1),
}
"""In the middle of the second answer; Ultravox's of the first that is so long."""


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_session_lost_in_mid_utterance_is_followed_by_another_that_knows_what_was_heard(vendor: str) -> None:
    async def main() -> None:
        async with office_of(vendor, AGENT, ["count", "look", "look"], [LOST[vendor]]) as office:
            report = await office.call(
                AwaitAgentSilence(), Speak(speak("count")), Wait(15), Speak(speak("look")), Wait(5), HangUp()
            )
            heard = read_coarsely(report.heard)
            assert len(office.wire.sessions) == 2
            counted = [word for word in heard if word in LONG.split()]
            assert counted[:3] == LONG.split()[:3]
            assert heard[-3:] == ["it", "is", "there"]
            for asked, again in ((1, report.steps[3].speech_started), (3, report.ended)):
                ended = report.steps[asked].speech_ended
                assert ended is not None
                assert again is not None
                assert max(silences(report, ended, again)) <= 3.0
            assert office.ending() == "caller"
            assert office.mistakes == []
        assert office.wire.open_sessions == 0

    run_virtual(main())


def told_silence(office: VendorOffice) -> float | None:
    """What the vendor was told of how much silence ends a turn, in seconds."""
    match office:
        case OpenAIOffice():
            [update] = [e for e in office.simulations[0].received if e["type"] == "session.update"]
            milliseconds = update["session"]["audio"]["input"]["turn_detection"].get("silence_duration_ms")
        case GeminiOffice():
            listening = office.server.sessions[0].setup["realtimeInputConfig"]
            milliseconds = listening.get("automaticActivityDetection", {}).get("silenceDurationMs")
        case UltravoxOffice():
            delay = office.calls[0].request["vadSettings"].get("turnEndpointDelay")
            milliseconds = 1000 * float(delay.removesuffix("s")) if delay is not None else None
        case _:
            raise AssertionError(f"{office} is told nothing of the kind")
    return milliseconds / 1000 if milliseconds is not None else None


@pytest.mark.parametrize(("vendor", "usual"), [("openai", 0.5), ("gemini", 0.5), ("ultravox", 0.384)])
def test_how_long_a_pause_is_is_the_agents_business_where_it_says_so(vendor: str, usual: float) -> None:
    async def main(endpointing: dict[str, float]) -> tuple[float | None, float]:
        agent = {**AGENT, "options": {**AGENT["options"], "turns": {"endpointing": endpointing}}}
        async with office_of(vendor, agent, ["hello"] * 3) as office:
            report = await office.call(
                AwaitAgentSilence(), Speak(speak("hello")), AwaitAgentSilence(), Wait(1), HangUp()
            )
            assert office.said("agent") == [HELLO, "You said hello"]
            assert office.mistakes == []
            [latency] = report.response_latencies
            return told_silence(office), latency

    unset, at_once = run_virtual(main({}))
    assert unset is None
    for endpointing, wanted in (({"minDelay": 0.3, "maxDelay": 2.3}, 1.3), ({"minDelay": 0.8}, 0.8)):
        told, latency = run_virtual(main(endpointing))
        assert told == pytest.approx(wanted, abs=0.017)
        assert latency - at_once == pytest.approx(wanted - usual, abs=0.06)


def test_a_caller_who_may_pause_for_long_is_not_wondered_at_meanwhile() -> None:
    async def main() -> None:
        agent = {**AGENT, "options": {**AGENT["options"], "turns": {"endpointing": {"maxDelay": 5.6}}}}
        async with office_of("openai", agent, ["hello"]) as office:
            report = await office.call(
                AwaitAgentSilence(), Speak(speak("well")), Wait(2.5), Speak(speak("hello")), Wait(5), HangUp()
            )
            assert read_coarsely(report.heard) == plain_words(f"{HELLO} You said hello")

    run_virtual(main())
