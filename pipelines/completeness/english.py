"""English words by what they ask for next. The closed classes are whole; of verbs, the everyday ones are here."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


class Tag(Enum):
    NOUN = "noun"  # and every word that is not known
    DETERMINER = "determiner"
    ADJECTIVE = "adjective"  # one that usually stands before its noun
    NUMBER = "number"
    SUBJECT = "subject"  # a pronoun that is only a subject
    PRONOUN = "pronoun"  # one that may be subject or object
    OBJECT = "object"  # one that is only an object
    BE = "be"
    HAVE = "have"
    MODAL = "modal"  # and "do": a verb in its base form follows
    VERB = "verb"
    TO = "to"
    PREPOSITION = "preposition"
    PARTICLE = "particle"  # a preposition, or the second half of a verb: "turn it on"
    AND = "and"
    BUT = "but"  # joins clauses, not nouns
    SUBORDINATOR = "subordinator"  # opens a clause, never ends one
    THAN = "than"  # opens a clause or a phrase: "before we start", "before noon"
    THAT = "that"
    WH = "wh"
    NOT = "not"
    VERY = "very"  # an adjective follows
    ADVERB = "adverb"  # may stand between subject and verb
    TIME = "time"  # stands by itself: "today", "here"
    ASIDE = "aside"  # belongs to no clause: "yes", "please", "um"

    __hash__ = object.__hash__  # several look-ups for each word of a call: by identity, which is fast


class Needs(Enum):
    """What a verb asks for."""

    NOTHING = ""
    OBJECT = "object"  # "I need"
    SECOND = "second"  # a person is not enough: "send me"
    CLAUSE = "clause"  # "I think"
    PLACE = "place"  # "I live"
    KNOWING = "knowing"  # an object, unless denied: "I don't know"
    VERB = "verb"  # after its object: "let me"
    LITTLE = "little"  # often nothing at all: "it works", "what happened"


class Form(Enum):
    BASE = "base"
    S = "s"
    PAST = "past"
    ING = "ing"


class Word(NamedTuple):
    tag: Tag
    needs: Needs = Needs.NOTHING
    form: Form = Form.BASE


_CLASSES: dict[Tag, str] = {
    Tag.DETERMINER: "a an the my your our their his its every each another any these those whose several many 's",
    Tag.ADJECTIVE: (
        "new old big large small little long short good bad nice great better best next last first second third other "
        "whole different double single own main real right wrong right-hand left-hand free full cheap cheaper early "
        "high low bigger smaller larger longer shorter faster newer older black white red blue green yellow brown "
        "extra certain particular electric young"
    ),
    Tag.SUBJECT: "i he she we they",
    Tag.PRONOUN: (
        "you it this there someone somebody anyone anybody everyone everybody nobody something anything everything"
    ),
    Tag.OBJECT: (
        "me him her us them myself yourself himself herself itself ourselves themselves mine yours ours theirs hers"
    ),
    Tag.BE: "'is am is are was were be been being 'm 're isn't aren't wasn't weren't ain't gonna",
    Tag.HAVE: "have has had having 've haven't hasn't hadn't",
    Tag.MODAL: (
        "do does did don't doesn't didn't will would can could should shall may might must won't wouldn't can't cannot "
        "couldn't shouldn't mustn't 'll 'd let's needn't wanna gotta"
    ),
    Tag.TO: "to",
    Tag.PREPOSITION: (
        "of at for from with into onto about against between during without towards toward under beside besides behind "
        "near via per except among inside outside opposite despite regarding concerning including past within"
    ),
    Tag.PARTICLE: "in on up out off down over back away around through along across by forward",
    Tag.AND: "and or nor plus",
    Tag.BUT: "but so",
    Tag.SUBORDINATOR: "because if although though unless whereas whether 'cause cause provided",
    Tag.THAN: "since until till before after while as than like once",
    Tag.THAT: "that",
    Tag.WH: "what where when why how who whom which whatever whenever wherever whoever whichever",
    Tag.NOT: "not never",
    Tag.VERY: "very quite extremely too rather fairly incredibly slightly",
    Tag.ADVERB: (
        "always usually often sometimes probably actually really just only also even still already definitely "
        "certainly maybe perhaps basically currently recently normally simply almost nearly hardly ever kindly"
    ),
    Tag.TIME: (
        "earlier later today tomorrow tonight yesterday now here then soon again anymore yet anyway instead together "
        "home enough once twice everywhere somewhere anywhere anytime online abroad upstairs downstairs ago else well"
    ),
    Tag.ASIDE: (
        "yes yeah yep no nope okay ok please thanks hello hi hey sorry oh ah um uh er erm hmm hm mm mhm bye "
        "goodbye huh wow"
    ),
    Tag.NUMBER: (
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
        "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million zero half "
        "quarter few couple dozen"
    ),
}

_VERBS: dict[Needs, str] = {
    Needs.OBJECT: (
        "want need put/put love prefer book make take/took/taken cancel change get/got find/found use order "
        "buy/bought reserve schedule confirm arrange add remove block report return receive replace update "
        "bring/brought keep/kept lose/lost require request include hold/held set/set choose/chose pick collect "
        "contact discuss mention enter explain describe expect see/saw/seen hear/heard reach rent activate transfer "
        "withdraw/withdrew deposit repair spend/spent fix reset check provide create hate verify share drop upgrade "
        "extend recommend suggest allow avoid enjoy forget/forgot deliver"
    ),
    Needs.SECOND: "give/gave/given send/sent tell/told show lend/lent offer ask owe promise email text",
    Needs.CLAUSE: "think/thought hope guess suppose wonder believe say/said assume mean/meant reckon notice realise",
    Needs.PLACE: "live belong",
    Needs.KNOWING: "know/knew/known understand/understood remember",
    Needs.VERB: "let/let",
    Needs.LITTLE: "work arrive happen close finish fail die matter depend expire agree print ring/rang end",
    Needs.NOTHING: (
        "come/came go/went/gone call help stop wait steal/stole/stolen start try leave/left open pay move sound look "
        "talk speak/spoke/spoken listen stay sit/sat stand/stood drive/drove ride park fly/flew walk run/ran turn "
        "break/broke/broken read write/wrote sleep/slept eat/ate drink/drank cost/cost begin/began "
        "hang/hung wake/woke play pass sell/sold feel/felt meet/met charge seem "
        "appear apply register sign complain spell repeat care count follow"
    ),
}

_CONTRACTED = ("'m", "'re", "'ve", "'ll", "'d")
_IS = _set("it that this there here what where when who how he she everything something nothing somebody someone")

PLURALS = frozenset({"people", "children", "men", "women"})
"""Without an s; a verb in its base form may follow a plural."""

TIME_NOUNS = _set(
    "day week month year morning afternoon evening night time moment monday tuesday wednesday thursday friday "
    "saturday sunday weekend minute hour days weeks months years minutes hours"
)
"""A subject may follow one without more ado: "the other day I called"."""

OF_NOUNS = _set("end middle beginning kind sort type piece couple pair rest front lack")
"""Nouns that ask for "of" and another one."""

NUMBERED = _set("room page platform gate flat apartment unit number extension")
"""Without an article, a number follows."""

TITLES = _set("mr mrs ms miss mister doctor dr professor saint")
"""Before a name, unless an article stands before them: "the doctor"."""

DEGREES = _set("soon long much many far quickly early late well good little often")
"""After "as", they ask for another one: "as soon as"."""

UNCOUNTED = frozenset({"o'clock", "percent", "people", "children", "men", "women", "hundred", "pm"})
"""Singular in form after a number; other nouns are plural there, or names: "twelve Baker"."""

TENS = _set("twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million half quarter")
"""Numbers that often are the beginning of a longer one, or of an hour: "at half"."""

PHRASAL = _set(
    "come came go going went gone turn turned pick put call calling move moved check checking hang get got give "
    "sign log break broke find take set send sent ring wake pay look bring try drop fill"
)
"""Verbs that "in" and "on" complete: "come in", "turn it on"."""

ALONE = _set("up out off down over back away around through forward along")
"""Of the particles, those that need no noun after a verb."""

ADMITTING = _set("let lets letting")
"""With "in" after a person, they are whole: "it does not let me in"."""

PERCEIVING = _set("hear understand")
"""A person is all that they need: "can you hear me"."""

INDEFINITE = _set("someone somebody anyone anybody")
"""Like "a table", they rather go on: "to somebody in sales"."""

FINAL = _set("already sometimes usually normally")
"""Adverbs that may stand at the end."""

COMPARATIVES = _set("cheaper bigger smaller larger longer shorter faster newer older better")
"""Need no noun after "a little"."""

COLOURS_AND_SIZES = _set("large small black white red blue green yellow brown full")
"""Need no noun after "in"."""

MONTHS = _set("january february march april may june july august september october november december")

DAYTIMES = _set("morning afternoon evening")

GAPS = _set("what which who whom whatever whichever whoever")
"""Question words that may be the object that a verb further on lacks: "What do you need?"."""

_ADJECTIVE_ENDINGS = ("al", "ic", "ous", "ful", "ive", "able", "ible", "less", "ish", "est")
_NOUNS_LIKE_ADJECTIVES = _set(
    "hospital arrival approval clinic traffic music terminal proposal renewal deal meal capital manual table cable "
    "vegetable drive withdrawal referral total trial rental guest request rest interest test chest pest goal "
    "mechanic fabric topic logic email animal journal festival rehearsal dial mail pal"
)

AT_TIMES = frozenset({"at", "by", "after", "before", "until", "past", "to", "till"})
"""A number after one of these is an hour, and may end the clause."""

CLAUSE_LIKE = _set("possible necessary available needed")
"""After "if", they are a clause."""

POSSESSIVES = _set("my our your his her their")
"""A noun alone with one of these in front is the subject of what follows: "my car"."""

DEFINITE = _set("the my your our their his her its this that these those no")
"""An object that begins with one of these may be the last word; "a table" rather goes on."""

CONTRACTED = frozenset({"'is", "'m", "'re", "'ve", "'ll", "'d"})
"""Auxiliaries that never end a clause."""

COMPLEMENT_TAKERS = _set(
    "calling looking trying hoping wondering planning thinking asking going having using interested supposed able due "
    "willing ringing phoning born located based called named allergic aware familiar worried"
)
"""After a form of "be", these want more: "I'm calling"."""

_UNKNOWN = Word(Tag.NOUN)
_ED = Word(Tag.VERB, Needs.NOTHING, Form.PAST)
_ING = Word(Tag.VERB, Needs.NOTHING, Form.ING)
_LY = Word(Tag.ADVERB)
_NOT_ADVERBS = _set("family italy reply supply daily weekly monthly assembly apply rely friendly lovely likely elderly")


def _inflected(verb: str) -> list[tuple[str, Form]]:
    base, *past = verb.split("/")
    stem = base[:-1] if base.endswith("e") and base != "see" else base
    if base[-1] in "bdgpt" and base[-2] in "aeiou" and base[-3:-2] not in "aeiou":
        stem += base[-1]
    elif base.endswith("y") and base[-2] not in "aeou":
        return [(base, Form.BASE), (base[:-1] + "ies", Form.S), (base + "ing", Form.ING)] + [
            (form, Form.PAST) for form in past or [base[:-1] + "ied"]
        ]
    s = base + ("es" if base.endswith(("s", "sh", "ch", "x", "o")) else "s")
    return [
        *((form, Form.PAST) for form in past or [stem + "ed"]),
        (s, Form.S),
        (stem + "ing", Form.ING),
        (base, Form.BASE),
    ]


def _lexicon() -> dict[str, Word]:
    known: dict[str, Word] = {}
    for needs in reversed(Needs):
        for verb in _VERBS.get(needs, "").split():
            for form, kind in _inflected(verb):
                known[form] = Word(Tag.VERB, needs, kind)
    known["doing"] = Word(Tag.VERB, Needs.OBJECT, Form.ING)
    known["done"] = Word(Tag.VERB, Needs.NOTHING, Form.PAST)
    for tag, listed in _CLASSES.items():
        known.update((word, Word(tag)) for word in listed.split())
    return known


LEXICON = _lexicon()


def tagged(word: str) -> Word:
    known = LEXICON.get(word)
    if known is not None:
        return known
    if word[0].isdigit():
        return Word(Tag.NUMBER) if word.isdigit() else _UNKNOWN
    if len(word) > 4 and word.endswith("ed"):
        return _ED
    if len(word) > 5 and word.endswith("ing"):
        return _ING
    if len(word) > 4 and word.endswith("ly") and word not in _NOT_ADVERBS:
        return _LY
    return _UNKNOWN


def looks_attributive(word: str) -> bool:
    """Whether an unknown word after an article has the shape of an adjective: its noun is still to come."""
    return len(word) > 4 and word.endswith(_ADJECTIVE_ENDINGS) and word not in _NOUNS_LIKE_ADJECTIVES


def parted(words: list[str]) -> list[str]:
    """Contractions as two words ("i'm": "i", "'m"); "'s" as "is" where it is one, else as a possessive."""
    parts: list[str] = []
    for word in words:
        if "'" not in word or word in LEXICON:
            parts.append(word)
            continue
        head, _, tail = word.rpartition("'")
        suffix = "'" + tail
        if suffix in _CONTRACTED and head:
            parts += (head, suffix)
        elif suffix == "'s" and head in _IS:
            parts += (head, "'is")
        elif suffix in ("'s", "'") and head:
            parts += (head, "'s")
        else:
            parts.append(word)
    return parts
