from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.spoken import spoken


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("**Yes**, that is *fine*.", "Yes, that is fine."),
        ("## Opening hours", "Opening hours"),
        ("- Monday\n- Tuesday", "Monday Tuesday"),
        ("* one\n* two", "one two"),
        ("1. Open the door", "1. Open the door"),
        ("Call `check_slot` with __care__.", "Call check_slot with care."),
        ("See [our page](https://example.com/a_b) for more.", "See our page for more."),
        ("Great 👍🏽! See you 😀 ❤️ soon.", "Great! See you soon."),
        ("| Day | Hours |\n|---|---|\n| Monday | 8 to 6 |", "Day, Hours Monday, 8 to 6"),
        ("> quoted", "quoted"),
        ("```python\nprint\n```", "print"),
        ("3 * 4 is 12, at -5 °C, for 4 €, no. #1", "3 * 4 is 12, at -5 °C, for 4 €, no. #1"),
        ("~~no~~ yes", "no yes"),
        ("  many   spaces\n here ", "many spaces here"),
        ("---", ""),
        ("😀", ""),
        ("...", ""),
        ("", ""),
    ],
)
def test_marks_for_the_eye_are_not_said(written: str, said: str) -> None:
    assert spoken(written) == said


@given(st.text(max_size=300))
def test_no_letter_or_digit_is_lost_but_with_a_link_or_a_fence(text: str) -> None:
    plain = "".join(character for character in text if character not in "[]()`~!")
    assert [c for c in spoken(plain) if c.isalnum()] == [c for c in plain if c.isalnum()]


@given(st.text(alphabet="ab *_`#->|~\n😀.,1", max_size=60))
def test_what_is_said_is_one_line_of_words(text: str) -> None:
    said = spoken(text)
    assert not set(said) & set("`\n😀")
    assert said == " ".join(said.split())
    assert said == "" or any(character.isalnum() for character in said)
