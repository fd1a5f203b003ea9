"""All of the simulated OpenAI that a cascade uses, at one address and with one key: it hears, answers and speaks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.simulators.loopback import on_loopback
from tests.simulators.openai_responses import KEY, ResponsesServer
from tests.simulators.openai_speech import SpeechSimulation
from tests.simulators.openai_transcription import TranscriptionServer
from tests.simulators.sse_server import Reply

Script = Callable[[dict[str, Any]], Sequence[dict[str, Any]]]
"""From a request to the events of its response."""


class _ScriptedResponses(ResponsesServer):
    def __init__(self, script: Script) -> None:
        super().__init__()
        self._script = script

    def reply_to(self, body: dict[str, Any]) -> Reply:
        return Reply(self._script(body))


@dataclass
class OpenAIAccount:
    hears: TranscriptionServer
    answers: ResponsesServer
    speaks: SpeechSimulation
    base_url: str = ""
    key: str = KEY

    @property
    def mistakes(self) -> list[str]:
        return [*self.hears.mistakes, *self.answers.mistakes, *self.speaks.mistakes]


@asynccontextmanager
async def serve_openai(script: Script) -> AsyncGenerator[OpenAIAccount, None]:
    """``base_url`` is with ``/v1``."""
    account = OpenAIAccount(TranscriptionServer(key=KEY), _ScriptedResponses(script), SpeechSimulation(key=KEY))
    app = web.Application()
    app.router.add_get("/v1/realtime", account.hears.answer)
    app.router.add_post("/v1/responses", account.answers.answer)
    app.router.add_post("/v1/audio/speech", account.speaks.speech)
    async with on_loopback(app) as address:
        account.base_url = f"{address}/v1"
        yield account
