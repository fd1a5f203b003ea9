from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.providers.pauses import pieces, quietest

RATE = 8000


def sound(*stretches: tuple[float, int]) -> bytes:
    """Seconds of a square wave at a level, one after the other."""
    waves = [level * (np.arange(round(seconds * RATE)) // 20 % 2 * 2 - 1) for seconds, level in stretches]
    return np.concatenate(waves).astype(np.int16).tobytes()


def test_the_cut_is_in_the_quietest_place() -> None:
    pcm = sound((1.0, 5000), (0.5, 10), (1.0, 5000), (0.3, 100), (1.0, 5000))
    assert 1.0 < quietest(pcm, RATE, 0) / 2 / RATE < 1.5
    assert 2.5 < quietest(pcm, RATE, 2 * 2 * RATE) / 2 / RATE < 2.8


def test_of_equally_quiet_places_the_last_is_taken() -> None:
    assert quietest(sound((0.5, 9), (1.0, 0), (0.5, 9)), RATE, 0) / 2 / RATE > 1.3


@given(st.lists(st.tuples(st.floats(0.01, 2.0), st.sampled_from([0, 10, 9000])), min_size=1, max_size=8))
def test_pieces_are_the_whole_and_none_is_too_long(stretches: list[tuple[float, int]]) -> None:
    pcm = sound(*stretches)
    cut = list(pieces(pcm, RATE, 1.5))
    assert b"".join(cut) == pcm
    assert all(len(piece) <= 1.5 * 2 * RATE and len(piece) % 2 == 0 for piece in cut)
