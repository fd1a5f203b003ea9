"""The conversation that ``make test-live`` holds with real services, held with simulations of them; and its judge."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from jambonz.simulator.report import CallReport
from pipelines.providers.language_models import LANGUAGE_MODELS
from pipelines.providers.registry import SPEECH_TO_TEXT, TEXT_TO_SPEECH
from tests.bench.parts import offline_voice
from tests.gateway.cli.conftest import nothing_from_outside  # noqa: F401  (holds for these tests, too)
from tests.live import __main__ as command
from tests.live.conversation import Outcome, converse, judge, line, settings_of
from tests.live.office import ASKED, FUNCTION, GREETING, SAID, WRITTEN
from tests.live.services import Service, services
from tests.simulators import deepgram, openai_chat, openai_realtime, openai_speech
from tests.simulators.openai_realtime_scene import History
from tests.simulators.openai_realtime_voice import spoken

NUMBER = "+442079460000"
Test = Callable[[Path], Awaitable[None]]


def with_real_speech(test: Test) -> Test:
    """It passes real time: the caller's, and the agent's."""
    for what, package in (
        ("the recogniser, Moonshine, is not installed", "moonshine_voice"),
        ("the voice, Pico, could not be built here", "ttspico"),
    ):
        pytest.mark.skipif(not find_spec(package), reason=what)(test)
    pytest.mark.realtime(test)
    return test


def named(name: str) -> Service:
    [found] = [service for service in services() if service.name == name]
    return found


async def held(directory: Path, name: str, *, understandable: bool = True, **accounts: Any) -> Outcome:
    settings = await asyncio.to_thread(partial(settings_of, directory, None, **accounts))
    async with line(settings) as ringing:
        return await converse(ringing, named(name), NUMBER, understandable=understandable)


# The conversation


@with_real_speech
async def test_one_that_hears(tmp_path: Path) -> None:
    async with deepgram.serve_deepgram(texts=[ASKED]) as server:
        accounts: dict[str, Any] = {"deepgram_api_key": deepgram.KEY, "deepgram_base_url": server.base_url}
        outcome = await held(tmp_path, "deepgram hears", **accounts)
        assert server.mistakes == []
    assert (outcome.problems, outcome.heard, outcome.answered) == ([], ASKED, SAID)
    assert outcome.latency is not None
    assert 0 < outcome.latency < 5
    assert outcome.used["audio_seconds"] > 5


@with_real_speech
async def test_one_that_thinks(tmp_path: Path) -> None:
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": FUNCTION, "arguments": "{}"}}
    async with openai_chat.serve_chat() as server:
        server.replies = [
            openai_chat.Reply([{"tool_calls": [call]}], finish="tool_calls"),
            openai_chat.Reply(openai_chat.text(SAID)),
        ]
        accounts: dict[str, Any] = {"groq_api_key": openai_chat.KEY, "groq_base_url": server.base_url}
        outcome = await held(tmp_path, "groq thinks", **accounts)
        assert server.mistakes == []
        assert server.requests[-1]["messages"][-1]["content"] == WRITTEN
    assert (outcome.problems, outcome.answered) == ([], SAID)
    assert outcome.used["input_tokens"] == 24


@with_real_speech
async def test_one_that_speaks(tmp_path: Path) -> None:
    """Whose sounds only tests understand."""
    async with openai_speech.serve_speech(vendor="kokoro") as server:
        accounts: dict[str, Any] = {"kokoro_api_key": openai_speech.KEY, "kokoro_base_url": server.base_url}
        outcome = await held(tmp_path, "kokoro speaks", understandable=False, **accounts)
        assert server.mistakes == []
    assert (outcome.problems, outcome.answered) == ([], SAID)
    assert outcome.used == {"characters": len(GREETING) + len(SAID)}


@with_real_speech
async def test_one_that_talks(tmp_path: Path) -> None:
    def reply(heard: str, history: History) -> openai_realtime.Reply:
        heard = heard or history[-1][1]
        if WRITTEN in heard:
            return openai_realtime.Reply(SAID)
        return openai_realtime.Reply("", [(FUNCTION, {})]) if heard == ASKED else openai_realtime.Reply(GREETING)

    voice = offline_voice()
    try:
        sentence = await spoken(voice, (GREETING, SAID))
    finally:
        await voice.close()
    async with openai_realtime.serve_realtime(reply=reply, voice=sentence, said=deque([ASKED])) as server:
        accounts: dict[str, Any] = {"openai_api_key": openai_realtime.KEY, "openai_base_url": server.base_url}
        outcome = await held(tmp_path, "openai-realtime talks", **accounts)
        assert server.mistakes == []
    assert (outcome.problems, outcome.heard, outcome.answered) == ([], ASKED, SAID)


# Which services


def test_everything_that_the_registry_has_is_talked_to() -> None:
    there = {(service.vendor, service.does) for service in services()}
    assert {vendor for vendor, does in there if does == "hears"} == {*SPEECH_TO_TEXT} - {"moonshine"}
    assert {vendor for vendor, does in there if does == "thinks"} == {*LANGUAGE_MODELS} - {"scripted"}
    assert {vendor for vendor, does in there if does == "speaks"} == {*TEXT_TO_SPEECH} - {"pico", "espeak"}
    assert len([vendor for vendor, does in there if does == "talks"]) == 4


@pytest.mark.parametrize(
    ("name", "env", "missing"),
    [
        ("deepgram-flux hears", {}, "DEEPGRAM_API_KEY is not set"),
        ("deepgram-flux hears", {"DEEPGRAM_API_KEY": "k"}, None),
        ("deepgram speaks", {"DEEPGRAM_BASE_URL": "http://d"}, "DEEPGRAM_API_KEY is not set"),
        ("google thinks", {"GEMINI_API_KEY": "k"}, None),
        ("google hears", {"GOOGLE_APPLICATION_CREDENTIALS": "file.json"}, None),
        ("google speaks", {}, "GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_TTS_ENDPOINT is not set"),
        ("gemini-live talks", {"GEMINI_API_KEY": "k"}, None),
        ("gpt-live talks", {"OPENAI_API_KEY": "k"}, None),
        ("ultravox talks", {}, "ULTRAVOX_API_KEY is not set"),
        ("kokoro speaks", {"KOKORO_BASE_URL": "http://k"}, None),
        ("ollama thinks", {}, "OLLAMA_API_KEY or OLLAMA_BASE_URL is not set"),
    ],
)
def test_what_a_service_needs(name: str, env: Mapping[str, str], missing: str | None) -> None:
    assert named(name).missing(env) == missing


# The judge


def log(**changes: Any) -> list[dict[str, Any]]:
    used = [{"part": "llm", "provider": "openai", "units": {"input_tokens": 9}}]
    entries = {
        "agent": [GREETING, SAID],
        "user": [ASKED],
        "function_calls": [[{"name": FUNCTION, "arguments": {}}]],
        "error": [],
        "hangup": [{"reason": "caller", "usage": used}],
        **changes,
    }
    return [{"type": kind, "data": data} for kind, every in entries.items() for data in every]


@pytest.mark.parametrize(
    ("changes", "spoken", "problem"),
    [
        ({}, [GREETING, SAID], None),
        ({}, None, None),
        ({"agent": [GREETING, "Saturday, 9 to 12."]}, None, None),
        ({"agent": [GREETING, "From nine."]}, None, "the answer lacks noon: 'From nine.'"),
        ({"agent": [GREETING]}, None, "the answer lacks nine and noon: ''"),
        ({"user": ["When are you opal?"]}, None, "open was not understood: 'When are you opal?'"),
        ({"user": []}, None, "open was not understood: ''"),
        ({"function_calls": []}, None, f"the function {FUNCTION} was not called"),
        ({"error": ["openai: it is on fire"]}, None, "openai: it is on fire"),
        ({"hangup": [{"reason": "caller", "usage": []}]}, None, "nothing was reported to be used of openai"),
        ({}, [GREETING, "we mumble"], f"the caller heard 'we mumble' where {SAID!r} was said"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], spoken: Sequence[str] | None, problem: str | None) -> None:
    report = cast(CallReport, SimpleNamespace(response_latencies=[0.7]))
    outcome = judge(named("openai thinks"), report, log(**changes), spoken)
    assert outcome.problems == ([] if problem is None else [problem])
    assert outcome.latency == 0.7


# The command


def test_without_an_account_everything_is_skipped_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command.main([]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\nskip") + 1 == len(services())
    assert "skip  deepgram hears           DEEPGRAM_API_KEY is not set\n" in printed
    assert printed.endswith("Nothing was tried: no service has an account in the environment.\n")


def test_a_failure_is_told_and_the_others_are_talked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = {
        "deepgram hears": Outcome(["deepgram: refused the key"]),
        "deepgram speaks": Outcome([], ASKED, SAID, 0.512, {"characters": 60}),
    }

    async def known(_line: object, service: Service, _number: str) -> Outcome:
        if service.name == "deepgram-flux hears":
            raise OSError("the network is gone")
        return outcomes[service.name]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEEPGRAM_API_KEY", "k")
    monkeypatch.setattr(command, "converse", known)
    assert command.main(["--only", "deepgram"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "FAIL  deepgram hears",
        "      deepgram: refused the key",
        "FAIL  deepgram-flux hears",
        "      the network is gone",
        f"ok    deepgram speaks          0.51 s after the caller's last word: {SAID!r} (60 characters)",
    ]
    assert command.main(["--only", "deepgram speaks"]) == 0


def test_models_are_named_by_their_provider(capsys: pytest.CaptureFixture[str]) -> None:
    found = services({**dict.fromkeys(LANGUAGE_MODELS, "m"), "openai": "gpt-7", "ultravox": "ultravox/v9"})
    names = {service.name: service.model_name for service in found}
    assert (names["groq thinks"], names["openai thinks"], names["ultravox talks"]) == (
        "groq/m",
        "openai/gpt-7",
        "ultravox/v9",
    )
    assert command.main(["--model", "opnai=gpt-7"]) == 2
    assert "There is no provider opnai; there are deepgram" in capsys.readouterr().out
