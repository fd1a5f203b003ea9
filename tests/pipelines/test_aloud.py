"""What is said of what is written; and that the words heard are the words written."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.aloud import aloud
from pipelines.speaker import WordTimings


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Call +44 20 7946 0000, please.", "Call plus 4 4, 2 0, 7 9 4 6, 0 0 0 0, please."),
        ("(555) 123-4567 or 0800 1111.", "5 5 5, 1 2 3, 4 5 6 7 or 0 8 0 0, 1 1 1 1."),
        ("Order 0042, table 12.", "Order 0 0 4 2, table 12."),
        ("On 24.12.2026 or 2026-11-28, 1,250 people", "On 24.12.2026 or 2026-11-28, 1,250 people"),
        ("From 2010-2020, 1.250.000 of 45.50", "From 2010-2020, 1.250.000 of 45.50"),
        ("That is $45.50.", "That is 45 dollars and 50 cents."),
        ("£1, €3 or $1,200.00!", "1 pound, 3 euros or 1200 dollars!"),
        ("20% off, 21°C", "20 percent off, 21 degrees Celsius"),
        ("At 3:30 p.m. on Monday.", "At 3 30 P M on Monday."),
        ("At 3:05 PM.", "At 3 oh 5 P M."),
        ("At 10:00 today.", "At 10 today."),
        ("I am here.", "I am here."),
        ("5 kg in 3 mins, not kg", "5 kilograms in 3 minutes, not kg"),
        ("Dr. Smith, 12 Main St.", "Doctor Smith, 12 Main Street."),
        ("St. Mary on Oak Dr. today", "Saint Mary on Oak Drive today"),
        ("Room No. 5. No. We are closed.", "Room number 5. No. We are closed."),
        ("e.g. Tom & Ann, etc.", "for example Tom and Ann, et cetera."),
        ("Mail me.you@x.org or www.a-b.com/c.", "Mail me dot you at x dot org or w w w dot a dash b dot com slash c."),
    ],
)
def test_as_people_say_it(written: str, said: str) -> None:
    assert " ".join(aloud(written)) == said


@pytest.mark.parametrize(
    ("language", "written", "said"),
    [
        ("de-DE", "Das kostet 12,50€ bzw. 20%, um 15:30 Uhr, Tel. 030 123456.",
         "Das kostet 12 Euro 50 beziehungsweise 20 Prozent, um 15 30 Uhr, Telefon 0 3 0, 1 2 3 4 5 6."),
        ("fr", "Mme Rey, 3€", "Madame Rey, 3 euros"),
        ("es", "a@b.es", "a arroba b punto es"),
        ("xx", "Dr. 020 7946 0000 $5", "Dr. 020 7946 0000 $5"),
    ],
)  # fmt: skip
def test_in_other_languages(language: str, written: str, said: str) -> None:
    assert " ".join(aloud(written, language)) == said


@given(st.text(alphabet="aA1 0.,:;!?()+-$%@&/\"'€°mpMP ", max_size=60), st.sampled_from(["en", "de", "fr", "it", "xx"]))
def test_each_written_word_has_its_own_form(text: str, language: str) -> None:
    forms = aloud(text, language)
    assert len(forms) == len(text.split())
    assert all(form.strip() for form in forms)


@given(st.lists(st.integers(1, 4), max_size=8))
def test_a_written_word_sounds_from_its_first_to_its_last(counts: list[int]) -> None:
    written = [f"w{n}" for n in range(len(counts))]
    timings = WordTimings(written, [" ".join("x" * count) for count in counts])
    timed = [one for n in range(sum(counts)) if (one := timings.push(n, n + 1)) is not None]
    assert timings.push(99, 100) is None
    assert [one.word for one in timed] == written
    assert [one.end - one.start for one in timed] == counts
    assert all(a.end == b.start for a, b in pairwise(timed))
