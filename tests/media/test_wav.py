from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.audio import ALAW_8K, MULAW_8K, PCM_8K, PCM_24K, AudioFormat, Clip, Encoding
from media.wav import WavWriter, read_wav, wav_bytes, write_wav

FORMATS = [PCM_8K, PCM_24K, MULAW_8K, ALAW_8K]


def wav(data: bytes, *, tag: int = 1, channels: int = 1, rate: int = 8000, bits: int = 16, more: bytes = b"") -> bytes:
    block = channels * bits // 8
    fields = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits) + more
    chunks = struct.pack("<4sI", b"fmt ", len(fields)) + fields + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI4s", b"RIFF", 4 + len(chunks), b"WAVE") + chunks


@given(st.sampled_from(FORMATS), st.binary(max_size=500).map(lambda data: data[: len(data) // 2 * 2]))
def test_what_is_written_is_read(format: AudioFormat, data: bytes) -> None:
    assert read_wav(wav_bytes(Clip(format, data))) == Clip(format, data)


def test_an_odd_number_of_bytes_is_padded_as_riff_wants() -> None:
    file = wav_bytes(Clip(MULAW_8K, b"abc"))
    assert len(file) % 2 == 0
    assert struct.unpack_from("<I", file, 4)[0] == len(file) - 8
    assert read_wav(file).data == b"abc"


def test_pythons_own_reader_understands_the_file(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", Clip(PCM_24K, bytes(range(100))))
    with wave.open(str(tmp_path / "a.wav")) as reader:
        assert (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (1, 2, 24000)
        assert reader.readframes(1000) == bytes(range(100))
    assert read_wav(tmp_path / "a.wav") == read_wav(str(tmp_path / "a.wav")) == Clip(PCM_24K, bytes(range(100)))


def test_the_file_of_pythons_own_writer_is_understood() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16000)
        writer.writeframes(b"\x01\x02" * 10)
    assert read_wav(file.getvalue()) == Clip(AudioFormat(Encoding.PCM16, 16000), b"\x01\x02" * 10)


def test_stereo_is_mixed_down() -> None:
    stereo = np.array([100, 200, -32768, -32768, 32767, 32767, -5, 5], np.int16)
    assert np.frombuffer(read_wav(wav(stereo.tobytes(), channels=2)).data, np.int16).tolist() == [150, -32768, 32767, 0]


def test_8_bits_become_16() -> None:
    assert np.frombuffer(read_wav(wav(b"\x00\x80\xff", bits=8)).data, np.int16).tolist() == [-32768, 0, 32512]


def test_other_chunks_and_the_extensible_format_are_read_over() -> None:
    subformat = struct.pack("<HHI", 22, 16, 4) + struct.pack("<H", 1) + bytes(14)
    file = wav(b"\x01\x02", tag=0xFFFE, more=subformat)
    with_list = file[:12] + struct.pack("<4sI", b"LIST", 3) + b"abc\0" + file[12:]
    assert read_wav(with_list) == Clip(PCM_8K, b"\x01\x02")


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFF, 1000])
def test_a_length_that_promises_too_much_means_to_the_end(length: int) -> None:
    file = bytearray(wav(b"\x01\x02\x03\x04\x05"))
    struct.pack_into("<I", file, 40, length)
    assert read_wav(bytes(file)).data == b"\x01\x02\x03\x04"


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"", "the WAV data is no WAV file"),
        (b"ID3" + bytes(100), "does not begin with RIFF and WAVE"),
        (b"RIFF\0\0\0\0AVI " + bytes(100), "does not begin with RIFF and WAVE"),
        (wav(b"")[:36], "holds no sound"),
        (wav(b"")[:12] + wav(b"ab")[36:], "its sound comes before its format"),
        (b"RIFF\0\0\0\0WAVE" + struct.pack("<4sI", b"fmt ", 4) + bytes(4), "its format chunk has 4 bytes"),
        (wav(bytes(6), bits=24), "WAV format 1 with 24 bits a sample; convert it"),
        (wav(bytes(8), tag=3, bits=32), "WAV format 3 with 32 bits"),
        (wav(bytes(8), tag=0x55), "WAV format 85"),
        (wav(bytes(12), channels=6), "6 channels of pcm16; convert it"),
        (wav(bytes(12), channels=0), "0 channels"),
        (wav(bytes(12), tag=7, bits=8, channels=2), "2 channels of mulaw"),
        (wav(bytes(12), rate=11025), "a rate of 11025 Hz"),
        (wav(bytes(12), rate=0), "a rate of 0 Hz"),
    ],
)
def test_bad_files_are_refused_in_words(file: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_wav(file)


@given(st.binary(max_size=80))
def test_garbage_is_sound_or_a_value_error(tail: bytes) -> None:
    whole = wav(b"\x01\x02\x03\x04")
    for file in (b"RIFF\0\0\0\0WAVE" + tail, whole[:20] + tail, whole[: len(tail)]):
        try:
            read_wav(file)
        except ValueError as error:
            assert str(error)  # noqa: PT017


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_the_writer_streams_a_file(tmp_path: Path, format: AudioFormat) -> None:
    with WavWriter(tmp_path / "a.wav", format) as writer:
        for n in range(5):
            writer.write(bytes([n]) * format.frame_bytes)
        writer.write(bytes(format.encoding.sample_bytes))
        assert writer.seconds == pytest.approx(0.1, abs=0.001)
    writer.close()
    sound = b"".join(bytes([n]) * format.frame_bytes for n in range(5)) + bytes(format.encoding.sample_bytes)
    assert (tmp_path / "a.wav").read_bytes() == wav_bytes(Clip(format, sound))


def test_the_file_of_a_writer_that_died_can_be_heard(tmp_path: Path) -> None:
    path = tmp_path / "died.wav"
    script = (
        "import os, sys; from media.audio import PCM_8K; from media.wav import WavWriter\n"
        "writer = WavWriter(sys.argv[1], PCM_8K); writer.write(b'ab' * 4000); writer.flush(); os._exit(9)"
    )
    died = subprocess.run([sys.executable, "-c", script, str(path)], cwd=Path(__file__).parents[2], env=os.environ)
    assert died.returncode == 9
    assert read_wav(path) == Clip(PCM_8K, b"ab" * 4000)
    with wave.open(str(path)) as reader:
        assert reader.readframes(1 << 20) == b"ab" * 4000


def test_a_missing_file_is_told_as_the_system_tells_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        read_wav(tmp_path / "missing.wav")
