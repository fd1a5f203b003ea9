"""G.711, both laws: signed 16 bit samples (little endian) to 8 bit codes and back, by table.

ITU-T G.711 quantises 14 bit (mu-law) and 13 bit (A-law) samples; ours have 16, so the tables stretch its decision and
output values by 4 and by 8. Mu-law magnitudes are cut symmetrically about zero; A-law has no code for zero, and its
lowest negative step begins at -1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MULAW_BIAS = 33 * 4
_MULAW_TOP = 8158 * 4 + 3  # the last magnitude below the virtual decision value 8159
_MULAW_INVERT = 0xFF
_ALAW_INVERT = 0x55


def _decode_table(mulaw: bool) -> NDArray[np.int16]:
    codes = np.arange(256) ^ (_MULAW_INVERT if mulaw else _ALAW_INVERT)
    segment, step = (codes >> 4) & 7, codes & 15
    if mulaw:
        magnitude = (((step << 3) + _MULAW_BIAS) << segment) - _MULAW_BIAS
        negative = codes & 0x80 != 0
    else:
        bits = (step << 4) + 8
        magnitude = np.where(segment == 0, bits, (bits + 256) << np.maximum(segment - 1, 0))
        negative = codes & 0x80 == 0
    return np.where(negative, -magnitude, magnitude).astype(np.int16)


def _encode_table(mulaw: bool) -> NDArray[np.uint8]:
    """Codes by the sample's bits taken as an unsigned number, which saves the lookup a shift."""
    samples = np.arange(65536).astype(np.uint16).view(np.int16).astype(np.int32)
    negative = samples < 0
    codes: NDArray[np.int32]
    if mulaw:
        shifted = np.minimum(np.abs(samples), _MULAW_TOP) + _MULAW_BIAS
        segment = np.frexp(shifted)[1] - 8  # the bias makes segment 0 begin at 2**7
        codes = (segment << 4) | ((shifted >> (segment + 3)) & 15)
        codes = (codes | np.where(negative, 0x80, 0)) ^ _MULAW_INVERT
        return codes.astype(np.uint8)
    magnitude = np.where(negative, ~samples, samples)
    segment = np.maximum(np.frexp(magnitude)[1] - 8, 0)  # segments 0 and 1 have steps of the same size
    codes = (segment << 4) | ((magnitude >> np.maximum(segment + 3, 4)) & 15)
    codes = (codes | np.where(negative, 0, 0x80)) ^ _ALAW_INVERT
    return codes.astype(np.uint8)


_MULAW_TO_PCM = _decode_table(mulaw=True)
_ALAW_TO_PCM = _decode_table(mulaw=False)
_PCM_TO_MULAW = _encode_table(mulaw=True)
_PCM_TO_ALAW = _encode_table(mulaw=False)


def mulaw_to_pcm(codes: bytes) -> bytes:
    return _MULAW_TO_PCM.take(np.frombuffer(codes, np.uint8)).tobytes()


def alaw_to_pcm(codes: bytes) -> bytes:
    return _ALAW_TO_PCM.take(np.frombuffer(codes, np.uint8)).tobytes()


def pcm_to_mulaw(pcm: bytes) -> bytes:
    return _PCM_TO_MULAW.take(np.frombuffer(pcm, np.uint16)).tobytes()


def pcm_to_alaw(pcm: bytes) -> bytes:
    return _PCM_TO_ALAW.take(np.frombuffer(pcm, np.uint16)).tobytes()
