from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest

from pipelines.parts import Message, TextDelta
from pipelines.providers import registry
from pipelines.providers.defaults import ORDER, with_account
from pipelines.providers.espeak import EspeakTextToSpeech
from pipelines.providers.openai import OpenAIChatModel
from pipelines.providers.pico import PicoTextToSpeech
from pipelines.providers.registry import SPEECH_TO_TEXT, TEXT_TO_SPEECH, Registry
from pipelines.providers.scripted import ScriptedLanguageModel
from tests.simulators import anthropic_messages, gemini_chat
from tests.simulators.anthropic_messages import serve_messages
from tests.simulators.gemini_chat import serve_gemini_chat
from tests.simulators.openai_chat import KEY, serve_chat

SCRIPT = {"rules": [{"say": "Yes."}]}


async def test_a_model_is_reached_where_the_settings_say() -> None:
    async with serve_chat() as server:
        for base_url in (server.base_url, server.base_url.removesuffix("/v1")):
            providers = Registry({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": base_url})
            model = providers.language_model("jambonz:openai/gpt-4o", {"temperature": 0.5})
            await model.prepare()
            events = [event async for event in model.generate([Message("user", "Hi")])]
            assert events[0] == TextDelta("Hello")
            await providers.close_all()
        assert [request["temperature"] for request in server.requests] == [1.0, 1.0]
        assert server.mistakes == []


async def test_models_of_anthropic_and_google_share_a_connection_until_it_is_closed() -> None:
    async with serve_messages() as claude, serve_gemini_chat() as gemini:
        settings = {"ANTHROPIC_API_KEY": anthropic_messages.KEY, "GEMINI_API_KEY": gemini_chat.KEY}
        # A base URL with the vendor's path is understood as well.
        settings |= {"ANTHROPIC_BASE_URL": f"{claude.base_url}/v1/", "GEMINI_BASE_URL": gemini.base_url}
        providers = Registry(settings)
        for _ in range(2):
            for name in ("anthropic/claude-haiku-4-5", "google/gemini-3-flash"):
                for _ in range(2):
                    model = providers.language_model(name, {"temperature": 0.5})
                    assert model.name == name.split("/")[0]
                    await model.prepare()
                    events = [event async for event in model.generate([Message("user", "Hi")])]
                    assert events[0] == TextDelta("Hello")
                    await model.close()
            await providers.close_all()
        assert [request["temperature"] for request in claude.requests] == [0.5] * 4
        assert [request["generationConfig"]["temperature"] for request in gemini.requests] == [1.0] * 4
        for server in (claude, gemini):
            assert [peer == server.peers[0] for peer in server.peers] == [True, True, False, False]
            assert server.mistakes == []


def test_models_by_name() -> None:
    providers = Registry({"GROQ_API_KEY": "k"})
    for name in ("groq/llama3-70b", "ollama/llama3:8b"):
        model = providers.language_model(name, {})
        assert isinstance(model, OpenAIChatModel)
        assert model.name == name.split("/")[0]
    assert isinstance(providers.language_model("scripted/echo", {}), ScriptedLanguageModel)
    assert isinstance(providers.language_model("scripted/dentist", {"script": SCRIPT}), ScriptedLanguageModel)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("openai/gpt-4o", {}, "needs OPENAI_API_KEY"),
        ("groq/x", {}, "needs GROQ_API_KEY"),
        ("anthropic/claude", {}, "needs ANTHROPIC_API_KEY"),
        ("google/gemini", {}, "needs GEMINI_API_KEY"),
        ("acme/x", {}, "no provider 'acme' of models; there are openai, groq, ollama, anthropic, google, scripted"),
        ("openai", {}, "write provider/model"),
        ("scripted/dentist", {}, "needs its script in options.script"),
        ("scripted/dentist", {"script": {"rules": []}}, "options.script.rules"),
        ("ollama/x", {"temperature": 2}, "goes from 0 to 1"),
    ],
)
def test_names_that_lead_nowhere(name: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Registry({}).language_model(name, options)


async def test_parts_are_shared_until_they_are_closed() -> None:
    providers = Registry({})
    stt, tts = providers.speech_to_text(), providers.text_to_speech("pico", "en-GB")
    assert providers.speech_to_text("moonshine") is stt
    assert providers.text_to_speech("pico", voice="en-GB") is tts
    assert providers.text_to_speech("pico", "de") is not tts
    await providers.close_all()
    assert providers.speech_to_text() is not stt
    await providers.close_all()


async def test_the_voice_without_a_vendor_is_pico_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    providers = Registry({})
    monkeypatch.setattr(registry, "find_spec", lambda name: object())
    english, dutch = providers.text_to_speech(), providers.text_to_speech(language="nl-NL")
    assert isinstance(english, PicoTextToSpeech)
    assert english.voice == "en-US"
    assert isinstance(dutch, EspeakTextToSpeech)
    assert dutch.voice == "nl-nl"
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    assert isinstance(providers.text_to_speech(language="en-GB"), EspeakTextToSpeech)
    await providers.close_all()


@pytest.mark.parametrize(
    ("env", "recogniser", "voice"),
    [
        ({}, "moonshine", "pico"),
        ({"ANTHROPIC_API_KEY": "k", "GEMINI_API_KEY": "k", "ULTRAVOX_API_KEY": "k"}, "moonshine", "pico"),
        ({"DEEPGRAM_API_KEY": "k"}, "deepgram", "deepgram"),
        ({"GROQ_API_KEY": "k"}, "groq", "pico"),
        ({"KOKORO_BASE_URL": "http://k"}, "moonshine", "kokoro"),
        ({"SPEACHES_BASE_URL": "http://s", "KOKORO_BASE_URL": "http://k"}, "speaches", "speaches"),
        ({"KOKORO_BASE_URL": "http://k", "GROQ_API_KEY": "k"}, "groq", "kokoro"),
        # The address of a vendor that wants a key may be that of a server that only answers in text.
        ({"OPENAI_BASE_URL": "http://llm", "DEEPGRAM_BASE_URL": "http://d"}, "moonshine", "pico"),
        ({"DEEPGRAM_API_KEY": ""}, "moonshine", "pico"),
        ({"GOOGLE_APPLICATION_CREDENTIALS": "file.json"}, "google", "google"),
        ({"GOOGLE_SPEECH_ENDPOINT": "http://g:1"}, "google", "pico"),
        ({"GOOGLE_TTS_ENDPOINT": "http://g:1", "KOKORO_BASE_URL": "http://k"}, "moonshine", "kokoro"),
        ({"GOOGLE_SPEECH_ENDPOINT": "eu-speech.googleapis.com"}, "moonshine", "pico"),
    ],
)
async def test_who_hears_and_speaks_by_default(env: dict[str, str], recogniser: str, voice: str) -> None:
    providers = Registry(env)
    assert (providers.default_recogniser(), providers.default_voice()) == (recogniser, voice)
    assert (providers.speech_to_text().name, providers.text_to_speech().name) == (recogniser, voice)
    await providers.close_all()


def test_the_first_with_an_account_is_the_default() -> None:
    env = {f"{vendor.upper()}_API_KEY": "k" for vendor in ORDER} | {"GOOGLE_APPLICATION_CREDENTIALS": "file.json"}
    assert tuple(with_account(env, "stt")) == tuple(with_account(env, "tts")) == ORDER
    hears, speaks = ([v for v in ORDER if v in vendors] for vendors in (SPEECH_TO_TEXT, TEXT_TO_SPEECH))
    providers = Registry(env)
    assert (providers.default_recogniser(), providers.default_voice()) == (hears[0], speaks[0])


def test_a_vendor_without_a_voice_for_the_language_is_passed_over() -> None:
    providers = Registry({"DEEPGRAM_API_KEY": "k", "KOKORO_BASE_URL": "http://k"})
    assert [providers.default_voice(language) for language in ("en-AU", "hi", "xh")] == ["deepgram", "kokoro", "espeak"]
    # A voice that the agent names is the first vendor's, unless it is one of Pico's.
    assert [providers.default_voice("hi", voice) for voice in ("my-own", "en-GB")] == ["deepgram", "pico"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"vendor": "acme"}, "no tts.vendor 'acme'; there are pico, espeak"),
        ({"vendor": "pico", "language": "nl"}, "pico has no voice for 'nl'"),
        ({"vendor": "pico", "voice": "rms"}, "pico has no voice 'rms'"),
        ({"vendor": "pico", "model": "big"}, r"pico takes no tts\.model"),
        ({"vendor": "espeak", "model": "big"}, r"espeak takes no tts\.model"),
        ({"vendor": "deepgram", "model": "aura-2"}, r"deepgram takes no tts\.model; its voices are models"),
    ],
)
def test_voices_that_do_not_exist(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Registry({}).text_to_speech(**arguments)


def test_a_recogniser_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match=r"no stt\.vendor 'acme'; there are moonshine"):
        Registry({}).speech_to_text("acme")
    with pytest.raises(ValueError, match=r"moonshine takes no stt\.model"):
        Registry({}).speech_to_text("moonshine", model="big")


def test_importing_the_service_imports_no_vendor() -> None:
    """An agent's vendor is imported when it is first needed; every other one never."""
    vendors = ["openai", "httpx2", "moonshine_voice", "ttspico", "espeakng_loader", "grpc", "google.auth"]
    vendors += ["google.cloud", "google.protobuf", "google.api_core"]
    assert all(find_spec(vendor) for vendor in vendors), "the test would pass for want of packages"
    rooms = "gateway, gateway.app, gateway.factory, pipelines, pipelines.cascade, pipelines.providers.registry"
    code = f"import sys, {rooms}; print([name for name in {vendors!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
