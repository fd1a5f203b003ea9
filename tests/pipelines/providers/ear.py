"""Who hears of transcripts, and remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from pipelines.parts import ProviderError, Transcript
from tests.steady import PATIENCE


class Ear:
    """A :class:`pipelines.parts.TranscriptListener`."""

    def __init__(self) -> None:
        self.transcripts: list[Transcript] = []
        self.errors: list[ProviderError] = []
        self.used: list[Mapping[str, float]] = []
        self.over = False
        self._news = asyncio.Event()

    def on_transcript(self, transcript: Transcript) -> None:
        self.transcripts.append(transcript)
        self._news.set()

    def on_stt_error(self, error: ProviderError) -> None:
        self.errors.append(error)
        self._news.set()

    def on_stt_over(self) -> None:
        self.over = True
        self._news.set()

    def on_stt_usage(self, units: Mapping[str, float]) -> None:
        self.used.append(units)

    async def until(self, met: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not met():
                self._news.clear()
                await self._news.wait()

    async def hears(self, text: str) -> Transcript:
        """The transcript of this text, once it came."""
        await self.until(lambda: text in self.texts)
        return self.transcripts[self.texts.index(text)]

    @property
    def texts(self) -> list[str]:
        return [transcript.text for transcript in self.transcripts]


async def wait_until(met: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not met():  # noqa: ASYNC110 - what another task does
            await asyncio.sleep(0.005)
