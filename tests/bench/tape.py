"""What every caller of the bench says, over and over, as WebSocket frames that are ready to be sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from media.audio import FRAME_SECONDS, PCM_8K, PCM_16K, AudioFormat
from media.convert import Converter
from media.g711 import mulaw_to_pcm, pcm_to_mulaw
from pipelines.parts import TextToSpeech
from tests.bench.parts import sound_of

SENTENCES = (
    "I would like a table on Tuesday evening.",
    "Could you tell me when you are open?",
    "Four o'clock would suit us much better.",
)

CYCLE_SECONDS = 9.0
"""From one sentence to the next: about a third is the caller's, a third the agent's, a third nobody's."""

_NOISE_AMPLITUDE = 12.0
"""Of 32768: the hiss of a quiet line."""

_MASK = b"\x5a\xc3\x17\xe8"
_BINARY, _TEXT, _CLOSE = 0x82, 0x81, 0x88


@dataclass(frozen=True, slots=True)
class Tape:
    """``frames`` are 20 ms of PCM at ``rate`` each, to be repeated without end; ``onsets`` are the frames where a
    sentence begins."""

    rate: int
    frames: tuple[bytes, ...]
    onsets: frozenset[int]
    speech_share: float


async def record(voice: TextToSpeech, format: AudioFormat = PCM_8K) -> Tape:
    """The sentences at their intervals."""
    cycle = round(CYCLE_SECONDS / FRAME_SECONDS)
    line, onsets, share = await on_the_line(voice, lambda speech: cycle, format)
    return Tape(format.rate, tuple(map(binary, line)), frozenset(onsets), share)


async def on_the_line(
    voice: TextToSpeech, cycle: Callable[[int], int], format: AudioFormat = PCM_8K
) -> tuple[list[bytes], list[int], float]:
    """The sentences on a telephone line, a little noise and, at 8 kHz, mu-law: the frames of 20 ms, where each sentence
    begins, and the share of speech. ``cycle`` says after how many frames the next one begins, given those of this
    one."""
    size = format.frame_samples
    line, onsets, spoken = list[NDArray[np.float64]](), list[int](), 0
    at = 0
    for sentence in SENTENCES:
        sound = await sound_of(voice, sentence)
        sound = Converter(PCM_16K, format).process(sound[: len(sound) // PCM_16K.frame_bytes * PCM_16K.frame_bytes])
        speech = np.frombuffer(sound, np.int16).reshape(-1, size)
        frames = np.zeros((cycle(len(speech)), size))
        speech = speech[: len(frames)]
        frames[: len(speech)] = speech
        line.append(frames)
        onsets.append(at)
        at += len(frames)
        spoken += len(speech)
    hiss = np.random.default_rng(1).normal(0.0, _NOISE_AMPLITUDE, (at, size))
    samples = np.clip(np.rint(np.concatenate(line) + hiss), -32768, 32767).astype("<i2")
    heard = samples.tobytes() if format != PCM_8K else mulaw_to_pcm(pcm_to_mulaw(samples.tobytes()))
    return [heard[start : start + 2 * size] for start in range(0, len(heard), 2 * size)], onsets, spoken / at


def binary(payload: bytes) -> bytes:
    return _masked(_BINARY, payload)


def text(message: str) -> bytes:
    return _masked(_TEXT, message.encode())


def closing(code: int = 1000) -> bytes:
    return _masked(_CLOSE, code.to_bytes(2, "big"))


def _masked(opcode: int, payload: bytes) -> bytes:
    """A client's frame (RFC 6455, section 5.2). One mask serves all: it costs whoever takes it off the same."""
    size = len(payload)
    header = bytes((opcode, 0x80 | size)) if size < 126 else bytes((opcode, 0xFE)) + size.to_bytes(2, "big")
    mask = np.frombuffer(_MASK * (size // 4 + 1), np.uint8)[:size]
    return header + _MASK + (np.frombuffer(payload, np.uint8) ^ mask).tobytes()
