"""The data of the catalogue against what is installed, and vendors' lists by their own SDKs."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import AsyncGenerator
from importlib.util import find_spec
from typing import Any

import pytest

from pipelines.catalogue import MODELS, VOICES
from pipelines.catalogue.entries import tag
from pipelines.catalogue.espeak import LANGUAGES, has_voice
from pipelines.catalogue.voices import kokoro_voice
from pipelines.providers.registry import DEFAULT_LANGUAGE, TEXT_TO_SPEECH, _own_voice
from tests.simulators.listings import KEY, ListServer, serve_lists


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("en", "en"),
        ("EN_gb", "en-GB"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("vi-vn-x-south", "vi-VN-x-south"),
        ("en-gb-x-rp", "en-GB-x-rp"),
    ],
)
def test_language_tags_are_written_as_bcp_47_has_them(given: str, canonical: str) -> None:
    assert tag(given) == canonical


def test_everything_is_there_once() -> None:
    for names in ([model.name for model in MODELS], [(voice.vendor, voice.name) for voice in VOICES]):
        assert len(names) == len(set(names))
    for voice in VOICES:
        assert voice.languages
        assert all(language == "any" or language == tag(language) for language in voice.languages), voice


def test_every_vendor_of_voices_has_some_and_among_them_its_own_for_english() -> None:
    known = {(voice.vendor, voice.name.lower()) for voice in VOICES}
    assert set(TEXT_TO_SPEECH) <= {vendor for vendor, _ in known}
    own = {(vendor, _own_voice(vendor, DEFAULT_LANGUAGE).lower()) for vendor in TEXT_TO_SPEECH}
    assert own - known == set()


def test_voices_of_kokoro_tell_their_language_and_gender() -> None:
    emma, odd = kokoro_voice("kokoro", "bf_emma"), kokoro_voice("kokoro", "somebody")
    assert (emma.description, emma.gender, emma.languages) == ("Emma", "female", ("en-GB",))
    assert (odd.description, odd.gender, odd.languages) == ("Somebody", "unknown", ("any",))
    assert kokoro_voice("kokoro", "xq_new").languages == ("any",)


# espeak-ng


class _EspeakVoice(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("languages", ctypes.c_char_p))


@pytest.mark.skipif(not find_spec("espeakng_loader"), reason="espeak-ng is not installed")
def test_the_voices_of_espeak_are_those_that_are_installed() -> None:
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    assert library.espeak_Initialize(2, 200, str(espeakng_loader.get_data_path()).encode(), 0) > 0
    library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_EspeakVoice))
    voices = library.espeak_ListVoices(None)
    installed: dict[str, str] = {}
    for index in range(1000):
        if not voices[index]:
            break
        voice = voices[index].contents
        installed.setdefault(voice.languages[1:].decode().lower(), voice.name.decode().strip())
    del installed["xex"]  # a test of theirs
    assert installed == LANGUAGES
    for name in (*LANGUAGES, "en-us+f3", "fr-CA"):
        found = [library.espeak_SetVoiceByName(part.encode()) for part in (name, name.split("-")[0])]
        assert (0 in found, has_voice(name)) == (True, True), name
    for name in ("xx", "marin", "", "+f3"):
        assert (library.espeak_SetVoiceByName((name or "-").encode()) == 0, has_voice(name)) == (False, False), name


# The vendors' own SDKs read the simulated lists


@pytest.fixture
async def server() -> AsyncGenerator[ListServer, None]:
    async with serve_lists() as server:
        server.strict = False
        yield server
        assert server.mistakes == []


async def test_sdks_of_openai_and_groq(server: ListServer) -> None:
    def read() -> tuple[list[str], list[str]]:
        from groq import Groq
        from openai import OpenAI

        with (
            OpenAI(api_key=KEY, base_url=f"{server.url}/openai/v1") as client,
            Groq(api_key=KEY, base_url=f"{server.url}/groq") as groq,
        ):
            return [model.id for model in client.models.list()], [model.id for model in groq.models.list().data]

    of_openai, of_groq = await asyncio.to_thread(read)
    assert "gpt-7-nova" in of_openai
    assert of_groq == ["openai/gpt-oss-20b", "whisper-large-v3"]


async def test_sdk_of_anthropic(server: ListServer) -> None:
    def read() -> list[tuple[str, str]]:
        from anthropic import Anthropic

        with Anthropic(api_key=KEY, base_url=f"{server.url}/anthropic") as client:
            return [(model.id, model.lifecycle) for model in client.models.list(limit=1000)]

    models = await asyncio.to_thread(read)
    assert models == [("claude-opus-9", "active"), ("claude-1", "retired"), ("claude-haiku-5-5", "active")]


async def test_sdk_of_google(server: ListServer) -> None:
    def read() -> dict[str | None, list[str] | None]:
        from google import genai

        options = genai.types.HttpOptions(base_url=f"{server.url}/gemini")
        with genai.Client(api_key=KEY, http_options=options) as client:
            return {model.name: model.supported_actions for model in client.models.list(config={"page_size": 4}).page}

    assert (await asyncio.to_thread(read))["models/gemini-9-live"] == ["bidiGenerateContent"]


async def test_sdk_of_deepgram(server: ListServer) -> None:
    def read() -> Any:
        import httpx
        from deepgram import DeepgramClient
        from deepgram.environment import DeepgramClientEnvironment

        place = f"{server.url}/deepgram"
        places = DeepgramClientEnvironment(base=place, production=place, agent=place, agent_rest=place)
        with httpx.Client() as http:
            return DeepgramClient(api_key=KEY, environment=places, httpx_client=http).manage.v1.models.list().tts

    voices = await asyncio.to_thread(read)
    assert voices[0].canonical_name == "aura-2-thalia-en"
    assert voices[0].metadata.tags == ["warm", "feminine"]


async def test_sdk_of_elevenlabs(server: ListServer) -> None:
    def read() -> Any:
        import httpx
        from elevenlabs import ElevenLabs

        with httpx.Client() as http:
            client = ElevenLabs(api_key=KEY, base_url=f"{server.url}/elevenlabs", httpx_client=http)
            return client.voices.get_all().voices

    voices = await asyncio.to_thread(read)
    assert [voice.voice_id for voice in voices] == ["eleven-1", "eleven-2"]
    assert voices[0].verified_languages[1].locale == "de-DE"


async def test_sdk_of_cartesia(server: ListServer) -> None:
    def read() -> list[Any]:
        from cartesia import Cartesia

        with Cartesia(api_key=KEY, base_url=f"{server.url}/cartesia") as client:
            return client.voices.list(limit=100).data

    voices = await asyncio.to_thread(read)
    assert (len(voices), voices[0].gender, voices[0].locales[0].locale) == (100, "masculine", "en-GB")
