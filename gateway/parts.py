"""The parts of an agent's cascade, and who steps in for each: from its definition, by the registry of providers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal, TypeVar

from pipelines.agent import AgentDefinition
from pipelines.agent.modelname import ModelName
from pipelines.agent.options import Fallback, Stt, Tts
from pipelines.breaker import Breakers
from pipelines.cascade import CascadeParts
from pipelines.events import PartFailed
from pipelines.parts import LanguageModel, ProviderError, SpeechToText, TextToSpeech
from pipelines.providers.registry import OFFLINE_VOICES, Registry
from pipelines.providers.smart_turn import SemanticDetector

P = TypeVar("P")
Part = Literal["stt", "llm", "tts"]


def cascade_parts(
    agent: AgentDefinition,
    registry: Registry,
    tell: Callable[[PartFailed], None],
    *,
    breakers: Breakers,
    semantic: SemanticDetector | None,
) -> CascadeParts:
    """``tell`` is told of each that cannot be had. Raises :class:`ProviderError` where nothing is left for a part.

    A voice of the service's own comes last of the voices: whatever fails, something can be said.
    """
    options = agent.options
    fallback, early = options.fallback or Fallback(), options.pre_response

    def recogniser(stt: Stt) -> SpeechToText:
        return registry.speech_to_text(
            stt.vendor,
            model=stt.model,
            eager=options.turns.preemptive_generation,
            vendor_specific=options.vendor_specific,
        )

    def model(name: str) -> LanguageModel:
        return registry.language_model(name, _model_options(agent))

    stts = _all(
        "stt", [(s.vendor or "stt", partial(recogniser, s)) for s in (options.stt, *fallback.recognisers)], tell
    )
    names = (agent.model_name, *fallback.models)
    llms = _all("llm", [(ModelName.parse(name).provider, partial(model, name)) for name in names], tell)
    ttss = _voices(agent, registry, tell)
    quick = None
    if early is not None and early.model is not None:
        try:
            quick = model(early.model)
        except ValueError as error:
            tell(_failure("llm", ModelName.parse(early.model).provider, error))
    return CascadeParts(
        stts[0],
        llms[0],
        ttss[0],
        semantic,
        more_stts=stts[1:],
        more_llms=llms[1:],
        more_ttss=ttss[1:],
        quick=quick,
        breakers=breakers,
    )


def voices_of(agent: AgentDefinition, registry: Registry) -> list[TextToSpeech]:
    """Whoever can say something for the agent, whatever becomes of its other parts. There may be none."""
    try:
        return _voices(agent, registry, lambda _: None)
    except ProviderError:
        own = registry.offline_voice(agent.options.tts.language)
        return [own] if own is not None else []


def _voices(agent: AgentDefinition, registry: Registry, tell: Callable[[PartFailed], None]) -> list[TextToSpeech]:
    options = agent.options

    def voice(tts: Tts) -> TextToSpeech:
        return registry.text_to_speech(
            tts.vendor,
            tts.language or options.tts.language,
            tts.voice,
            model=tts.model,
            vendor_specific=options.vendor_specific,
        )

    wanted = (options.tts, *(options.fallback or Fallback()).voices)
    voices = _all("tts", [(tts.vendor or "tts", partial(voice, tts)) for tts in wanted], tell)
    own = registry.offline_voice(options.tts.language)
    if own is not None and voices[0].name not in OFFLINE_VOICES:
        voices.append(own)
    return voices


def _all(part: Part, makers: Iterable[tuple[str, Callable[[], P]]], tell: Callable[[PartFailed], None]) -> list[P]:
    """Those that can be had."""
    made: list[P] = []
    failed: PartFailed | None = None
    for provider, make in makers:
        if failed is not None:
            tell(failed)
            failed = None
        try:
            made.append(make())
        except ValueError as error:
            failed = _failure(part, provider, error)
    if failed is not None and made:
        tell(failed)
    elif failed is not None:
        raise ProviderError(failed.provider, "bad_request", failed.message)
    return made


def _failure(part: Part, provider: str, error: ValueError) -> PartFailed:
    return PartFailed(part, provider, "bad_request", str(error))


def _model_options(agent: AgentDefinition) -> dict[str, Any]:
    options = {"temperature": agent.options.temperature, "script": agent.options.script}
    options["vendorSpecific"] = agent.options.vendor_specific
    return {name: value for name, value in options.items() if value is not None}
