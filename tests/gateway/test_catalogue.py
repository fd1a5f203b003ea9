"""Models and voices by the API's own route, with vendors that list what they have, slowly, wrongly, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway import catalogue
from gateway.catalogue import FRESH_SECONDS, RETRY_SECONDS, USABLE_SECONDS, Catalogue
from pipelines.agent import AgentDefinition
from pipelines.catalogue import MODELS, VOICES
from tests.gateway.api_service import serving
from tests.simulators.listings import KEY, VENDORS, ListServer, serve_lists
from tests.steady import PATIENCE


@asynccontextmanager
async def shown(server: ListServer, *vendors: str, clock: Any = None) -> AsyncIterator[Catalogue]:
    """The catalogue of a service that has accounts at ``vendors``."""
    shown = Catalogue(server.settings(*vendors), clock=clock)
    try:
        yield shown
    finally:
        await shown.close()


def of(models: dict[str, Any], start: str) -> list[str]:
    return sorted(name.removeprefix(start) for name in models if name.startswith(start))


def names(voices: dict[str, Any], vendor: str, handler: str = "jambonz") -> dict[str, list[str]]:
    return {language: [one["name"] for one in found] for language, found in voices[handler][vendor].items()}


# The API


async def test_with_no_account_anywhere_what_is_known_is_told(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        models, voices = await api("GET", "/models"), await api("GET", "/voices")
    assert len(models) == len(MODELS)
    assert models["jambonz:anthropic/claude-haiku-5-5"] == {
        "description": "Claude Haiku 5.5: small and fast",
        "supportsFunctions": True,
        "audioModel": False,
        "hasTelephony": True,
        "hasWebRTC": False,
    }
    assert models["ultravox:ultravox/ultravox-v0.7"]["audioModel"] is True
    assert voices["jambonz"]["pico"]["en-GB"] == [{"name": "en-GB", "description": "Pico, en-GB", "gender": "female"}]
    assert "en-GB-Chirp3-HD-Charon" in names(voices, "google")["en-GB"]
    assert names(voices, "ultravox", "ultravox") == {"en": ["Mark", "Jessica"]}
    told = {
        one["name"] for vendors in voices.values() for found in vendors.values() for v in found.values() for one in v
    }
    assert told == {voice.name for voice in VOICES}


async def test_every_model_that_is_told_makes_an_agent(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        for name in await api("GET", "/models"):
            assert str(AgentDefinition.model_validate({"modelName": name, "prompt": ""}).model) == name


async def test_the_api_asks_the_vendors_of_its_settings(tmp_path: Path) -> None:
    async with serve_lists() as server:
        settings = {name.lower(): value for name, value in server.settings("openai", "elevenlabs").items()}
        async with serving(tmp_path, **settings) as api:
            models, voices = await api("GET", "/models"), await api("GET", "/voices")
        assert server.asked == ["openai", "elevenlabs"]
        assert server.mistakes == []
    assert of(models, "jambonz:openai/") == ["gpt-6-astra", "gpt-7-nova", "gpt-realtime-3"]
    assert names(voices, "elevenlabs") == {"en-US": ["eleven-1"], "de-DE": ["eleven-1"], "any": ["eleven-2"]}


# What vendors list


async def test_what_vendors_list_replaces_what_is_known_of_them() -> None:
    async with serve_lists() as server, shown(server) as listed:
        models, voices = await listed.models(), await listed.voices()
        assert set(server.asked) == {*VENDORS, "ultravox voices"}
        assert server.mistakes == []
    assert of(models, "jambonz:openai/") == ["gpt-6-astra", "gpt-7-nova", "gpt-realtime-3"]
    assert models["jambonz:openai/gpt-6-astra"]["description"] == "OpenAI GPT-6 Astra"
    assert models["jambonz:openai/gpt-7-nova"]["description"] == "gpt-7-nova, as openai lists it"
    assert [models[f"jambonz:openai/{id}"]["audioModel"] for id in ("gpt-7-nova", "gpt-realtime-3")] == [False, True]
    assert of(models, "jambonz:groq/") == ["openai/gpt-oss-20b"]
    assert of(models, "jambonz:ollama/") == ["llama9:70b"]
    assert of(models, "jambonz:anthropic/") == ["claude-haiku-5-5", "claude-opus-9"]
    assert models["jambonz:anthropic/claude-opus-9"]["description"] == "Claude Opus 9"
    assert of(models, "jambonz:google/") == ["gemini-9-flash", "gemini-9-live", "gemma-9-27b"]
    assert models["jambonz:google/gemini-9-live"]["audioModel"] is True
    assert models["jambonz:google/gemma-9-27b"]["supportsFunctions"] is False
    assert of(models, "ultravox:") == ["fixie-ai/ultravox-70B", "ultravox/ultravox-v0.9"]
    assert of(models, "jambonz:scripted/") == ["echo", "script"]

    assert names(voices, "deepgram") == {"en-US": ["aura-2-thalia-en", "flux-alexis-en"], "de": ["aura-3-otto-de"]}
    assert voices["jambonz"]["deepgram"]["en-US"][0] == {
        "name": "aura-2-thalia-en",
        "description": "Thalia, American",
        "gender": "female",
    }
    assert voices["jambonz"]["deepgram"]["de"][0]["gender"] == "male"
    cartesia = names(voices, "cartesia")
    assert (len(cartesia["en-GB"]), cartesia["en"]) == (100, ["cartesia-100"])
    assert names(voices, "kokoro") == {"en-GB": ["bm_new"], "en-US": ["af_heart"]}
    assert names(voices, "speaches") == {"fr-FR": ["ff_siwis"], "en-GB": ["amy"], "any": ["odd"]}
    assert names(voices, "ultravox", "ultravox") == {"en": ["v-1"], "any": ["v-2"]}
    assert voices["ultravox"]["ultravox"]["en"][0]["description"] == "Mark Slow: calm"
    assert len(names(voices, "google")) > 40  # nobody was asked for those


@pytest.mark.parametrize("fault", ["error", "refused", "silent", "garbage", "other_shape", "cut"])
async def test_who_cannot_be_asked_is_told_of_as_known_and_why_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, fault: Any
) -> None:
    monkeypatch.setattr(catalogue, "ASK_SECONDS", 0.2)
    now = [0.0]
    async with serve_lists() as server, shown(server, clock=lambda: now[0]) as listed:
        server.faults = dict.fromkeys(VENDORS, fault)
        with capture_logs() as logs:
            await listed.models()
            await listed.voices()
            now[0] += RETRY_SECONDS + 1
            models, voices = await listed.models(), await listed.voices()
        assert set(models) == {model.name for model in MODELS}
        assert set(names(voices, "elevenlabs")["any"]) == {v.name for v in VOICES if v.vendor == "elevenlabs"}
        assert len(server.asked) == 2 * (len(VENDORS) + 1)
    assert len(logs) == len(VENDORS) + 1
    assert {entry["log_level"] for entry in logs} == {"warning"}
    assert not any(KEY in str(entry) for entry in logs)


async def test_one_who_is_silent_keeps_nobody_waiting_longer_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "ASK_SECONDS", 0.2)
    async with serve_lists() as server, shown(server) as listed:
        server.faults["groq"] = "silent"
        before = asyncio.get_running_loop().time()
        models = await listed.models()
        assert 0.2 <= asyncio.get_running_loop().time() - before < 1.0
        assert of(models, "jambonz:openai/")[1] == "gpt-7-nova"
        assert "llama-3.3-70b-versatile" in of(models, "jambonz:groq/")


async def test_what_is_no_entry_is_passed_over() -> None:
    async with serve_lists() as server, shown(server) as listed:
        whole = [await listed.models(), await listed.voices()]
        server.faults = dict.fromkeys(VENDORS, "junk")
        async with shown(server) as junk:
            assert [await junk.models(), await junk.voices()] == whole


# What is kept


async def test_a_list_is_kept_and_renewed_beside_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "ASK_SECONDS", 2 * PATIENCE)  # whoever waited for the vendor would be late
    now = [0.0]
    async with serve_lists() as server, shown(server, "openai", clock=lambda: now[0]) as listed:
        first = await listed.models()
        now[0] = FRESH_SECONDS - 1
        assert await listed.models() == first
        assert server.asked == ["openai"]
        # Grown old, it is given out once more, however slow the vendor has become.
        now[0] = FRESH_SECONDS + 1
        server.faults["openai"] = "silent"
        server.arrived.clear()
        assert await asyncio.wait_for(listed.models(), PATIENCE) == first
        assert await asyncio.wait_for(listed.models(), PATIENCE) == first
        await asyncio.wait_for(server.arrived.wait(), PATIENCE)
        assert server.asked == ["openai", "openai"]  # by the two of them once


async def test_a_list_is_not_given_out_for_ever() -> None:
    now = [0.0]
    async with serve_lists() as server, shown(server, "openai", clock=lambda: now[0]) as listed:
        assert "jambonz:openai/gpt-7-nova" in await listed.models()
        server.faults["openai"] = "error"
        now[0] = USABLE_SECONDS - 1
        assert "jambonz:openai/gpt-7-nova" in await listed.models()
        [shelf] = listed._shelves.values()
        assert shelf.asking is not None
        await asyncio.wait([shelf.asking])
        assert shelf.failed_at == now[0]
        now[0] = USABLE_SECONDS + RETRY_SECONDS
        assert "jambonz:openai/gpt-7-nova" not in await listed.models()
        assert len(server.asked) == 3


async def test_who_failed_is_left_alone_for_a_while_and_then_asked_again() -> None:
    now = [0.0]
    async with serve_lists() as server, shown(server, "openai", clock=lambda: now[0]) as listed:
        server.faults["openai"] = "error"
        await listed.models()
        await listed.models()
        assert len(server.asked) == 1
        del server.faults["openai"]
        now[0] = RETRY_SECONDS + 1
        assert "jambonz:openai/gpt-7-nova" in await listed.models()


async def test_lists_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "MOST_PAGES", 1)
    async with serve_lists() as server, shown(server, "cartesia") as listed:
        assert len(names(await listed.voices(), "cartesia")["en-GB"]) == 100
        assert server.asked == ["cartesia"]
    monkeypatch.setattr(catalogue, "MOST_ENTRIES", 7)
    async with serve_lists() as server, shown(server, "cartesia") as listed:
        assert len(names(await listed.voices(), "cartesia")["en-GB"]) == 7
    monkeypatch.setattr(catalogue, "LARGEST_ANSWER", 1000)
    async with serve_lists() as server, shown(server, "cartesia") as listed:
        assert "en" in names(await listed.voices(), "cartesia")  # as known
        assert len(names(await listed.voices(), "cartesia")["en"]) < 7


async def test_closing_asks_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "ASK_SECONDS", 2 * PATIENCE)
    async with serve_lists() as server:
        server.faults["openai"] = "silent"
        listed = Catalogue(server.settings("openai"))
        asking = asyncio.create_task(listed.models())
        await asyncio.wait_for(server.arrived.wait(), PATIENCE)
        await listed.close()
        assert len(of(await asyncio.wait_for(asking, PATIENCE), "jambonz:openai/")) > 3
