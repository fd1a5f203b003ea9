"""Smart Turn with a model that waits until it is told to answer. Threads are real, and waited for by events."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from media.audio import MULAW_8K, PCM_8K, PCM_16K, AudioFormat, Clip
from media.convert import Converter
from media.mel import Floats
from pipelines.parts import ProviderError
from pipelines.providers import smart_turn
from pipelines.providers.smart_turn import Model, QuestionCounts, SemanticDetector, SmartTurn, features, find_smart_turn
from tests.steady import PATIENCE

TURN = Clip(MULAW_8K, MULAW_8K.silence(1000))


class Bench:
    """A model whose answers, once let go, count up by hundredths."""

    def __init__(self) -> None:
        self.loaded = 0
        self.answered = 0
        self.go = threading.Event()
        self.started = threading.Semaphore(0)

    def load(self) -> Model:
        self.loaded += 1
        return self.answer

    def answer(self, given: Floats) -> float:
        assert given.shape == (80, 800)
        self.started.release()
        assert self.go.wait(10)
        self.answered += 1
        return self.answered / 100


class Heard:
    """What a caller's side hears of its question, and on which thread."""

    def __init__(self) -> None:
        self.answers: list[float] = []
        self.threads: set[int] = set()
        self._answered = asyncio.Event()

    def __call__(self, probability: float) -> None:
        self.answers.append(probability)
        self.threads.add(threading.get_ident())
        self._answered.set()

    async def wait(self) -> float:
        await asyncio.wait_for(self._answered.wait(), PATIENCE)
        return self.answers[-1]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
async def detector(bench: Bench) -> AsyncGenerator[SmartTurn, None]:
    detector = SmartTurn(bench.load)
    yield detector
    bench.go.set()
    await detector.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)


async def test_an_answer_in_time_comes_on_the_loop(bench: Bench, detector: SmartTurn) -> None:
    semantic: SemanticDetector = detector
    await semantic.prepare()
    heard = Heard()
    question = semantic.ask(TURN, heard, within=10)
    assert heard.answers == []
    bench.go.set()
    assert await heard.wait() == 0.01
    assert heard.threads == {threading.get_ident()}
    question.cancel()
    assert detector.counts == QuestionCounts(asked=1, answered=1)


async def test_a_late_answer_is_no_answer(bench: Bench, detector: SmartTurn) -> None:
    late, next_one = Heard(), Heard()
    question = detector.ask(TURN, late, within=0.01)
    await until(lambda: detector.counts.late == 1)
    question.cancel()
    detector.ask(TURN, next_one, within=10)
    bench.go.set()
    await next_one.wait()
    assert bench.answered == 2
    assert late.answers == []
    assert detector.counts == QuestionCounts(asked=2, answered=1, late=1)


async def test_who_goes_on_speaking_gets_no_answer(bench: Bench, detector: SmartTurn) -> None:
    under_way, waiting, last = Heard(), Heard(), Heard()
    questions = [detector.ask(TURN, heard, within=10) for heard in (under_way, waiting)]
    await asyncio.to_thread(bench.started.acquire)
    for question in questions:
        question.cancel()
        question.cancel()
    await asyncio.sleep(0)  # a job is cancelled one turn of the loop after its question
    detector.ask(TURN, last, within=10)
    bench.go.set()
    assert await last.wait() == 0.02  # the model finished the first, and never began the second
    assert under_way.answers == waiting.answers == []
    assert detector.counts == QuestionCounts(asked=3, answered=1, withdrawn=2)


async def test_what_would_be_late_anyway_is_dropped(bench: Bench, detector: SmartTurn) -> None:
    heard = [Heard() for _ in range(6)]
    questions = [detector.ask(TURN, each, within=10) for each in heard]
    assert detector.counts.dropped == 2
    questions[-1].cancel()
    bench.go.set()
    await heard[3].wait()
    assert [len(each.answers) for each in heard] == [1, 1, 1, 1, 0, 0]
    assert detector.counts == QuestionCounts(asked=6, answered=4, dropped=2)
    again = Heard()
    detector.ask(TURN, again, within=10)
    await again.wait()


async def test_a_question_past_its_deadline_gives_its_place_to_another(bench: Bench, detector: SmartTurn) -> None:
    first = Heard()
    detector.ask(TURN, first, within=10)
    await asyncio.to_thread(bench.started.acquire)
    for _ in range(3):
        detector.ask(TURN, Heard(), within=0.01)
    await until(lambda: detector.counts.late == 3)
    await asyncio.sleep(0)  # a job is cancelled one turn of the loop after its question
    heard = [Heard() for _ in range(3)]
    for each in heard:
        detector.ask(TURN, each, within=10)
    bench.go.set()
    await heard[-1].wait()
    assert detector.counts == QuestionCounts(asked=7, answered=4, late=3)


async def test_all_threads_share_one_model(bench: Bench) -> None:
    detector = SmartTurn(bench.load, workers=2)
    await asyncio.gather(detector.prepare(), detector.prepare())
    both = [Heard(), Heard()]
    for heard in both:
        detector.ask(TURN, heard, within=10)
    for _ in both:
        await asyncio.to_thread(bench.started.acquire)
    bench.go.set()
    for heard in both:
        await heard.wait()
    assert bench.loaded == 1
    await detector.close()


async def test_closing_withdraws_what_waits(bench: Bench) -> None:
    detector = SmartTurn(bench.load)
    heard = [Heard(), Heard()]
    for each in heard:
        detector.ask(TURN, each, within=10)
    await asyncio.to_thread(bench.started.acquire)
    closing = asyncio.create_task(detector.close())
    await until(lambda: detector.counts.withdrawn == 1)
    bench.go.set()
    await closing
    await heard[0].wait()
    assert heard[1].answers == []
    late_to_the_party = Heard()
    detector.ask(TURN, late_to_the_party).cancel()
    assert detector.counts == QuestionCounts(asked=3, answered=1, withdrawn=1, dropped=1)


async def test_a_model_that_fails_is_told_once_and_counted() -> None:
    def fail(_: Floats) -> float:
        raise ArithmeticError("no number")

    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    detector = SmartTurn(lambda: fail)
    heard = Heard()
    for _ in range(2):
        detector.ask(TURN, heard, within=10)
    await until(lambda: detector.counts.failed == 2)
    assert heard.answers == []
    assert [str(context["exception"]) for context in told] == ["no number"]
    await detector.close()


async def test_a_model_that_cannot_be_loaded_is_unavailable_in_words() -> None:
    def load() -> Model:
        raise OSError("the file is cut short")

    detector = SmartTurn(load)
    with pytest.raises(ProviderError, match="smart_turn: it could not be loaded: the file is cut short") as caught:
        await detector.prepare()
    assert caught.value.kind == "unavailable"
    await detector.close()


# What the model is given


def speech(seconds: float, format: AudioFormat = PCM_16K, amplitude: float = 8000.0) -> Clip:
    """A vowel that comes and goes, of frequencies that a telephone passes."""
    time = np.arange(int(seconds * 16000)) / 16000
    wave = sum(np.sin(2 * np.pi * hertz * time) for hertz in (400, 800, 1200, 2400)) / 4
    pcm = (amplitude * wave * np.sin(2 * np.pi * 3 * time) ** 2).astype(np.int16).tobytes()
    return Clip(format, Converter(PCM_16K, format).process(pcm))


def test_a_short_turn_stands_at_the_end() -> None:
    given = features(speech(2.0))
    assert given.shape == (80, 800)
    assert given.dtype == np.float32
    assert np.ptp(given[:, :590]) < 1e-3
    assert given[:, 610:].max() > given[:, :590].max() + 1


def test_of_a_long_turn_the_end_counts() -> None:
    turn = speech(9.0)
    assert np.array_equal(features(turn), features(Clip(PCM_16K, turn.data[-8 * 32000 :])))


def test_how_loud_the_caller_is_does_not_matter() -> None:
    loud, quiet = features(speech(8.0, amplitude=16000)), features(speech(8.0, amplitude=4000))
    heard = loud > 1
    assert loud[heard] == pytest.approx(quiet[heard], abs=0.01)


@pytest.mark.parametrize("format", [PCM_8K, MULAW_8K], ids=str)
def test_any_format_will_do(format: AudioFormat) -> None:
    """The same sound, but for the telephone's band, the law's noise and 3 ms of delay: what is loud stays as it is."""
    wide, narrow = features(speech(3.0)), features(speech(3.0, format))
    loud = wide > 1
    assert loud.sum() > 3000
    assert narrow[loud] == pytest.approx(wide[loud], abs=0.2)


@pytest.mark.parametrize("length", [0, 1, MULAW_8K.frame_bytes + 7])
def test_next_to_nothing_is_silence(length: int) -> None:
    assert features(Clip(MULAW_8K, b"\xff" * length)) == pytest.approx(-1.5)


# Where the model comes from


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Path]:
    """Packages and their folders, as ``find_spec`` tells of them."""
    packages = {"onnxruntime": tmp_path / "onnxruntime", "pipecat": tmp_path / "pipecat"}

    def find(name: str) -> SimpleNamespace | None:
        return SimpleNamespace(submodule_search_locations=[str(packages[name])]) if name in packages else None

    monkeypatch.setattr(smart_turn, "find_spec", find)
    return packages


def weights(package: Path, *names: str) -> None:
    folder = package / "audio" / "turn" / "smart_turn" / "data"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()


def model_of(detector: SmartTurn | None, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the file that the detector loads."""
    assert detector is not None
    loaded: list[Path] = []
    monkeypatch.setattr(smart_turn, "import_module", {"onnxruntime": runtime(loaded)}.__getitem__)
    asyncio.run(detector.prepare())
    asyncio.run(detector.close())
    (path,) = loaded
    return path.name


def runtime(loaded: list[Path], shape: tuple[object, ...] = ("batch", 80, 800)) -> SimpleNamespace:
    """As much of onnxruntime as is used; its model answers with the mean of what it is given."""

    class Session:
        def __init__(self, path: str, options: SimpleNamespace, providers: list[str]) -> None:
            assert options.intra_op_num_threads == options.inter_op_num_threads == 1
            assert providers == ["CPUExecutionProvider"]
            loaded.append(Path(path))

        def get_inputs(self) -> list[SimpleNamespace]:
            return [SimpleNamespace(name="sound", shape=list(shape))]

        def run(self, outputs: None, given: dict[str, Floats]) -> list[Floats]:
            assert given["sound"].shape == (1, 80, 800)
            return [given["sound"].mean(keepdims=True)[0]]

    return SimpleNamespace(SessionOptions=SimpleNamespace, InferenceSession=Session)


def test_the_newest_weights_of_an_installed_pipecat_are_found(
    installed: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("smart-turn-v3.2-cpu.onnx", "smart-turn-v3.10-cpu.onnx", "smart-turn-v3.11-gpu.onnx", "smart-turn-v2.onnx")
    weights(installed["pipecat"], *names)
    assert model_of(find_smart_turn(), monkeypatch) == "smart-turn-v3.10-cpu.onnx"
    assert "pipecat" not in sys.modules


def test_a_path_goes_before_what_is_installed(
    installed: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    weights(installed["pipecat"], "smart-turn-v3.2-cpu.onnx")
    mine = tmp_path / "mine.onnx"
    mine.touch()
    assert model_of(find_smart_turn(mine), monkeypatch) == "mine.onnx"


def test_without_weights_or_runtime_there_is_none(installed: dict[str, Path]) -> None:
    assert find_smart_turn() is None  # a pipecat without the folder
    weights(installed["pipecat"], "smart-turn-v3.2-cpu.onnx")
    assert find_smart_turn() is not None
    del installed["onnxruntime"]
    assert find_smart_turn() is None
    del installed["pipecat"]
    assert find_smart_turn() is None


def test_a_path_that_cannot_be_used_is_an_error_in_words(installed: dict[str, Path], tmp_path: Path) -> None:
    mine = tmp_path / "mine.onnx"
    with pytest.raises(ProviderError, match=r"there is no file .*mine\.onnx"):
        find_smart_turn(mine)
    mine.touch()
    del installed["onnxruntime"]
    with pytest.raises(ProviderError, match="onnxruntime is not installed; install the extra `turn`"):
        find_smart_turn(mine)


async def test_weights_of_another_model_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smart_turn, "import_module", lambda _: runtime([], ("batch", 128, 3000)))
    detector = SmartTurn(lambda: smart_turn._load(Path("other.onnx")))
    with pytest.raises(
        ProviderError, match=r"other\.onnx takes features of the shape \[128, 3000\].*\[80, 800\]"
    ) as caught:
        await detector.prepare()
    assert caught.value.kind == "bad_request"
    await detector.close()


async def test_the_models_answer_is_what_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smart_turn, "import_module", lambda _: runtime([]))
    detector = SmartTurn(lambda: smart_turn._load(Path("any.onnx")))
    heard = Heard()
    detector.ask(speech(2.0), heard, within=10)
    assert await heard.wait() == pytest.approx(features(speech(2.0)).mean(), abs=1e-6)
    await detector.close()
