"""Smart Turn v3: does a pause sound like the end of a turn? Offline, in 23 languages, from the sound alone.

The model is an encoder of Whisper's kind with a head for this one question. It is optional: it needs onnxruntime, and
its weights (8.7 MB, BSD-2) from a path or from an installed pipecat-ai, which ships them. Its answer is a hint: it
hears nine of ten true ends, and takes many a pause inside a sentence for one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from media.audio import PCM_16K, Clip
from media.convert import Converter
from media.levels import FULL_SCALE
from media.mel import BANDS, HOP, Floats, log_mel
from pipelines.parts import ProviderError
from pipelines.providers.workers import WorkerPool

HEARS_SECONDS = 8.0
"""The model hears this much; of a longer turn the end counts."""

DEADLINE = 0.15
"""Asked at 200 ms of silence, an answer is of use until some 350 ms."""

MISSING = (
    "semantic detection of turns needs Smart Turn: install the extra `turn`, and set TRUNKLINE_SMART_TURN_MODEL to the "
    "weights (smart-turn-v3.2-cpu.onnx) or install pipecat-ai, which ships them"
)

_NAME = "smart_turn"
_WAITING_PER_WORKER = 3  # a question takes about 35 ms: one that has to wait for more than 3 others would be late
_SAMPLES = int(HEARS_SECONDS * PCM_16K.rate)
_STEP_FRAMES = 10  # resampled at a time, so that BLAS does not wake up its threads

Model = Callable[[Floats], float]
"""Features of :data:`HEARS_SECONDS` (bands x columns) in, the probability that the turn is complete out."""


class Question(Protocol):
    """A question under way."""

    def cancel(self) -> None:
        """The caller has gone on: no answer is wanted any more, and none will come."""
        ...


class SemanticDetector(Protocol):
    """Tells from the sound of a turn whether it is complete; shared by the calls of a process."""

    async def prepare(self) -> None:
        """Load what the first question would wait for; idempotent. ``ProviderError`` if it cannot be had."""
        ...

    def ask(self, turn: Clip, on_answer: Callable[[float], None], *, within: float = DEADLINE) -> Question:
        """Is ``turn`` complete? From the event loop, which calls ``on_answer`` with a probability (1: complete) if
        there is one ``within`` so many seconds, and not at all if there is none.

        The turn is the caller's sound from its onset on (silence alone passes for complete), with 0.1 to 0.2 s of the
        pause after it: with 0.3 s, Smart Turn takes half of the sentences that were broken off for complete."""
        ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class QuestionCounts:
    """What became of the questions so far; ``asked`` less all others are under way."""

    asked: int = 0
    answered: int = 0
    late: int = 0
    withdrawn: int = 0
    dropped: int = 0
    """Not even tried: the queue was full."""
    failed: int = 0


class SmartTurn:
    """``load`` makes the model, in a thread; ``workers`` threads share it. One thread answers some 30 questions a
    second, which is a hundred callers who talk; more threads take more cores from the audio path."""

    def __init__(self, load: Callable[[], Model], *, workers: int = 1) -> None:
        once = lru_cache(maxsize=1)(load)
        waiting = _WAITING_PER_WORKER * workers
        self._pool = WorkerPool[Model](_NAME, once, workers=workers, waiting=waiting, deadline=DEADLINE)
        self.counts = QuestionCounts()

    async def prepare(self) -> None:
        await self._pool.prepare()

    def ask(self, turn: Clip, on_answer: Callable[[float], None], *, within: float = DEADLINE) -> Question:
        self.counts.asked += 1
        try:
            work = self._pool.submit(partial(_judge, turn))
        except ProviderError:
            self.counts.dropped += 1
            return _Dropped()
        return _Asked(work, on_answer, within, self.counts)

    async def close(self) -> None:
        await self._pool.close()


class _Dropped:
    def cancel(self) -> None:
        """Nothing is under way."""


class _Asked:
    __slots__ = ("_counts", "_on_answer", "_over", "_timer", "_work")

    def __init__(
        self, work: asyncio.Future[float], on_answer: Callable[[float], None], within: float, counts: QuestionCounts
    ) -> None:
        self._work = work
        self._on_answer = on_answer
        self._counts = counts
        self._over = False
        self._timer = asyncio.get_running_loop().call_later(within, self._late)
        work.add_done_callback(self._done)

    def cancel(self) -> None:
        if not self._over:
            self._end()
            self._counts.withdrawn += 1

    def _late(self) -> None:
        self._end()
        self._counts.late += 1

    def _end(self) -> None:
        self._over = True
        self._timer.cancel()
        self._work.cancel()

    def _done(self, work: asyncio.Future[float]) -> None:
        if self._over:
            return
        self._over = True
        self._timer.cancel()
        if work.cancelled():  # the detector was closed
            self._counts.withdrawn += 1
        elif error := work.exception():
            self._counts.failed += 1
            if self._counts.failed == 1:
                context = {"message": "Smart Turn could not judge a turn", "exception": error, "future": work}
                work.get_loop().call_exception_handler(context)
        else:
            self._counts.answered += 1
            self._on_answer(work.result())


def find_smart_turn(path: Path | None = None) -> SmartTurn | None:
    """Smart Turn, with the weights at ``path`` or those of an installed pipecat-ai (which is not imported); ``None``
    where there are none, or no onnxruntime. It looks for files: call it in a thread, or before the loop runs.

    ``ProviderError`` if ``path`` is given, and cannot be used.
    """
    if path is not None and not path.is_file():
        raise ProviderError(_NAME, "unavailable", f"there is no file {path}; name the weights")
    if path is not None and find_spec("onnxruntime") is None:
        raise ProviderError(_NAME, "unavailable", "onnxruntime is not installed; install the extra `turn`")
    model = path or _shipped()
    if model is None or find_spec("onnxruntime") is None:
        return None
    return SmartTurn(partial(_load, model))


def _shipped() -> Path | None:
    """The newest weights for the CPU in pipecat-ai."""
    spec = find_spec("pipecat")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "audio" / "turn" / "smart_turn" / "data"
    return max(folder.glob("smart-turn-v3*-cpu.onnx"), key=_version, default=None)


def _version(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path.name)]


def _load(path: Path) -> Model:
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    takes, columns = given.shape[1:], _SAMPLES // HOP
    if takes != [BANDS, columns]:
        message = f"{path} takes features of the shape {takes}, and Smart Turn v3 {[BANDS, columns]}; name its weights"
        raise ProviderError(_NAME, "bad_request", message)

    def judge(features: Floats) -> float:
        return float(session.run(None, {given.name: features[np.newaxis]})[0].item())

    judge(np.zeros((BANDS, columns), np.float32))  # the first time takes longest
    return judge


def _judge(turn: Clip, model: Model) -> float:
    """Runs in a worker."""
    return model(features(turn))


def features(turn: Clip) -> Floats:
    """What the model is given: the end of the turn, after silence if it is short, at zero mean and unit variance."""
    samples = np.zeros(_SAMPLES, np.float32)
    heard = np.frombuffer(_at_16k(turn), np.int16)[-_SAMPLES:]
    if len(heard):
        samples[-len(heard) :] = heard
    samples /= FULL_SCALE
    samples -= samples.mean()
    samples /= np.sqrt(samples.var() + 1e-7)
    return log_mel(samples)


def _at_16k(turn: Clip) -> bytes:
    converter = Converter(turn.format, PCM_16K)
    size = _STEP_FRAMES * turn.format.frame_bytes
    whole = len(turn.data) - len(turn.data) % turn.format.frame_bytes
    return b"".join(converter.process(turn.data[at : min(at + size, whole)]) for at in range(0, whole, size))
