"""The demo's agent and caller, with their real voice and the real recogniser, but without a telephone between them."""

from __future__ import annotations

import asyncio
import json
from importlib.resources import files
from typing import Any

import pytest

from media.audio import MULAW_8K, PCM_16K, Clip
from media.convert import Converter
from pipelines.agent import AgentDefinition
from pipelines.parts import Message, SpeechAudio, TextDelta, ToolCall, ToolSpec
from pipelines.providers.moonshine import MoonshineSpeechToText
from pipelines.providers.pico import PicoTextToSpeech
from pipelines.providers.registry import Registry


def read(name: str) -> Any:
    return json.loads((files("gateway") / name).read_text())


def test_the_agent_is_valid() -> None:
    agent = AgentDefinition.model_validate(read("demo_agent.json"))
    assert agent.model_name == "scripted/appointments"


async def test_the_caller_is_understood_and_gets_the_appointment() -> None:
    await asyncio.to_thread(pytest.importorskip, "ttspico")  # which reads from disk
    agent, caller = await asyncio.to_thread(lambda: (read("demo_agent.json"), read("demo_caller.json")))
    model = Registry({}).language_model(agent["modelName"], agent["options"])
    tools = [ToolSpec(function["name"], function["description"], {}) for function in agent["functions"]]
    stt, voice = MoonshineSpeechToText(), PicoTextToSpeech(caller["voice"])
    history = [Message("system", agent["prompt"]), Message("assistant", agent["options"]["greeting"])]
    called: list[ToolCall] = []
    for line in caller["lines"]:
        sound = b"".join(
            [event.data async for event in voice.synthesize(line["say"]) if isinstance(event, SpeechAudio)]
        )
        whole = bytes(9600) + sound + bytes(-len(sound) % PCM_16K.frame_bytes)
        heard = await stt.transcribe(Clip(MULAW_8K, Converter(PCM_16K, MULAW_8K).process(whole)))
        history.append(Message("user", heard))
        answer = ""
        while not answer:
            events = [event async for event in model.generate(history, tools)]
            answer = "".join(event.text for event in events if isinstance(event, TextDelta))
            calls = tuple(event for event in events if isinstance(event, ToolCall))
            called += calls
            history.append(Message("assistant", answer, tool_calls=calls))
            history += [Message("tool", "it is free", tool_call_id=call.id, name=call.name) for call in calls]
            assert answer or calls, f"nothing is answered to {heard!r}"
        assert line["expect"] in answer, f"{line['say']!r} was heard as {heard!r}"
    assert [call.name for call in called] == ["check_slot", "hangup"]
    assert called[0].arguments == {"day": "Tuesday", "time": "three o'clock"}
    await voice.close()
    await stt.close()
