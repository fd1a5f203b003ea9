"""Speech-to-text by ``/audio/transcriptions``, of any server that is compatible with OpenAI's (Groq, speaches): it
hears finished stretches of sound, as WAV, and a request that is superseded by later speech is aborted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import aiohttp

from media.audio import PCM_8K, Clip
from media.wav import wav_bytes
from pipelines.json_text import json_object
from pipelines.parts import ProviderError, SttStream, TranscriptListener
from pipelines.providers.compatible import transcription_units
from pipelines.providers.http_account import RETRIED, HttpAccount
from pipelines.providers.utterances import UtteranceStream, tidy

DEADLINE_SECONDS = 8.0
"""For the words of one stretch of sound, a second attempt included."""

MOST_PROMPT = 800
"""Characters: Whisper reads the last 224 tokens, and Groq refuses more than 896 characters."""

MODELS: Mapping[str, str] = {
    "groq": "whisper-large-v3-turbo",
    "speaches": "Systran/faster-whisper-small",
}
"""Data: what a vendor's server hears with unless the agent says otherwise."""

_MOST_ANSWER = 1 << 20


@dataclass(frozen=True, slots=True)
class _Heard:
    text: str
    units: Mapping[str, float]


class TranscriptionServer:
    """Shared by the calls of a process."""

    format = PCM_8K

    def __init__(self, account: HttpAccount, model: str, *, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        self.name = account.name
        self._account = account
        self._model = model
        self._deadline_seconds = deadline_seconds

    async def prepare(self) -> None:
        await self._account.prepare()

    def open(self, listener: TranscriptListener, *, language: str, hints: Sequence[str] = ()) -> SttStream:
        """``hints`` become the prompt, as many as it has room for."""
        fields = {"model": self._model, "response_format": "json"}
        if language:
            fields["language"] = language.lower().replace("_", "-").split("-")[0]
        if prompt := _prompt(hints):
            fields["prompt"] = prompt
        return UtteranceStream(partial(self._words, fields, listener), listener, counts=False)

    async def close(self) -> None:
        """The account is shared, and closed by who made it."""

    async def _words(self, fields: Mapping[str, str], listener: TranscriptListener, pcm: bytes) -> str:
        deadline = asyncio.get_running_loop().time() + self._deadline_seconds
        try:
            heard = await self._hear(fields, pcm, deadline)
        except ProviderError as error:
            if error.kind not in RETRIED:
                raise
            self._account.retries += 1
            heard = await self._hear(fields, pcm, deadline)
        listener.on_stt_usage(heard.units)
        return tidy(heard.text)

    async def _hear(self, fields: Mapping[str, str], pcm: bytes, deadline: float) -> _Heard:
        form = aiohttp.FormData(fields)
        form.add_field("file", wav_bytes(Clip(PCM_8K, pcm)), filename="caller.wav", content_type="audio/wav")
        response = await self._account.post("/audio/transcriptions", form, deadline)
        try:
            raw = b""
            async with asyncio.timeout_at(deadline):
                while data := await response.content.readany():
                    raw += data
                    if len(raw) > _MOST_ANSWER:
                        raise self._account.fault("protocol", f"it answered with more than {_MOST_ANSWER} bytes")
        except Exception as error:
            raise self._account.explain(error) from error
        finally:
            response.close()  # has no effect on a connection that was read to the end of its answer
        answer = json_object(raw) or {}
        if not isinstance(answer.get("text"), str):
            raise self._account.fault("protocol", "it answered with something that has no text of a transcript")
        return _Heard(answer["text"], transcription_units(answer.get("usage"), PCM_8K.seconds(pcm)))


def _prompt(hints: Sequence[str]) -> str:
    prompt = ""
    for hint in hints:
        longer = f"{prompt}, {hint}" if prompt else hint
        if len(longer) > MOST_PROMPT:
            break
        prompt = longer
    return prompt
