from __future__ import annotations

import numpy as np
import pytest

from media.levels import SILENCE_DBOV, rms_dbov, sounding


def square(amplitude: int, samples: int = 160) -> bytes:
    return np.where(np.arange(samples) % 2, amplitude, -amplitude).astype(np.int16).tobytes()


def test_a_square_wave_at_full_scale_is_0_dbov() -> None:
    assert rms_dbov(square(32767)) == pytest.approx(0, abs=0.001)


def test_a_sine_at_full_scale_is_3_db_below() -> None:
    sine = (32767 * np.sin(2 * np.pi * np.arange(8000) / 80)).astype(np.int16).tobytes()
    assert rms_dbov(sine) == pytest.approx(-3.01, abs=0.01)


@pytest.mark.parametrize("pcm", [b"", bytes(320)])
def test_silence_has_a_level_too(pcm: bytes) -> None:
    assert rms_dbov(pcm) == SILENCE_DBOV


def test_sounding_tells_where_there_is_sound() -> None:
    frame, quiet = square(3000), bytes(320)
    pcm = quiet * 5 + frame * 10 + quiet * 9 + frame * 5 + quiet * 10 + frame * 2 + b"\x00\x70"
    assert sounding(pcm, 8000) == [pytest.approx((0.1, 0.58)), pytest.approx((0.78, 0.82))]
    assert sounding(pcm, 8000, bridge=0.3) == [pytest.approx((0.1, 0.82))]
    assert sounding(pcm, 8000, above_dbov=-10) == []
    assert sounding(b"", 8000) == []
