"""A shallow look at an English clause, word by word: what must still come before it could be over.

No grammar, but its closed classes and the needs of everyday verbs: an article needs a noun, a subject a verb, "need" an
object, "if" a clause and then another one. What is not known is taken for a noun, or for a verb where only one fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import ClassVar

from pipelines.completeness.english import (
    ALONE,
    AT_TIMES,
    CLAUSE_LIKE,
    COMPLEMENT_TAKERS,
    CONTRACTED,
    DEFINITE,
    DEGREES,
    GAPS,
    LEXICON,
    NUMBERED,
    OF_NOUNS,
    PHRASAL,
    PLURALS,
    TENS,
    TIME_NOUNS,
    TITLES,
    UNCOUNTED,
    Form,
    Needs,
    Tag,
    Word,
    looks_attributive,
    tagged,
)
from pipelines.completeness.judgement import Judgement

SHORT = 5
"""In fewer words than these, a pronoun is rarely the last one: "please call me"."""

LONG = 8
"""After so many words, a bare verb or object may well be the end."""


class Expected(Enum):
    """What the words so far ask for."""

    NOTHING = "nothing"
    NOUN = "noun"  # after an article, an adjective, a preposition
    VERB = "verb"  # after "to", "can", "I"
    OBJECT = "object"
    SECOND = "second"  # after "tell me"
    PREDICATE = "predicate"  # after "is"
    CLAUSE = "clause"
    ANYTHING = "anything"  # after "and", "not", "very"
    SUBJECT = "subject"  # after "can", at the beginning of a question


_E = Expected
_AUXILIARIES = {Tag.BE: _E.PREDICATE, Tag.HAVE: _E.OBJECT, Tag.MODAL: _E.VERB}
_BEFORE_NOUN = frozenset({Tag.DETERMINER, Tag.ADJECTIVE, Tag.NUMBER})
_PHRASE = _BEFORE_NOUN | {Tag.NOUN}
_BEFORE_OBJECT = frozenset({Tag.VERB, Tag.PARTICLE, Tag.PREPOSITION, Tag.TO, Tag.BE, Tag.HAVE, Tag.MODAL, Tag.OBJECT})
_JOINING = frozenset({Tag.PREPOSITION, Tag.PARTICLE, Tag.TO, Tag.THAN, Tag.AND})
_OPENING_CLAUSE = frozenset({Tag.SUBORDINATOR, Tag.THAT, Tag.WH, Tag.BUT, Tag.AND, Tag.THAN})
_CORE = frozenset({Tag.VERB, Tag.HAVE, Tag.OBJECT, Tag.PRONOUN, Tag.MODAL})
_BEFORE_MAY = frozenset({Tag.PREPOSITION, Tag.PARTICLE, Tag.NUMBER, Tag.ADJECTIVE, Tag.TO})

_OPEN_WORD = Judgement("open", "trailing_word")
_OPEN_NOUN = Judgement("open", "missing_noun")
_OPEN_VERB = Judgement("open", "missing_verb")
_OPEN_OBJECT = Judgement("open", "missing_object")
_OPEN_CLAUSE = Judgement("open", "missing_clause")
_NUMBER = Judgement("uncertain", "number")
_FRAGMENT = Judgement("uncertain", "fragment")
_THIN = Judgement("uncertain", "may_continue")
_COMPLETE = Judgement("complete", "sentence_end")


class Clause:
    """Feed it words with :meth:`take`; :meth:`judgement` says whether they could be all.

    ``later``: it is not the first sentence of its turn, so that "because I moved" has what it belongs to.
    """

    def __init__(self, *, later: bool = False) -> None:
        self._later = later
        self._expected = _E.NOTHING
        self._after_subject = _E.NOTHING  # what is expected once the question that has begun has its subject
        self._subject_pending = False  # a subject, or "because", waits for its verb
        self._main_pending = False  # what stands in front ("if ...", "the man I ...") waits for the main clause
        self._gap = False  # an object may be lacking: "what do you need", "the job you advertised"
        self._inverted = False  # a question by its order of words
        self._negated = False
        self._embedded = False  # the last clause hangs on another one
        self._coordinated = False  # "and the ...": perhaps the subject of another clause
        self._polite = False  # the word before was "please"
        self._question = ""  # the question word
        self._asked_within = False  # that stands inside: "tell me where"
        self._noun_first = False  # it began with a noun, perhaps the subject
        self._determined = self._definite = False  # the last noun phrase, by its first word
        self._phrase_after: Tag | None = None  # what stands before the last noun phrase
        self._verbs = 0  # finite ones
        self._verb: Word | None = None
        self._taken = 0
        self._word = self._before = ""  # the last two words, and what they were
        self._last: Tag | None = None
        self._prior: Tag | None = None

    def take(self, text: str) -> None:
        word = self._in_place(text, tagged(text))
        tag = self._READERS[word.tag](self, text, word)
        self._polite = text == "please"
        if tag is Tag.ASIDE:
            return
        if tag in _PHRASE and self._last not in _PHRASE:
            self._phrase_after = self._last
            self._determined = tag is Tag.DETERMINER
            self._definite = text in DEFINITE
        if text in TIME_NOUNS and self._word in ("this", "that", "next", "last", "every", "any"):
            tag = Tag.TIME
        self._taken += 1
        self._prior, self._last = self._last, tag
        self._before, self._word = self._word, text

    def take_all(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.take(text)

    @property
    def elliptic(self) -> bool:
        """Whether it is a subject and an auxiliary: "I do", "it isn't", "I'm not"; but never "I'm"."""
        denied = self._last is Tag.NOT
        auxiliary = self._prior if denied else self._last
        short = self._verbs == 1 and self._verb is None and not self._noun_first
        return short and auxiliary in _AUXILIARIES and (denied or self._word not in CONTRACTED)

    # The judgement

    def judgement(self) -> Judgement:
        if self._stranded():
            return _COMPLETE
        match self._expected:
            case _E.NOUN:
                return _OPEN_NOUN if self._last is Tag.ADJECTIVE else _OPEN_WORD
            case _E.ANYTHING:
                return _OPEN_WORD
            case _E.OBJECT | _E.SECOND:
                return _OPEN_OBJECT
            case _E.CLAUSE:
                return _OPEN_CLAUSE
            case _E.VERB | _E.SUBJECT | _E.PREDICATE:
                return _OPEN_WORD if self._last is Tag.TO or self._last in _AUXILIARIES else _OPEN_VERB
            case _E.NOTHING:
                return self._satisfied()

    def _stranded(self) -> bool:
        """Whether what the last word asks for stands before it: "Who am I speaking to", "tell me where it is"."""
        if self._expected is _E.NOTHING or self._subject_pending:
            return False
        match self._last:
            case Tag.PREPOSITION | Tag.PARTICLE | Tag.TO:
                if self._word == "for" and self._prior is Tag.NOUN:
                    return self._question == "what" and self._inverted  # "What is this charge for"
                takes_none = self._verb is None or self._verb.needs in (Needs.NOTHING, Needs.LITTLE)
                left = self._prior in (Tag.VERB, Tag.PRONOUN, Tag.OBJECT, Tag.PARTICLE)
                whence = self._question == "where" and self._word == "from"
                return (self._gap or whence) and takes_none and left and self._word != "of"
            case Tag.HAVE:
                return self._gap and self._word not in CONTRACTED
            case Tag.BE:
                return self._asked_within and self._word not in CONTRACTED and self._verbs > 1
            case _:
                return False

    def _satisfied(self) -> Judgement:
        if self._subject_pending:
            return _OPEN_VERB
        if self._main_pending:
            return _OPEN_CLAUSE
        if self._last is Tag.NUMBER and not self._number_may_end():
            return _NUMBER
        if not self._verbs or self._coordinated:
            return _FRAGMENT
        return _THIN if self._thin() else _COMPLETE

    def _number_may_end(self) -> bool:
        """An hour, a year, the number of a room."""
        if self._prior is Tag.NOUN or (len(self._word) == 4 and self._word.isdigit()):
            return True
        return self._before in AT_TIMES and self._word not in TENS

    def _thin(self) -> bool:
        """Whether it ends in the bare verb, or its bare object: then something more follows four times of five."""
        short = self._taken < LONG
        match self._last:
            case Tag.VERB:
                if self._verb is not None and self._verb.needs in (Needs.LITTLE, Needs.KNOWING):
                    return False  # "It works", "I don't know"
                if self._embedded and self._gap:
                    return False  # "the job you advertised"
                return short or not (self._embedded or self._gap or (self._question and self._inverted))
            case Tag.PRONOUN | Tag.OBJECT:
                asked = self._question and self._inverted and self._verb is None  # "How are you"
                return self._taken < SHORT and not (self._prior in _JOINING or self._embedded or asked)
            case Tag.ADVERB:
                return self._word in LEXICON
            case Tag.PARTICLE:
                return (short and self._verbs == 1) or self._word not in ALONE
            case Tag.NOUN:
                return self._thin_noun(short=short)
            case _:
                return False

    def _thin_noun(self, *, short: bool) -> bool:
        if self._prior is Tag.NUMBER and self._before != "one" and self._before not in TENS:
            return not (self._word.endswith("s") or self._word in UNCOUNTED)  # "twelve Baker"
        if self._verbs > 1 and not short:
            return False
        match self._phrase_after:
            case Tag.VERB if self._inverted and self._verbs == 1 and short:
                return True  # "Can I move my appointment"
            case Tag.BE if self._determined and self._verbs == 1 and short and not self._inverted:
                return not self._question  # "It's the building"
            case Tag.TO:
                return short and not (self._determined or self._inverted)  # "I need somebody to look"
            case after:
                return after in _CORE and not self._definite

    # What each kind of word changes. Each method answers the tag that the word has in its place.

    def _in_place(self, text: str, word: Word) -> Word:
        """Of the uses that a word has, the one that fits."""
        match text:
            case "may" if self._last in _BEFORE_MAY or self._word[:1].isdigit():
                return Word(Tag.NOUN)
            case "like" | "miss" if self._expected is _E.VERB:
                return Word(Tag.VERB, Needs.OBJECT)
            case "do" if self._expected is _E.VERB and not self._subject_pending:
                return Word(Tag.VERB, Needs.OBJECT)
            case "so" if self._last is None:
                return Word(Tag.ASIDE)
            case "so" if self._last is Tag.AND or (self._last is Tag.VERB and self._expected is _E.CLAUSE):
                return Word(Tag.TIME)  # "I think so", "a week or so"
            case "past" if self._last is Tag.DETERMINER:
                return Word(Tag.NOUN)
            case "so" if self._last in _AUXILIARIES or (self._inverted and self._last is Tag.NOUN):
                return Word(Tag.VERY)
            case "no" if self._expected in (_E.OBJECT, _E.PREDICATE, _E.NOUN):
                return Word(Tag.DETERMINER)
            case "much" | "many" | "long" if self._word == "how":
                self._gap = True
                return Word(Tag.NOUN)
            case _:
                return word

    def _noun(self, text: str, word: Word) -> Tag:
        if self._asks_for_more(text, word.tag):
            return Tag.ADJECTIVE if self._expected is _E.NOUN else Tag.ADVERB
        match self._expected:
            case _E.VERB if word.tag is Tag.TIME:
                return word.tag
            case _E.VERB if self._last is not Tag.TO:
                return self._unknown_verb()
            case _E.NOTHING if self._last in (Tag.THAT, Tag.WH) and self._subject_pending and text.endswith("s"):
                return self._unknown_verb()
            case _E.ANYTHING if self._last in (Tag.THAT, Tag.WH) and self._subject_pending and text.endswith("s"):
                return self._unknown_verb()
            case _E.SUBJECT:
                self._found_subject()
                self._gap = self._gap and self._after_subject is not _E.PREDICATE  # "what are the fees"
            case _E.CLAUSE if word.tag is Tag.NOUN and text not in TIME_NOUNS and text not in CLAUSE_LIKE:
                self._expected = _E.NOTHING
                self._subject_pending = True
            case _:
                self._expected = _E.NOTHING
        self._noun_first = self._noun_first or not (self._verbs or self._subject_pending)
        return word.tag

    def _unknown_verb(self) -> Tag:
        self._finite()
        self._verb = None
        self._expected = _E.NOTHING
        return Tag.VERB

    def _asks_for_more(self, text: str, tag: Tag) -> bool:
        """Whether a noun is one by its place only: "a technical", "the end", "Doctor", "as soon"."""
        after_article = self._last is Tag.DETERMINER
        attributive = after_article and tag is Tag.NOUN and (looks_attributive(text) or text in OF_NOUNS)
        if attributive or (text in TITLES and not after_article):
            self._subject_pending = self._subject_pending or self._expected is _E.CLAUSE
            self._expected = _E.NOUN
            return True
        inside = self._last is Tag.PRONOUN or (self._last in _PHRASE and (self._determined or text != "number"))
        numbered = text in NUMBERED and not inside
        degree = self._word == "as" and text in DEGREES
        later = tag is Tag.TIME and self._last in (Tag.AND, Tag.BUT)
        if numbered or degree or later or (self._last is Tag.BE and text in COMPLEMENT_TAKERS):
            self._expected = _E.ANYTHING
            return True
        return False

    def _verb_or_noun(self, text: str, word: Word) -> Tag:
        if not self._is_verb_here(word):
            return self._noun(text, Word(Tag.NOUN))
        gerund = word.form is Form.ING and self._expected not in (_E.PREDICATE, _E.VERB)
        if not gerund and (self._expected is not _E.VERB or self._subject_pending):
            self._finite()
        if not (gerund and self._last is None):
            self._verbs = max(self._verbs, 1)
        self._verb = word
        self._expected = self._needed(text, word)
        return Tag.VERB

    def _is_verb_here(self, word: Word) -> bool:
        last = self._last
        if last in _BEFORE_NOUN or self._expected is _E.SUBJECT:
            return False
        if self._word in ("this", "that") and self._prior in _BEFORE_OBJECT:
            return False  # "about that booking"
        if self._polite:
            return word.form is Form.BASE
        if self._expected is _E.PREDICATE or (self._expected is _E.OBJECT and last is Tag.HAVE):
            return word.form in (Form.PAST, Form.ING) or (self._inverted and last is Tag.NOUN)
        if self._expected is _E.VERB or last is Tag.SUBJECT:
            return True
        if last is Tag.PREPOSITION or last is Tag.PARTICLE:
            return word.form is Form.ING
        if last is Tag.NOUN:
            plural = self._word.endswith("s") or self._word in PLURALS
            return self._waiting() and (plural or word.form is not Form.BASE) and word.form is not Form.ING
        return word.form is not Form.ING or last in (Tag.PRONOUN, Tag.OBJECT, Tag.VERB, None)

    def _waiting(self) -> bool:
        """Whether there is a subject without its verb."""
        return self._subject_pending or self._main_pending or not self._verbs

    def _needed(self, text: str, word: Word) -> Expected:
        passive = self._expected is _E.PREDICATE and word.form is Form.PAST
        if self._expected is _E.PREDICATE and text in COMPLEMENT_TAKERS:
            return _E.OBJECT
        if self._last is Tag.THAN:
            return _E.NOTHING  # "as expected"
        match word.needs:
            case Needs.OBJECT | Needs.SECOND:
                if passive:
                    return _E.CLAUSE if text == "told" else _E.NOTHING
                return _E.NOTHING if self._gap else _E.OBJECT
            case Needs.CLAUSE:
                return _E.NOTHING if self._gap else _E.CLAUSE
            case Needs.KNOWING:
                return _E.NOTHING if self._negated or self._gap else _E.OBJECT
            case Needs.PLACE | Needs.VERB:
                return _E.OBJECT
            case Needs.NOTHING | Needs.LITTLE:
                return _E.NOTHING

    def _finite(self) -> None:
        self._verbs += 1
        if self._last is Tag.WH or (self._question and self._verbs == 1 and not self._inverted):
            self._gap = False  # the question word is the subject: "which bus goes"
        if self._subject_pending:
            self._subject_pending = False
        elif self._main_pending:
            self._main_pending = self._gap = False

    def _was_verb(self) -> bool:
        """Whether the unknown word before was a verb, as the object that follows tells: "increase it"."""
        if self._last is not Tag.NOUN:
            return False
        if self._prior is Tag.TO:
            return True
        if self._prior not in (None, Tag.ADVERB, Tag.AND) or self._determined or not self._waiting():
            return False
        if self._subject_pending or self._main_pending:
            return False
        self._finite()
        return True

    def _begin_subject(self, *, after_noun: bool = False) -> None:
        """A subject stands here. After a noun it begins what is said of that: "the man I"."""
        if after_noun:
            self._gap = self._embedded = True
            if self._waiting() and self._determined and self._noun_first and not self._question:
                self._main_pending = True
        elif self._main_pending and not self._subject_pending and self._verbs:
            self._main_pending = False
        self._subject_pending = True
        self._negated = self._coordinated = False
        self._expected = _E.VERB

    def _found_subject(self) -> None:
        """A question has its subject: "are you", "how is he"."""
        done = bool(self._question) and self._after_subject is _E.PREDICATE
        self._expected = _E.NOTHING if done else self._after_subject

    def _subject(self, text: str, word: Word) -> Tag:
        if self._expected is _E.SUBJECT:
            self._found_subject()
        elif self._last in _AUXILIARIES and self._prior in (Tag.AND, Tag.BUT):
            pass  # "and can you"
        else:
            in_front = self._last is Tag.WH and self._word in ("what", "when", "whatever") and not self._verbs
            self._begin_subject(after_noun=self._last is Tag.NOUN and self._word not in TIME_NOUNS)
            self._main_pending = self._main_pending or in_front  # "what I need is"
        return Tag.SUBJECT

    def _pronoun(self, text: str, word: Word) -> Tag:
        if self._expected is _E.SUBJECT:
            self._found_subject()
            if text == "there":
                self._expected = _E.OBJECT
        elif self._last in _AUXILIARIES and self._prior in (Tag.AND, Tag.BUT):
            pass
        elif text == "you" and self._takes_second():
            self._after_person()
        elif self._was_verb():
            self._expected = _E.NOTHING
        elif self._expected is _E.CLAUSE or self._last in _OPENING_CLAUSE:
            self._begin_subject()
        elif self._last in _BEFORE_OBJECT:
            self._expected = _E.NOTHING
        elif text == "there" and self._last is not None:
            self._expected = _E.NOTHING
            return Tag.TIME
        elif text in ("you", "it", "there"):
            self._begin_subject(after_noun=self._last is Tag.NOUN and self._word not in TIME_NOUNS)
        elif self._last is None:
            self._noun_first = self._determined = True
        elif self._expected is not _E.VERB:
            self._expected = _E.NOTHING
        return Tag.PRONOUN

    def _object(self, text: str, word: Word) -> Tag:
        if self._takes_second():
            self._after_person()
        elif self._expected is not _E.VERB or self._last is Tag.TO:
            self._was_verb()
            self._expected = _E.NOTHING
        return Tag.OBJECT

    def _takes_second(self) -> bool:
        takes = self._verb is not None and self._verb.needs in (Needs.SECOND, Needs.VERB)
        return takes and self._last is Tag.VERB and self._expected is _E.OBJECT

    def _after_person(self) -> None:
        self._expected = _E.VERB if self._verb and self._verb.needs is Needs.VERB else _E.SECOND

    def _that(self, text: str, word: Word) -> Tag:
        if self._was_verb():
            self._expected = _E.NOTHING
            return Tag.PRONOUN
        if self._main_pending and self._verbs and not self._noun_first and not self._subject_pending:
            self._main_pending = False  # "if you could, that would"
        reported = self._verb is not None and self._expected in (_E.CLAUSE, _E.SECOND) and not self._inverted
        if self._last is Tag.NOUN or reported:
            self._gap = self._gap or not reported
            self._main_pending = self._main_pending or (self._noun_first and self._determined and not self._verbs)
            self._subject_pending = self._embedded = True
            self._expected = _E.ANYTHING
            return Tag.THAT
        if self._expected is _E.SUBJECT:
            self._found_subject()
        elif self._last is None:
            self._noun_first = True
        elif self._last in _OPENING_CLAUSE:
            self._begin_subject()
        elif self._expected is not _E.VERB:
            self._expected = _E.NOTHING
        return Tag.PRONOUN

    def _auxiliary(self, text: str, word: Word) -> Tag:
        after = _AUXILIARIES[word.tag]
        self._negated = self._negated or text.endswith("n't") or text == "cannot"
        again = self._verbs > 0 and not self._subject_pending and not self._main_pending
        if text in ("been", "be", "being") or (self._expected is _E.VERB and not self._subject_pending):
            self._expected = after  # "would have", "to be"
        elif self._last in (Tag.AND, Tag.BUT) and self._verbs:
            self._expected = after  # "and will not": the subject is not repeated
        elif self._expected is _E.OBJECT and (self._last is Tag.HAVE or self._inverted):
            self._expected = after  # "has been"
        elif text == "let's":
            self._verbs += 1
            self._expected = after
        elif (again and not self._follows_subject()) or self._asks(word.tag):
            self._verbs += 1
            self._main_pending = False
            self._inverted = True
            self._after_subject = after
            self._expected = _E.SUBJECT
        else:
            self._finite()
            self._inverted = False
            self._expected = after
        return word.tag

    def _follows_subject(self) -> bool:
        """Whether the noun before is rather the subject of a new clause: "now my screen" than the old one's object."""
        apart = self._phrase_after in (Tag.ADVERB, Tag.TIME, Tag.PRONOUN, Tag.AND)
        return self._last is Tag.NOUN and self._definite and apart

    def _asks(self, tag: Tag) -> bool:
        """Whether an auxiliary begins a question here: "can", "what do", "which bus does"."""
        if self._last in (None, Tag.AND, Tag.BUT):
            return True
        if self._verbs or not self._question:
            return False
        return self._last is Tag.WH or (self._question in ("what", "which", "how", "whose") and tag is not Tag.BE)

    def _before_noun(self, text: str, word: Word) -> Tag:
        tag = word.tag
        if text == "one" and self._last in (Tag.DETERMINER, Tag.ADJECTIVE):
            self._expected = _E.NOTHING
            return Tag.NOUN  # "the red one"
        satisfies = tag is Tag.ADJECTIVE and self._last not in _BEFORE_NOUN
        if (
            satisfies
            and self._expected in (_E.PREDICATE, _E.ANYTHING)
            and not (self._inverted and self._last is Tag.BE)
        ):
            self._expected = _E.NOTHING
            return Tag.NOUN  # "it is cheap"
        if tag is Tag.DETERMINER and self._prior in (None, Tag.ADVERB, Tag.AND):
            self._was_verb()
        if self._expected is _E.CLAUSE and tag is not Tag.NUMBER:
            self._subject_pending = True
        self._coordinated = self._last is Tag.AND and text in DEFINITE and self._verbs > 0
        self._noun_first = self._noun_first or not (self._verbs or self._subject_pending)
        if self._expected is _E.SUBJECT:
            if tag is Tag.NUMBER:
                self._found_subject()
        elif (
            self._inverted
            and self._last is not Tag.BE
            and self._expected in (_E.VERB, _E.PREDICATE)
            and self._last is not Tag.TO
        ):
            pass  # still the subject of the question
        elif satisfies and self._expected is _E.NOTHING:
            return Tag.NOUN
        else:
            self._expected = _E.NOTHING if tag is Tag.NUMBER else _E.NOUN
        return tag

    def _preposition(self, text: str, word: Word) -> Tag:
        tag = word.tag
        if tag is Tag.TO:
            self._subject_pending = self._subject_pending and self._last is not Tag.WH  # "how to"
            self._gap = self._gap or (self._last is Tag.NOUN and self._prior in (Tag.BE, Tag.VERY))  # "easy to use"
            self._expected = _E.VERB
        elif tag is Tag.PARTICLE and self._is_particle(text):
            if self._expected is _E.PREDICATE or self._verb is None or self._verb.needs is not Needs.OBJECT:
                self._expected = _E.NOTHING
        elif self._expected is not _E.SUBJECT:
            self._expected = _E.NOUN
        return tag

    def _is_particle(self, text: str) -> bool:
        """Whether "up" belongs to its verb, and no noun need follow."""
        if text in ALONE:
            return self._verbs > 0 and self._last not in (Tag.PREPOSITION, Tag.PARTICLE)
        if text not in ("in", "on"):
            return False
        if self._last is Tag.VERB:
            return self._word in PHRASAL
        return self._word in ("it", "them", "that") and self._before in PHRASAL

    def _conjunction(self, text: str, word: Word) -> Tag:
        self._expected = _E.CLAUSE if word.tag is Tag.BUT and self._verbs else _E.ANYTHING
        self._gap = self._inverted = self._negated = self._embedded = False
        return word.tag

    def _subordinator(self, text: str, word: Word) -> Tag:
        self._embedded = self._verbs > 0
        if word.tag is Tag.THAN:
            alone = text in ("since", "before") and (self._negated or self._last is Tag.THAN)
            self._expected = _E.NOTHING if alone else _E.NOUN
            self._gap = self._gap or text in ("than", "as")
        else:
            self._main_pending = self._main_pending or not (self._verbs or self._later)
            self._expected = _E.CLAUSE
            self._gap = self._negated = False
        return word.tag

    def _question_word(self, text: str, word: Word) -> Tag:
        self._gap = text in GAPS
        if self._verbs:
            self._asked_within = self._embedded = self._subject_pending = True
            self._inverted = False
        if self._verbs or self._last is None:
            self._question = text
        self._expected = _E.ANYTHING
        return word.tag

    def _modifier(self, text: str, word: Word) -> Tag:
        if word.tag is Tag.NOT:
            self._negated = True
            if self._expected is not _E.NOTHING or self._subject_pending:
                return word.tag
        self._expected = _E.ANYTHING
        return word.tag

    def _unchanged(self, text: str, word: Word) -> Tag:
        return word.tag

    _READERS: ClassVar[dict[Tag, Callable[[Clause, str, Word], Tag]]] = {
        Tag.NOUN: _noun,
        Tag.TIME: _noun,
        Tag.VERB: _verb_or_noun,
        Tag.SUBJECT: _subject,
        Tag.PRONOUN: _pronoun,
        Tag.OBJECT: _object,
        Tag.BE: _auxiliary,
        Tag.HAVE: _auxiliary,
        Tag.MODAL: _auxiliary,
        Tag.DETERMINER: _before_noun,
        Tag.ADJECTIVE: _before_noun,
        Tag.NUMBER: _before_noun,
        Tag.PREPOSITION: _preposition,
        Tag.PARTICLE: _preposition,
        Tag.TO: _preposition,
        Tag.AND: _conjunction,
        Tag.BUT: _conjunction,
        Tag.SUBORDINATOR: _subordinator,
        Tag.THAN: _subordinator,
        Tag.THAT: _that,
        Tag.WH: _question_word,
        Tag.NOT: _modifier,
        Tag.VERY: _modifier,
        Tag.ADVERB: _unchanged,
        Tag.ASIDE: _unchanged,
    }
