"""The service and its caller as processes of their own, and what a simulated realtime model says with a real voice."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from gateway.cli.client import client, utterances
from gateway.cli.comparison import Comparison, Utterance, compare
from media.audio import PCM_16K, AudioFormat, Encoding
from media.convert import Converter
from tests.bench.parts import offline_voice
from tests.gateway.cli.process import KEY, NUMBER, SECRET, serve, trunkline
from tests.simulators.openai_realtime_voice import Voiced, spoken

GREETING = "Front desk, hello."
HOURS = (
    "Our office opens Monday through Friday between eight and six, Saturday mornings until noon, but never on public "
    "holidays."
)
GOODBYE = "See you soon, take care."
"""Phrases that the offline recogniser understands however they are cut and coded; no word comes twice."""

ASKS, BREAKS_IN = "When are you open?", "Sorry but I have to go now."
LOOK_UP, FOUND = "opening_hours", "Mon-Fri 8-18, Sat 8-12"

AGENT: dict[str, Any] = {
    "prompt": "You are a front desk.",
    "options": {"greeting": GREETING, "idle": {"timeout": None}},
    "functions": [
        {"name": LOOK_UP, "implementation": "stub", "result": FOUND, "description": "When we are open."},
        {"name": "hangup", "implementation": "builtin", "platform": "hangup", "description": "End the call."},
    ],
}

SECONDS = 50.0
"""The longest that the caller may take, with speech and its transcription."""


def answer(heard: str) -> tuple[str, Sequence[str]]:
    """What the model says to the caller's words, or to the result of a tool; and the tools that it then calls."""
    _, told_to_say, words = heard.partition(":\n")
    if told_to_say:
        return words, ()
    if FOUND in heard:
        return HOURS, ()
    return {ASKS: ("", (LOOK_UP,)), BREAKS_IN: (GOODBYE, ("hangup",))}.get(heard, ("", ()))


class Voice:
    """The sound of all that the model says, whole or word by word."""

    def __init__(self, sentence: Callable[[str], Voiced]) -> None:
        self.sentence = sentence

    @classmethod
    async def make(cls) -> Voice:
        voice = offline_voice()
        try:
            return cls(await spoken(voice, (GREETING, HOURS, GOODBYE)))
        finally:
            await voice.close()

    def sentences(self, rate: int) -> Callable[[str], bytes]:
        return lambda text: self.sentence(text).encoded(AudioFormat(Encoding.PCM16, rate))

    def words(self, rate: int) -> Callable[[str], bytes]:
        """PCM16."""
        sounds: dict[str, bytes] = {}
        for text in (GREETING, HOURS, GOODBYE):
            voiced = self.sentence(text)
            pcm = Converter(PCM_16K, AudioFormat(Encoding.PCM16, rate)).process(voiced.sound)
            for word in voiced.words:
                assert word.word not in sounds
                sounds[word.word] = pcm[2 * round(word.start * rate) : 2 * round(word.end * rate)]
        return sounds.__getitem__


@dataclass
class Outcome:
    """What became of a call. ``printed`` is what ``trunkline call`` wrote, ``ear`` what it transcribed."""

    status: int
    printed: str
    errors: str
    ear: list[str]
    log: list[dict[str, Any]]
    metrics: str
    service_errors: str

    def said(self, type: str) -> list[Any]:
        return [entry["data"] for entry in self.log if entry["type"] == type]

    def against_log(self) -> list[Comparison]:
        """The caller's ear against the log, word by word."""
        return compare(utterances(self.log), self.ear)

    def against(self, history: Sequence[str]) -> list[Comparison]:
        """And against what the model holds for said: what is not said whole was cut."""
        return compare([Utterance(text, text not in (GREETING, GOODBYE)) for text in history], self.ear)

    def metric(self, name: str) -> float:
        """A metric, with its labels as they are written; 0 where it was never counted."""
        return next((float(row.split()[-1]) for row in self.metrics.splitlines() if row.startswith(f"{name} ")), 0.0)


async def hold_a_conversation(directory: Path, model_name: str, *, wideband: bool = False, **variables: str) -> Outcome:
    """``trunkline serve`` with ``variables`` in its environment, and ``trunkline call``: a question that needs a tool,
    and a barge-in on the answer. Then the agent says goodbye, and hangs up. ``wideband``: on a line of 16 kHz."""
    options = AGENT["options"] | ({"audio": {"sampleRate": PCM_16K.rate}} if wideband else {})
    async with serve(directory, AUTHENTICATE_USERS="NO", **variables) as service:
        url = await service.address()
        async with client(url, KEY) as api:
            agent = await api.post("/api/agents", {"modelName": model_name, **AGENT, "options": options})
            await api.post("/api/phone-endpoints", {"type": "e164-ddi", "number": NUMBER})
            await api.post(f"/api/agents/{agent['id']}/listen", {"number": NUMBER})
            place = ("--url", str(url), "--to", NUMBER, "--key", KEY, "--secret", SECRET, "--patience", "10")
            does = ("--say", ASKS, "--barge-in", BREAKS_IN)
            hears = ("--transcribe", "--wav", "heard.wav", *(("--wideband",) if wideband else ()))
            async with trunkline("call", *place, *does, *hears, directory=directory) as caller:
                status, printed, errors = await caller.end(SECONDS)
            [call] = (await api.get("/api/calls"))["calls"]
            log = await api.log(call["id"])
        async with aiohttp.ClientSession() as http, http.get(url / "metrics") as response:
            metrics = await response.text()
        service.signal(signal.SIGTERM)
        _, _, service_errors = await service.end()
    return Outcome(status, printed, errors, _transcript(printed), log, metrics, service_errors)


def _transcript(printed: str) -> list[str]:
    _, _, rest = printed.partition("What the caller heard, transcribed:\n")
    return [line.strip() for line in rest.partition("\n\n")[0].splitlines()]
