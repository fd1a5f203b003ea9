"""Speech-to-text by Moonshine, offline and in English: the ``tiny`` model, whose weights are inside the package.

It transcribes finished stretches of sound: our own voice activity says when. Its streaming would transcribe the same
sound again every half second, at many times the cost.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from media.audio import FRAME_MS, PCM_8K, PCM_16K, Clip
from media.convert import Converter
from media.resample import Resampler
from pipelines.parts import ProviderError, SttStream, Transcript, TranscriptListener
from pipelines.providers.pauses import pieces, quietest
from pipelines.providers.workers import WorkerPool

PRE_ROLL_MS = 300
"""Sound kept from before the voice activity noticed that speech began."""

LONGEST_SECONDS = 16.0
"""A longer segment is cut at its quietest place: the first part becomes a final transcript, the rest a new segment. It
bounds how long the caller waits after a long speech (16 s of sound take about half a second)."""

_SHORTEST_SECONDS = 0.1
_WAITING = 64  # jobs; each takes a few hundred ms at the most
_DEADLINE = 10.0
_OPTIONS = {
    # The package's own voice activity (0.5 as shipped) cuts words off at telephone bandwidth: word error rate 16 %, at
    # 0.1 it is 8 %. With none at all (0) the model hears words in noise.
    "vad_threshold": "0.1",
    "return_audio_data": "false",
    "identify_speakers": "false",
}
_ARTEFACTS = re.compile(r"[♪♫]+|\[[^\]]*\]|\([^)]*\)|<[^>]*>")


def _load() -> Any:
    from moonshine_voice.errors import check_error
    from moonshine_voice.moonshine_api import ModelArch, TranscriptC
    from moonshine_voice.transcriber import Transcriber
    from moonshine_voice.utils import get_model_path

    class Recogniser(Transcriber):  # type: ignore[misc]  # the package is untyped
        def lines(self, samples: NDArray[np.float32]) -> list[str]:
            """As ``transcribe_without_streaming``, which takes a list: its conversion holds the interpreter, and with
            it the event loop, for 2 ms for each second of sound. An array is handed over as it is."""
            found = ctypes.POINTER(TranscriptC)()
            sound = samples.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            transcribe = self._lib.moonshine_transcribe_without_streaming
            check_error(transcribe(self._handle, sound, len(samples), PCM_16K.rate, 0, ctypes.byref(found)))
            return [line.text for line in self._parse_transcript(found).lines]

    return Recogniser(get_model_path("tiny-en"), ModelArch.TINY, options=_OPTIONS)


def _hear(pcm: bytes, recogniser: Any) -> str:
    """The words in ``pcm``, 16 bit at 16 kHz. Runs in a worker."""
    samples = np.frombuffer(pcm, np.int16).astype(np.float32) / 32768.0
    return tidy(" ".join(recogniser.lines(samples)))


def _hear_telephone(pcm: bytes, recogniser: Any) -> str:
    return _hear(Resampler(PCM_8K.rate, PCM_16K.rate).process(pcm), recogniser)


def _cut(clip: Clip) -> list[bytes]:
    """A clip as pieces that the model can take, 16 bit at 16 kHz."""
    missing = -len(clip.data) % clip.format.frame_bytes
    whole = clip.data + clip.format.silence(FRAME_MS)[:missing]
    return list(pieces(Converter(clip.format, PCM_16K).process(whole), PCM_16K.rate, LONGEST_SECONDS))


def tidy(text: str) -> str:
    """The words alone: no marks for music or noises, and a comma at the end of what the model broke off is no comma."""
    return " ".join(_ARTEFACTS.sub(" ", text).split()).rstrip(",- ")


class MoonshineSpeechToText:
    """Shared by the calls of a process: a thread with a model of its own for each core, but at most two."""

    name = "moonshine"
    format = PCM_8K

    def __init__(self) -> None:
        workers = min(2, os.cpu_count() or 1)
        self._pool = WorkerPool[Any](self.name, _load, workers=workers, waiting=_WAITING, deadline=_DEADLINE)

    async def prepare(self) -> None:
        await self._pool.prepare()

    def open(self, listener: TranscriptListener, *, language: str, hints: Sequence[str] = ()) -> SttStream:
        """``hints`` are not used: the model takes none."""
        if language and language.lower().split("-")[0] != "en":
            message = f"it understands English only, not {language!r}; choose another stt.vendor"
            raise ProviderError(self.name, "bad_request", message)
        return MoonshineStream(self._words, listener)

    async def transcribe(self, clip: Clip) -> str:
        """The words of a clip of any length."""
        cut = await asyncio.to_thread(_cut, clip)
        heard = [await self._pool.run(partial(_hear, piece)) for piece in cut]
        return " ".join(filter(None, heard))

    async def close(self) -> None:
        await self._pool.close(lambda recogniser: recogniser.close())

    async def _words(self, pcm: bytes) -> str:
        return await self._pool.run(partial(_hear_telephone, pcm))


@dataclass(frozen=True, slots=True)
class _Request:
    segment: int
    pcm: bytes
    final: bool
    at: float


class MoonshineStream:
    """One caller; ``hear`` gives the words in 16 bit samples at 8 kHz.

    Transcripts come in the order of their segments; one that newer speech has made worthless never comes. What was
    used is the sound that was heard as speech, however often it was transcribed.
    """

    def __init__(self, hear: Callable[[bytes], Awaitable[str]], listener: TranscriptListener) -> None:
        self._hear = hear
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._segment = 0
        self._speaking = False
        self._before: deque[bytes] = deque(maxlen=PRE_ROLL_MS // FRAME_MS)
        self._sound = bytearray()
        self._longest = int(LONGEST_SECONDS * PCM_8K.bytes_per_second)
        self._requests: deque[_Request] = deque()
        self._worker: asyncio.Task[None] | None = None

    def push(self, pcm: bytes) -> None:
        if not self._speaking:
            self._before.append(pcm)
            return
        self._sound += pcm
        if len(self._sound) >= self._longest:
            self._commit()

    def speech_started(self) -> None:
        if self._speaking:
            return
        self._speaking = True
        self._withdraw()
        self._sound += b"".join(self._before)
        self._before.clear()

    def speech_paused(self) -> None:
        self._speaking = False
        self._withdraw()
        self._request(bytes(self._sound), final=False)

    def end_segment(self) -> None:
        self._requests.clear()
        self._stop()
        self._speaking = False
        self._count(len(self._sound))
        self._sound.clear()
        self._segment += 1

    async def close(self) -> None:
        self._count(len(self._sound))
        self._sound.clear()
        self._requests.clear()
        worker = self._worker
        self._stop()
        if worker is not None:
            await asyncio.wait([worker])

    def _commit(self) -> None:
        """What is long enough is transcribed for good; the rest becomes the next segment."""
        cut = quietest(self._sound, PCM_8K.rate, self._longest // 2)
        self._request(bytes(self._sound[:cut]), final=True)
        self._count(cut)
        del self._sound[:cut]
        self._segment += 1

    def _count(self, heard: int) -> None:
        if heard:
            self._listener.on_stt_usage({"audio_seconds": heard / PCM_8K.bytes_per_second})

    def _request(self, pcm: bytes, *, final: bool) -> None:
        self._requests.append(_Request(self._segment, pcm, final, self._loop.time()))
        if self._worker is None:
            self._worker = self._loop.create_task(self._work(), name="moonshine transcripts")

    def _withdraw(self) -> None:
        """Speech has gone on: a transcript of less than all of it is not wanted any more."""
        if self._requests and not self._requests[-1].final:
            self._requests.pop()
            if not self._requests:
                self._stop()

    def _stop(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
            self._worker = None

    async def _work(self) -> None:
        me = asyncio.current_task()
        while self._requests and self._worker is me:
            request = self._requests[0]
            seconds = PCM_8K.seconds(request.pcm)
            try:
                text = await self._hear(request.pcm) if seconds >= _SHORTEST_SECONDS else ""
            except ProviderError as error:
                self._requests.popleft()
                self._listener.on_stt_error(error)
                continue
            self._requests.popleft()
            took = self._loop.time() - request.at
            self._listener.on_transcript(Transcript(request.segment, text, request.final, seconds, took))
        if self._worker is me:
            self._worker = None
