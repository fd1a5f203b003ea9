from __future__ import annotations

import pytest

from jambonz.endings import ending_of

ENDINGS = [
    ("busy", 486, "busy"),
    ("failed", 600, "busy"),
    ("busy", None, "busy"),
    ("busy", 503, "busy"),
    ("no-answer", 487, "no_answer"),
    ("no-answer", None, "no_answer"),
    ("failed", 480, "no_answer"),
    ("failed", 408, "no_answer"),
    ("failed", 403, "declined"),
    ("failed", 433, "declined"),
    ("failed", 603, "declined"),
    ("busy", 603, "declined"),
    ("failed", 607, "declined"),
    ("failed", 608, "declined"),
    ("failed", 404, "failed"),
    ("failed", 503, "failed"),
    ("failed", None, "failed"),
]


@pytest.mark.parametrize(("call_status", "sip_status", "ending"), [("completed", 200, "answered"), *ENDINGS])
def test_words_of_jambonz_and_of_sip_for_one_ending(call_status: str, sip_status: int | None, ending: str) -> None:
    assert ending_of(call_status, sip_status) == ending
