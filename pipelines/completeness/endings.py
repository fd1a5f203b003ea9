"""Whether the words that a clause has taken could be all of it."""

from __future__ import annotations

from pipelines.completeness.clause import AUXILIARIES, Clause, Expected
from pipelines.completeness.english import (
    ALONE,
    AT_TIMES,
    CONTRACTED,
    DAYTIMES,
    FINAL,
    INDEFINITE,
    LEXICON,
    MONTHS,
    PERCEIVING,
    POSSESSIVES,
    TENS,
    UNCOUNTED,
    Form,
    Needs,
    Tag,
)
from pipelines.completeness.judgement import Judgement

SHORT = 5
"""In fewer words than these, a pronoun is rarely the last one: "please call me"."""

LONG = 8
"""After so many words, a bare verb or object may well be the end."""

_CORE = frozenset({Tag.VERB, Tag.HAVE, Tag.OBJECT, Tag.PRONOUN, Tag.MODAL})
_JOINING = frozenset({Tag.PREPOSITION, Tag.PARTICLE, Tag.TO, Tag.THAN, Tag.AND})
_OPEN_WORD = Judgement("open", "trailing_word")
_OPEN_NOUN = Judgement("open", "missing_noun")
_OPEN_VERB = Judgement("open", "missing_verb")
_OPEN_OBJECT = Judgement("open", "missing_object")
_OPEN_CLAUSE = Judgement("open", "missing_clause")
_NUMBER = Judgement("uncertain", "number")
_FRAGMENT = Judgement("uncertain", "fragment")
_THIN = Judgement("uncertain", "may_continue")
_ANSWER = Judgement("complete", "short_answer")
_COMPLETE = Judgement("complete", "sentence_end")


def elliptic(clause: Clause) -> bool:
    """Whether it is a subject and an auxiliary: "I do", "it isn't", "I'm not"; but never "I'm"."""
    denied = clause.last is Tag.NOT
    auxiliary = clause.prior if denied else clause.last
    short = clause.verbs == 1 and clause.verb is None and not clause.noun_first
    return short and auxiliary in AUXILIARIES and (denied or clause.word not in CONTRACTED)


def judged(clause: Clause) -> Judgement:
    if _stranded(clause):
        return _COMPLETE
    match clause.expected:
        case Expected.NOUN:
            return _OPEN_NOUN if clause.last is Tag.ADJECTIVE else _OPEN_WORD
        case Expected.ANYTHING:
            return _OPEN_WORD
        case Expected.OBJECT | Expected.SECOND:
            return _OPEN_OBJECT
        case Expected.CLAUSE:
            return _OPEN_CLAUSE
        case Expected.VERB | Expected.SUBJECT | Expected.PREDICATE:
            return _OPEN_WORD if clause.last is Tag.TO or clause.last in AUXILIARIES else _OPEN_VERB
        case Expected.NOTHING:
            return _satisfied(clause)


def _stranded(clause: Clause) -> bool:
    """Whether what the last word asks for stands before it: "Who am I speaking to", "tell me where it is"."""
    if clause.expected is Expected.NOTHING or clause.subject_pending:
        return False
    match clause.last:
        case Tag.PREPOSITION | Tag.PARTICLE | Tag.TO:
            if clause.word == "for" and clause.prior is Tag.NOUN:
                return clause.question == "what" and clause.inverted  # "What is this charge for"
            takes_none = clause.verb is None or clause.verb.needs in (Needs.NOTHING, Needs.LITTLE)
            left = clause.prior in (Tag.VERB, Tag.PRONOUN, Tag.OBJECT, Tag.PARTICLE)
            whence = clause.question == "where" and clause.word == "from"
            return (clause.gap or whence) and takes_none and left and clause.word != "of"
        case Tag.HAVE:
            return clause.gap and clause.word not in CONTRACTED
        case Tag.BE:
            return clause.asked_within and clause.word not in CONTRACTED and clause.verbs > 1
        case _:
            return False


def _satisfied(clause: Clause) -> Judgement:
    if clause.subject_pending and not _is_date(clause):
        return _OPEN_VERB
    if clause.main_pending:
        return _OPEN_CLAUSE
    if clause.last is Tag.NUMBER and not _number_may_end(clause):
        return _NUMBER
    if not clause.verbs and clause.opening in POSSESSIVES and clause.last is Tag.NOUN and clause.phrase_after is None:
        return _OPEN_VERB  # "my car"
    if not clause.verbs and clause.hour and clause.word in DAYTIMES:
        return _ANSWER  # "three o'clock in the afternoon"
    if not clause.verbs or clause.coordinated:
        return _FRAGMENT
    return _THIN if _thin(clause) else _COMPLETE


def _is_date(clause: Clause) -> bool:
    """Whether it ends in a date that may be all that was thought, or meant: "I meant the second of May"."""
    thought = clause.verb is not None and clause.verb.needs is Needs.CLAUSE
    return thought and clause.before == "of" and clause.word in MONTHS


def _number_may_end(clause: Clause) -> bool:
    """An hour, a year, the number of a room."""
    if clause.prior is Tag.NOUN or (len(clause.word) == 4 and clause.word.isdigit()):
        return True
    return clause.before in AT_TIMES and clause.word not in TENS


def _thin(clause: Clause) -> bool:
    """Whether it ends in the bare verb, or its bare object: then something more follows four times of five."""
    short = clause.taken < LONG
    match clause.last:
        case Tag.VERB:
            if clause.verb is not None and clause.verb.needs in (Needs.LITTLE, Needs.KNOWING):
                return False  # "It works", "I don't know"
            if clause.embedded and clause.gap:
                return False  # "the job you advertised"
            if clause.prior is Tag.BE and clause.verb is not None and clause.verb.form is Form.PAST:
                return short  # "and one of the glasses was broken"
            return short or not (clause.embedded or clause.gap or (clause.question and clause.inverted))
        case Tag.PRONOUN | Tag.OBJECT:
            if clause.word in INDEFINITE:
                return short and clause.verbs == 1
            # "How are you", "what time is it", "can you hear me"
            asked = clause.question and clause.verb is None and (clause.inverted or clause.prior is Tag.BE)
            whole = asked or clause.before in PERCEIVING
            return clause.taken < SHORT and not (clause.prior in _JOINING or clause.embedded or whole)
        case Tag.ADVERB:
            return clause.word in LEXICON and clause.word not in FINAL
        case Tag.PARTICLE:
            if clause.prior is Tag.OBJECT and clause.verb is not None and clause.verb.needs is Needs.VERB:
                return False  # "let me in"
            return (short and clause.verbs == 1) or clause.word not in ALONE
        case Tag.NOUN:
            return _thin_noun(clause, short=short)
        case _:
            return False


def _thin_noun(clause: Clause, *, short: bool) -> bool:
    if clause.prior is Tag.NUMBER and clause.before != "one" and clause.before not in TENS:
        return not (clause.word.endswith("s") or clause.word in UNCOUNTED)  # "twelve Baker"
    if clause.verbs > 1 and not short:
        return False
    match clause.phrase_after:
        case Tag.VERB if clause.inverted and clause.verbs == 1 and short:
            return True  # "Can I move my appointment"
        case Tag.BE if clause.determined and clause.verbs == 1 and short and not clause.inverted:
            return not clause.question  # "It's the building"
        case Tag.TO:
            return short and not (clause.determined or clause.inverted)  # "I need somebody to look"
        case after:
            return after in _CORE and not clause.definite
