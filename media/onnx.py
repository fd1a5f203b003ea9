"""Weights out of an ONNX file, without a runtime.

The file is one Protocol Buffers message (onnx.proto). Of its schema only the way down to the tensors matters here.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_FLOAT = 1


def branches(file: bytes) -> Iterator[dict[str, NDArray[np.float32]]]:
    """For each branch of a condition in the model: its constant tensors of 32 bit floats, by name.

    ``ValueError`` or ``IndexError`` if the bytes are no such file.
    """
    for branch in _walk(memoryview(file), 7, 1, 5, 6):  # the graph, a node, its attribute, the graph in it
        yield dict(tensor for message in _walk(branch, 1, 5, 5) if (tensor := _tensor(message)))  # node, attribute


def _tensor(message: memoryview) -> tuple[str, NDArray[np.float32]] | None:
    """TensorProto: dims = 1, data_type = 2, name = 8, raw_data = 9."""
    name, kind, dims, raw = "", 0, [], memoryview(b"")
    for field, value in _fields(message):
        if isinstance(value, int):
            if field == 1:
                dims.append(value)
            elif field == 2:
                kind = value
        elif field == 8:
            name = str(value, "utf-8")
        elif field == 9:
            raw = value
    return (name, np.frombuffer(raw, "<f4").reshape(dims)) if name and kind == _FLOAT else None


def _walk(message: memoryview, field: int, *below: int) -> Iterator[memoryview]:
    """The messages reached by this path of field numbers."""
    for number, value in _fields(message):
        if number == field and isinstance(value, memoryview):
            if below:
                yield from _walk(value, *below)
            else:
                yield value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of one message: varints as numbers, everything else as its bytes."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        if tag & 7 == 0:
            value, position = _varint(message, position)
            yield tag >> 3, value
            continue
        if tag & 7 == 2:
            length, position = _varint(message, position)
        else:
            length = 8 if tag & 7 == 1 else 4
        yield tag >> 3, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position
