"""What an agent's question asks for, by its words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from pipelines.completeness.judgement import Expects
from pipelines.completeness.languages import LANGUAGES, Language

_SENTENCE = re.compile(r"[^.!?]*[.!?]*")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_MOST_DIGITS = 20


@dataclass(frozen=True, slots=True)
class _Asking:
    words: frozenset[str]
    """Question words: they ask for more than yes or no."""
    alternatives: frozenset[str]
    numbers: frozenset[str]
    """What is asked for in digits, besides the names that callers give their numbers."""
    requests: re.Pattern[str]
    """Asks for the thing itself, in the form of a question for yes or no, or of a wish."""
    tags: frozenset[str]
    """After a statement they ask for yes or no: "right?"."""
    digits: frozenset[str]


def _asking(words: str, alternatives: str, numbers: str, requests: str, tags: str, digits: str) -> _Asking:
    return _Asking(
        frozenset(words.split()),
        frozenset(alternatives.split()),
        frozenset(phrase.strip() for phrase in numbers.split(",") if phrase),
        re.compile(rf"\b(?:{requests})\b"),
        frozenset(tags.split()),
        frozenset(digits.split()),
    )


ASKING: dict[str, _Asking] = {
    "en": _asking(
        "what what's which who who's whom whose when where where's why how how's",
        "or",
        "phone number, telephone number, mobile number, cell number, card number, account number, order number, pin,"
        "reference number, customer number, zip code, security code, booking number, policy number, number, digits",
        r"(?:can|could|may|might) (?:i|we) (?:\w+ )?(?:have|get|take|ask|know)|(?:can|could|will|would) you (?:\w+ )?"
        r"(?:\w+ )?(?:tell|give|read|repeat|confirm|say|spell|provide|enter|share|describe|explain)|would you mind|"
        r"(?:tell|give|read) me|(?:i|we)(?:'ll)? (?:just )?need|please (?:\w+ )?(?:say|enter|read|provide|type)",
        "right correct okay ok yes no",
        "digit digits",
    ),
    "de": _asking(
        "was welche welcher welches welchen welchem wer wen wem wann wo woher wohin warum weshalb wieso wie wofür "
        "womit",
        "oder",
        "",
        "sagen sie|nennen sie|geben sie|(?:sagen|nennen|geben|verraten|durchgeben|diktieren)|ich (?:brauche|benötige)",
        "richtig oder stimmt's okay ja nicht",
        "stellige stelligen stellen ziffern",
    ),
    "fr": _asking(
        "quel quelle quels quelles qui quand où comment pourquoi combien quoi qu'est-ce qu'est",
        "ou",
        "",
        "(?:donner|dire|indiquer|communiquer|préciser|épeler)|donnez|dites|j'ai besoin",
        "correct exact d'accord non oui",
        "chiffres",
    ),
    "es": _asking(
        "qué cuál cuáles quién quiénes cuándo dónde cómo cuánto cuánta cuántos cuántas",
        "o u",
        "",
        "(?:dar|darme|decir|decirme|indicar|indicarme|deletrear)|dígame|deme|necesito",
        "verdad correcto no sí vale",
        "dígitos cifras",
    ),
    "it": _asking(
        "cosa quale quali chi quando dove come perché quanto quanta quanti quante qual cos'è dov'è com'è",
        "o oppure",
        "",
        "(?:dare|darmi|dire|dirmi|indicare|indicarmi|lasciarmi|ripetere)|mi (?:dica|dia)|ho bisogno",
        "vero giusto corretto no sì",
        "cifre",
    ),
    "nl": _asking(
        "wat welke welk wie wanneer waar waarom hoe hoeveel waarmee waarvoor",
        "of",
        "",
        "(?:zeggen|geven|vertellen|noemen|doorgeven|herhalen)|ik heb (?:\\w+ )+nodig",
        "toch klopt juist ja nee",
        "cijfers cijferige",
    ),
    "pt": _asking(
        "qual quais quem quando onde como porquê quanto quanta quantos quantas quê",
        "ou",
        "",
        "(?:dar|dizer|indicar|informar|fornecer|repetir|soletrar|dar-me|dizer-me)|diga|preciso",
        "certo correto verdade não sim",
        "dígitos algarismos",
    ),
}


def asks(text: str, language: str = "en") -> Expects | None:
    """What the last question of ``text`` asks for; None if it asks nothing, or the language is not known.

    When in doubt it is "free", which promises nothing.
    """
    base = language.lower().replace("_", "-").split("-")[0]
    asking, known = ASKING.get(base), LANGUAGES.get(base)
    sentences = [match[0].strip() for match in _SENTENCE.finditer(text) if match[0].strip(" .!?\n\t")]
    if asking is None or known is None or not sentences:
        return None
    last = sentences[-1]
    words = [word.replace("’", "'") for word in _WORD.findall(last.lower())]
    requested = asking.requests.search(" ".join(words)) is not None
    if not last.rstrip("\"'”’») ").endswith("?"):
        return "digits" if requested and _names_number(words, asking, known) else None
    wondering = not asking.words.isdisjoint(words)
    if requested or wondering:
        return "digits" if _names_number(words, asking, known) else "free"
    if not asking.alternatives.isdisjoint(words[:-1]):
        return "free"
    return "yes_no" if len(words) > 2 or words[-1] in asking.tags else "free"


def digits_asked(text: str, language: str = "en") -> int | None:
    """How many digits a question asks for, where it says so: "the last four digits", "your 6-digit code"."""
    base = language.lower().replace("_", "-").split("-")[0]
    asking, known = ASKING.get(base), LANGUAGES.get(base)
    if asking is None or known is None:
        return None
    words = _WORD.findall(text.lower())
    for number, noun in pairwise(words):
        if noun in asking.digits:
            value = number if number.isdecimal() else known.digits.get(number, "")
            if value.isascii() and 0 < int(value or 0) <= _MOST_DIGITS:
                return int(value)
    return None


def _names_number(words: list[str], asking: _Asking, known: Language) -> bool:
    """Whether a number is named that is read out in digits. "How many" and "what date" are not."""
    for index, word in enumerate(words):
        pair = " ".join(words[index : index + 2])
        if pair in asking.numbers or word in asking.numbers:
            return True
        if not asking.numbers and (word in known.numbered or pair in known.numbered):
            return True
    return False
