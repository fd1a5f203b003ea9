"""WAV files in and out: 16 bit PCM, mu-law and A-law; read also in 8 bit PCM and in stereo (mixed down).

Reading is lenient where recorders are known to err: a length that promises more than there is, as in the file of a
recorder that died, means "to the end of the file".
"""

from __future__ import annotations

import struct
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from media.audio import AudioFormat, Clip, Encoding

_TAGS = {1: Encoding.PCM16, 6: Encoding.ALAW, 7: Encoding.MULAW}
_EXTENSIBLE = 0xFFFE
_UNKNOWN_LENGTH = 0xFFFFFFFF
_CONVERT = "convert it to 16 bit PCM, for example with: ffmpeg -i in.wav -c:a pcm_s16le out.wav"


def read_wav(source: str | Path | bytes) -> Clip:
    """The sound of a file (by its path) or of a file's bytes. ``ValueError`` if it is no WAV that we understand."""
    if isinstance(source, bytes):
        return _parse(source, "the WAV data")
    return _parse(Path(source).read_bytes(), str(source))


def _parse(file: bytes, name: str) -> Clip:
    if len(file) < 12 or file[:4] != b"RIFF" or file[8:12] != b"WAVE":
        raise ValueError(f"{name} is no WAV file: it does not begin with RIFF and WAVE")
    layout: tuple[int, int, int, int] | None = None
    position = 12
    while position + 8 <= len(file):
        kind, length = struct.unpack_from("<4sI", file, position)
        body = file[position + 8 : position + 8 + length]
        if kind == b"fmt ":
            layout = _parse_layout(body, name)
        elif kind == b"data":
            if layout is None:
                raise ValueError(f"{name} is a broken WAV file: its sound comes before its format")
            return _clip(*layout, body, name)
        position += 8 + length + (length & 1)
    raise ValueError(f"{name} is a broken WAV file: it holds no sound (no data chunk)")


def _parse_layout(body: bytes, name: str) -> tuple[int, int, int, int]:
    """Format tag, channels, rate and bits for each sample."""
    if len(body) < 16:
        raise ValueError(f"{name} is a broken WAV file: its format chunk has {len(body)} bytes instead of 16 or more")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if tag == _EXTENSIBLE and len(body) >= 26:
        tag = struct.unpack_from("<H", body, 24)[0]
    return tag, channels, rate, bits


def _clip(tag: int, channels: int, rate: int, bits: int, data: bytes, name: str) -> Clip:
    encoding = _TAGS.get(tag)
    if encoding is None or bits not in ((8, 16) if encoding is Encoding.PCM16 else (8,)):
        raise ValueError(f"{name} holds sound in WAV format {tag} with {bits} bits a sample; {_CONVERT}")
    if channels not in (1, 2) or (channels == 2 and encoding is not Encoding.PCM16):
        raise ValueError(f"{name} has {channels} channels of {encoding.value}; {_CONVERT}, with -ac 1 for one channel")
    try:
        format = AudioFormat(encoding, rate)
    except ValueError as error:
        raise ValueError(f"{name} cannot be used: {error}; {_CONVERT}, with -ar 16000 for the rate") from None
    if encoding is not Encoding.PCM16:
        return Clip(format, data)
    data = data[: len(data) - len(data) % (channels * bits // 8)]
    if bits == 16 and channels == 1:
        return Clip(format, data)
    if bits == 16:
        samples = np.frombuffer(data, "<i2").astype(np.int32)
    else:
        samples = (np.frombuffer(data, np.uint8).astype(np.int32) - 128) << 8
    return Clip(format, (samples.reshape(-1, channels).sum(axis=1) // channels).astype("<i2").tobytes())


def _header(format: AudioFormat, data_bytes: int) -> bytes:
    """Everything before the sound. The laws need the longer format chunk and a count of samples ("fact")."""
    data_bytes = min(data_bytes, _UNKNOWN_LENGTH)
    tag = next(tag for tag, encoding in _TAGS.items() if encoding is format.encoding)
    size = format.encoding.sample_bytes
    fields = struct.pack("<HHIIHH", tag, 1, format.rate, format.bytes_per_second, size, 8 * size)
    chunks = struct.pack("<4sI", b"fmt ", 16) + fields
    if format.encoding is not Encoding.PCM16:
        chunks = struct.pack("<4sI", b"fmt ", 18) + fields + bytes(2) + struct.pack("<4sII", b"fact", 4, data_bytes)
    riff_bytes = min(4 + len(chunks) + 8 + data_bytes + (data_bytes & 1), _UNKNOWN_LENGTH)
    return struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE") + chunks + struct.pack("<4sI", b"data", data_bytes)


def wav_bytes(clip: Clip) -> bytes:
    """A whole WAV file."""
    return _header(clip.format, len(clip.data)) + clip.data + bytes(len(clip.data) & 1)


def write_wav(path: str | Path, clip: Clip) -> None:
    Path(path).write_bytes(wav_bytes(clip))


class WavWriter:
    """Writes a WAV file as the sound comes. It blocks as files do, so give it to a thread where a loop runs.

    Until it is closed the header says "length unknown" (all ones), which players, and :func:`read_wav`, take for "to
    the end of the file": what a process wrote before it died can be heard. So can a file past WAV's limit of 4 GiB.
    """

    def __init__(self, path: str | Path, format: AudioFormat) -> None:
        self.format = format
        self._bytes = 0
        self._file: BinaryIO = open(path, "wb")  # noqa: SIM115 (closed by close)
        self._file.write(_header(format, _UNKNOWN_LENGTH))

    @property
    def seconds(self) -> float:
        """How much sound was written."""
        return self._bytes / self.format.bytes_per_second

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._bytes += len(data)

    def flush(self) -> None:
        """Hand everything to the operating system, where it outlives the process."""
        self._file.flush()

    def close(self) -> None:
        """Write the true lengths. Closing twice is no error."""
        if self._file.closed:
            return
        with self._file as file:
            file.write(bytes(self._bytes & 1))
            file.seek(0)
            file.write(_header(self.format, self._bytes))

    def __enter__(self) -> WavWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
