"""From the names in an agent's definition to the parts of its cascade.

The parts are shared by the calls of a process, and :meth:`Registry.close_all` closes them. No vendor's package is
imported before an agent needs it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Protocol

from pipelines.parts import LanguageModel, SpeechToText, TextToSpeech
from pipelines.providers.accounts import account, compatible_account
from pipelines.providers.cartesia_tts import MODEL as CARTESIA_MODEL
from pipelines.providers.cartesia_tts import CartesiaTextToSpeech, cartesia_lines, speech_settings
from pipelines.providers.cartesia_tts import voice_for as cartesia_voice_for
from pipelines.providers.cartesia_wire import HOME as CARTESIA_HOME
from pipelines.providers.cartesia_wire import cartesia_at
from pipelines.providers.compatible import speech_account
from pipelines.providers.deepgram_stt import DeepgramSpeechToText
from pipelines.providers.deepgram_tts import DeepgramTextToSpeech
from pipelines.providers.deepgram_tts import voice_for as deepgram_voice_for
from pipelines.providers.deepgram_wire import HOME as DEEPGRAM_HOME
from pipelines.providers.deepgram_wire import deepgram_at
from pipelines.providers.defaults import with_account
from pipelines.providers.elevenlabs_scribe import MODEL as SCRIBE
from pipelines.providers.elevenlabs_stt import ElevenLabsSpeechToText
from pipelines.providers.elevenlabs_tts import MODEL as ELEVENLABS_MODEL
from pipelines.providers.elevenlabs_tts import VOICE as ELEVENLABS_VOICE
from pipelines.providers.elevenlabs_tts import ElevenLabsTextToSpeech
from pipelines.providers.elevenlabs_tts import speech_settings as elevenlabs_speech_settings
from pipelines.providers.elevenlabs_wire import HOME as ELEVENLABS_HOME
from pipelines.providers.elevenlabs_wire import elevenlabs_at
from pipelines.providers.espeak import EspeakTextToSpeech
from pipelines.providers.google_locales import voice_for as google_voice_for
from pipelines.providers.google_parts import GoogleParts
from pipelines.providers.http_account import HttpAccount
from pipelines.providers.language_models import LanguageModels
from pipelines.providers.lines import Lines
from pipelines.providers.moonshine import MoonshineSpeechToText
from pipelines.providers.openai_stt import MODEL as OPENAI_HEARS
from pipelines.providers.openai_stt import OpenAISpeechToText, transcription_options
from pipelines.providers.openai_tts import SPEAKERS, SpeechServer, speech_fields
from pipelines.providers.pico import VOICES, PicoTextToSpeech, voice_for
from pipelines.providers.transcription import MODELS, TranscriptionServer
from pipelines.providers.wire import Place

DEFAULT_LANGUAGE = "en-US"

SPEECH_TO_TEXT = ("moonshine", "deepgram", "deepgram-flux", "google", "openai", "elevenlabs", *MODELS)
OFFLINE_VOICES = ("pico", "espeak")
TEXT_TO_SPEECH = ("pico", "espeak", "deepgram", "google", "elevenlabs", "cartesia", *SPEAKERS)
EAGER = ("deepgram-flux",)
"""Recognisers that tell of likely ends of turns, if they are asked to."""


class _Closeable(Protocol):
    async def close(self) -> None: ...


class Registry:
    """``env`` holds the settings ``X_API_KEY`` and ``X_BASE_URL`` of the vendors.

    Its methods raise ``ValueError``, with a sentence for whoever wrote the agent, where a name or an option is wrong.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._models = LanguageModels(env)
        self._speech: dict[str, HttpAccount] = {}
        self._cartesia: Lines | None = None
        self._google_parts = GoogleParts(env)
        # By vendor, model, eagerness, and what else they are told.
        self._recognisers: dict[tuple[str, str | None, bool, str], SpeechToText] = {}
        # By vendor, voice, model, and what else is in its requests.
        self._voices: dict[tuple[str, str, str | None, str], TextToSpeech] = {}

    def language_model(self, model_name: str, options: Mapping[str, Any]) -> LanguageModel:
        """The model that ``[handler:]provider/model`` names."""
        return self._models.model(model_name, options)

    def default_recogniser(self) -> str:
        """Whose recogniser an agent has that names none."""
        return next((vendor for vendor in with_account(self._env, "stt") if vendor in SPEECH_TO_TEXT), "moonshine")

    def default_voice(self, language: str | None = None, voice: str | None = None) -> str:
        """Who speaks for an agent that names no vendor: the first that has a voice of its own for the language, unless
        the agent names a voice; offline, Pico where it was built and has one, else espeak-ng."""
        language = language or DEFAULT_LANGUAGE
        if voice not in VOICES:
            for vendor in with_account(self._env, "tts"):
                if vendor in TEXT_TO_SPEECH and (voice or _has_voice(vendor, language)):
                    return vendor
        return "pico" if find_spec("ttspico") and (voice in VOICES or voice_for(language)) else "espeak"

    def speech_to_text(
        self,
        vendor: str | None = None,
        *,
        model: str | None = None,
        eager: bool = False,
        vendor_specific: Mapping[str, Any] | None = None,
    ) -> SpeechToText:
        """``eager``: one that detects turns is asked for likely ends of them, too. ``vendor_specific`` are options in
        vendors' own words, by their names."""
        vendor = vendor or self.default_recogniser()
        eager = eager and vendor in EAGER
        more = transcription_options(vendor_specific or {}) if vendor == "openai" else {}
        which = vendor, model, eager, json.dumps(more, sort_keys=True)
        if which not in self._recognisers:
            self._recognisers[which] = self._make_recogniser(vendor, model, eager, more)
        return self._recognisers[which]

    def _make_recogniser(self, vendor: str, model: str | None, eager: bool, more: Mapping[str, Any]) -> SpeechToText:
        match vendor:
            case "moonshine":
                _refuse_model("stt", vendor, model)
                return MoonshineSpeechToText()
            case "deepgram" | "deepgram-flux":
                return DeepgramSpeechToText(self._deepgram(), flux=vendor == "deepgram-flux", model=model, eager=eager)
            case "openai":
                return OpenAISpeechToText(
                    Place(*compatible_account(self._env, vendor)), model or OPENAI_HEARS, options=more
                )
            case "elevenlabs":
                return ElevenLabsSpeechToText(self._elevenlabs(), model or SCRIBE)
            case "google":
                return self._google_parts.recogniser(model)
            case _ if vendor in MODELS:
                return TranscriptionServer(self._speech_account(vendor), model or MODELS[vendor])
            case _:
                raise ValueError(f"there is no stt.vendor {vendor!r}; there are {', '.join(SPEECH_TO_TEXT)}")

    def text_to_speech(
        self,
        vendor: str | None = None,
        language: str | None = None,
        voice: str | None = None,
        *,
        model: str | None = None,
        vendor_specific: Mapping[str, Any] | None = None,
    ) -> TextToSpeech:
        """``vendor_specific`` are options in vendors' own words, by their names."""
        language = language or DEFAULT_LANGUAGE
        vendor = vendor or self.default_voice(language, voice)
        voice = voice or _own_voice(vendor, language)
        more = _speech_options(vendor, language, vendor_specific or {})
        key = vendor, voice, model, json.dumps(more, sort_keys=True)
        if key not in self._voices:
            self._voices[key] = self._make_voice(vendor, voice, model, more)
        return self._voices[key]

    def _make_voice(self, vendor: str, voice: str, model: str | None, more: Mapping[str, Any]) -> TextToSpeech:
        match vendor:
            case "pico":
                _refuse_model("tts", vendor, model)
                return PicoTextToSpeech(voice)
            case "espeak":
                _refuse_model("tts", vendor, model)
                return EspeakTextToSpeech(voice)
            case "deepgram":
                _refuse_model("tts", vendor, model, "its voices are models: name one in tts.voice")
                return DeepgramTextToSpeech(self._deepgram(), voice)
            case "elevenlabs":
                return ElevenLabsTextToSpeech(self._elevenlabs(), voice, model or ELEVENLABS_MODEL, **more)
            case "cartesia":
                return CartesiaTextToSpeech(self._cartesia_lines(), voice, model or CARTESIA_MODEL, more=more)
            case "google":
                return self._google_parts.voice(voice, more["language"], model)
            case _ if vendor in SPEAKERS:
                speaker = SPEAKERS[vendor]
                account = self._speech_account(vendor)
                return SpeechServer(account, model or speaker.model, voice, more={**speaker.more, **more})
            case _:
                raise ValueError(f"there is no tts.vendor {vendor!r}; there are {', '.join(TEXT_TO_SPEECH)}")

    def offline_voice(self, language: str | None = None) -> TextToSpeech | None:
        """A voice that needs nobody: Pico's where it was built and has the language, else espeak-ng's, where it is
        installed."""
        language = language or DEFAULT_LANGUAGE
        if find_spec("ttspico") and voice_for(language):
            return self.text_to_speech("pico", language)
        return self.text_to_speech("espeak", language) if find_spec("espeakng_loader") else None

    async def close_all(self) -> None:
        """Close what was opened; the registry can be used again afterwards."""
        parts: list[_Closeable] = [self._models, *self._recognisers.values(), *self._voices.values()]
        parts += self._speech.values()
        if self._cartesia is not None:
            parts.append(self._cartesia)
            self._cartesia = None
        self._recognisers.clear()
        self._voices.clear()
        self._speech.clear()
        parts.append(self._google_parts)
        for part in parts:
            await part.close()

    def _cartesia_lines(self) -> Lines:
        if self._cartesia is None:
            self._cartesia = cartesia_lines(cartesia_at(*account(self._env, "cartesia", CARTESIA_HOME)))
        return self._cartesia

    def _deepgram(self) -> Place:
        return deepgram_at(*account(self._env, "deepgram", DEEPGRAM_HOME))

    def _elevenlabs(self) -> Place:
        return elevenlabs_at(*account(self._env, "elevenlabs", ELEVENLABS_HOME))

    def _speech_account(self, vendor: str) -> HttpAccount:
        if vendor not in self._speech:
            key, base_url = compatible_account(self._env, vendor)
            self._speech[vendor] = speech_account(vendor, api_key=key, base_url=base_url)
        return self._speech[vendor]


def _has_voice(vendor: str, language: str) -> bool:
    try:
        return bool(_own_voice(vendor, language))
    except ValueError:
        return False


def _own_voice(vendor: str, language: str) -> str:
    """The voice that ``vendor`` speaks a language with where the agent names none."""
    match vendor:
        case "pico":
            if not (voice := voice_for(language)):
                raise ValueError(f"pico has no voice for {language!r}; it has {', '.join(VOICES)}")
            return voice
        case "deepgram":
            if not (voice := deepgram_voice_for(language)):
                raise ValueError(f"deepgram has no voice of its own for {language!r} here; name one in tts.voice")
            return voice
        case "cartesia":
            if not (voice := cartesia_voice_for(language)):
                raise ValueError(f"cartesia has no voice of its own for {language!r} here; name one in tts.voice")
            return voice
        case "elevenlabs":
            return ELEVENLABS_VOICE
        case "google":
            if not (voice := google_voice_for(language)):
                raise ValueError(f"google has no voice of its own for {language!r} here; name one in tts.voice")
            return voice
        case _ if vendor in SPEAKERS:
            if not (voice := SPEAKERS[vendor].voice_for(language)):
                raise ValueError(f"{vendor} has no voice of its own for {language!r} here; name one in tts.voice")
            return voice
        case _:
            return language


def _speech_options(vendor: str, language: str, vendor_specific: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is in a voice's requests besides the voice and its model."""
    if vendor == "elevenlabs":
        return elevenlabs_speech_settings(language, vendor_specific)
    if vendor == "cartesia":
        return speech_settings(language, vendor_specific)
    if vendor == "google":
        return {"language": language}
    return speech_fields(vendor, vendor_specific) if vendor in SPEAKERS else {}


def _refuse_model(part: str, vendor: str, model: str | None, why: str = "it has one only") -> None:
    if model is not None:
        raise ValueError(f"{vendor} takes no {part}.model; {why}")
