"""Text-to-speech by ``/audio/speech``: OpenAI's, and that of every compatible server. One request for each phrase,
whose sound comes as it is made; a phrase that is broken off is a response that is closed, and with it its connection.

The sound is PCM at 24 kHz, without a header: OpenAI has no telephone format. Words are not timed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from media.audio import PCM_24K
from pipelines.parts import ProviderError, SpeechAudio, SpeechEvent
from pipelines.providers.deepgram_wire import pieces
from pipelines.providers.http_account import RETRIED, HttpAccount

FIRST_SOUND_SECONDS = 8.0
NEXT_SOUND_SECONDS = 5.0

MOST_CHARACTERS = 4096
"""In one request."""

_OURS = frozenset({"model", "input", "voice", "response_format", "stream_format", "stream"})
_OPENAIS = frozenset({"instructions", "speed"})

_MOST_SOUND = 600 * PCM_24K.bytes_per_second
_MAGIC = {b"RIFF": "WAV", b"ID3": "MP3", b"OggS": "Ogg", b"fLaC": "FLAC"}
_FRAMED = {"audio/mpeg": "MP3", "audio/mp3": "MP3", "audio/aac": "AAC"}


@dataclass(frozen=True, slots=True)
class Speaker:
    """Data: what a vendor's server speaks with unless the agent says otherwise. ``voices`` are by language, or by its
    first part; a vendor whose voices speak any language has one for ``""``. ``more`` goes with every request."""

    model: str
    voices: Mapping[str, str]
    more: Mapping[str, Any] = field(default_factory=dict)

    def voice_for(self, language: str) -> str | None:
        tag = language.lower().replace("_", "-")
        return self.voices.get(tag) or self.voices.get(tag.split("-")[0]) or self.voices.get("")


_KOKORO = {
    "en": "af_heart",
    "en-gb": "bf_emma",
    "es": "ef_dora",
    "fr": "ff_siwis",
    "hi": "hf_alpha",
    "it": "if_sara",
    "ja": "jf_alpha",
    "pt": "pf_dora",
    "zh": "zf_xiaobei",
}
SPEAKERS: Mapping[str, Speaker] = {
    "openai": Speaker("gpt-4o-mini-tts", {"": "marin"}),
    "kokoro": Speaker("kokoro", _KOKORO),
    # It speaks at the rate of whatever model it has, unless it is told a rate.
    "speaches": Speaker("speaches-ai/Kokoro-82M-v1.0-ONNX", _KOKORO, {"sample_rate": PCM_24K.rate}),
}


def speech_fields(vendor: str, vendor_specific: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the agent wants to have in requests besides: its ``vendorSpecific``, under the vendor's name and ``speech``.
    Raises ValueError for what cannot be set; compatible servers may have fields of their own."""
    where = f"options.vendorSpecific.{vendor}"
    options = vendor_specific.get(vendor, {})
    fields = options.get("speech", {}) if isinstance(options, Mapping) else None
    if not isinstance(fields, Mapping):
        raise ValueError(f"{where} is an object, and so is its speech: fields of requests for speech")  # noqa: TRY004
    unknown = set(fields) - _OPENAIS if vendor == "openai" else set(fields) & _OURS
    if unknown:
        takes = f"it takes {', '.join(sorted(_OPENAIS))}" if vendor == "openai" else "it is set otherwise"
        raise ValueError(f"{where}.speech has no {', '.join(sorted(unknown))}; {takes}")
    return fields


class SpeechServer:
    """One voice, shared by the calls of a process; ``more`` are further fields of its requests."""

    format = PCM_24K

    def __init__(
        self,
        account: HttpAccount,
        model: str,
        voice: str,
        *,
        more: Mapping[str, Any] | None = None,
        first_sound_seconds: float = FIRST_SOUND_SECONDS,
        next_sound_seconds: float = NEXT_SOUND_SECONDS,
    ) -> None:
        self.name = account.name
        self.voice = voice
        self._account = account
        self._request = {"model": model, "voice": voice, "response_format": "pcm", **(more or {})}
        self._first_sound_seconds = first_sound_seconds
        self._next_sound_seconds = next_sound_seconds

    async def prepare(self) -> None:
        await self._account.prepare()

    async def synthesize(self, text: str) -> AsyncGenerator[SpeechEvent, None]:
        if not any(character.isalnum() for character in text):
            return
        for piece in pieces(text, MOST_CHARACTERS):
            async with aclosing(self._speak(piece)) as sound:
                async for data in sound:
                    yield SpeechAudio(data)

    async def close(self) -> None:
        """The account is shared, and closed by who made it."""

    async def _speak(self, text: str) -> AsyncGenerator[bytes, None]:
        """A request that fails before its first sound is sent once more where that can help; afterwards never, for the
        caller has heard the beginning."""
        began = retried = False
        while True:
            try:
                async with aclosing(self._attempt(text)) as sound:
                    async for data in sound:
                        began = True
                        yield data
            except ProviderError as error:
                if began or retried or error.kind not in RETRIED:
                    raise
                retried = True
                self._account.retries += 1
            else:
                return

    async def _attempt(self, text: str) -> AsyncGenerator[bytes, None]:
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._first_sound_seconds
        response = await self._account.post("/audio/speech", {**self._request, "input": text}, deadline)
        try:
            data = await self._beginning(response, deadline)
            received, half = 0, b""
            while data:
                received += len(data)
                if received > _MOST_SOUND:
                    raise self._account.fault("protocol", "it speaks without end")
                data = half + data
                whole = len(data) // 2 * 2
                half = data[whole:]
                if whole:
                    yield data[:whole]
                # The wait begins here, for whoever takes the sound may take its time.
                data = await self._read(response, clock() + self._next_sound_seconds)
            if received < 2:
                raise self._account.fault("protocol", "it answered without any sound")
        finally:
            response.close()  # has no effect on a connection that was read to the end of its answer

    async def _beginning(self, response: aiohttp.ClientResponse, deadline: float) -> bytes:
        """The first bytes, once it is certain that they are sound as it was asked for."""
        kind = response.content_type
        if kind.startswith("text/") or kind == "application/json":
            raise self._account.fault("protocol", f"it answered with {kind} and not with sound")
        head = b""
        while len(head) < 4 and (data := await self._read(response, deadline)):
            head += data
        other = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)
        if other is None and kind in _FRAMED and len(head) > 1 and head[0] == 0xFF and head[1] >= 0xE0:
            other = _FRAMED[kind]
        if other is not None:
            message = (
                f"it was asked for pcm and answered with {other}; pcm (24 kHz, 16 bit, without a header) is needed"
            )
            raise self._account.fault("protocol", message)
        return head

    async def _read(self, response: aiohttp.ClientResponse, deadline: float) -> bytes:
        try:
            async with asyncio.timeout_at(deadline):
                return await response.content.readany()
        except Exception as error:
            raise self._account.explain(error) from error
