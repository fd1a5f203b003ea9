"""A call's pipelines, one after the other: its agent's, and whoever goes on where that one cannot.

Each has a task group of its own, which ends with it. In between nobody waits in silence: an interlude says that it
takes a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, assert_never

from gateway.company import Company
from gateway.floor import Floor
from gateway.permits import NotPermitted, affordable
from gateway.reception import Reception
from gateway.recordings.announcing import Announcing
from gateway.succession import AnotherAgent, OtherModels, Succession, Telephone
from gateway.surroundings import Surroundings
from gateway.waiting import first_of, unless
from pipelines.agent import AgentDefinition
from pipelines.history import Conversation
from pipelines.messages import NOBODY, Become, CallMessage, NotNow, NotPossible
from pipelines.parts import ProviderError
from pipelines.pipeline import Pipeline
from store.listeners import ListenerForCall

if TYPE_CHECKING:
    from gateway.session import CallSession

MEDIA_SECONDS = 20.0
"""From the webhook's answer to the media socket: past it the caller is gone, or cannot reach us."""

PREPARE_SECONDS = 10.0
"""The longest that providers may take to get ready."""

LOOK_UP_SECONDS = 2.0
"""The longest that finding another agent may take."""

LATE_SECONDS = 3.0
"""A caller whose audio comes later is not told that nobody can go on."""


class Relay:
    """:meth:`run` it for the life of a call. ``call`` is the pipelines' host."""

    def __init__(self, call: CallSession, around: Surroundings) -> None:
        self.floor = Floor(call, around)
        self._call = call
        self._around = around
        self._own = call.listener
        self._succession = Succession(call.listener.agent)
        self._came_as: Literal["agent", "model"] | None = None  # who has the call, if it is somebody else
        self._failed = asyncio.Event()  # or has left: whoever has the call has it no more
        self._lost = False  # or the caller's socket was
        self._engaged = call.listener  # whose agent has the call
        self._context = ""
        """What that is told of the call, beside its prompt."""
        self._reception = self._reception_of(call)  # once, if at all
        self._news = ""  # of that, for who has the call next
        self._company = Company(call, around, self.floor)
        self._announcing = Announcing(call, around.recordings, self._company.interlude)

    # What pipelines ask

    @property
    def relief(self) -> bool:
        return self._succession.left

    @property
    def agent_first(self) -> bool:
        return self._succession.agent_first

    @property
    def changing(self) -> bool:
        """The pipeline has failed: what it still has to say of the call is of no account."""
        return self._failed.is_set()

    def fail(self) -> bool:
        """The pipeline cannot go on. Whether somebody else may: who is to be put through is, all the same."""
        if self._succession.left or self._call.transfers.pending:
            self._leave()
        return self.changing

    def hand_over(self) -> bool:
        """The pipeline has said what it had to: whether the caller is transferred now, and may come back."""
        pending = self._call.transfers.pending
        if pending:
            self._leave()
        return pending

    def lose(self) -> bool:
        """The caller's socket was lost: whether he may come back to the same agent by another."""
        speaker = self.floor.speaker
        self._lost = speaker is not None and not self.changing and self._call.returning.begin(speaker)
        if self._lost:
            self._leave()
        return self._lost

    def _leave(self) -> None:
        self._failed.set()
        self.floor.stop_listening()

    # Messages of others

    def take(self, message: CallMessage) -> None:
        """For whoever has the call. Raises :class:`NotNow` and :class:`NotPossible`."""
        if self.changing or self.floor.speaker is None:
            raise NotNow(NOBODY)
        self.floor.speaker.take(message)

    async def ready_for(self, changes: Mapping[str, Any]) -> None:
        """What an update would bring that is not known yet, in bounded time. Raises :class:`NotNow`,
        :class:`~pipelines.messages.NotReachable` and :class:`pydantic.ValidationError`."""
        speaker = self.floor.speaker
        if self.changing or speaker is None:
            raise NotNow(NOBODY)
        await speaker.ready_for(self._engaged.agent.changed(changes))
        if self.floor.speaker is not speaker:
            raise NotNow(NOBODY)

    def update(self, changes: Mapping[str, Any], context: str | None) -> None:
        """Fields of the definition of the agent that has the call, and what it is to know of that. Raises
        :class:`pydantic.ValidationError`, too."""
        agent = self._engaged.agent.changed(changes)
        told = self._context if context is None else context
        self.take(Become(agent.with_context(told)))
        self._context = told
        self._engaged = replace(self._engaged, agent=agent)
        if self._engaged.agent_id == self._own.agent_id:  # other models of it may go on
            self._own = replace(self._own, agent=self._own.agent.changed(changes))

    # One pipeline after the other

    async def run(self) -> None:
        """Until the call is over."""
        listener: ListenerForCall | None = self._own
        self.floor.so_far = self._call.opening
        while listener is not None:
            await self._engage(listener)
            lost, self._lost = self._lost, False
            listener = await (self._come_back() if lost else self._next())

    async def _come_back(self) -> ListenerForCall | None:
        """Who goes on with a caller whose socket was lost: the same. None: he is gone, or somebody else's."""
        call = self._call
        so_far = await call.returning.wait(self.floor.so_far or Conversation())
        if so_far is None:
            return None
        self._came_as = None
        self.floor.go_on_by_another_leg(so_far)
        return await self._next() if call.transfers.pending else self._engaged

    async def _transfer(self) -> ListenerForCall | None:
        """Who goes on with the caller who is back: the same. None: the call is over, or somebody else's."""
        leg = self._call.leg
        so_far = await self._call.transfers.perform(self.floor.so_far or Conversation())
        if so_far is None:
            return None
        self._came_as = None
        self.floor.begin_anew(so_far, same_leg=leg is not None and self._call.leg is leg)
        return self._engaged

    async def _engage(self, listener: ListenerForCall) -> None:
        """The agent of ``listener`` has the call. Returns when it is over, or somebody else has to go on."""
        self._failed.clear()
        self._engaged = listener
        try:
            async with asyncio.TaskGroup() as group:
                await self._perform(listener, group)
        except ExceptionGroup as error:
            self._call.on_fault(error)

    async def _perform(self, listener: ListenerForCall, group: asyncio.TaskGroup) -> None:
        tasks: set[asyncio.Task[None]] = set()

        def spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            task = group.create_task(work)
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            return task

        pipeline: Pipeline | None = None
        try:
            informed = replace(listener, agent=listener.agent.with_context(self._context))
            pipeline = self._around.factory.pipeline(informed, self._call, spawn)
            if self.floor.so_far is not None:
                pipeline.take_over(self.floor.so_far)
            await self._company.during(_ready(pipeline, self._reception))
            if await self._is_attached() and not self.changing and await self._receive():
                await self._announcing.begin()
                self.floor.wait_no_longer(self._call.opening)
                self.floor.take(pipeline)
                self._inform(pipeline, listener)
                self._tell_of(listener)
                if not self.changing:
                    self.floor.listen()
                await first_of(self._call.over, self._failed)
                await self.floor.fall_silent()
        except (ProviderError, TimeoutError) as error:
            self._cannot(str(error) or f"the providers were not ready within {PREPARE_SECONDS:g} s")
        finally:
            if pipeline is not None:
                await self.floor.leave(pipeline)
            for task in tasks:
                task.cancel()

    async def _is_attached(self) -> bool:
        """Wait for the caller's audio. Whether it came, and there still is a caller."""
        call = self._call
        if not await call.picked_up():
            return False
        await first_of(call.attached, seconds=MEDIA_SECONDS)
        if not call.attached.is_set():
            call.log.warning("no media socket came", seconds=MEDIA_SECONDS)
            call.end("no_media")
        return call.leg is not None and not call.over.is_set()

    def _reception_of(self, call: CallSession) -> Reception | None:
        if call.dialling is None or call.dialling.detection is None:
            return None
        return Reception(call, call.dialling, call.dialling.detection, call.listener, self._around)

    async def _receive(self) -> bool:
        """Whether there is somebody for the agent to speak with, who is told of what was said."""
        reception, self._reception = self._reception, None
        leg = self._call.leg
        if reception is None or leg is None:
            return True
        so_far: Conversation | None = Conversation()  # where it fails: then it is for the agent to find out
        async with self._company.interlude() as interlude:
            so_far = await reception.receive(interlude, leg.format)
        if so_far is None:
            return False
        speaks_first = self._own.agent.options.opening is not None
        if speaks_first or (so_far.entries and not self._own.agent.model.is_realtime):
            self.floor.go_on_from(so_far)
        else:
            self.floor.so_far = None  # the agent hears for itself what was said last
        self._news = reception.context if self._own.agent.model.is_realtime else ""
        return not self._call.over.is_set()

    def _inform(self, pipeline: Pipeline, listener: ListenerForCall) -> None:
        """A realtime model was set up before it was known who answers."""
        news, self._news = self._news, ""
        if news:
            with suppress(NotNow, NotPossible):
                pipeline.take(Become(listener.agent.with_context(news)))

    def _cannot(self, sentence: str) -> None:
        self._call.log.error("the agent cannot be set up", error=sentence)
        self._call.note("error", sentence)

    def _tell_of(self, listener: ListenerForCall) -> None:
        """Whether it is somebody else who has the call."""
        model = listener.agent.model_name
        if self._came_as == "agent":
            self._succession.took_over(listener.agent)
            self._call.went_on("agent", agentId=listener.agent_id, modelName=model)
        elif self._came_as == "model":
            self._call.went_on("model", modelName=model)

    # Who is next

    async def _next(self) -> ListenerForCall | None:
        """Who is to go on. None: the call is over."""
        if self._call.transfers.pending and not self._call.over.is_set():
            return await self._transfer()
        while not self._call.over.is_set():
            successor = self._succession.next(setup=not self.floor.talked)
            match successor:
                case AnotherAgent(agent_id):
                    agent = await self._company.during(self._find(agent_id))
                    if agent is not None:
                        self._came_as = "agent"
                        return replace(self._own, agent_id=agent_id, agent=agent)
                case OtherModels(names):
                    self._came_as = "model"
                    return replace(self._own, agent=self._own.agent.with_models(names))
                case Telephone(number):
                    await self._put_through(number)
                case None:
                    await self._give_up()
                case _:
                    assert_never(successor)
        return None

    async def _find(self, agent_id: str) -> AgentDefinition | None:
        """Another agent of the same owner; None, and a sentence in the log, where there is none to be had."""
        why = "this owner has no such agent"
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                agent = await self._around.find_agent(self._own.owner, agent_id)
            if agent is not None:
                return agent
        except Exception as error:  # noqa: BLE001 - a database that is away, or an agent of another version
            why = f"it could not be read ({type(error).__name__})"
        self._cannot(f"the agent {agent_id} cannot go on with the call: {why}")
        return None

    async def _put_through(self, number: str) -> None:
        """Jambonz rings the number, once our socket is closed; unless it is none that this agent may ring."""
        try:
            await self._around.beside(partial(affordable, number, self._own.agent.options))
        except NotPermitted as refused:
            self._call.log.error("the fallback's number is not rung", error=str(refused))
            self._call.note("error", f"The fallback's number is not rung: {refused}")
            await self._give_up()
            return
        self._call.handing.will_put_through(number)
        if await self._is_attached():
            await unless(self._company.announce("connecting"), self._call.over)
        await self._call.handing.put_through()

    async def _give_up(self) -> None:
        """Nobody goes on, and nobody has said so."""
        call = self._call
        await first_of(call.attached, seconds=LATE_SECONDS)
        if call.leg is not None and call.attached.is_set():
            await unless(self._company.announce("cannot_go_on"), call.over)
        await call.take_leave("failed")


async def _ready(pipeline: Pipeline, reception: Reception | None) -> None:
    async with asyncio.timeout(PREPARE_SECONDS):
        preparing = asyncio.ensure_future(reception.prepare()) if reception is not None else None
        try:
            await pipeline.prepare()
            if preparing is not None:
                await preparing
        finally:
            if preparing is not None:
                preparing.cancel()
