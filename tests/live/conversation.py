"""A call to a service in this process, by a simulated Jambonz and with real speech, and what is wrong with it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.auth import make_key
from gateway.cli.call import TURN_GAP, problem_of
from gateway.cli.client import Client, client, utterances
from gateway.cli.comparison import compare, words
from gateway.cli.service import serving
from gateway.cli.speech import caller_voice, speak, stretches, transcribe
from gateway.settings import Settings, load
from jambonz.simulator.caller import AwaitAgentSilence, Caller, HangUp, Speak
from jambonz.simulator.feature_server import SimulatedJambonz
from jambonz.simulator.network import AiohttpTransport
from jambonz.simulator.report import CallReport
from media.audio import Clip
from tests.live.office import AGENT, ANSWER_WORDS, ASKED, FUNCTION, QUESTION_WORDS
from tests.live.services import Service

PATIENCE = 20.0
"""Seconds that the caller waits for the agent."""

CALLER = "+447700900123"

UNDERSTOOD = 0.6
"""The part of the agent's words that our recogniser has to find at the caller's ear: voices differ, and so does it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a call."""

    problems: Sequence[str]
    heard: str = ""
    """What the agent understood."""
    answered: str = ""
    latency: float | None = None
    """Seconds from the caller's last word to the first sound of the answer."""
    used: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Line:
    """A service to ring, and somebody who rings it with ``question``."""

    url: str
    secret: str
    api: Client
    question: Clip


def settings_of(directory: Path, env_file: Path | None = Path(".env"), **flags: Any) -> Settings:
    """Those of the environment and of ``env_file``, of which the accounts at providers alone count. Blocking."""
    ours = {
        "host": "127.0.0.1",
        "port": 0,
        "data_dir": directory,
        "database_url": f"sqlite:///{directory / 'live.sqlite3'}",
        "public_url": "",
        "workers": 1,
        "authenticate_users": True,
        "admin_key": make_key(),
        "jambonz_webhook_secret": f"wh_secret_{secrets.token_urlsafe(16)}",
    }
    return load(env_file, {**ours, **flags})


@asynccontextmanager
async def line(settings: Settings) -> AsyncIterator[Line]:
    assert settings.admin_key is not None
    assert settings.jambonz_webhook_secret is not None
    async with caller_voice("en-US") as voice:
        question = await speak(voice, ASKED)
    secret = settings.jambonz_webhook_secret.get_secret_value()
    async with serving(settings) as running, client(running.url, settings.admin_key.get_secret_value()) as api:
        yield Line(str(running.url), secret, api, question)


async def converse(line: Line, service: Service, number: str, *, understandable: bool = True) -> Outcome:
    """Ring an agent in which ``service`` has its part. ``understandable``: its voice is one, and not a simulation's
    signals."""
    options = {**AGENT["options"], **service.options}
    agent = await line.api.post("/api/agents", {**AGENT, "modelName": service.model_name, "options": options})
    await line.api.post("/api/phone-endpoints", {"type": "e164-ddi", "number": number})
    await line.api.post(f"/api/agents/{agent['id']}/listen", {"number": number})
    silence = AwaitAgentSilence(TURN_GAP, PATIENCE)
    caller = Caller((silence, Speak(line.question), silence, HangUp()), patience=PATIENCE)
    async with AiohttpTransport() as transport:
        jambonz = SimulatedJambonz(base_url=line.url, webhook_secret=line.secret, transport=transport)
        report = await jambonz.place_call(to=number, from_=CALLER, caller=caller)
    if (problem := problem_of(report)) is not None:
        return Outcome([problem])
    [call] = (await line.api.get(f"/api/agents/{agent['id']}/calls"))["calls"]
    log = await line.api.log(call["id"])
    spoken = await transcribe(stretches(report.ear)) if understandable else None
    return judge(service, report, log, spoken)


def judge(service: Service, report: CallReport, log: list[dict[str, Any]], spoken: Sequence[str] | None) -> Outcome:
    """``log`` is the call's, ``spoken`` what a recogniser found at the caller's ear, or None."""

    def of(kind: str) -> list[Any]:
        return [entry["data"] for entry in log if entry["type"] == kind]

    heard, answered = " ".join(of("user")), " ".join(of("agent")[1:])
    problems = [str(sentence) for sentence in of("error")]
    if missing := [word for word in QUESTION_WORDS if word not in words(heard)]:
        problems.append(f"{' and '.join(missing)} was not understood: {heard!r}")
    if FUNCTION not in [called["name"] for calls in of("function_calls") for called in calls]:
        problems.append(f"the function {FUNCTION} was not called")
    said = {*words(answered), *answered.lower().replace(".", " ").split()}
    if lacking := [one[0] for one in ANSWER_WORDS if not said.intersection(one)]:
        problems.append(f"the answer lacks {' and '.join(lacking)}: {answered!r}")
    if spoken is not None:
        problems += [
            f"the caller heard {found.heard!r} where {found.utterance.text!r} was said"
            for found in compare(utterances(log), spoken)
            if found.share < UNDERSTOOD
        ]
    usage = of("hangup")[-1]["usage"]
    units = [one["units"] for one in usage if (one["part"], one["provider"]) == (service.part, service.provider)]
    if not units and service.vendor != "ultravox":  # it says after the call what it used
        problems.append(f"nothing was reported to be used of {service.provider}")
    latency = report.response_latencies[-1] if report.response_latencies else None
    return Outcome(problems, heard, answered, latency, units[0] if units else {})
