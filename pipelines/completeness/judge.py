"""Whether the caller's words so far are a whole turn."""

from __future__ import annotations

from pipelines.completeness.clause import Clause
from pipelines.completeness.dictation import dictated
from pipelines.completeness.endings import elliptic, judged
from pipelines.completeness.english import parted
from pipelines.completeness.judgement import Expects, Judgement
from pipelines.completeness.languages import ENGLISH, LANGUAGES, Language
from pipelines.completeness.tokens import BREAK, words

LONGEST_PHRASE = 4
"""Words of the longest filler or courtesy."""

CLOSINGS = frozenset({"please", "thanks", "thank you", "bye", "goodbye", "thank you very much", "thanks a lot"})
"""May follow a whole request; what stands before one is judged without it."""

NAMING = (["name", "is"], ["this", "is"])
"""After these, one word may be half a name."""

OPENERS = frozenset(
    {"please", "great", "perfect", "okay", "ok", "right", "fine", "sure", "excellent", "lovely", "sorry", "so", "hey"}
)
"""Alone, and if nothing was asked that they answer, they begin a sentence rather than being one."""

_NOTHING = Judgement("uncertain", "nothing")
_FILLER = Judgement("open", "filler")
_COURTESY = Judgement("complete", "courtesy")
_SHORT_ANSWER = Judgement("complete", "short_answer")
_SENTENCE = Judgement("complete", "sentence_end")
_TRAILING_WORD = Judgement("open", "trailing_word")
_TRAILING_MARK = Judgement("uncertain", "trailing_mark")
_FRAGMENT = Judgement("uncertain", "fragment")
_NAME = Judgement("uncertain", "name")
_UNKNOWN = Judgement("uncertain", "unknown_language")


def judge(text: str, *, expects: Expects = "free", language: str = "en", digits: int | None = None) -> Judgement:
    """Judge what a recogniser has of a turn so far.

    A full stop at its end counts for nothing: recognisers put one after anything. ``expects`` is what the agent asked
    for, see :func:`pipelines.completeness.asks`; ``digits`` is how many it asked for, where that is known.
    ``language`` is a tag as "en-GB"; of a language that is not known, only numbers are judged.
    """
    tokens = words(text)
    if not tokens:
        return _NOTHING
    known = LANGUAGES.get(language.lower().replace("_", "-").split("-")[0])
    number = dictated(tokens, known or ENGLISH, expects, digits)
    if number is not None and (known is not None or number.reason.startswith("digits")):
        return number
    if known is None:
        return _UNKNOWN
    found = _english(tokens, expects) if known is ENGLISH else _by_tables(tokens, known, expects)
    return _marked(found, text.rstrip())


def _english(tokens: list[str], expects: Expects) -> Judgement:
    if _phrase_at_end(tokens, ENGLISH.fillers):
        return _FILLER
    begun = _last_break(tokens)
    sentence = tokens[begun:]
    opened = _courtesies(sentence, ENGLISH)
    rest = sentence[opened:]
    if not rest:
        return _COURTESY if _is_answer(sentence, expects) else _FRAGMENT
    closed = _phrase_at_end(rest, CLOSINGS)
    if closed:
        rest = rest[: -closed - 1] if rest[-closed - 1 : -closed] == ["and"] else rest[:-closed]
        if not rest:
            return _COURTESY  # "and goodbye"
    clause = Clause(later=begun > 0)
    clause.take_all(parted(_fluent(rest)))
    found = judged(clause)
    if sentence[0] in ENGLISH.answers and opened and elliptic(clause):
        return _SHORT_ANSWER
    if found.kind == "complete" and (rest[-3:-1] in NAMING or rest[-2:-1] == ["name's"]):
        return _NAME
    if found.kind == "uncertain" and (closed or expects == "yes_no"):
        return _SHORT_ANSWER
    return found


def _by_tables(tokens: list[str], language: Language, expects: Expects) -> Judgement:
    if _phrase_at_end(tokens, language.fillers):
        return _FILLER
    sentence = tokens[_last_break(tokens) :]
    rest = sentence[_courtesies(sentence, language) :]
    if not rest:
        return _COURTESY
    held = rest[-1] in language.verbs and language.openers.isdisjoint(rest[:-1])
    if held or rest[-1] in language.trailing:
        return _TRAILING_WORD
    if len(rest) < len(sentence) and expects == "yes_no":
        return _SHORT_ANSWER
    return _FRAGMENT


def _marked(found: Judgement, text: str) -> Judgement:
    """What the recogniser's last mark adds: it may take certainty away, or give it to a question, but not to an open
    text."""
    if found.kind == "complete" and text.endswith((",", ";", ":", "-", "–", "—", "…", "..")):
        return _TRAILING_MARK
    if found.kind == "uncertain" and text.endswith("?") and found.reason in ("fragment", "may_continue"):
        return _SENTENCE
    return found


def _last_break(tokens: list[str]) -> int:
    """Where the last sentence begins, by the recogniser's marks."""
    return len(tokens) - tokens[::-1].index(BREAK) if BREAK in tokens else 0


def _courtesies(tokens: list[str], language: Language) -> int:
    """How many words at the beginning are greetings, thanks, yes or no, and "um"."""
    at = 0
    while at < len(tokens):
        length = next(
            (
                length
                for length in range(min(LONGEST_PHRASE, len(tokens) - at), 0, -1)
                if _is_courtesy(tokens[at : at + length], language, last=at + length == len(tokens))
            ),
            0,
        )
        if not length:
            break
        at += length
    return at


def _is_answer(courtesies: list[str], expects: Expects) -> bool:
    """Whether courtesies are all that is to be said: "great" often begins a sentence, "no" and "goodbye" do not."""
    return expects == "yes_no" or " ".join(courtesies) not in OPENERS


def _is_courtesy(words: list[str], language: Language, *, last: bool) -> bool:
    phrase = " ".join(words)
    if not last and words[0] in ("i", "that", "that's"):
        return False  # "that's all I needed"
    if not last and words[-1] in ("look", "check"):
        return False  # "let me look at my calendar"
    return any(phrase in known for known in (language.courtesies, language.answers, language.fillers))


def _fluent(tokens: list[str]) -> list[str]:
    """Without "uh", and "can I, can I get" is said once."""
    tokens = [token for token in tokens if token not in ENGLISH.fillers]
    if len(set(tokens)) == len(tokens):
        return tokens
    kept: list[str] = []
    at = 0
    while at < len(tokens):
        length = next((n for n in (3, 2, 1) if tokens[at : at + n] == tokens[at + n : at + 2 * n]), 0)
        kept += tokens[at : at + 1] if not length else []
        at += length or 1
    return kept


def _phrase_at_end(tokens: list[str], phrases: frozenset[str]) -> int:
    """How many words at the end are one of ``phrases``; the longest one."""
    for length in range(min(LONGEST_PHRASE, len(tokens)), 0, -1):
        if " ".join(tokens[-length:]) in phrases:
            return length
    return 0
