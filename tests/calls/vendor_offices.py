"""Offices with a realtime model on its vendor's own wire, on virtual time, each with the vendor's simulation.

What they say can be read in the caller's ear (:mod:`tests.simulators.coarse`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

from media.audio import PCM_8K
from media.words import TimedWord
from pipelines.realtime.gemini import GeminiLiveModel
from pipelines.realtime.gpt_live import GptLiveModel
from pipelines.realtime.model import Address
from pipelines.realtime.openai import OpenAIRealtimeModel
from tests.calls.realtime_office import RealtimeOffice, rate_of
from tests.simulators.coarse import speak_coarsely
from tests.simulators.codeword import WORD_FRAMES, plain
from tests.simulators.gemini_live import GeminiServer, GeminiSession
from tests.simulators.gpt_live import GptLiveServer, GptLiveSession
from tests.simulators.live_wire import Fault, Reply, Turn
from tests.simulators.openai_realtime import Behaviour, RealtimeSimulation, Script, Voice, Voiced, tones
from tests.simulators.openai_realtime import Faults as OpenAIFaults
from tests.simulators.openai_realtime import History as OpenAIHistory
from tests.simulators.openai_realtime import Reply as OpenAIReply
from tests.simulators.realtime_wire import Joined, Live, Simulation, Wire
from tests.simulators.ultravox_call import Answer, Faults, Heard, SimulatedCall, UseTool
from tests.simulators.ultravox_call import HangUp as AgentHangsUp
from ultravox.model import CallAddress, UltravoxModel
from ultravox.protocol import PLACEHOLDER
from ultravox.rest import CreatedCall, UltravoxRest

HELLO = "Hello, this is the test agent."
LONG = "alfa four echo five golf nine kilo lima mike oboe papa item zulu zero dial ring"
TOOLS: dict[str, Any] = {
    "functions": [
        {"name": "hangup", "implementation": "builtin", "platform": "hangup", "description": "End the call."},
        {"name": "look", "implementation": "stub", "result": "found", "description": "Look something up."},
    ]
}
AGENT: dict[str, Any] = {"options": {"greeting": HELLO, "idle": {"timeout": None}}, **TOOLS}
SCRIPT: dict[str, tuple[str, str | None]] = {
    "look": ("Let me look.", "look"),
    "look twice": ("Let me look.", "look read"),
    "tell and look": (LONG, "look"),
    "count": (LONG, None),
    "stop it": ("Alright.", None),
    "thanks": ("Goodbye then.", "hangup"),
    "hang up": ("", "hangup"),
}


def scripted(history: list[Turn]) -> Reply:
    last = history[-1]
    if last.role == "tool":
        return Reply("It is there.")
    _, colon, rest = last.text.partition(":\n")
    if colon and rest not in SCRIPT:
        return Reply(rest)
    text, tools = SCRIPT.get(rest or last.text, (f"You said {rest or last.text}", None))
    return Reply(text, tuple((tool, {}) for tool in (tools or "").split()))


def openai_scripted(user: str, history: OpenAIHistory) -> OpenAIReply:
    if history and history[-1][0] == "tool":
        return OpenAIReply("It is there.")
    text, tools = SCRIPT.get(user, (f"You said {user}", None))
    return OpenAIReply(text, [(tool, {}) for tool in (tools or "").split()])


def coarse_voice(text: str) -> Voiced:
    words = [word for word in text.split() if plain(word)]
    seconds = WORD_FRAMES / 50
    timed = tuple(TimedWord(word, i * seconds, (i + 1) * seconds) for i, word in enumerate(words))
    return Voiced(PCM_8K, speak_coarsely(text), timed)


class VendorOffice(RealtimeOffice):
    mistakes: list[str]
    wire: Wire


class OpenAIOffice(VendorOffice):
    """``said`` is what the caller's turns mean; ``faults`` are of the sessions, in order."""

    def __init__(
        self,
        agent: dict[str, Any],
        reply: Script,
        said: Sequence[str] = (),
        faults: Sequence[OpenAIFaults | None] = (),
        behaviour: Behaviour | None = None,
        voice: Voice = tones,
    ) -> None:
        left, caller = list(faults), deque(said)

        def make(address: Address) -> RealtimeSimulation:
            fault = left.pop(0) if left else None
            simulation = RealtimeSimulation(reply=reply, voice=voice, behaviour=behaviour, faults=fault)
            simulation.said = caller
            return simulation

        self.wire = Wire(make)
        model = OpenAIRealtimeModel("gpt-realtime-2.1", api_key="key", wideband=rate_of(agent) > 8000)
        super().__init__(agent, model, opener=self.wire.open)

    @property
    def simulations(self) -> list[RealtimeSimulation]:
        return [session.simulation for session in self.wire.sessions]  # type: ignore[misc]  # as they were made

    @property
    def mistakes(self) -> list[str]:  # type: ignore[override]  # gathered from the sessions
        return [mistake for simulation in self.simulations for mistake in simulation.mistakes]


class GeminiOffice(VendorOffice):
    """``faults`` are of the sessions, in order."""

    def __init__(self, agent: dict[str, Any], faults: Sequence[Fault | None] = (), **server: Any) -> None:
        self.server = GeminiServer(voice=lambda word: speak_coarsely(word, 24000), reply=scripted, **server)
        self.mistakes = self.server.mistakes
        self._left = list(faults)
        self.wire = Wire(self._make)
        super().__init__(agent, GeminiLiveModel("gemini-3.1-flash-live", api_key="key"), opener=self.wire.open)

    def _make(self, address: Address) -> Simulation:
        self.server.fault = self._left.pop(0) if self._left else None
        return Live(GeminiSession(self.server, asyncio.get_running_loop().time()))


class GptLiveOffice(VendorOffice):
    """``begins`` tells when the model began each word's reply."""

    def __init__(self, agent: dict[str, Any], faults: Sequence[Fault | None] = (), **server: Any) -> None:
        self.server = GptLiveServer(voice=self._voice, reply=scripted, **server)
        self.mistakes = self.server.mistakes
        self.begins: list[float] = []
        self._left = list(faults)
        self._rate = rate_of(agent)
        self.wire = Wire(self._make)
        model = GptLiveModel("gpt-live", api_key="key", wideband=self._rate > 8000)
        super().__init__(agent, model, opener=self.wire.open)

    def _voice(self, word: str) -> bytes:
        now = asyncio.get_running_loop().time()
        if now not in self.begins:
            self.begins.append(now)
        return speak_coarsely(word, self._rate)

    def _make(self, address: Address) -> Simulation:
        self.server.fault = self._left.pop(0) if self._left else None
        return Live(GptLiveSession(self.server, asyncio.get_running_loop().time()))


class UltravoxOffice(VendorOffice):
    """``calls`` are Ultravox's, made without REST."""

    def __init__(
        self, agent: dict[str, Any], faults: Sequence[Faults | None] = (), said: deque[str] | None = None
    ) -> None:
        self.calls: list[SimulatedCall] = []
        self._said = said or deque()
        self._left = list(faults)
        self.wire = Wire(self._make)
        self._rate = rate_of(agent)
        model = UltravoxModel(cast(UltravoxRest, self), "ultravox-v0.7", wideband=self._rate > 8000)
        super().__init__(agent, model, opener=self.wire.open)

    @property
    def mistakes(self) -> list[str]:  # type: ignore[override]  # gathered from the calls
        return [mistake for call in self.calls for mistake in call.mistakes]

    def reply(self, heard: Heard) -> Sequence[Answer]:
        if heard.kind == "result" and heard.text == PLACEHOLDER:
            return ["One second."]
        if heard.kind == "result" or heard.text.startswith("[The tool "):
            return ["It is there."]
        if heard.text == "hang up":
            return ["Goodbye then.", AgentHangsUp()]
        text, tools = SCRIPT.get(heard.text, (f"You said {heard.text}", None))
        return [text, *(UseTool(tool) for tool in (tools or "").split())]

    async def create_call(self, request: dict[str, Any]) -> CreatedCall:
        call = SimulatedCall(
            f"call-{len(self.calls)}",
            request,
            reply=self.reply,
            voice=lambda text: speak_coarsely(text, self._rate),
            heard=self._said,
            faults=self._left.pop(0) if self._left else None,
        )
        self.calls.append(call)
        return CreatedCall(call.call_id, "ws://ultravox")

    async def get_call(self, call_id: str) -> dict[str, Any]:
        await asyncio.sleep(0.1)
        [call] = [call for call in self.calls if call.call_id == call_id]
        return {"endReason": call.end_reason}

    def _make(self, address: Address) -> Simulation:
        assert isinstance(address, CallAddress)
        return Joined(self.calls[-1])


VENDORS = ["openai", "gemini", "gpt-live", "ultravox"]


def office_of(vendor: str, agent: dict[str, Any], said: Sequence[str], faults: Sequence[Any] = ()) -> VendorOffice:
    match vendor:
        case "openai":
            return OpenAIOffice(agent, openai_scripted, said, faults, voice=coarse_voice)
        case "gemini":
            return GeminiOffice(agent, faults, said=deque(said))
        case "gpt-live":
            return GptLiveOffice(agent, faults, said=deque(said))
        case _:
            return UltravoxOffice(agent, faults, said=deque(said))
