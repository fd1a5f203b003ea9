from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.backchannels import LISTENING, MOST, is_backchannel


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("en", ["yeah", "Yeah, yeah.", "Mm-hmm.", "uh-huh", "Uh huh", "okay, right", "I see.", "Hmmmmm", "OH REALLY?"]),
        ("de", ["ja", "Ja, genau.", "mhm", "ach so", "alles klar", "hm, okay"]),
        ("fr", ["oui oui", "d'accord", "D’accord.", "ah bon ?", "je vois", "tout à fait"]),
        ("es", ["sí, sí", "vale", "ajá", "claro que sí", "¿de verdad?"]),
        ("it", ["sì sì", "va bene", "ho capito", "d'accordo", "ah ecco"]),
        ("nl", ["ja ja", "dat klopt", "oké", "mm-hm", "is goed"]),
        ("pt", ["sim, sim", "pois é", "tá bom", "uhum", "isso mesmo"]),
        ("pl", ["mhm", "hmm", "okay"]),
    ],
)
def test_listening(language: str, texts: list[str]) -> None:
    for text in texts:
        assert is_backchannel(text, language), text
        assert is_backchannel(f"  {text.upper()}!", language.upper() + "-x"), text


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        (
            "en",
            ["", "...", "no", "stop", "wait", "yeah but", "okay so I", "sorry?", "what", "hello", "right, the price"],
        ),
        ("de", ["nein", "ja aber", "moment", "stopp"]),
        ("fr", ["non", "attendez", "oui mais"]),
        ("es", ["no", "espere", "sí pero"]),
        ("it", ["no", "aspetti", "sì ma"]),
        ("nl", ["nee", "wacht", "ja maar"]),
        ("pt", ["não", "espere", "sim mas"]),
        ("pl", ["tak", "nie"]),
    ],
)
def test_words_that_want_the_floor(language: str, texts: list[str]) -> None:
    for text in texts:
        assert not is_backchannel(text, language), text


def test_after_a_question_an_assent_is_its_answer() -> None:
    for text in ("yes", "Yeah, yeah.", "okay", "mm-hmm", "uh-huh", "sure", "oh yeah"):
        assert not is_backchannel(text, question=True), text
    for text in ("hm", "Ah.", "oh, I see"):
        assert is_backchannel(text, question=True), text


def test_a_long_row_of_them_is_impatience() -> None:
    assert is_backchannel(" ".join(["yeah"] * MOST))
    assert not is_backchannel(" ".join(["yeah"] * (MOST + 1)))


@given(st.text(), st.sampled_from([*LISTENING, "pl", ""]))
def test_any_text_is_judged_and_a_question_never_makes_one_of_it(text: str, language: str) -> None:
    if is_backchannel(text, language, question=True):
        assert is_backchannel(text, language)
