"""Calls that end in every way, on virtual time: by the model, for silence, for their length, and by the caller at any
moment; with a cascade and with a realtime model, over webhooks and over the application socket.

What has to hold: a goodbye is heard to its last word, whatever the caller does meanwhile; the call is over soon after
it, by our verb; and nothing of a call is left.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

from jambonz.simulator.caller import (
    AwaitAgentSilence,
    AwaitAgentSpeech,
    BargeIn,
    Cough,
    Dtmf,
    HangUp,
    Speak,
    Step,
    Wait,
)
from jambonz.simulator.report import CallReport
from pipelines.parts import Message, ToolCall
from tests.calls.office import Office
from tests.calls.realtime_office import RealtimeOffice
from tests.clock import run_virtual
from tests.simulators.codeword import CodewordRecogniser, CodewordVoice, heard_words, plain_words, speak
from tests.simulators.realtime_memory import MemoryModel
from tests.simulators.replies import Answer, ReplyModel

Kind = Literal["cascade", "realtime"]
Ending = Literal["agent", "idle", "max_duration", "caller"]
KINDS: Sequence[Kind] = ("cascade", "realtime")
ENDINGS: Sequence[Ending] = ("agent", "idle", "max_duration", "caller")

GROUP = 10
"""Calls at once of one agent."""

OVER_WITHIN = 2.5
"""Seconds from the last word, or from the caller's hanging up, to the end of the call."""

GOODBYE = "thank you for calling and goodbye"
FAREWELL = "i hear nobody so goodbye"
TIME_IS_OVER = "our time is over goodbye"
TALK = "talk to me"
ANSWERS = ("one two three four five six seven eight nine", "red green blue white black brown yellow pink grey")
"""In turn: a word that is cut off is not taken for the same one that follows."""

LAST_WORDS = {"agent": GOODBYE, "idle": FAREWELL, "max_duration": TIME_IS_OVER}


@dataclass(frozen=True, slots=True)
class Scene:
    """One call."""

    seed: int
    kind: Kind
    ending: Ending
    application: bool
    steps: Sequence[Step]

    def __str__(self) -> str:
        way = "application" if self.application else "webhooks"
        return f"{self.kind}, {way}, {self.ending}, seed {self.seed}"


@dataclass(slots=True)
class Tally:
    calls: int = 0
    by: Counter[tuple[Kind, Ending, bool]] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    """By the reason in the record."""
    problems: list[str] = field(default_factory=list)


def play(calls: int, seed: int = 0) -> Tally:
    """So many calls, a group of them at a time."""
    tally = Tally()
    turns = product(range(calls), ENDINGS, KINDS)
    for number, (_, ending, kind) in zip(range(0, calls, GROUP), turns, strict=False):
        run_virtual(_group(kind, ending, range(seed + number, seed + min(number + GROUP, calls)), tally))
    return tally


async def _group(kind: Kind, ending: Ending, seeds: Sequence[int], tally: Tally) -> None:
    scenes = [_scene(seed, kind, ending) for seed in seeds]
    office = _office(kind, ending, random.Random(f"{seeds[0]} of a group"))
    async with office:
        tasks = asyncio.all_tasks()
        reports = await asyncio.gather(
            *(office.call(*scene.steps, application=scene.application, patience=90.0) for scene in scenes)
        )
        for scene, report in zip(scenes, reports, strict=True):
            tally.calls += 1
            tally.by[scene.kind, scene.ending, scene.application] += 1
            tally.ended[_reason(office, report)] += 1
            tally.problems += [f"{scene}: {problem}" for problem in _problems(office, scene, report)]
        await asyncio.sleep(10)
        await office.recorder.settled()
        tally.problems += [f"seeds {seeds}: {problem}" for problem in _left(office, asyncio.all_tasks() - tasks)]


def _office(kind: Kind, ending: Ending, chance: random.Random) -> Office:
    agent: dict[str, Any] = {
        "functions": [{"name": "hangup", "implementation": "builtin", "platform": "hangup"}],
        "options": {
            "greeting": "hello this is the test agent",
            "idle": {"timeout": chance.uniform(2, 4), "prompts": ["are you there"], "farewell": FAREWELL},
            "maxDuration": chance.uniform(5, 12) if ending == "max_duration" else 85,
            "timeExceededMessage": TIME_IS_OVER,
        },
    }
    latency = chance.uniform(0.001, 0.04)
    if kind == "realtime":

        def reply(heard: str, history: Sequence[tuple[str, str]]) -> tuple[str, Sequence[ToolCall]]:
            said = sum(who == "user" for who, _ in history)
            return (ANSWERS[said % 2], ()) if heard.endswith(TALK) else (GOODBYE, [ToolCall("1", "hangup")])

        model = MemoryModel(reply, speed=chance.uniform(1.2, 8), think=chance.uniform(0.05, 0.6))
        return RealtimeOffice(agent, model, latency=latency)

    def script(messages: Sequence[Message]) -> Sequence[Answer]:
        said = sum(message.role == "user" for message in messages)
        wanted = messages[-1].content.endswith(TALK)  # what was not answered comes once more, before it
        return [ANSWERS[said % 2]] if wanted else [GOODBYE, ToolCall("1", "hangup")]

    return Office(
        agent,
        ReplyModel(script, first=chance.uniform(0, 0.4), per_word=chance.uniform(0, 0.15)),
        voice=CodewordVoice(first=chance.uniform(0, 0.2), per_word=chance.uniform(0, 0.1)),
        recogniser=CodewordRecogniser(delay=chance.uniform(0.05, 0.4)),
        latency=latency,
    )


def _scene(seed: int, kind: Kind, ending: Ending) -> Scene:
    chance = random.Random(seed)
    return Scene(seed, kind, ending, chance.random() < 0.5, list(_steps(ending, chance)))


def _steps(ending: Ending, chance: random.Random) -> Iterator[Step]:
    yield AwaitAgentSilence()
    match ending:
        case "agent":
            if chance.random() < 0.3:
                yield from _talk(chance)
            yield Speak(speak("that was all"))
            yield AwaitAgentSpeech(timeout=5)
            yield from _meanwhile(chance)
        case "idle":
            if chance.random() < 0.4:
                yield from _talk(chance)
                yield AwaitAgentSilence()
            yield AwaitAgentSpeech(timeout=15)  # the prompt
            yield AwaitAgentSilence(min_gap=1.5)
            yield AwaitAgentSpeech(timeout=15)  # the farewell
            yield from _meanwhile(chance)
        case "max_duration":
            for _ in range(6):
                yield from _talk(chance)
                yield Wait(chance.uniform(0, 3))
        case "caller":
            for _ in range(chance.randrange(3)):
                yield from _talk(chance)
            if chance.random() < 0.4:
                yield Speak(speak("that was all"))
            yield Wait(chance.uniform(0, 4))
            if chance.random() < 0.3:
                yield Speak(speak("by the way")[: chance.randrange(320, 14400, 320)])
            yield HangUp()


def _talk(chance: random.Random) -> Iterator[Step]:
    yield Speak(speak(TALK))
    yield AwaitAgentSpeech(timeout=5)
    yield Wait(chance.uniform(0, 3.5))


def _meanwhile(chance: random.Random) -> Iterator[Step]:
    """What people do while they are told goodbye."""
    match chance.randrange(6):
        case 0:
            yield BargeIn(speak("wait one more thing"), after=chance.uniform(0, 2.5), timeout=4)
        case 1:
            yield Wait(chance.uniform(0, 2))
            yield Cough(round(chance.uniform(40, 300)))
        case 2:
            yield Wait(chance.uniform(0, 3))
            yield Speak(speak("bye bye"))
        case 3:
            yield Wait(chance.uniform(0, 2))
            yield Dtmf("12#")
        case _:
            pass


def _problems(office: Office, scene: Scene, report: CallReport) -> Iterator[str]:
    heard, reason = heard_words(report.heard), _reason(office, report)
    # What a realtime model said is known to within a word at each cut: tests/calls/test_realtime.py has it.
    said = plain_words(" ".join(office.said("agent", report))) if scene.kind == "cascade" else heard
    if report.ended is None:
        yield "it never ended"
        return
    if report.ended_by == "caller":
        if scene.ending != "caller":
            yield f"the caller hung up, after {' '.join(heard)!r}"
        hung_up = [step.started for step in report.steps if isinstance(step.step, HangUp)]
        if not hung_up or report.ended - hung_up[0] > OVER_WITHIN:
            yield "it was not over when the caller hung up"
        # Hung up in the middle of a word, maybe: the news of it takes its time to reach us.
        if said[: max(0, len(heard) - 1)] != heard[:-1] or abs(len(said) - len(heard)) > 1:
            yield f"history is not what was heard: {said} {heard}"
        if reason != "caller" and not _was_told(heard, reason):  # both at once
            yield f"the caller hung up, and the record says {reason}"
        return
    if reason not in LAST_WORDS or reason not in _expected(scene):
        yield f"it ended by {report.ended_by}, {reason}, after {' '.join(heard)!r}"
        return
    if not _was_told(heard, reason):
        yield f"the goodbye was clipped: {' '.join(heard)!r}"
    if heard != said:
        yield f"history is not what was heard: {said} {heard}"
    verbs = report.verbs
    if report.ended_by != "jambonz" or verbs != ["listen", "hangup"]:
        yield f"it was not ended by our verb: {report.ended_by}, {verbs}"
    spoken = report.ear.utterances()[-1].end
    if report.ended - spoken > OVER_WITHIN:
        yield f"it was left up for {report.ended - spoken:.1f} s after its last word"


def _expected(scene: Scene) -> Sequence[str]:
    if scene.ending == "caller":  # somebody was quicker than he
        return ENDINGS
    if (scene.kind, scene.ending) == ("realtime", "agent"):
        return ("agent", "idle")  # a model that hears a cough leaves its goodbye, and its tool
    return (scene.ending,)


def _was_told(heard: list[str], reason: str) -> bool:
    last = plain_words(LAST_WORDS.get(reason, ""))
    return bool(last) and heard[-len(last) :] == last


def _reason(office: Office, report: CallReport) -> str:
    [call] = [call for call in office.store.started.values() if call.platform_call_id == report.call_sid]
    return office.store.ended[call.id][1] if call.id in office.store.ended else "nothing: it has no end in its record"


def _left(office: Office, tasks: set[asyncio.Task[Any]]) -> Iterator[str]:
    """Of calls that are over."""
    if office.switchboard.calls or office.jambonz.calls or len(office.ticker):
        yield "calls were left up"
    if office.store.places.taken:
        yield "places were not given back"
    if isinstance(office, RealtimeOffice):
        assert isinstance(office.realtime, MemoryModel)
        if office.realtime.open_sessions or office.realtime.mistakes:
            yield f"the model has {office.realtime.open_sessions} sessions, and notes {office.realtime.mistakes}"
    elif (office.model.open, office.voice.open, office.recogniser.open_streams) != (0, 0, 0):
        yield "the parts of a cascade were left open"
    running = [task for task in tasks if not task.done()]
    if running:
        yield f"tasks were left: {running}"
