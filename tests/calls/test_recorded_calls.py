from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.recordings.call import CallRecording
from gateway.recordings.sealed import client_key
from jambonz.simulator.caller import AwaitAgentSilence, AwaitAgentSpeech, BargeIn, HangUp, Speak, Wait
from jambonz.simulator.report import CallReport
from pipelines.parts import Message, ToolCall
from pipelines.phrasebook import phrases
from store.listeners import ListenerOptions
from tests.calls.office import NUMBER, Office
from tests.calls.realtime_office import RealtimeOffice
from tests.calls.recorded import MemoryRows, kept, lag, recordings_in
from tests.clock import run_virtual
from tests.simulators.codeword import CODE, Code, heard_words, plain_words, speak
from tests.simulators.realtime_memory import MemoryModel
from tests.simulators.replies import Answer, ReplyModel, always

pytestmark = pytest.mark.usefixtures("by_both", "in_place_of_threads")

LONG = "the first thing is this and the second thing is that and then there is a third thing to tell you about"
ANNOUNCED = len(phrases("en").recorded.split()) * 0.3


@pytest.fixture(autouse=True)
def words_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels that Opus tells apart, however many words other tests have spoken."""
    fresh = Code(count(400, 8))
    for name, value in vars(fresh).items():
        monkeypatch.setattr(CODE, name, value)


def office(kind: str, options: dict[str, Any], folder: Path, rows: MemoryRows, **more: Any) -> Office:
    agent = {"options": {"greeting": "Hello there.", **options}}
    recordings = recordings_in(folder, rows)
    if kind == "realtime":
        return RealtimeOffice(agent, MemoryModel(lambda heard, history: (LONG, ())), recordings=recordings, **more)
    return Office(agent, ReplyModel(always(LONG)), recordings=recordings, **more)


def began(call: Office) -> float:
    [recording] = [session.recording for session in call.sessions]
    assert recording is not None
    return recording._sides.began


def late(report: CallReport, samples: np.ndarray, since: float, rate: int) -> tuple[list[float], float]:
    """By how much either side is late against the telephone: the agent for each time he spoke."""
    answered, heard = report.answered or 0.0, np.frombuffer(report.heard, "<i2")
    agent = []
    for span in report.ear.utterances():
        start, stop = max(span.start - 0.1, since), span.end + 0.1
        played = heard[round((start - answered) * rate) : round((stop - answered) * rate)]
        recorded = samples[round((start - since) * rate) : round((stop - since) * rate), 1]
        seconds, alike = lag(recorded, played, rate)
        assert alike > 0.8, (span, alike)
        agent.append(seconds)
    said = np.frombuffer(report.said, "<i2")[round((since - answered) * rate) :]
    caller, alike = lag(samples[:, 0], said[: len(samples)], rate)
    assert alike > 0.9, alike
    return agent, caller


@pytest.mark.parametrize("kind", ["cascade", "realtime"])
def test_the_file_is_what_the_caller_heard_and_said(kind: str, tmp_path: Path) -> None:
    """With a barge-in that cuts the agent off, and one that only paused him."""
    rows = MemoryRows()
    options = {"recording": {"enabled": True, "announcement": None}}

    async def main() -> tuple[CallReport, float]:
        async with office(kind, options, tmp_path, rows) as call:
            report = await call.call(
                AwaitAgentSilence(),
                Speak(speak("tell me all")),
                AwaitAgentSpeech(timeout=10),
                Wait(1.0),
                BargeIn(speak("no stop it please")),
                AwaitAgentSpeech(timeout=10),
                Wait(1.5),
                HangUp(),
            )
            since = began(call)
        return report, since

    report, since = run_virtual(main())
    [stored] = rows.stored
    samples, at = kept(tmp_path, stored)
    assert at == 8000
    agent, caller = late(report, samples, since, at)
    assert len(agent) == 3
    assert max(abs(seconds) for seconds in agent) <= 0.02
    assert abs(caller) <= 0.02
    assert len(samples) / at == pytest.approx(stored.seconds, abs=0.1)


def test_nothing_is_stored_before_the_caller_heard_that_it_is(tmp_path: Path) -> None:
    rows = MemoryRows()

    async def main() -> CallReport:
        async with office("cascade", {"recording": {"enabled": True}}, tmp_path, rows) as call:
            report = await call.call(AwaitAgentSilence(), Speak(speak("yes")), AwaitAgentSpeech(timeout=10), HangUp())
            events = [data for kind, data in call.log(report) if kind in ("agent", "status")]
            assert events[0] == phrases("en").recorded
            assert began(call) >= (report.answered or 0.0) + ANNOUNCED
        return report

    report = run_virtual(main())
    assert heard_words(report.heard)[:4] == plain_words(phrases("en").recorded)
    samples, rate = kept(tmp_path, rows.stored[0])
    first = np.flatnonzero(np.abs(samples[:, 1]) > 200)
    assert len(first) > 0
    assert len(samples) / rate < len(report.heard) / 2 / 8000 - ANNOUNCED + 0.1


@pytest.mark.parametrize("kind", ["cascade", "realtime"])
def test_after_the_announcement_the_agent_greets_once(tmp_path: Path, kind: str) -> None:
    """A realtime model was set up to greet before that."""

    async def main() -> None:
        async with office(kind, {"recording": {"enabled": True}}, tmp_path, MemoryRows()) as call:
            report = await call.call(AwaitAgentSilence(min_gap=2.5), HangUp())
            assert heard_words(report.heard) == plain_words(f"{phrases('en').recorded} Hello there.")

    run_virtual(main())


def test_who_hangs_up_during_the_announcement_is_not_recorded(tmp_path: Path) -> None:
    rows = MemoryRows()

    async def main() -> None:
        async with office("cascade", {"recording": {"enabled": True}}, tmp_path, rows) as call:
            await call.call(AwaitAgentSpeech(timeout=5), Wait(0.3), HangUp())

    run_virtual(main())
    assert rows.stored == []
    assert not list(tmp_path.rglob("*.*"))


def test_a_call_whose_caller_cannot_be_told_is_not_recorded(tmp_path: Path) -> None:
    rows = MemoryRows()

    async def main() -> None:
        async with office("cascade", {"recording": {"enabled": True}}, tmp_path, rows) as call:
            call.interlude = lambda *_: None  # type: ignore[method-assign]
            await call.call(AwaitAgentSilence(), HangUp())
            assert call.said("error") == ["The call is not recorded: the caller could not be told that it is"]

    run_virtual(main())
    assert rows.stored == []


@pytest.mark.parametrize("words", [0, 2])
def test_a_voice_that_fails_in_the_announcement_has_told_nobody(tmp_path: Path, words: int) -> None:
    rows = MemoryRows()

    async def main() -> None:
        async with office("cascade", {"recording": {"enabled": True}}, tmp_path, rows) as call:
            call.voice.fail_after = words
            await call.call(Wait(6.0), HangUp())

    run_virtual(main())
    assert rows.stored == []


def test_the_listener_says_whether_and_with_which_key(tmp_path: Path) -> None:
    """Of a client's key nobody but the client has anything left."""
    rows = MemoryRows()

    async def main() -> None:
        async with office("cascade", {"recording": {"enabled": False}}, tmp_path, rows) as call:
            listener = call.store.listeners[NUMBER]
            options = ListenerOptions(recording={"enabled": True, "key": "mine alone", "announcement": None})
            call.store.listeners = {NUMBER: replace(listener, options=options)}
            await call.call(AwaitAgentSilence(), Wait(0.5), HangUp())

    run_virtual(main())
    [stored] = rows.stored
    assert stored.key is None
    samples, _ = kept(tmp_path, stored, client_key("mine alone"))
    assert np.abs(samples[:, 1]).max() > 200
    assert [path.name for path in (tmp_path / "spool").iterdir()] == []


def test_a_pause_for_a_payment_is_silence_in_the_file(tmp_path: Path) -> None:
    rows = MemoryRows()

    async def main() -> None:
        options = {"recording": {"enabled": True, "announcement": None}}
        async with office("cascade", options, tmp_path, rows) as call:
            loop = asyncio.get_running_loop()

            def when(at: float, what: str) -> None:
                loop.call_at(at, lambda: getattr(call.sessions[0].recording, what)())

            when(3.0, "pause")
            when(6.0, "resume")
            await call.call(Wait(1.0), Speak(speak("one two three four five six seven eight nine ten " * 3)), HangUp())
            states = [data["state"] for data in call.status("recording")]
            assert states == ["started", "paused", "resumed"]
            since = began(call)

        samples, rate = kept(tmp_path, rows.stored[0])
        loud = np.abs(np.diff(samples.astype(int), axis=0)).max(axis=1) > 150  # edges: Opus keeps no levels
        start, end = (round((at - since) * rate) for at in (3.0, 6.0))
        assert not loud[start + rate // 50 : end - rate // 50].any()  # Opus smears an edge by less than a frame
        assert loud[:start].any()
        assert loud[end:].any()

    run_virtual(main())


PAYS: dict[str, Any] = {
    "functions": [
        {"name": name, "implementation": "builtin", "platform": f"{name}_recording"} for name in ("pause", "resume")
    ]
}
CARD = "four nine one seven"


def _pays(heard: str, told: str) -> tuple[str, str | None]:
    """What the agent says, and the function that it calls before: to what it heard, or after what a tool told it."""
    if "recorded" in told:
        return ("Your number please.", None) if "until" in told else ("It is paid.", None)
    return ("", "resume") if heard == CARD else ("", "pause")


@pytest.mark.parametrize("kind", ["cascade", "realtime"])
@pytest.mark.parametrize("recorded", [True, False])
def test_the_agent_pauses_the_recording_for_a_payment(
    kind: str, recorded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, at = MemoryRows(), dict[str, float]()

    def note(name: str) -> None:
        do = getattr(CallRecording, name)

        def noted(recording: CallRecording) -> None:
            at[name] = asyncio.get_running_loop().time()
            do(recording)

        monkeypatch.setattr(CallRecording, name, noted)

    note("pause")
    note("resume")

    def script(messages: Sequence[Message]) -> Sequence[Answer]:
        text, name = _pays(messages[-1].content, messages[-1].content if messages[-1].role == "tool" else "")
        return [ToolCall("1", name)] if name is not None else [text]

    def reply(heard: str, history: object) -> tuple[str, Sequence[ToolCall]]:
        text, name = _pays(heard, heard)
        return text, [ToolCall("1", name)] if name is not None else []

    async def main() -> tuple[CallReport, float]:
        agent = {
            **PAYS,
            "options": {"greeting": "Hello there.", "recording": {"enabled": recorded, "announcement": None}},
        }
        recordings = recordings_in(tmp_path, rows)
        here = (
            RealtimeOffice(agent, MemoryModel(reply), recordings=recordings)
            if kind == "realtime"
            else Office(agent, ReplyModel(script), recordings=recordings)
        )
        async with here:
            report = await here.call(
                AwaitAgentSilence(),
                Speak(speak("i want to pay")),
                AwaitAgentSilence(),
                Speak(speak(CARD)),
                AwaitAgentSilence(),
                Speak(speak("thank you")),
                HangUp(),
            )
            return report, began(here) if recorded else 0.0

    report, since = run_virtual(main())
    assert "paid" in heard_words(report.heard)
    if not recorded:
        assert (rows.stored, at) == ([], {})
        return
    samples, rate = kept(tmp_path, rows.stored[0])
    loud = np.abs(np.diff(samples.astype(int), axis=0)) > 150  # edges: Opus keeps no levels
    start, end = (round((at[name] - since) * rate) for name in ("pause", "resume"))
    assert end - start > 2 * rate
    assert not loud[start + rate // 50 : end - rate // 50].any()
    for part in (loud[:start], loud[end:]):
        assert part.any(axis=0).all(), "both sides are there before and after"


def test_a_call_that_is_not_recorded_has_nothing_of_it_on_its_way(tmp_path: Path) -> None:
    async def main() -> None:
        async with office("cascade", {}, tmp_path, MemoryRows()) as call:
            await call.call(AwaitAgentSilence(), HangUp())
            [session] = call.sessions
            assert session.recording is None
            assert getattr(session.on_audio, "__name__", "") != "hear_and_record"

    run_virtual(main())


def test_what_is_deleted_in_mid_call_leaves_nothing(tmp_path: Path) -> None:
    rows = MemoryRows()

    async def main() -> None:
        options = {"recording": {"enabled": True, "announcement": None}}
        async with office("cascade", options, tmp_path, rows) as call:
            asyncio.get_running_loop().call_at(1.5, lambda: call.sessions[0].recording.discard())  # type: ignore[union-attr]
            report = await call.call(AwaitAgentSilence(), Speak(speak("yes")), AwaitAgentSilence(), HangUp())
            assert heard_words(report.heard)[:2] == ["hello", "there"]
            assert [data["state"] for data in call.status("recording")] == ["started", "deleted"]

    run_virtual(main())
    assert rows.stored == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
