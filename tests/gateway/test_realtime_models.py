from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.equipment import Equipment, ultravox_webhook
from gateway.factory import ProviderFactory
from gateway.realtime import RealtimeModels, http_tools
from gateway.settings import Settings
from media.audio import MULAW_8K, PCM_8K, PCM_16K, PCM_24K, AudioFormat
from pipelines.agent import AgentDefinition
from pipelines.agent.modelname import ModelName
from pipelines.parts import ProviderError
from pipelines.providers.registry import OFFLINE_VOICES, Registry
from pipelines.realtime.model import Setup
from pipelines.tools.addresses import Guard
from tests.simulators.ultravox import KEY, serve_ultravox

LOOK: dict[str, Any] = {
    "name": "look",
    "implementation": "rest",
    "url": "https://example.com/look",
    "description": "Look something up.",
    "input_schema": {"properties": {"what": {"type": "string"}, "shop": {"source": "static", "from": "main"}}},
}
SECRET_LOOK = {**LOOK, "name": "secret", "key": "k"}


def agent(model: str, ultravox: Any = None) -> AgentDefinition:
    vendor = {} if ultravox is None else {"vendorSpecific": {"ultravox": ultravox}}
    return AgentDefinition.model_validate(
        {
            "modelName": model,
            "prompt": "Be brief.",
            "options": vendor,
            "functions": [LOOK, SECRET_LOOK],
            "keys": [{"name": "k", "in": "bearer", "value": "v"}],
        }
    )


@pytest.mark.parametrize(
    ("name", "realtime"),
    [
        ("openai/gpt-realtime-2.1", True),
        ("openai/gpt-realtime-9-mini", True),
        ("openai/gpt-live-1", True),
        ("openai/gpt-4o", False),
        ("google/gemini-3.8-live", True),
        ("google/gemini-2.5-flash", False),
        ("ultravox:ultravox/ultravox-v0.7", True),
        ("ultravox/ultravox-v0.7", True),
        ("fixie-ai/ultravox-70B", True),
        ("scripted/echo", False),
    ],
)
def test_which_models_hear_and_speak_by_themselves(name: str, realtime: bool) -> None:
    assert ModelName.parse(name).is_realtime is realtime


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("openai/gpt-realtime-2.1", "OPENAI_API_KEY"),
        ("openai/gpt-live-1", "OPENAI_API_KEY"),
        ("google/gemini-3.8-live", "GEMINI_API_KEY"),
        ("ultravox/ultravox-v0.7", "ULTRAVOX_API_KEY"),
    ],
)
def test_without_a_key_it_is_said_which_one_is_missing(name: str, variable: str) -> None:
    with pytest.raises(ProviderError, match=variable):
        RealtimeModels({}).model(agent(name))


async def test_a_base_url_without_a_path_gets_the_vendors() -> None:
    model = RealtimeModels({"OPENAI_BASE_URL": "http://127.0.0.1:9"}).model(agent("openai/gpt-realtime-2.1"))
    assert (await model.dial(Setup("x"))).url == "ws://127.0.0.1:9/v1/realtime?model=gpt-realtime-2.1"


WAYS = [
    ("openai/gpt-realtime-2.1", MULAW_8K, MULAW_8K, PCM_24K, PCM_24K),
    ("openai/gpt-live-1", MULAW_8K, MULAW_8K, PCM_16K, PCM_16K),
    ("google/gemini-3.8-live", PCM_16K, PCM_24K, PCM_16K, PCM_24K),
    ("ultravox/ultravox-v0.7", PCM_8K, PCM_8K, PCM_16K, PCM_16K),
]


@pytest.mark.parametrize(("name", "up", "down", "wide_up", "wide_down"), WAYS, ids=[name for name, *_ in WAYS])
async def test_sound_is_as_the_leg_has_it(
    name: str, up: AudioFormat, down: AudioFormat, wide_up: AudioFormat, wide_down: AudioFormat
) -> None:
    models = RealtimeModels({f"{vendor}_API_KEY": "k" for vendor in ("OPENAI", "GEMINI", "ULTRAVOX")})
    for wideband, formats in ((False, (up, down)), (True, (wide_up, wide_down))):
        can = models.model(agent(name), wideband=wideband).capabilities
        assert (can.input, can.output) == formats
    await models.close()


@pytest.mark.parametrize(("wanted", "given"), [(True, ["look"]), (["look"], ["look"]), (["other"], []), (None, [])])
def test_functions_that_are_given_away(wanted: Any, given: list[str]) -> None:
    assert list(http_tools(agent("ultravox/ultravox-v0.7", {"httpTools": wanted} if wanted else {}))) == given


async def test_ultravox_is_told_of_tools_that_it_runs_and_where_to_report(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path, public_url="https://voice.example", ultravox_webhook_secret=SecretStr("a secret")
    )
    async with serve_ultravox() as server:
        env = {"ULTRAVOX_API_KEY": KEY, "ULTRAVOX_BASE_URL": server.base_url}
        models = RealtimeModels(env, ultravox_webhook(settings))
        definition = agent("ultravox/ultravox-v0.7", {"httpTools": ["look"]})
        await models.model(definition).dial(Setup("Be brief.", vendor=definition.options.vendor_specific))
        await models.close()
        [call] = server.calls.values()
        assert call.request["callbacks"] == {
            "ended": {"url": "https://voice.example/api/hooks/ultravox", "secrets": ["a secret"]}
        }
        assert server.mistakes == []


def test_without_a_secret_or_an_address_no_report_is_asked_for(tmp_path: Path) -> None:
    assert ultravox_webhook(Settings(data_dir=tmp_path, public_url="https://voice.example")) is None
    assert ultravox_webhook(Settings(data_dir=tmp_path, ultravox_webhook_secret=SecretStr("a secret"))) is None


async def test_the_services_own_voice_needs_nobody_unless_a_vendor_is_named() -> None:
    registry = Registry({"DEEPGRAM_API_KEY": KEY})
    equipment = Equipment(RealtimeModels({}), Guard())
    factory = ProviderFactory(registry, None, equipment=equipment)
    for tts, name in (({"voice": "marin"}, OFFLINE_VOICES), ({"vendor": "deepgram", "voice": "marin"}, ("deepgram",))):
        body = {"modelName": "openai/gpt-realtime-2.1", "prompt": "", "options": {"tts": tts}}
        assert factory._own_voice(AgentDefinition.model_validate(body)).name in name
    await factory.close()
    await equipment.close()
