"""How people say what is written: numbers to dial, amounts, times, units, abbreviations, addresses. Pure.

Only what voices get wrong, or each in its own way, is rewritten; plain numbers and words they say by themselves. The
written words stay what the ledger counts and the history keeps: each of them has its own spoken form, so that what was
heard of the one tells what was heard of the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

DIGITS_SPELLED = 7
"""A run of so many digits, or one that begins with 0 or +, is a number to be dialled or typed, and no quantity."""


@dataclass(frozen=True, slots=True)
class Words:
    """A language's words for signs. Currencies: the whole and the hundredth, in the plural."""

    percent: str
    at: str
    dot: str
    slash: str
    dash: str
    plus: str
    and_: str
    degrees: str
    currencies: Mapping[str, tuple[str, str]]
    units: Mapping[str, str] = field(default_factory=dict)
    abbreviations: Mapping[str, str] = field(default_factory=dict)
    number: str = ""
    """What "No." before a number is."""


_UNITS = {
    "km": "kilometres", "cm": "centimetres", "mm": "millimetres", "kg": "kilograms", "mg": "milligrams",
    "ml": "millilitres", "km/h": "kilometres per hour", "mph": "miles per hour", "lbs": "pounds", "oz": "ounces",
    "hrs": "hours", "mins": "minutes", "secs": "seconds", "GB": "gigabytes", "MB": "megabytes", "kWh": "kilowatt hours",
}  # fmt: skip
_TITLES = {
    "mr.": "Mister", "mrs.": "Missus", "prof.": "Professor", "rev.": "Reverend", "approx.": "approximately",
    "appt.": "appointment", "dept.": "department", "ext.": "extension", "apt.": "apartment", "ave.": "Avenue",
    "blvd.": "Boulevard", "rd.": "Road", "e.g.": "for example", "i.e.": "that is", "etc.": "et cetera",
    "vs.": "versus", "jan.": "January", "feb.": "February", "aug.": "August", "sept.": "September", "oct.": "October",
    "nov.": "November", "dec.": "December", "tel.": "telephone", "w/": "with", "w/o": "without", "&": "and",
}  # fmt: skip

_LANGUAGES = {
    "en": Words(
        "percent", "at", "dot", "slash", "dash", "plus", "and", "degrees",
        {"$": ("dollars", "cents"), "£": ("pounds", "pence"), "€": ("euros", "cents")}, _UNITS, _TITLES, "number",
    ),
    "de": Words(
        "Prozent", "ät", "Punkt", "Schrägstrich", "Strich", "plus", "und", "Grad",
        {"$": ("Dollar", ""), "£": ("Pfund", ""), "€": ("Euro", "")},
        {"km": "Kilometer", "kg": "Kilogramm", "km/h": "Stundenkilometer"},
        {"z.b.": "zum Beispiel", "bzw.": "beziehungsweise", "usw.": "und so weiter", "dr.": "Doktor", "hr.": "Herr",
         "fr.": "Frau", "tel.": "Telefon", "&": "und"},
        "Nummer",
    ),
    "fr": Words(
        "pour cent", "arobase", "point", "barre oblique", "tiret", "plus", "et", "degrés",
        {"$": ("dollars", ""), "£": ("livres", ""), "€": ("euros", "")}, {"km": "kilomètres", "kg": "kilos"},
        {"m.": "Monsieur", "mme": "Madame", "dr": "Docteur", "tél.": "téléphone", "&": "et"}, "numéro",
    ),
    "es": Words(
        "por ciento", "arroba", "punto", "barra", "guion", "más", "y", "grados",
        {"$": ("dólares", "centavos"), "£": ("libras", ""), "€": ("euros", "céntimos")},
        {"km": "kilómetros", "kg": "kilos"}, {"sr.": "señor", "sra.": "señora", "dr.": "doctor", "&": "y"}, "número",
    ),
    "it": Words(
        "per cento", "chiocciola", "punto", "barra", "trattino", "più", "e", "gradi",
        {"$": ("dollari", ""), "£": ("sterline", ""), "€": ("euro", "")}, {"km": "chilometri", "kg": "chili"},
        {"sig.": "signor", "sig.ra": "signora", "dott.": "dottor", "&": "e"}, "numero",
    ),
    "nl": Words(
        "procent", "apenstaartje", "punt", "schuine streep", "streepje", "plus", "en", "graden",
        {"$": ("dollar", ""), "£": ("pond", ""), "€": ("euro", "")}, {"km": "kilometer", "kg": "kilo"},
        {"dhr.": "de heer", "mevr.": "mevrouw", "bijv.": "bijvoorbeeld", "&": "en"}, "nummer",
    ),
    "pt": Words(
        "por cento", "arroba", "ponto", "barra", "traço", "mais", "e", "graus",
        {"$": ("dólares", ""), "£": ("libras", ""), "€": ("euros", "cêntimos")}, {"km": "quilómetros", "kg": "quilos"},
        {"sr.": "senhor", "sra.": "senhora", "dr.": "doutor", "&": "e"}, "número",
    ),
}  # fmt: skip

_WORD = re.compile(r"(?P<open>[\"'(\[“‘]*)(?P<core>.*?)(?P<close>[\"')\]”’,;:!?…]*\.?[\"')\]”’]*)", re.DOTALL)
_DIALLED = re.compile(r"\+?\(?\d[\d()./-]*\d\)?|\d")
# Decimals, thousands, dates, spans of years: quantities, however many digits they have.
_QUANTITY = re.compile(
    r"\d+[.,]\d{1,2}|\d{1,3}(?:[.,]\d{3})+(?:[.,]\d+)?|\d{1,4}([./-])\d{1,2}\1\d{1,4}|(?:1[89]|20)\d\d[-/](?:1[89]|20)?\d\d"
)
_MARK = re.compile(r"[,;:!?.…]")
_AMOUNT = re.compile(r"(?P<sign>[$£€])(?P<whole>\d{1,3}(?:[,.]\d{3})*|\d+)(?:[.,](?P<part>\d{2}))?|"
                     r"(?P<whole2>\d{1,3}(?:[,.]\d{3})*|\d+)(?:[.,](?P<part2>\d{2}))?(?P<sign2>[$£€])")  # fmt: skip
_TIME = re.compile(r"(\d{1,2}):([0-5]\d)")
_PERCENT = re.compile(r"([-+]?\d+(?:[.,]\d+)?)%")
_DEGREES = re.compile(r"([-+]?\d+(?:[.,]\d+)?)°([CF])?")
_NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)?")
_ADDRESS = re.compile(
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?:https?://)?(?:www\.)?[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}(?:/[\w./-]*)?"
)
_HALF_DAY = re.compile(r"([ap])\.?m\.?", re.IGNORECASE)


def aloud(text: str, language: str = "en") -> list[str]:
    """What each word of ``text`` (as ``text.split()`` has them) is said as. Words that are said as they are written are
    given back as they are; none becomes empty."""
    code = language.lower().split("-")[0]
    words = _LANGUAGES.get(code)
    written = text.split()
    if words is None:
        return written
    dialled = _dialled(written)
    return [
        _spelled(written[at], words, more=dialled[at]) if at in dialled else _say(written, at, words, code)
        for at in range(len(written))
    ]


def _dialled(written: Sequence[str]) -> dict[int, bool]:
    """The words that are part of a number to be dialled or typed; and whether more of it follows."""
    found: dict[int, bool] = {}
    run: list[int] = []
    for at in range(len(written) + 1):
        _, core, after = _core(written[at]) if at < len(written) else ("", "", "")
        if _DIALLED.fullmatch(core) and not _QUANTITY.fullmatch(core):
            run.append(at)
            if not _MARK.search(after):
                continue  # the run may go on
        joined = "".join(_core(written[one])[1] for one in run)
        digits = sum(character.isdecimal() for character in joined)
        if digits >= DIGITS_SPELLED or (digits > 1 and joined[0] in "+0"):
            found.update({one: one != run[-1] for one in run})
        run = []
    return found


def _core(word: str) -> tuple[str, str, str]:
    match = _WORD.fullmatch(word)
    return (match["open"], match["core"], match["close"]) if match else ("", word, "")


def _say(written: Sequence[str], at: int, words: Words, code: str) -> str:
    word = written[at]
    before, core, after = _core(word)
    whole = _abbreviation(written, at, words, code)
    if whole is not None:
        return whole
    if amount := _AMOUNT.fullmatch(core):
        return f"{before}{_amount(amount, words)}{after}"
    if time := _TIME.fullmatch(core):
        hour, minute = int(time[1]), time[2]
        said = (
            str(hour) if minute == "00" else f"{hour} {minute.removeprefix('0') if code != 'en' else _minutes(minute)}"
        )
        return f"{before}{said}{after}"
    if percent := _PERCENT.fullmatch(core):
        return f"{before}{percent[1]} {words.percent}{after}"
    if degrees := _DEGREES.fullmatch(core):
        scale = {"C": " Celsius", "F": " Fahrenheit", None: ""}[degrees[2]]
        return f"{before}{degrees[1]} {words.degrees}{scale}{after}"
    if _ADDRESS.fullmatch(core):
        return f"{before}{_address(core, words)}{after}"
    if core in words.units and at and _NUMBER.fullmatch(_core(written[at - 1])[1]):
        return f"{before}{words.units[core]}{after}"
    return word


def _minutes(minute: str) -> str:
    return f"oh {minute[1]}" if minute[0] == "0" else minute


def _spelled(word: str, words: Words, *, more: bool) -> str:
    """Digit by digit, in the groups in which it is written."""
    _, core, after = _core(word)
    groups = ", ".join(" ".join(group) for group in re.findall(r"\d+", core))
    mark = _MARK.search(after)
    end = mark[0] if mark else "," if more else ""
    return f"{words.plus} {groups}{end}" if core.startswith("+") else f"{groups}{end}"


def _amount(match: re.Match[str], words: Words) -> str:
    whole = re.sub(r"[,.]", "", match["whole"] or match["whole2"])
    part, sign = match["part"] or match["part2"], match["sign"] or match["sign2"]
    main, hundredth = words.currencies[sign]
    main = main.removesuffix("s") if whole == "1" and main.endswith("s") else main
    if not part or part == "00":
        return f"{whole} {main}"
    if not hundredth:
        return f"{whole} {main} {int(part)}"
    return f"{whole} {main} {words.and_} {int(part)} {hundredth}"


def _address(core: str, words: Words) -> str:
    core = re.sub(r"^https?://", "", core).rstrip("/")
    core = re.sub(r"^www\.", f"w w w {words.dot} ", core)
    for sign, said in (("@", words.at), (".", words.dot), ("/", words.slash), ("-", words.dash)):
        core = core.replace(sign, f" {said} ")
    return " ".join(core.replace("_", " ").split())


def _abbreviation(written: Sequence[str], at: int, words: Words, code: str) -> str | None:
    """The whole word for one that is cut short; None if it is none."""
    word = written[at]
    bare = word.rstrip(",;:!?")
    mark = word[len(bare) :]
    following = written[at + 1] if at + 1 < len(written) else ""
    lower = bare.lower()
    if lower in ("no.", "nr.", "n°", "nº") and words.number and following[:1].isdecimal():
        return words.number + mark
    if code == "en":
        if (half := _HALF_DAY.fullmatch(bare)) and at and _core(written[at - 1])[1].replace(":", "").isdecimal():
            return f"{half[1].upper()} M" + (mark or ("" if following and not following[:1].isupper() else "."))
        if lower in ("dr.", "st."):
            name_follows = following[:1].isupper()
            title, street = ("Doctor", "Drive") if lower == "dr." else ("Saint", "Street")
            after_name = bool(at) and written[at - 1][:1].isupper() and not name_follows
            end = "" if following or mark else "."
            return (street + end if after_name else title if name_follows else bare) + mark
    said = words.abbreviations.get(lower)
    if said is None:
        return None
    return said + (mark or ("." if not following and bare.endswith(".") else ""))
