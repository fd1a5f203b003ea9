"""What listeners say without wanting the floor: "mm-hmm", "okay, right"."""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST = 4
"""More of them in a row are no backchannel: whoever says "yeah yeah yeah yeah yeah" wants the floor."""

LONGEST = 4
"""Words of the longest one, "das ist ja gut"."""

_WORD = re.compile(r"[^\W_]+")
_DRAWN_OUT = re.compile(r"([^\W\d_])\1{2,}")


@dataclass(frozen=True, slots=True)
class _Listening:
    sounds: frozenset[str]
    """Answer nothing, even if something was asked."""
    assents: frozenset[str]
    """Say yes, and answer a question."""


def _listening(sounds: str, assents: str) -> _Listening:
    def phrases(text: str) -> frozenset[str]:
        return frozenset(_plain(phrase) for phrase in text.split(","))

    return _Listening(phrases(sounds), phrases(assents))


def _plain(text: str) -> str:
    """Lower-case words without marks; a letter drawn out ("hmmmm") counts as two."""
    return " ".join(_WORD.findall(_DRAWN_OUT.sub(r"\1\1", text.lower())))


LISTENING: dict[str, _Listening] = {}
LISTENING["en"] = _listening(
    "hm, hmm, mm, mmm, ah, oh, aha, ooh, wow, huh, oh wow, i see, oh i see, oh really, really, interesting, oh dear",
    "yeah, yes, yep, yup, ya, uh huh, uhhuh, mhm, mm hm, mm hmm, mmhmm, hm mm, ok, okay, kay, right, alright, all "
    "right, sure, got it, gotcha, exactly, true, cool, great, good, fine, nice, perfect, of course, absolutely, "
    "indeed, that s right, sounds good, makes sense, fair enough, i know, oh okay, oh yeah, understood, very good",
)
LISTENING["de"] = _listening(
    "hm, hmm, mm, ah, oh, aha, ach, ach so, achso, soso, echt, wirklich, interessant, ach ja, tatsächlich, oje",
    "ja, jaja, jo, jep, mhm, mm hm, hm hm, ok, okay, gut, genau, klar, alles klar, stimmt, richtig, schön, super,"
    "verstehe, ich verstehe, verstanden, ja genau, ja klar, ja gut, natürlich, sicher, na gut, in ordnung, prima",
)
LISTENING["fr"] = _listening(
    "hm, hmm, mm, ah, oh, ah bon, tiens, vraiment, intéressant, je vois, ah je vois, oh là là",
    "oui, ouais, mhm, mm hm, hum hum, ok, okay, d accord, ah oui, ah d accord, bien, très bien, bien sûr, exactement,"
    "voilà, tout à fait, c est ça, super, parfait, entendu, compris, je comprends, ça marche, bon, effectivement",
)
LISTENING["es"] = _listening(
    "hm, hmm, mm, ah, oh, ajá, aja, anda, de verdad, en serio, interesante, ya veo, ah ya",
    "sí, si, ya, vale, mhm, mm hm, ok, okay, claro, claro que sí, bueno, bien, muy bien, exacto, exactamente, entiendo,"
    "entendido, de acuerdo, perfecto, correcto, eso es, así es, por supuesto, está bien, ah vale, ah sí",
)
LISTENING["it"] = _listening(
    "hm, hmm, mm, ah, oh, aha, davvero, interessante, vedo, ah ecco, ecco",
    "sì, si, mhm, mm hm, ok, okay, certo, va bene, bene, esatto, giusto, capito, ho capito, capisco, d accordo, "
    "perfetto, chiaro, benissimo, ottimo, già, appunto, infatti, ah sì, ah ok, esattamente",
)
LISTENING["nl"] = _listening(
    "hm, hmm, mm, ah, oh, aha, o, goh, echt, echt waar, interessant, oh ja, ach, tjonge",
    "ja, jaja, jep, mhm, mm hm, ok, oké, okay, goed, prima, precies, klopt, dat klopt, inderdaad, juist, duidelijk,"
    "begrepen, ik begrijp het, snap ik, natuurlijk, zeker, tuurlijk, fijn, mooi, top, is goed",
)
LISTENING["pt"] = _listening(
    "hm, hmm, mm, hum, ah, oh, aham, ahã, uhum, a sério, sério, interessante, nossa, estou a ver, entendi",
    "sim, pois, pois é, mhm, mm hm, ok, okay, certo, claro, tá, tá bom, está bem, tudo bem, bem, muito bem, exato,"
    "exatamente, isso, isso mesmo, entendo, percebo, perfeito, com certeza, beleza, é, correto",
)


def is_backchannel(text: str, language: str = "en", *, question: bool = False) -> bool:
    """Whether ``text`` is nothing but listening. ``question``: the agent has just asked something, so that "yes" and
    "okay" are answers. "No" never is listening. Of a language that is not known, the English sounds are."""
    listening = LISTENING.get(language.lower().replace("_", "-").split("-")[0])
    if listening is None:
        listening = _Listening(LISTENING["en"].sounds, frozenset({"ok", "okay", "mhm", "mm hm", "mm hmm", "uh huh"}))
    words = _plain(text).split()
    phrases, at = 0, 0
    while at < len(words):
        length = _length(words, at, listening, question=question)
        if not length:
            return False
        at += length
        phrases += 1
    return 0 < phrases <= MOST


def _length(words: list[str], at: int, listening: _Listening, *, question: bool) -> int:
    """How many words from ``at`` on are one phrase of a listener; the longest."""
    for length in range(min(LONGEST, len(words) - at), 0, -1):
        phrase = " ".join(words[at : at + length])
        if phrase in listening.assents:
            return 0 if question else length
        if phrase in listening.sounds:
            return length
    return 0
