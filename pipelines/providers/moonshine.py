"""Speech-to-text by Moonshine, offline and in English: the ``tiny`` model, whose weights are inside the package.

It transcribes finished stretches of sound: our own voice activity says when. Its streaming would transcribe the same
sound again every half second, at many times the cost.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from media.audio import FRAME_MS, PCM_8K, PCM_16K, Clip
from media.convert import Converter
from media.resample import Resampler
from pipelines.parts import ProviderError, SttStream, TranscriptListener
from pipelines.providers.pauses import pieces
from pipelines.providers.utterances import LONGEST_SECONDS, UtteranceStream, tidy
from pipelines.providers.workers import WorkerPool

_WAITING = 64  # jobs; each takes a few hundred ms at the most
_DEADLINE = 10.0
_OPTIONS = {
    # The package's own voice activity (0.5 as shipped) cuts words off at telephone bandwidth: word error rate 16 %, at
    # 0.1 it is 8 %. With none at all (0) the model hears words in noise.
    "vad_threshold": "0.1",
    "return_audio_data": "false",
    "identify_speakers": "false",
}


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
        return UtteranceStream(self._words, listener)

    async def transcribe(self, clip: Clip) -> str:
        """The words of a clip of any length."""
        cut = await asyncio.to_thread(_cut, clip)
        heard = [await self._pool.run(partial(_hear, piece)) for piece in cut]
        return " ".join(filter(None, heard))

    async def close(self) -> None:
        await self._pool.close(lambda recogniser: recogniser.close())

    async def _words(self, pcm: bytes) -> str:
        return await self._pool.run(partial(_hear_telephone, pcm))
