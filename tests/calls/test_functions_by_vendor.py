"""Functions with every vendor: what happens of them, happens when it should and once, and each result is told once.

Realtime models are on their vendors' own wires. Of a cascade the calls are the same with any model, so these are held
once, and what the model was told at their ends is told to each vendor's simulation, which is as strict as the vendor.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from jambonz.simulator.caller import AwaitAgentSilence, AwaitAgentSpeech, HangUp, Speak, Step, Wait
from pipelines.parts import Message, ToolSpec
from pipelines.providers.registry import Registry
from pipelines.tools.means import Means
from tests.calls.test_functions import ASK, BREAK_IN, office
from tests.calls.vendor_offices import AGENT, VENDORS, VendorOffice, office_of
from tests.clock import run_virtual
from tests.simulators import anthropic_messages, gemini_chat, openai_chat, openai_responses
from tests.simulators.anthropic_messages import serve_messages
from tests.simulators.codeword import speak
from tests.simulators.gemini_chat import serve_gemini_chat
from tests.simulators.openai_chat import serve_chat
from tests.simulators.openai_responses import serve_responses
from tests.simulators.services import Services, function

pytestmark = pytest.mark.usefixtures("by_both")

STOP: tuple[Step, ...] = (Speak(speak("stop it now please")),)


@dataclass(frozen=True)
class Scene:
    """``said`` is what the caller's turns mean to the model; ``steps`` follow the first. ``done`` and ``stopped`` are
    what became of the functions, ``results`` what the model is told of each."""

    said: Sequence[str]
    steps: Sequence[Step]
    done: Sequence[str] = ()
    stopped: Sequence[str] = ()
    results: Sequence[str] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    answers: dict[str, str | None] = field(default_factory=dict)
    look: dict[str, Any] = field(default_factory=dict)


UNKNOWN = "it may have been done or not: ask before doing it again"
REALTIME = {
    "two at once": Scene(
        ["look twice"],
        [Wait(9)],
        done=["look", "read"],
        results=["done by look", "done by read"],
        seconds={"look": 1.0, "read": 1.5},
    ),
    "slow": Scene(["look"], [Wait(13)], done=["look"], results=["done by look"], seconds={"look": 6.0}),
    "slower than the vendor waits": Scene(
        ["look"], [Wait(24)], done=["look"], results=["done by look"], seconds={"look": 16.0}
    ),
    "failing": Scene(["look"], [Wait(6)], results=["the service could not be reached"], answers={"look": None}),
    "interrupted before": Scene(
        ["tell and look", "stop it"], [AwaitAgentSpeech(), Wait(0.1), *STOP, Wait(9)], seconds={"look": 3.0}
    ),
    "interrupted while": Scene(
        ["look", "stop it"], [Wait(4.5), *STOP, Wait(8)], stopped=["look"], results=[UNKNOWN], seconds={"look": 9.0}
    ),
    "interrupted while, and goes on": Scene(
        ["look", "stop it"],
        [Wait(4.5), *STOP, Wait(12)],
        done=["look"],
        results=["done by look"],
        seconds={"look": 9.0},
        look={"survivesInterruption": True},
    ),
    "interrupted after": Scene(
        ["look", "stop it"], [Wait(2.5), *STOP, Wait(8)], done=["look"], results=["done by look"], seconds={"look": 0.1}
    ),
}


def office_with(vendor: str, services: Services, scene: Scene) -> VendorOffice:
    others = [one for one in AGENT["functions"] if one["name"] != "look"]
    agent = {**AGENT, "functions": [*others, function("look", timeout=30, **scene.look), function("read")]}
    office = office_of(vendor, agent, scene.said)
    office.means = Means(call_id="the-call", tenant="acme", http=services)
    return office


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("name", REALTIME)
def test_a_realtime_model(vendor: str, name: str) -> None:
    scene = REALTIME[name]
    asked, stopped, results = [*scene.done, *scene.stopped], list(scene.stopped), list(scene.results)
    if (
        name == "interrupted before" and vendor == "gpt-live"
    ):  # it thinks beside its voice, and does not wait to be heard
        asked, stopped, results = ["look"], ["look"], [UNKNOWN]
    if name == "failing":
        asked = ["look"]
    told = results
    if name == "interrupted while" and vendor == "gemini":
        told = []  # it withdraws the call itself, and is told nothing

    async def main() -> None:
        services = Services(scene.seconds, scene.answers)
        async with office_with(vendor, services, scene) as office:
            await office.call(AwaitAgentSilence(), Speak(speak("look")), *scene.steps, HangUp())
            assert sorted(host for host, _ in services.asked) == sorted(asked)
            assert (services.done, services.stopped) == (list(scene.done), stopped)
            assert len(set(services.keys)) == len(services.keys)
            assert office.mistakes == []
            [session] = office.wire.sessions
            for result in results:
                assert sum(command.count(result) for command in session.commands) == (result in told)
            entries: list[Any] = list(office.said("function_results"))
            log = [one for entry in entries for one in entry]
            assert [any(result in one["result"] for one in log) for result in results] == [True] * len(results)
            assert len(log) == len(results)
            assert len(office.status("function")) == len(results)

    run_virtual(main())


def test_ultravox_hears_the_caller_while_a_function_runs() -> None:
    """One that takes its time is answered by a placeholder after two seconds."""

    async def main() -> None:
        scene = REALTIME["interrupted while"]
        async with office_with("ultravox", Services(scene.seconds), scene) as office:
            await office.call(AwaitAgentSilence(), Speak(speak("look")), *scene.steps, HangUp())
            assert "One second." in office.said("agent")  # of the model, to the placeholder
            assert office.said("user") == ["look", "stop it"]
            assert "Alright." in office.said("agent")

    run_virtual(main())


# Cascades

CASCADE = {
    "two at once": Scene([], [Wait(5)], results=["done by red", "done by blue"], seconds={"red": 1.0, "blue": 2.0}),
    "failing": Scene([], [Wait(5)], results=["could not be reached", "done by blue"], answers={"red": None}),
    "interrupted while": Scene(
        [], [Wait(2), Speak(speak(BREAK_IN)), Wait(9)], results=[UNKNOWN, "done by blue"], seconds={"red": 6.0}
    ),
    "interrupted while, and goes on": Scene(
        [],
        [Wait(2), Speak(speak(BREAK_IN)), Wait(9)],
        results=["it is still running", "[The tool red has returned: done by red]", "done by blue"],
        seconds={"red": 6.0},
        look={"survivesInterruption": True},
    ),
    "interrupted after": Scene(
        [],
        [Wait(4), Speak(speak(BREAK_IN)), Wait(5)],
        results=["it is number seven", "done by blue"],
        answers={"red": "and so on " * 25 + "it is number seven"},
    ),
}
TOOLS = [ToolSpec(name, f"The {name}.", {"type": "object", "properties": {}}) for name in ("red", "blue")]


@pytest.fixture(scope="module")
def told() -> dict[str, list[Message]]:
    """What the model was told at the end of each scene."""
    ends: dict[str, list[Message]] = {}

    async def hold(name: str, scene: Scene) -> None:
        services = Services(scene.seconds, scene.answers)
        async with office(services, function("red", **scene.look), function("blue"), fillers=FILLERS) as here:
            await here.call(AwaitAgentSilence(), Speak(speak(ASK)), *scene.steps, HangUp())
            ends[name] = list(here.model.told[-1])

    for name, scene in CASCADE.items():
        run_virtual(hold(name, scene))
    return ends


FILLERS = {"phrases": ["looking " * 20], "delay": 0.5}


@asynccontextmanager
async def simulated(vendor: str) -> AsyncIterator[tuple[Any, Registry]]:
    """Its strict server, and a registry that knows where it is."""
    match vendor:
        case "anthropic":
            async with serve_messages() as claude:
                key, base = anthropic_messages.KEY, claude.base_url
                yield claude, Registry({"ANTHROPIC_API_KEY": key, "ANTHROPIC_BASE_URL": base})
        case "google":
            async with serve_gemini_chat() as gemini:
                yield gemini, Registry({"GEMINI_API_KEY": gemini_chat.KEY, "GEMINI_BASE_URL": gemini.base_url})
        case "openai":
            async with serve_responses() as responses:
                yield (
                    responses,
                    Registry({"OPENAI_API_KEY": openai_responses.KEY, "OPENAI_BASE_URL": responses.base_url}),
                )
        case _:
            async with serve_chat() as chat:
                about = {f"{vendor.upper()}_API_KEY": openai_chat.KEY, f"{vendor.upper()}_BASE_URL": chat.base_url}
                yield chat, Registry(about)


@pytest.mark.parametrize(
    ("vendor", "model"),
    [
        ("openai", "openai/gpt-5.6-sol"),
        ("groq", "groq/llama-3.3-70b-versatile"),
        ("ollama", "ollama/llama3.2"),
        ("anthropic", "anthropic/claude-haiku-4-5"),
        ("google", "google/gemini-3-flash"),
    ],
)
async def test_the_model_of_a_cascade(vendor: str, model: str, told: dict[str, list[Message]]) -> None:
    async with simulated(vendor) as (server, registry):
        language_model = registry.language_model(model, {})
        try:
            for name, messages in told.items():
                async for _ in language_model.generate(messages, TOOLS):
                    pass
                assert server.mistakes == [], name
                body = json.dumps(server.requests[-1], ensure_ascii=False)
                for result in CASCADE[name].results:
                    assert body.count(result) == 1, (name, result)
        finally:
            await registry.close_all()
