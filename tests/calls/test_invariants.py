"""A thousand random conversations on virtual time, and what holds in every one of them.

Overlaps, coughs, noises, keys, lost packets, late transcripts, slow and failing parts, tools in flight, endings of
every kind: history equals what was heard; what is to be said is said; every call ends, by a reason of a closed list.
"""

from __future__ import annotations

import asyncio
import random
from difflib import SequenceMatcher
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jambonz.simulator.caller import (
    AwaitAgentSilence,
    AwaitAgentSpeech,
    BargeIn,
    Cough,
    Dtmf,
    HangUp,
    LosePackets,
    Speak,
    Step,
    Wait,
)
from jambonz.simulator.report import CallReport
from pipelines.cascade import Cascade
from pipelines.events import EndReason
from pipelines.parts import Message, ProviderError, ToolCall
from pipelines.pipeline import Pipeline
from tests.calls.office import Office
from tests.clock import run_virtual
from tests.simulators.codeword import CodewordRecogniser, CodewordVoice, heard_words, plain_words, speak
from tests.simulators.replies import ReplyModel

AGENT: dict[str, Any] = {
    "options": {
        "greeting": "Good morning caller.",
        "maxDuration": 14,
        "timeExceededMessage": "Time over now.",
        "idle": {"timeout": 2, "prompts": ["Anybody listening?"], "farewell": "Leaving you."},
        "dtmf": {"timeout": 0.5},
    },
    "functions": [
        {"name": "hangup", "implementation": "builtin", "platform": "hangup"},
        {"name": "look_up", "implementation": "stub", "result": "found"},
    ],
}
SENTENCES = (
    "yes please",
    "no thank you",
    "my number is 07700",
    "i would like to",
    "what are your opening hours",
    "bye",
)
ANSWERS = (
    "One two three four five six seven eight.",
    "Red green blue. Black white yellow. Gold silver bronze.",
    "Short.",
)


def script(chance: random.Random) -> list[Step]:
    """What a caller does: by chance, and the same for the same chance."""

    def sound() -> bytes:
        return speak(chance.choice(SENTENCES))

    def step() -> Step:
        match chance.randrange(10):
            case 0:
                return Wait(chance.uniform(0, 2))
            case 1 | 2:
                return Speak(sound())
            case 3 | 4:
                return BargeIn(sound(), after=chance.uniform(0, 2), timeout=4)
            case 5:
                return Cough(chance.randint(40, 1000))
            case 6:
                return Dtmf(chance.choice(["1", "42#", "0123"]))
            case 7:
                return LosePackets(chance.uniform(0, 1.5))
            case 8:
                return AwaitAgentSpeech(timeout=3) if chance.random() < 0.5 else AwaitAgentSilence(timeout=4)
            case _:
                return HangUp() if chance.random() < 0.3 else AwaitAgentSilence(timeout=4)

    return [step() for _ in range(chance.randint(0, 6))]


class Sloppy(ReplyModel):
    """Answers, calls tools, hangs up, fails: by chance."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(self._answer, first=chance.choice([0, 0.2, 1.2, 4.0]), per_word=chance.choice([0, 0.03, 0.15]))
        self._chance = chance
        self._calls = 0

    def _answer(self, messages: Any) -> Any:
        last: Message = messages[-1]
        if last.role == "user" and last.content.endswith("bye"):
            return ["Goodbye friend.", ToolCall("bye", "hangup")]
        draw = self._chance.random()
        if draw < 0.08:
            return ["Half an answer", ProviderError(self.name, "server", "it broke")]
        if draw < 0.25 and last.role != "tool":
            self._calls += 1
            return ["Looking it up.", ToolCall(f"c{self._calls}", "look_up")]
        return [self._chance.choice(ANSWERS)]


@pytest.mark.parametrize("share", range(4))
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_what_holds_in_every_conversation(seed: int, share: int) -> None:
    """640 conversations, in four shares: no test takes long."""
    chance = random.Random(seed * 4 + share)
    run_virtual(_converse([script(chance) for _ in range(8)], chance))


async def _converse(scripts: list[list[Step]], chance: random.Random) -> None:
    recogniser = CodewordRecogniser(delay=chance.choice([0.02, 0.15, 0.6, 1.5]), deaf=chance.random() < 0.05)
    voice = CodewordVoice(
        first=chance.choice([0, 0.1, 0.5]),
        per_word=chance.choice([0, 0.05, 0.2]),
        fail_after=3 if chance.random() < 0.05 else None,
    )
    latency = chance.uniform(0.001, 0.05)
    async with Office(AGENT, Sloppy(chance), voice=voice, recogniser=recogniser, latency=latency) as office:
        watch = asyncio.create_task(_nobody_is_stuck(office))
        reports = await asyncio.gather(*(office.call(*script, patience=4) for script in scripts))
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        assert office.stuck == []
        for report in reports:
            _check(office, report)


def _check(office: Office, report: CallReport) -> None:
    said = plain_words(" ".join(office.said("agent", report)))
    heard = heard_words(report.heard)
    # To within a word at each cut or pause: the news of one takes its time to reach us. Two cuts can follow each other
    # without a word between them that is in both: the answer by the limit of the call, the farewell by the caller.
    notes = [data for type, data in office.log(report) if type == "status"]
    cuts = len([note for note in notes if "interrupted" in note or "bargeIn" in note]) + (report.ended_by == "caller")
    apart = [
        max(i2 - i1, j2 - j1)
        for tag, i1, i2, j1, j2 in SequenceMatcher(None, said, heard, autojunk=False).get_opcodes()
        if tag != "equal"
    ]
    assert max(apart, default=0) <= 2, (said, heard)
    assert sum(apart) <= cuts, (said, heard)
    [call] = [call for call in office.store.started.values() if call.platform_call_id == report.call_sid]
    status, reason, _ = office.store.ended[call.id]
    assert reason in get_args(EndReason)
    assert status in ("ended normally", "failed")
    log = office.log(report)
    assert [type for type, _ in log].count("hangup") == 1
    calls = sum(len(data) for type, data in log if type == "function_calls")
    results = sum(len(data) for type, data in log if type == "function_results")
    assert calls == results, "what acted has its result in the log, once"


async def _nobody_is_stuck(office: Office) -> None:
    """Whoever has something to say says it: frames within the last 100 ms, or a pause with a reason."""
    waiting: dict[Cascade, tuple[int, float]] = {}
    clock = asyncio.get_running_loop().time
    while True:
        await asyncio.sleep(0.02)
        for pipeline in office.pipelines:
            playout = pipeline._playout
            if playout is None or playout.paused or playout._agenda.next is None or not playout.active:
                waiting.pop(pipeline, None)
                continue
            segment, sent = playout._agenda.next, playout._far_end.wire
            behind = segment.frames - segment.sent > 0 and sent - playout._far_end.position(clock()) < 8
            if not behind or waiting.get(pipeline, (sent, 0.0))[0] != sent:
                waiting.pop(pipeline, None)
            elif clock() - waiting.setdefault(pipeline, (sent, clock()))[1] > 0.1 and pipeline in _alive(office):
                office.stuck.append(f"nothing was sent since {waiting[pipeline][1]:.2f}")


def _alive(office: Office) -> list[Pipeline]:
    return [call.speaker for call in office.switchboard.calls if call.speaker is not None]
