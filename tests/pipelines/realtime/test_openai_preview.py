"""OpenAI Realtime in its old shape, as Azure's dated previews have it; the SDK's types of that time are the judge."""

from __future__ import annotations

import asyncio
import json

import pytest
from openai.types.beta.realtime import SessionUpdateEvent

from pipelines.parts import Message, ProviderError, ToolSpec
from pipelines.realtime.model import SessionReady, Setup
from pipelines.realtime.openai import OpenAIRealtimeModel

TOOL = ToolSpec("book", "Books a table", {"type": "object", "properties": {"day": {"type": "string"}}})
PREVIEW = "https://a.openai.azure.com?api-version=2025-04-01-preview"


@pytest.mark.parametrize(
    ("base_url", "preview"),
    [
        (PREVIEW, True),
        ("https://proxy/openai/realtime?api-version=2024-10-01-preview", True),
        ("https://a.openai.azure.com/openai/v1?api-version=2025-04-01-preview", False),
        ("https://a.openai.azure.com/openai/v1?api-version=preview", False),
        ("https://a.openai.azure.com?api-version=2026-01-01", False),
        ("https://a.openai.azure.com", False),
        ("https://api.openai.com/v1", False),
    ],
)
def test_dated_previews_get_the_session_in_the_shape_that_they_know(base_url: str, preview: bool) -> None:
    model = OpenAIRealtimeModel("m", api_key="k", base_url=base_url)
    history = [Message("user", "Hello."), Message("assistant", "What can I do?")]
    update, user, agent = map(json.loads, model.protocol(Setup("Be brief.", history=history)).opened())
    assert ("type" in update["session"]) is not preview
    assert user["item"]["content"] == [{"type": "input_text", "text": "Hello."}]
    assert agent["item"]["content"][0]["type"] == ("text" if preview else "output_text")


def test_the_session_of_a_preview() -> None:
    vendor = {
        "openai": {
            "max_output_tokens": 500,
            "audio": {"input": {"noise_reduction": {"type": "near_field"}}, "output": {"speed": 1.1}},
        }
    }
    setup = Setup(
        "Be brief.", [TOOL], voice="echo", language="en-GB", hints=["Ann"], silence_seconds=0.7, vendor=vendor
    )
    update = json.loads(OpenAIRealtimeModel("m", api_key="k", base_url=PREVIEW).protocol(setup).opened()[0])
    judged = SessionUpdateEvent.model_validate(update, strict=True)
    assert not judged.session.model_extra
    assert update["session"] == {
        "modalities": ["text", "audio"],
        "instructions": "Be brief.",
        "voice": "echo",
        "speed": 1.1,
        "input_audio_format": "g711_ulaw",
        "output_audio_format": "g711_ulaw",
        "input_audio_noise_reduction": {"type": "near_field"},
        "input_audio_transcription": {"model": "whisper-1", "language": "en", "prompt": "Ann"},
        "turn_detection": {
            "type": "server_vad",
            "silence_duration_ms": 700,
            "create_response": True,
            "interrupt_response": True,
        },
        "tools": update["session"]["tools"],
        "max_response_output_tokens": 500,
    }
    assert [tool["name"] for tool in update["session"]["tools"]] == ["book"]


def test_what_a_preview_does_not_have_is_refused_in_words() -> None:
    model = OpenAIRealtimeModel("m", api_key="k", base_url=PREVIEW)
    setup = Setup("", vendor={"openai": {"reasoning": {"effort": "low"}}})
    with pytest.raises(ProviderError, match=r"vendorSpecific\.openai\.reasoning is not known to previews") as caught:
        asyncio.run(model.dial(setup))
    assert caught.value.kind == "bad_request"


def test_a_preview_that_takes_another_format_is_no_noise_in_a_call() -> None:
    model = OpenAIRealtimeModel("m", api_key="k", base_url=PREVIEW)
    for told_format, ready in (("g711_ulaw", True), ("pcm16", False)):
        session = {"input_audio_format": "g711_ulaw", "output_audio_format": told_format}
        updated = json.dumps({"type": "session.updated", "session": session})
        [event] = model.protocol(Setup("")).receive(updated)[0]
        assert isinstance(event, SessionReady) is ready
