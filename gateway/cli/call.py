"""``trunkline call``: somebody who rings a running service, as Jambonz would, and does what the flags say, in order."""

from __future__ import annotations

import asyncio
import sys
import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
from yarl import URL

from gateway.cli.client import Client, ServiceRefused, client, utterances
from gateway.cli.comparison import compare
from gateway.cli.console import Console
from gateway.cli.conversation import Conversation, telephone_line
from gateway.cli.results import agreement, latencies
from gateway.cli.service import run
from gateway.cli.speech import caller_voice, speak, stretches, transcribe
from jambonz.simulator.caller import AwaitAgentSilence, BargeIn, Caller, Dtmf, HangUp, Speak, Step
from jambonz.simulator.feature_server import SimulatedJambonz
from jambonz.simulator.network import AiohttpTransport
from jambonz.simulator.report import CallEvent, CallReport, VerbStarted
from jambonz.verbs import METADATA_PREFIX
from media.audio import PCM_8K, PCM_16K
from media.wav import read_wav
from pipelines.parts import ProviderError, TextToSpeech

TURN_GAP = 0.8
BARGE_IN_AFTER = 1.5
RING_SECONDS = 30.0

_ACTIONS = ("say", "play", "barge_in", "dtmf", "hangup")


class _InOrder(click.Command):
    """A command that remembers in which order the flags of :data:`_ACTIONS` were given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, order = self.make_parser(ctx).parse_args(list(args))
        ctx.meta["order"] = [parameter.name for parameter in order if parameter.name in _ACTIONS]
        return super().parse_args(ctx, args)


@dataclass(frozen=True, slots=True)
class Dialled:
    """What the command line asks for. ``application`` is the user and password of a call that comes by Jambonz's
    WebSocket application API, in place of webhooks. ``actions`` are flags of :data:`_ACTIONS` with their values, in
    order."""

    url: URL
    to: str
    from_: str
    secret: str | None
    application: tuple[str, str] | None
    key: str | None
    language: str
    patience: float
    transcribe: bool
    wideband: bool
    actions: Sequence[tuple[str, str]]


@click.command(cls=_InOrder, short_help="Ring a running service as Jambonz would.")
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="Where the service is.")
@click.option("--to", required=True, metavar="NUMBER", help="The number to ring, in E.164.")
@click.option("--from", "from_", default="+447700900123", show_default=True, metavar="NUMBER", help="Who rings.")
@click.option("--secret", envvar="JAMBONZ_WEBHOOK_SECRET", help="Signs the webhooks  [env: JAMBONZ_WEBHOOK_SECRET]")
@click.option("--application", is_flag=True, help="Ring by the WebSocket application API, and not by webhooks.")
@click.option(
    "--username",
    envvar="JAMBONZ_APPLICATION_USERNAME",
    default="jambonz",
    help="With --application  [env: JAMBONZ_APPLICATION_USERNAME]",
)
@click.option("--password", envvar="JAMBONZ_APPLICATION_PASSWORD", help="Likewise  [env: JAMBONZ_APPLICATION_PASSWORD]")
@click.option("--key", envvar="TRUNKLINE_ADMIN_KEY", help="An API key: shows what the service understood, too")
@click.option("--say", multiple=True, metavar="TEXT", help="Say it once the agent is silent.")
@click.option("--play", multiple=True, metavar="FILE", help="Play a WAV file once the agent is silent.")
@click.option("--barge-in", multiple=True, metavar="TEXT", help=f"Say it {BARGE_IN_AFTER:g} s into the agent's speech.")
@click.option("--dtmf", multiple=True, metavar="DIGITS", help="Press keys once the agent is silent.")
@click.option("--hangup", count=True, help="Hang up once the agent is silent.")
@click.option("--wav", type=click.Path(dir_okay=False, writable=True), help="Write what the caller heard to this file.")
@click.option("--stereo", is_flag=True, help="In that file, the caller on the left and the agent on the right.")
@click.option(
    "--transcribe", "listen", is_flag=True, help="Transcribe what was heard; with --key, compare with the log."
)
@click.option("--language", default="en-US", show_default=True, help="Of the voice that says the texts.")
@click.option("--wideband", is_flag=True, help="Ring from a telephone of 16 kHz (G.722).")
@click.option("--patience", default=20.0, show_default=True, help="Seconds the caller waits for the agent, and stays.")
@click.pass_context
def call(ctx: click.Context, /, wav: str | None, stereo: bool, listen: bool, **flags: Any) -> None:
    """Ring a running service as Jambonz would, print what happens, and then the latencies.

    What the caller does (--say, --play, --barge-in, --dtmf, --hangup) is done in the order given. The exit status is 0
    if the call was answered and ended as calls do.
    """
    waiting = {name: iter(flags[name]) if name != "hangup" else iter([""] * flags[name]) for name in _ACTIONS}
    dialled = Dialled(
        url=URL(flags["url"]),
        to=flags["to"],
        from_=flags["from_"],
        secret=flags["secret"] or None,
        application=(flags["username"], flags["password"] or "") if flags["application"] else None,
        key=flags["key"] or None,
        language=flags["language"],
        patience=flags["patience"],
        transcribe=listen,
        wideband=flags["wideband"],
        actions=[(name, next(waiting[name])) for name in ctx.meta["order"]],
    )
    with Console() as console:
        try:
            report = run(_call(console, dialled))
            if wav is not None and report.answered is not None:
                write_sound(Path(wav), report, stereo=stereo)
                console.print(f"\nWhat the caller heard is in {wav} ({report.seconds_of_sound:.1f} s).")
            problem = problem_of(report)
        except (ServiceRefused, ProviderError, OSError, ValueError) as error:
            problem = str(error)
        except KeyboardInterrupt:
            problem = "The call was cut off."
        if problem is not None:
            console.print(click.style(problem, fg="red"))
    sys.exit(0 if problem is None else 1)


async def _call(console: Console, dialled: Dialled) -> CallReport:
    format = PCM_16K if dialled.wideband else PCM_8K
    caller = Caller(await _steps(dialled), patience=dialled.patience, format=format)
    started = asyncio.get_running_loop().time()
    call_ids: list[str] = []

    def on_line(event: CallEvent) -> None:
        if isinstance(event, VerbStarted) and event.verb == "listen":
            call_ids.append(event.properties["metadata"][f"{METADATA_PREFIX}call"])
        line = telephone_line(event, started)
        if line is not None:
            console.print(line)

    async with _watching(console, dialled) as api, AiohttpTransport() as transport:
        jambonz = SimulatedJambonz(base_url=str(dialled.url), webhook_secret=dialled.secret, transport=transport)
        report = await jambonz.place_call(
            to=dialled.to,
            from_=dialled.from_,
            caller=caller,
            abandon_after=RING_SECONDS,
            call_hook=_application(dialled),
            on_event=on_line,
        )
        if report.answered is None:
            return report
        console.print()
        for line in latencies(report):
            console.print(line)
        if dialled.transcribe:
            heard = await transcribe(stretches(report.ear))
            console.print("\n  What the caller heard, transcribed:")
            for text in heard:
                console.print(f"    {text}")
            if api is not None and call_ids:
                console.print("\n  Against the log of the call:")
                for line in agreement(compare(utterances(await api.log(call_ids[0])), heard)):
                    console.print(line)
    return report


def _application(dialled: Dialled) -> dict[str, str] | None:
    """The call hook of the WebSocket application API; None: webhooks."""
    if dialled.application is None:
        return None
    username, password = dialled.application
    url = dialled.url.with_scheme("wss" if dialled.url.scheme == "https" else "ws") / "jambonz/application"
    return {"url": str(url), "username": username, "password": password}


@asynccontextmanager
async def _watching(console: Console, dialled: Dialled) -> AsyncIterator[Client | None]:
    """With an API key, the conversation as the service understood it is printed meanwhile."""
    if dialled.key is None:
        yield None
        return
    conversation = Conversation(datetime.now(UTC))

    def show(event: dict[str, Any]) -> None:
        for line in conversation.lines(event):
            console.print(line)

    async with client(dialled.url, dialled.key) as api:
        listeners = (await api.get("/api/listener"))["items"]
        wanted = dialled.to.removeprefix("+")
        found = [row for row in listeners if row["phoneNumber"] and row["phoneNumber"].removeprefix("+") == wanted]
        if not found:
            yield api
            return
        async with api.watching(f"/progress/{found[0]['listenerId']}", show):
            yield api


async def _steps(dialled: Dialled) -> list[Step]:
    steps: list[Step] = []
    async with caller_voice(dialled.language) as voice:
        for action, value in dialled.actions:
            steps += await _step(action, value, voice, dialled.patience)
    return steps


async def _step(action: str, value: str, voice: TextToSpeech, patience: float) -> list[Step]:
    silence = AwaitAgentSilence(TURN_GAP, patience)
    match action:
        case "say":
            return [silence, Speak(await speak(voice, value))]
        case "play":
            return [silence, Speak(await asyncio.to_thread(read_wav, value))]
        case "barge_in":
            return [BargeIn(await speak(voice, value), BARGE_IN_AFTER, patience)]
        case "dtmf":
            return [silence, Dtmf(value)]
        case _:
            return [silence, HangUp()]


def problem_of(report: CallReport) -> str | None:
    """Why a call was not as calls should be, in a sentence."""
    if report.answered is None:
        if report.ended_by == "cancelled":
            return f"The call was not answered within {RING_SECONDS:g} s."
        hook = report.hooks[0] if report.hooks else None
        why = f" (the call hook was answered with {hook.status})" if hook and (hook.status or 0) >= 300 else ""
        return f"The call was declined: {report.sip_status} {report.reason}{why}"
    return None if report.ended_by in ("caller", "jambonz") else f"The call ended by {report.ended_by}."


def write_sound(path: Path, report: CallReport, *, stereo: bool) -> None:
    heard = np.frombuffer(report.heard, "<i2")
    said = np.frombuffer(report.said, "<i2")[: len(heard)]
    channels = [np.pad(said, (0, len(heard) - len(said))), heard] if stereo else [heard]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(report.format.rate)
        file.writeframes(np.stack(channels, axis=1).tobytes())
