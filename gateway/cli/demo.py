"""``trunkline demo``: the service and a simulated Jambonz in one process, and one real call between them."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from gateway import logs
from gateway.auth import make_key
from gateway.cli.client import Client, ServiceRefused, client, utterances
from gateway.cli.comparison import Comparison, compare
from gateway.cli.console import Console
from gateway.cli.conversation import Conversation
from gateway.cli.results import agreement, dsp_delays, latencies
from gateway.cli.screenplay import Screenplay, problems, resource, steps
from gateway.cli.service import Service, run, serving
from gateway.cli.speech import caller_voice, speak, stretches, transcribe
from gateway.settings import Settings
from jambonz.simulator.caller import Caller, Cough
from jambonz.simulator.feature_server import SimulatedJambonz
from jambonz.simulator.network import AiohttpTransport
from jambonz.simulator.report import CallEvent, CallReport, StepStarted
from media.audio import PCM_8K, AudioFormat
from pipelines.parts import ProviderError
from pipelines.providers.moonshine import MoonshineSpeechToText
from store.errors import CannotOpen

NUMBER, CALLER = "+442079460000", "+447700900123"  # of the ranges that are kept for fiction

PATIENCE = 15.0
"""Seconds that the caller stays after the last line."""


class EmbeddedSettings(Settings):
    """Settings that come from nowhere but the code: the demo is the same on every machine, whatever its environment."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the call; ``problems`` is empty if all of it was as it should be."""

    report: CallReport
    voice: AudioFormat
    """In which the agent's voice comes from its synthesiser."""
    comparisons: Sequence[Comparison]
    problems: Sequence[str]


@click.command(short_help="Hear one real call, offline: talk, an interruption, a goodbye.")
@click.option("--once", is_flag=True, help="Exit after the call: 0 if it went as it should, else 1.")
@click.option("--port", default=0, show_default="one that is free", help="Where the service listens.")
def demo(once: bool, port: int) -> None:
    """Start the service, have a simulated Jambonz place one real call with real speech, and print the conversation as
    it happens. Then the service stays up until Ctrl-C.
    """
    logs.configure("warning", "auto")
    with Console() as console, TemporaryDirectory(prefix="trunkline-demo-") as directory:
        try:
            found = run(_demo(console, Path(directory), port, once=once))
        except KeyboardInterrupt:
            found = ["The demo was cut off."] if once else []
        except (ServiceRefused, ProviderError, CannotOpen, OSError) as error:
            found = [str(error)]
        for problem in found:
            console.print(click.style(problem, fg="red"))
    sys.exit(1 if found else 0)


async def _demo(console: Console, directory: Path, port: int, *, once: bool) -> Sequence[str]:
    key, secret = make_key(), f"wh_secret_{secrets.token_urlsafe(16)}"
    settings = EmbeddedSettings(port=port, data_dir=directory, admin_key=key, jambonz_webhook_secret=secret)
    console.print("Starting the service, the recogniser and the voices ...")
    async with serving(settings) as service, client(service.url, key) as api:
        console.print(f"The service listens on {service.url}. A simulated Jambonz calls it.\n")
        outcome = await _call(console, service, api, secret)
        _show(console, outcome)
        if not once:
            console.print(f"\nThe playground is at {service.url} (API key: {key}). Ctrl-C ends it.")
            await asyncio.Event().wait()
        return outcome.problems


async def _call(console: Console, service: Service, api: Client, secret: str) -> Outcome:
    screenplay = Screenplay.read()
    agent = await api.post("/api/agents", resource("demo_agent.json"))
    await api.post("/api/phone-endpoints", {"type": "e164-ddi", "number": NUMBER})
    listener = await api.post(f"/api/agents/{agent['id']}/listen", {"number": NUMBER})
    async with caller_voice(screenplay.voice) as voice:
        clips = [await speak(voice, line.say) for line in screenplay.lines]
    conversation = Conversation()
    call_ids: list[str] = []

    def show(event: dict[str, Any]) -> None:
        call_ids.append(event["callId"])
        for line in conversation.lines(event):
            console.print(line)

    def on_line(event: CallEvent) -> None:
        if isinstance(event, StepStarted) and isinstance(event.record.step, Cough):
            console.print(conversation.aside(datetime.now(UTC), "the caller coughs"))

    async with AiohttpTransport() as transport, api.watching(listener["socket"], show):
        jambonz = SimulatedJambonz(base_url=str(service.url), webhook_secret=secret, transport=transport)
        caller = Caller(steps(screenplay.lines, clips), patience=PATIENCE)
        report = await jambonz.place_call(to=NUMBER, from_=CALLER, caller=caller, on_event=on_line)
        log = await api.log(call_ids[0]) if call_ids else []
    said = utterances(log)
    comparisons = compare(said, await transcribe(stretches(report.ear)))
    return Outcome(report, voice.format, comparisons, problems(screenplay.lines, report, said, comparisons))


def _show(console: Console, outcome: Outcome) -> None:
    console.print()
    delays = dsp_delays(PCM_8K, MoonshineSpeechToText.format, outcome.voice)
    for line in (*latencies(outcome.report), *delays):
        console.print(line)
    console.print("\n  What the caller's ear heard, transcribed, against the log of the call:")
    for line in agreement(outcome.comparisons):
        console.print(line)
