"""Text-to-speech by espeak-ng, offline, where Pico could not be built: any language, a robot's voice.

The library is under the GPL; it is loaded only when an agent first speaks with it.
"""

from __future__ import annotations

import ctypes
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from media.audio import PCM_16K
from media.resample import Resampler
from pipelines.parts import ProviderError, SpeechAudio, SpeechEvent
from pipelines.providers.workers import Emit, WorkerPool

# speak_lib.h
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_CHARS_UTF8 = 1
_RATE_PARAMETER = 1
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

_BUFFER_MS = 200
_WAITING = 64
_DEADLINE = 10.0


class _Library:
    """The C library, which is one for the process: one voice, one synthesis, one callback at a time."""

    def __init__(self) -> None:
        import espeakng_loader

        path: str = espeakng_loader.get_library_path()
        data = str(espeakng_loader.get_data_path()).encode()
        self._lib = ctypes.CDLL(path)
        self.rate: int = self._lib.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, _BUFFER_MS, data, 0)
        if self.rate <= 0:
            raise ProviderError("espeak", "unavailable", f"espeak_Initialize answered {self.rate}")
        self._on_samples: Callable[[bytes], bool] = lambda _: True
        self._callback = _CALLBACK(self._heard)  # the library keeps the pointer, so we keep the object
        self._lib.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, voice: str, words_per_minute: int, on_samples: Callable[[bytes], bool]) -> None:
        """Blocks until all is spoken, or ``on_samples`` has answered False."""
        if all(self._lib.espeak_SetVoiceByName(name.encode()) for name in (voice, voice.split("-")[0])):
            raise ProviderError("espeak", "bad_request", f"it has no voice {voice!r}; name a language, such as en-us")
        self._lib.espeak_SetParameter(_RATE_PARAMETER, words_per_minute, 0)
        self._on_samples = on_samples
        encoded = text.encode() + b"\0"
        self._lib.espeak_Synth(encoded, ctypes.c_size_t(len(encoded)), 0, 1, 0, _CHARS_UTF8, None, None)

    def _heard(self, samples: Any, count: int, _events: Any) -> int:
        if not samples or count <= 0:
            return 0
        return 0 if self._on_samples(ctypes.string_at(samples, 2 * count)) else 1


_pool: WorkerPool[_Library] | None = None


def _process_pool() -> WorkerPool[_Library]:
    global _pool
    if _pool is None:
        _pool = WorkerPool("espeak", _Library, workers=1, waiting=_WAITING, deadline=_DEADLINE)
    return _pool


class EspeakTextToSpeech:
    """One voice of espeak-ng. It speaks at 22.05 kHz; the worker makes 16 kHz of it."""

    name = "espeak"
    format = PCM_16K

    def __init__(self, voice: str = "en", *, words_per_minute: int = 150) -> None:
        self.voice = voice.lower()
        self._words_per_minute = words_per_minute
        self._pool = _process_pool()

    async def prepare(self) -> None:
        await self._pool.prepare()

    async def synthesize(self, text: str) -> AsyncGenerator[SpeechEvent, None]:
        if not any(character.isalnum() for character in text):
            return
        plain = text.replace("\0", " ")

        def speak(library: _Library, emit: Emit) -> None:
            resampler = Resampler(library.rate, PCM_16K.rate)
            rest = b""

            def on_samples(pcm: bytes) -> bool:
                nonlocal rest
                rest += pcm
                whole = len(rest) - len(rest) % resampler.block_bytes
                ready, rest = rest[:whole], rest[whole:]
                return not ready or emit(resampler.process(ready))

            library.speak(plain, self.voice, self._words_per_minute, on_samples)
            if rest:
                on_samples(bytes(resampler.block_bytes - len(rest)))

        async with aclosing(self._pool.stream(speak)) as sound:
            async for data in sound:
                yield SpeechAudio(data)

    async def close(self) -> None:
        """The library stays loaded: it belongs to the process, and other voices may be speaking."""
