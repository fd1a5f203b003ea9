"""Each thing that may go wrong with a realtime model, on the wire of each vendor, at several moments of a call.

The caller is never in silence for more than 3 s, the call goes on or ends in words, and one end of it is recorded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from jambonz.simulator.caller import HangUp, Speak, Wait
from jambonz.simulator.report import CallReport
from pipelines.parts import ProviderFault
from pipelines.phrasebook import phrases
from tests.calls.realtime_office import silences
from tests.calls.vendor_offices import AGENT, LONG, VENDORS, VendorOffice, office_of
from tests.clock import run_virtual
from tests.simulators.coarse import read_coarsely
from tests.simulators.codeword import CodewordVoice, heard_words, plain_words, speak
from tests.simulators.live_wire import GARBAGE, HUGE_BYTES
from tests.simulators.realtime_wire import Joined, WireSession

AT = 3.5
"""When the caller speaks, for 0.9 s."""

MOMENTS = {"in the greeting": 1.0, "while nobody speaks": 3.0, "while it thinks": 4.6, "in its answer": 5.6}

Trouble = Callable[[WireSession], object]


def expire(session: WireSession) -> None:
    """As each vendor has it."""
    match session.simulation:
        case Joined(call=call):
            call.ended_at, call.end_reason = session.now, "timeout"
            session.hang_up(1000)
        case _ if "OpenAI" in type(session.protocol).__name__:
            error = {"type": "invalid_request_error", "code": "session_expired", "message": "It has expired."}
            session.say(json.dumps({"type": "error", "event_id": "event_last", "error": error}))
            session.hang_up(1001)
        case _ if "Gemini" in type(session.protocol).__name__:
            session.say(json.dumps({"goAway": {"timeLeft": "0.5s"}}))
            session.later(0.5, session.hang_up, 1011)
        case _:
            closed = {"type": "session.closed", "event_id": "event_last", "reason": "expired", "usage": {"seconds": 60}}
            session.say(json.dumps(closed))
            session.hang_up(1000)


TROUBLES: dict[str, tuple[Trouble, int, list[str]]] = {
    "closed, 1006": (lambda session: session.hang_up(1006), 2, ["connect"]),
    "closed, 1000": (lambda session: session.hang_up(1000), 2, ["connect"]),
    "half-open": (WireSession.go_half_open, 2, ["connect"]),
    "silent": (WireSession.go_silent, 2, ["connect"]),
    "expired": (expire, 2, ["connect"]),
    "malformed": (lambda session: session.say(*GARBAGE, '{"type":"response.output_audio.delta","delta":'), 1, []),
    "5 MB": (lambda session: session.say('{"neverHeardOf":"' + "x" * HUGE_BYTES + '"}'), 1, []),
}
"""What happens, how many sessions there are then, and the kinds of failures that are recorded."""


def an_office(vendor: str) -> VendorOffice:
    office = office_of(vendor, AGENT, ["count", *["look"] * 8])
    office.own_voice = CodewordVoice(first=0.2)
    return office


async def talk(office: VendorOffice) -> CallReport:
    """A question with a long answer, and one with a tool; where the first got no answer it is not asked again."""
    question, another = speak("count for me"), speak("look it up")
    return await office.call(Wait(AT), Speak(question), Wait(19), Speak(another), Wait(8), HangUp(), patience=60)


def never_in_silence(report: CallReport) -> None:
    """Where the caller waits for the agent: from the answer of the phone, and from his words to the agent's last."""
    assert report.answered is not None
    begins = [report.answered, *(step.speech_ended for step in report.steps if step.speech_ended is not None)]
    ends = [*(step.speech_started for step in report.steps if step.speech_started is not None), report.ended or 0.0]
    for begin, end in zip(begins, ends, strict=True):
        onset = report.ear.sound_onset_after(begin)
        assert onset is not None
        assert onset - begin <= 3.0
        assert max(silences(report, begin, end)) <= 3.0


def kinds_of(logged: Sequence[Any]) -> list[str]:
    return [line["kind"] for line in logged if line["event"] == "a provider failed" and line["part"] == "llm"]


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_call_goes_on(vendor: str, trouble: str) -> None:
    what, sessions, kinds = TROUBLES[trouble]

    async def main(moment: str) -> None:
        async with an_office(vendor) as office:
            office.wire.at(MOMENTS[moment], what)
            report = await talk(office)
            never_in_silence(report)
            assert read_coarsely(report.heard)[-3:] in (["it", "is", "there"], LONG.split()[-3:])
            assert office.ending() == "caller"
            assert [type for type, _ in office.log()].count("hangup") == 1
            assert len(office.wire.sessions) == sessions
            assert office.mistakes == []
        assert office.wire.open_sessions == 0

    for moment in MOMENTS:
        with capture_logs() as logged:
            run_virtual(main(moment))
        assert kinds_of(logged) == kinds or (trouble == "expired" and not kinds_of(logged)), moment


REFUSALS: dict[str, tuple[list[ProviderFault | None], list[str]]] = {
    "401": (["auth"], ["auth"]),
    "429": (["rate_limit"] * 9, ["rate_limit"]),
    "lost, then 401": ([None, "auth"], ["connect", "auth"]),
    "lost, then 429": ([None, *["rate_limit"] * 9], ["connect", "rate_limit"]),  # type: ignore[list-item]
}


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_call_without_a_model_ends_in_words(vendor: str, refusal: str) -> None:
    refusals, kinds = REFUSALS[refusal]

    async def main() -> None:
        async with an_office(vendor) as office:
            office.wire.refusals = list(refusals)
            office.wire.at(MOMENTS["in its answer"], lambda session: session.hang_up(1006))
            await ends_in_words(office)

    with capture_logs() as logged:
        run_virtual(main())
    assert kinds_of(logged) == kinds


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("lost", [False, True], ids=["from the start", "after a session that was lost"])
def test_a_model_that_accepts_and_never_sets_up_a_session(vendor: str, lost: bool) -> None:
    async def main() -> None:
        async with an_office(vendor) as office:
            office.wire.mute_after = 1 if lost else 0
            if lost:
                office.wire.at(MOMENTS["in its answer"], lambda session: session.hang_up(1006))
            await ends_in_words(office)

    with capture_logs() as logged:
        run_virtual(main())
    assert kinds_of(logged) == (["connect", "timeout"] if lost else ["timeout"])


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_model_that_sets_up_sessions_and_never_says_anything(vendor: str) -> None:
    async def main() -> None:
        async with an_office(vendor) as office:
            office.wire.speechless = True
            await ends_in_words(office)

    with capture_logs() as logged:
        run_virtual(main())
    assert kinds_of(logged)[-1] in ("timeout", "server")


async def ends_in_words(office: VendorOffice) -> None:
    question = speak("count for me")
    report = await office.call(*[step for _ in range(6) for step in (Wait(AT), Speak(question), Wait(8))], patience=60)
    never_in_silence(report)
    apology = plain_words(phrases("en").cannot_go_on)
    assert heard_words(report.heard)[-len(apology) :] == apology
    assert office.ending() == "failed"
    assert report.ended_by == "jambonz"
    assert [type for type, _ in office.log()].count("hangup") == 1
    assert [mistake for mistake in office.mistakes if "response_cancel_not_active" not in mistake] == []
    assert office.wire.open_sessions == 0
