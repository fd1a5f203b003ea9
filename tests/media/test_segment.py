"""What was heard of a phrase whose sound is still coming."""

from __future__ import annotations

import numpy as np
import pytest

from media.audio import PCM_8K
from media.ledger import Segment

TEXT = " ".join(["one two six ten"] * 5)  # said in 4 s, faster than a phrase is taken to be


def segment(seconds: float, *, grows: bool) -> Segment:
    made = Segment(1, TEXT, 0, PCM_8K, lambda pcm: pcm)
    made.spoken.grows = grows
    made.write((3000 * np.sin(np.arange(round(8000 * seconds)) / 2)).astype(np.int16).tobytes())
    made.heard = 100
    return made


def words_heard(made: Segment) -> int:
    return len(made.heard_text().split())


@pytest.mark.parametrize("closed", [True, False])
def test_text_that_comes_with_its_sound_is_measured_by_the_sound_that_came(closed: bool) -> None:
    """A realtime model has sent all of it, whether or not it has said so."""
    made = segment(4.0, grows=True)
    if closed:
        made.close()
    assert words_heard(made) == 10


def test_text_that_is_known_before_its_sound_is_measured_by_itself() -> None:
    """Half a phrase has been made: what was heard is not most of the words."""
    assert words_heard(segment(2.4, grows=False)) == 7
    assert words_heard(segment(2.4, grows=True)) > 14  # if the text were no longer than the sound


def test_text_may_be_a_little_ahead_of_sound_that_ran_out() -> None:
    assert words_heard(segment(2.2, grows=True)) == 7


def test_a_phrase_that_broke_off_is_measured_by_its_text() -> None:
    made = segment(4.0, grows=True)
    made.close(broken=True)
    assert words_heard(made) == 7
