"""A caller's stream to a recogniser of finished stretches of sound: our own voice activity says when one is finished.

At each pause the segment so far is transcribed anew, as a whole.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from media.audio import FRAME_MS, PCM_8K
from pipelines.parts import ProviderError, Transcript, TranscriptListener
from pipelines.providers.pauses import quietest

PRE_ROLL_MS = 300
"""Sound kept from before the voice activity noticed that speech began."""

LONGEST_SECONDS = 16.0
"""A longer segment is cut at its quietest place: the first part becomes a final transcript, the rest a new segment. It
bounds how long the caller waits after a long speech (16 s of sound take Moonshine about half a second)."""

_SHORTEST_SECONDS = 0.1
_ARTEFACTS = re.compile(r"[♪♫]+|\[[^\]]*\]|\([^)]*\)|<[^>]*>")


def tidy(text: str) -> str:
    """The words alone: no marks for music or noises, and a comma at the end of what the model broke off is no comma."""
    return " ".join(_ARTEFACTS.sub(" ", text).split()).rstrip(",- ")


@dataclass(frozen=True, slots=True)
class _Request:
    segment: int
    pcm: bytes
    final: bool
    at: float


class UtteranceStream:
    """One caller; ``hear`` gives the words in 16 bit samples at 8 kHz.

    Transcripts come in the order of their segments; one that newer speech has made worthless never comes. With
    ``counts``, what was used is the sound that was heard as speech, however often it was transcribed; without, ``hear``
    tells the listener itself.
    """

    def __init__(
        self, hear: Callable[[bytes], Awaitable[str]], listener: TranscriptListener, *, counts: bool = True
    ) -> None:
        self._counts = counts
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
        if heard and self._counts:
            self._listener.on_stt_usage({"audio_seconds": heard / PCM_8K.bytes_per_second})

    def _request(self, pcm: bytes, *, final: bool) -> None:
        self._requests.append(_Request(self._segment, pcm, final, self._loop.time()))
        if self._worker is None:
            self._worker = self._loop.create_task(self._work(), name="transcripts")

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
                self._listener.on_stt_over()  # whoever else can hear it need not wait until it is missed
                continue
            self._requests.popleft()
            took = self._loop.time() - request.at
            self._listener.on_transcript(Transcript(request.segment, text, request.final, seconds, took))
        if self._worker is me:
            self._worker = None
