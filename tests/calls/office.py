"""A whole service on virtual time: the real switchboard, sessions and cascade between a simulated Jambonz and simulated
speech that can be read exactly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Self, cast

from gateway.admission import Admission
from gateway.call_hooks import CallHooks
from gateway.callbacks import Callbacks
from gateway.dialler import Dialler
from gateway.dispatch import Dispatcher
from gateway.progress import Progress
from gateway.recorder import Recorder
from gateway.recordings.keeper import Recordings
from gateway.session import CallSession
from gateway.surroundings import Surroundings
from gateway.switchboard import Switchboard
from gateway.ticker import Ticker
from jambonz.application import ApplicationRefused
from jambonz.listen import CLEAR, DISCONNECT, ListenProtocol, ListenRefused, mark, safe_samples
from jambonz.rest import Api
from jambonz.signature import SIGNATURE_HEADER
from jambonz.simulator.caller import Caller, Step
from jambonz.simulator.feature_server import SimulatedJambonz
from jambonz.simulator.memory import MemoryEnd, MemoryTransport
from jambonz.simulator.report import CallReport
from jambonz.simulator.transport import HookResponse, SocketRefused
from media.audio import AudioFormat, Encoding
from pipelines.agent import AgentDefinition
from pipelines.cascade import Cascade, CascadeParts
from pipelines.ears import VoiceDetector
from pipelines.events import UsageReported
from pipelines.interlude import Interlude
from pipelines.parts import LanguageModel, SpeechToText
from pipelines.tools.means import Http, Means
from store import Owner, Store
from store.calls import CallEvent, NewCall
from store.listeners import ListenerForCall, ListenerOptions
from store.numbers import Line
from store.places import LimitReached, ListenerGone, Place, Refused
from tests.simulators.codeword import CodewordRecogniser, CodewordVoice, PeakDetector
from tests.simulators.replies import ReplyModel

SECRET = "wh_secret_for_tests"
NUMBER = "441234567890"
BASE = "http://service"
APPLICATION = "ws://service/jambonz/application"
"""The call hook of an application without webhooks."""


async def at_once(work: Callable[[], str]) -> str:
    """What the service has a thread for: there are none on virtual time."""
    return work()


class MemoryLeg:
    """The leg over a link in memory: the listen protocol's pure core, without the socket."""

    def __init__(self, call: CallSession, socket: MemoryEnd) -> None:
        self.format = call.format
        self.exact_marks = call.exact_marks
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        self._protocol = ListenProtocol(call, call.format, now=self._loop.time())
        self.sent: list[bytes] = []

    def prepare(self, pcm: bytes) -> bytes:
        return safe_samples(pcm)

    def send_audio(self, pcm: bytes) -> None:
        for at in range(0, len(pcm), self.format.frame_bytes):
            self._socket.send_binary(pcm[at : at + self.format.frame_bytes])

    def send_mark(self, name: str) -> None:
        self._socket.send_text(mark(name))

    def send_clear(self) -> None:
        self._socket.send_text(CLEAR)

    def disconnect(self) -> None:
        self._socket.send_text(DISCONNECT)

    def close(self, code: int = 1000, reason: str = "") -> None:
        self._socket.close(code)

    # SocketHandler

    def on_text(self, text: str) -> None:
        self._receive(lambda: self._protocol.receive_text(text, self._loop.time()))

    def on_binary(self, data: bytes) -> None:
        self._receive(lambda: self._protocol.receive_binary(data, self._loop.time()))

    def on_closed(self, code: int) -> None:
        self._protocol.closed(code, "")

    def _receive(self, what: Callable[[], None]) -> None:
        try:
            what()
        except ListenRefused as refused:
            self._socket.close(refused.refusal.code)


class MemoryApplication:
    """The service's end of an application socket over a link in memory: what the driver does, without aiohttp."""

    def __init__(self, office: Office, socket: MemoryEnd) -> None:
        self._socket = socket
        self._dispatcher = Dispatcher(office.switchboard, self, BASE)
        self._came: asyncio.Queue[str | int] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.task = asyncio.create_task(self._run())

    async def send(self, text: str) -> None:
        if self._socket.closed is not None:
            raise ConnectionResetError("closed")
        self.sent.append(json.loads(text))
        self._socket.send_text(text)

    def close(self, code: int) -> None:
        self._socket.close(code)

    # SocketHandler

    def on_text(self, text: str) -> None:
        self._came.put_nowait(text)

    def on_binary(self, data: bytes) -> None:
        self._socket.close(1003)

    def on_closed(self, code: int) -> None:
        self._came.put_nowait(code)

    async def _run(self) -> None:
        code = 1006
        try:
            while isinstance(came := await self._came.get(), str):
                await self._dispatcher.receive(came)
            code = came
        except ApplicationRefused as refused:
            code = refused.code
            self._socket.close(code)
        except ConnectionError:
            pass
        finally:
            self._dispatcher.closed(code)


class MemoryPlaces:
    """Of listeners, with their limits."""

    def __init__(self, limits: Mapping[str, int | None]) -> None:
        self.limits = dict(limits)
        self.taken: dict[str, Place] = {}

    async def take(self, wanted: Sequence[Place]) -> dict[Place, Refused]:
        refused: dict[Place, Refused] = {}
        for place in wanted:
            if (listener_id := place.listener_id or "") not in self.limits:
                refused[place] = ListenerGone()
                continue
            limit = self.limits[listener_id]
            current = sum(one.listener_id == listener_id for one in self.taken.values())
            if limit is not None and current >= limit:
                refused[place] = LimitReached("instance", limit, current)
            else:
                self.taken[place.call_id] = place
        return refused

    async def enter(self, taken: Collection[Place]) -> None:
        self.taken.update({place.call_id: place for place in taken})

    async def give_back(self, call_ids: Collection[str]) -> None:
        for call_id in call_ids:
            self.taken.pop(call_id, None)

    async def settle(self, is_known: Callable[[str], bool]) -> int:
        lost = [call_id for call_id in self.taken if not is_known(call_id)]
        await self.give_back(lost)
        return len(lost)


class MemoryStore:
    """As much of the store as calls use."""

    def __init__(self, listeners: Mapping[str, ListenerForCall]) -> None:
        self.listeners = listeners
        self.agents: dict[tuple[str, str], AgentDefinition] = {}
        self.started: dict[str, NewCall] = {}
        self.ended: dict[str, tuple[str, str, int]] = {}
        self.usage: dict[str, dict[tuple[str, str], dict[str, float]]] = {}
        self.events: dict[str, list[CallEvent]] = {}
        self.look_up_seconds = 0.0
        self.lines: dict[str, Line] = {}
        self.calls = SimpleNamespace(
            start=self._start, end=self._end, append_events=self._append, append_batch=self._append_batch
        )
        self.places = MemoryPlaces({one.id: one.options.agent_limit for one in listeners.values()})

    async def find_listener(self, number: str) -> ListenerForCall | None:
        await asyncio.sleep(self.look_up_seconds)
        return self.listeners.get(number.removeprefix("+"))

    async def find_lines(self, owner: Owner, numbers: Sequence[str]) -> Mapping[str, Line]:
        await asyncio.sleep(self.look_up_seconds)
        return {number: self.lines[number] for number in numbers if number in self.lines}

    async def find_agent(self, owner: Owner, agent_id: str) -> AgentDefinition | None:
        await asyncio.sleep(self.look_up_seconds)
        return self.agents.get((owner.organisation_id, agent_id))

    async def _start(self, call: NewCall, *, started_at: datetime) -> None:
        self.started[call.id] = call

    async def _append(self, call_id: str, events: Sequence[CallEvent]) -> None:
        self.events.setdefault(call_id, []).extend(events)

    async def _append_batch(self, batch: Mapping[str, Sequence[CallEvent]]) -> None:
        for call_id, events in batch.items():
            await self._append(call_id, events)

    async def _end(
        self, call_id: str, status: str, reason: str, at: datetime, milliseconds: int, usage: Sequence[UsageReported]
    ) -> None:
        self.ended[call_id] = (status, reason, milliseconds)
        self.usage[call_id] = {(one.part, one.provider): dict(one.units) for one in usage}


class Office:
    """One agent on one number. Open it with ``async with``. With ``application`` calls come by Jambonz's WebSocket
    application API, and not by webhooks: see ``by_both`` in ``tests/conftest.py``. ``voices``, ``models`` and
    ``recognisers`` step in for those that fail; ``quick`` finds first words."""

    application = False
    understands = True
    """Whether there is a recogniser before the agent listens."""

    def __init__(
        self,
        agent: Mapping[str, Any],
        model: ReplyModel,
        *,
        voice: CodewordVoice | None = None,
        recogniser: CodewordRecogniser | None = None,
        voices: Sequence[CodewordVoice] = (),
        models: Sequence[LanguageModel] = (),
        recognisers: Sequence[CodewordRecogniser] = (),
        quick: LanguageModel | None = None,
        max_calls: int = 1000,
        latency: float = 0.01,
        agent_limit: int | None = None,
        hooks: CallHooks | None = None,
        http: Http | None = None,
        recordings: Recordings | None = None,
        callbacks: Callbacks | None = None,
        **jambonz: Any,
    ) -> None:
        definition = {"modelName": "scripted/test", "prompt": "You are a test.", **agent}
        self.agent = AgentDefinition.model_validate(definition)
        self.model = model
        self.voice = voice or CodewordVoice()
        self.recogniser = recogniser or CodewordRecogniser()
        self.parts = CascadeParts(
            self.recogniser,
            self.model,
            self.voice,
            more_stts=recognisers,
            more_llms=models,
            more_ttss=voices,
            quick=quick,
        )
        owner = Owner("organisation", "user")
        options = ListenerOptions(agent_limit=agent_limit)
        listener = ListenerForCall("listener", "agent", owner, self.agent, NUMBER, options)
        self.store = MemoryStore({NUMBER: listener})
        self.progress = Progress()
        self.ticker = Ticker()
        self.pipelines: list[Cascade] = []
        self.legs: list[MemoryLeg] = []
        self.sessions: list[CallSession] = []
        self.replies: list[tuple[str, int, Any]] = []
        self.stuck: list[str] = []
        self.applications: list[MemoryApplication] = []
        self.api: Api | None = None
        """Jambonz's REST API, where a test has one."""
        self.dialler: Dialler | None = None
        """What places calls, likewise."""
        self._max_calls = max_calls
        self._hooks = hooks
        self._callbacks = callbacks
        self.means = Means(call_id="the-call", tenant=owner.organisation_id, http=http)
        self.recordings = recordings
        self.transport = MemoryTransport(self._answer, self._accept, latency=latency)
        self.jambonz = SimulatedJambonz(
            base_url=BASE, transport=self.transport, webhook_secret=SECRET, wall_clock=self._wall_clock, **jambonz
        )

    async def __aenter__(self) -> Self:
        self.recorder = Recorder(cast(Store, self.store))
        self.admission = Admission(cast(Store, self.store))
        self._beside = [asyncio.create_task(part.run()) for part in (self.recorder, self.admission)]
        self.switchboard = Switchboard(
            cast(Store, self.store),
            self.admission,
            Surroundings(
                self,
                self.recorder,
                self.progress,
                self.ticker,
                lambda *who: self.store.find_agent(*who),
                self._hooks,
                self.recordings,
                lambda *who: self.store.find_lines(*who),
                callbacks=self._callbacks,
                beside=at_once,
            ),
            max_calls=self._max_calls,
            secrets=[SECRET],
            api=self.api,
            dialler=self.dialler,
            wall_clock=self._wall_clock,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.switchboard.live.drain(0)
        await self.recorder.close()
        for task in (*self._beside, *(one.task for one in self.applications)):
            task.cancel()
        await asyncio.gather(*self._beside, *(one.task for one in self.applications), return_exceptions=True)
        await self.admission.close()
        if self.recordings is not None:
            await self.recordings.close()

    async def call(
        self,
        *steps: Step,
        to: str = "+" + NUMBER,
        from_: str = "+447700900123",
        patience: float = 60.0,
        telephone: AudioFormat | None = None,
        application: bool | None = None,
        **options: Any,
    ) -> CallReport:
        """The caller's telephone has the rate that the agent asks for, unless ``telephone`` is another."""
        if self.application if application is None else application:
            options["call_hook"] = APPLICATION
        format = telephone or AudioFormat(Encoding.PCM16, self.agent.options.audio.sample_rate)
        caller = Caller(steps, patience=patience, format=format)
        report = await self.jambonz.place_call(to=to, from_=from_, caller=caller, **options)
        await asyncio.sleep(0.2)
        await self.recorder.settled()
        return report

    def log(self, report: CallReport | None = None) -> list[tuple[str, Any]]:
        """The log of a call (the only one that was no bridge's, without a report): types and data."""
        calls = [call for call in self.store.started.values() if call.parent_id is None]
        [call_id] = [call.id for call in calls if report is None or call.platform_call_id == report.call_sid]
        return [(event.type, event.data) for event in self.store.events[call_id]]

    def said(self, who: str, report: CallReport | None = None) -> list[str]:
        return [data for type, data in self.log(report) if type == who]

    def status(self, what: str) -> list[Any]:
        return [data[what] for type, data in self.log() if type == "status" and what in data]

    def ending(self) -> str:
        """Of the only call; not that of what a bridge has made of it."""
        [call_id] = [call.id for call in self.store.started.values() if call.parent_id is None]
        return self.store.ended[call_id][1]

    # PipelineFactory

    def pipeline(
        self,
        listener: ListenerForCall,
        session: CallSession,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> Cascade:
        loop, means = asyncio.get_running_loop(), self.means_of(session)
        cascade = Cascade(listener.agent, self.parts_for(listener), session, spawn=spawn, clock=loop.time, means=means)
        self.pipelines.append(cascade)
        return cascade

    def means_of(self, session: CallSession) -> Means:
        transfers = session.transfers if session.transfers.possible else None
        recorder = lambda: session.recording  # noqa: E731 - there is none yet
        return replace(
            self.means,
            transfers=transfers,
            memory=session.tool_memory,
            recorder=recorder,
            answers=session.answers,
            press=session.keypad.press if session.keypad.is_there else None,
        )

    def parts_for(self, listener: ListenerForCall) -> CascadeParts:
        return self.parts

    def interlude(self, listener: ListenerForCall, session: CallSession) -> Interlude | None:
        voices = [self.parts.tts, *self.parts.more_ttss]
        language = listener.agent.options.tts.language or "en"
        return Interlude(voices, session, clock=asyncio.get_running_loop().time, language=language)

    def recogniser_for(self, listener: ListenerForCall) -> SpeechToText | None:
        return self.recogniser if self.understands else None

    def detector(self, format: AudioFormat) -> VoiceDetector:
        return PeakDetector()

    async def close(self) -> None: ...

    # The wire

    def _wall_clock(self) -> float:
        return 1_700_000_000.0 + asyncio.get_running_loop().time()

    async def _answer(self, url: str, body: bytes, headers: Mapping[str, str]) -> HookResponse:
        path = url.removeprefix(BASE)
        signature = headers.get(SIGNATURE_HEADER)
        match path.split("/")[2]:
            case "call":
                reply = await self.switchboard.on_call(body, signature, BASE)
            case "status":
                reply = self.switchboard.on_status(body, signature)
            case "redirect":
                reply = self.switchboard.on_redirect(path.rsplit("/", 1)[1], body, signature)
            case _:
                reply = self.switchboard.on_next(path.rsplit("/", 1)[1], body, signature)
        self.replies.append((path, reply.status, reply.verbs))
        if reply.verbs is None:
            return HookResponse(reply.status, "", b"")
        return HookResponse(reply.status, "application/json", json.dumps(list(reply.verbs)).encode())

    def _accept(self, url: str, headers: Mapping[str, str], socket: MemoryEnd) -> None:
        if url == APPLICATION:
            application = MemoryApplication(self, socket)
            self.applications.append(application)
            socket.attach(application)
            return
        call = self.switchboard.live.take_token(url.rsplit("/", 1)[1])
        if call is None:
            raise SocketRefused("no such token", 404)
        leg = MemoryLeg(call, socket)
        self.legs.append(leg)
        self.sessions.append(call)
        call.attach(leg)
        socket.attach(leg)
