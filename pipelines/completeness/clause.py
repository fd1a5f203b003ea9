"""A shallow look at an English clause, word by word: what must still come before it could be over.

No grammar, but its closed classes and the needs of everyday verbs: an article needs a noun, a subject a verb, "need" an
object, "if" a clause and then another one. What is not known is taken for a noun, or for a verb where only one fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import ClassVar

from pipelines.completeness.english import (
    ADMITTING,
    ALONE,
    CLAUSE_LIKE,
    COLOURS_AND_SIZES,
    COMPARATIVES,
    COMPLEMENT_TAKERS,
    DEFINITE,
    DEGREES,
    GAPS,
    NUMBERED,
    OF_NOUNS,
    PHRASAL,
    PLURALS,
    TIME_NOUNS,
    TITLES,
    Form,
    Needs,
    Tag,
    Word,
    looks_attributive,
    tagged,
)

AMBIGUOUS = frozenset({"may", "like", "miss", "do", "so", "past", "no", "much", "many", "long"})
"""Words of several classes, told apart by what stands before them."""


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
AUXILIARIES = {Tag.BE: _E.PREDICATE, Tag.HAVE: _E.OBJECT, Tag.MODAL: _E.VERB}
_BEFORE_NOUN = frozenset({Tag.DETERMINER, Tag.ADJECTIVE, Tag.NUMBER})
_PHRASE = _BEFORE_NOUN | {Tag.NOUN}
_BEFORE_OBJECT = frozenset({Tag.VERB, Tag.PARTICLE, Tag.PREPOSITION, Tag.TO, Tag.BE, Tag.HAVE, Tag.MODAL, Tag.OBJECT})
_OPENING_CLAUSE = frozenset({Tag.SUBORDINATOR, Tag.THAT, Tag.WH, Tag.BUT, Tag.AND, Tag.THAN})
_APART = frozenset({Tag.ADVERB, Tag.TIME, Tag.PRONOUN, Tag.AND})
_BEFORE_MAY = frozenset({Tag.PREPOSITION, Tag.PARTICLE, Tag.NUMBER, Tag.ADJECTIVE, Tag.TO})


class Clause:
    """Feed it words with :meth:`take`; its attributes are what :mod:`pipelines.completeness.endings` judges.

    ``later``: it is not the first sentence of its turn, so that "because I moved" has what it belongs to.
    """

    def __init__(self, *, later: bool = False) -> None:
        self.later = later
        self.expected = _E.NOTHING
        self.after_subject = _E.NOTHING  # what is expected once the question that has begun has its subject
        self.subject_pending = False  # a subject, or "because", waits for its verb
        self.main_pending = False  # what stands in front ("if ...", "the man I ...") waits for the main clause
        self.gap = False  # an object may be lacking: "what do you need", "the job you advertised"
        self.inverted = False  # a question by its order of words
        self.negated = False
        self.embedded = False  # the last clause hangs on another one
        self.coordinated = False  # "and the ...": perhaps the subject of another clause
        self.polite = False  # the word before was "please"
        self.question = ""  # the question word
        self.asked_within = False  # that stands inside: "tell me where"
        self.noun_first = False  # it began with a noun, perhaps the subject
        self.determined = self.definite = False  # the last noun phrase, by its first word
        self.phrase_after: Tag | None = None  # what stands before the last noun phrase
        self.hour = False  # it has "o'clock" in it
        self.verbs = 0  # finite ones
        self.verb: Word | None = None
        self.taken = 0
        self.opening = ""  # the first word
        self.word = self.before = ""  # the last two words, and what they were
        self.last: Tag | None = None
        self.prior: Tag | None = None

    def take(self, text: str) -> None:
        word = tagged(text)
        if text in AMBIGUOUS:
            word = self._in_place(text, word)
        tag = self._READERS[word.tag](self, text, word)
        self.polite = text == "please"
        if tag is Tag.ASIDE:
            return
        if tag in _PHRASE and self.last not in _PHRASE:
            self._begin_phrase(text, tag)
        if text in TIME_NOUNS and self.word in ("this", "that", "next", "last", "every", "any"):
            tag = Tag.TIME
        self.opening = self.opening or text
        self.hour = self.hour or text == "o'clock"
        self.taken += 1
        self.prior, self.last = self.last, tag
        self.before, self.word = self.word, text

    def take_all(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.take(text)

    def _begin_phrase(self, text: str, tag: Tag) -> None:
        if self.word == "of" and self.phrase_after is Tag.AND:
            self.definite = self.definite or text in DEFINITE  # "and one of the glasses": still the same phrase
            return
        self.phrase_after = self.last
        self.determined = tag is Tag.DETERMINER
        self.definite = text in DEFINITE

    # What each kind of word changes. Each method answers the tag that the word has in its place.

    def _in_place(self, text: str, word: Word) -> Word:
        """Of the uses that a word has, the one that fits."""
        match text:
            case "may" if self.last in _BEFORE_MAY or self.word[:1].isdigit():
                return Word(Tag.NOUN)
            case "like" | "miss" if self.expected is _E.VERB:
                return Word(Tag.VERB, Needs.OBJECT)
            case "do" if self.expected is _E.VERB and not self.subject_pending:
                return Word(Tag.VERB, Needs.OBJECT)
            case "so" if self.last is None:
                return Word(Tag.ASIDE)
            case "so" if self.last is Tag.AND or (self.last is Tag.VERB and self.expected is _E.CLAUSE):
                return Word(Tag.TIME)  # "I think so", "a week or so"
            case "past" if self.last is Tag.DETERMINER:
                return Word(Tag.NOUN)
            case "so" if self.last in AUXILIARIES or (self.inverted and self.last is Tag.NOUN):
                return Word(Tag.VERY)
            case "no" if self.expected in (_E.OBJECT, _E.PREDICATE, _E.NOUN):
                return Word(Tag.DETERMINER)
            case "much" | "many" | "long" if self.word == "how":
                self.gap = True
                return Word(Tag.NOUN)
            case _:
                return word

    def _noun(self, text: str, word: Word) -> Tag:
        if self._asks_for_more(text, word.tag):
            return Tag.ADJECTIVE if self.expected is _E.NOUN else Tag.ADVERB
        match self.expected:
            case _E.VERB if word.tag is Tag.TIME:
                return word.tag
            case _E.CLAUSE if text == "here" or (word.tag is Tag.TIME and self.last is Tag.SUBORDINATOR):
                return Tag.TIME  # "it says here", "because tomorrow"
            case _E.VERB if self.last is not Tag.TO:
                return self._unknown_verb()
            case _E.ANYTHING if self.last in (Tag.THAT, Tag.WH) and self.subject_pending and text.endswith("s"):
                return self._unknown_verb()
            case _E.SUBJECT:
                self._found_subject()
                self.gap = self.gap and self.after_subject is not _E.PREDICATE  # "what are the fees"
            case _E.CLAUSE if word.tag is Tag.NOUN and text not in TIME_NOUNS and text not in CLAUSE_LIKE:
                self.expected = _E.NOTHING
                self.subject_pending = True
            case _:
                self.expected = _E.NOTHING
        self.noun_first = self.noun_first or not (self.verbs or self.subject_pending)
        return word.tag

    def _unknown_verb(self) -> Tag:
        self._finite()
        self.verb = None
        self.expected = _E.NOTHING
        return Tag.VERB

    def _asks_for_more(self, text: str, tag: Tag) -> bool:
        """Whether a noun is one by its place only: "a technical", "the end", "Doctor", "as soon"."""
        after_article = self.last is Tag.DETERMINER
        attributive = after_article and tag is Tag.NOUN and (looks_attributive(text) or text in OF_NOUNS)
        if attributive or (text in TITLES and not after_article):
            self.subject_pending = self.subject_pending or self.expected is _E.CLAUSE
            self.expected = _E.NOUN
            return True
        inside = self.last is Tag.PRONOUN or (self.last in _PHRASE and (self.determined or text != "number"))
        numbered = text in NUMBERED and not inside
        degree = self.word == "as" and text in DEGREES
        later = tag is Tag.TIME and self.last in (Tag.AND, Tag.BUT)
        if numbered or degree or later or (self.last is Tag.BE and text in COMPLEMENT_TAKERS):
            self.expected = _E.ANYTHING
            return True
        return False

    def _verb_or_noun(self, text: str, word: Word) -> Tag:
        if not self._is_verb_here(word):
            return self._noun(text, Word(Tag.NOUN))
        gerund = word.form is Form.ING and self.expected not in (_E.PREDICATE, _E.VERB)
        if not gerund and (self.expected is not _E.VERB or self.subject_pending):
            self._finite()
        if not (gerund and self.last is None):
            self.verbs = max(self.verbs, 1)
        self.verb = word
        self.expected = self._needed(text, word)
        return Tag.VERB

    def _is_verb_here(self, word: Word) -> bool:
        last = self.last
        if last in _BEFORE_NOUN or self.expected is _E.SUBJECT:
            return False
        if self.word in ("this", "that") and self.prior in _BEFORE_OBJECT:
            return False  # "about that booking"
        if self.polite:
            return word.form is Form.BASE
        if self.expected is _E.PREDICATE or (self.expected is _E.OBJECT and last is Tag.HAVE):
            return word.form in (Form.PAST, Form.ING) or (self.inverted and last is Tag.NOUN)
        if self.expected is _E.VERB or last is Tag.SUBJECT:
            return True
        if last is Tag.PREPOSITION or last is Tag.PARTICLE:
            return word.form is Form.ING
        if last is Tag.NOUN:
            plural = self.word.endswith("s") or self.word in PLURALS
            if word.form is Form.ING:
                return self.opening == "there"  # "there is water coming"
            return self._waiting() and (plural or word.form is not Form.BASE)
        return word.form is not Form.ING or last in (Tag.PRONOUN, Tag.OBJECT, Tag.VERB, None)

    def _waiting(self) -> bool:
        """Whether there is a subject without its verb."""
        return self.subject_pending or self.main_pending or not self.verbs

    def _needed(self, text: str, word: Word) -> Expected:
        passive = self.expected is _E.PREDICATE and word.form is Form.PAST
        if self.expected is _E.PREDICATE and text in COMPLEMENT_TAKERS:
            return _E.OBJECT
        if self.last is Tag.THAN:
            return _E.NOTHING  # "as expected"
        match word.needs:
            case Needs.OBJECT | Needs.SECOND:
                if passive:
                    return _E.CLAUSE if text == "told" else _E.NOTHING
                return _E.NOTHING if self.gap else _E.OBJECT
            case Needs.CLAUSE:
                return _E.NOTHING if self.gap else _E.CLAUSE
            case Needs.KNOWING:
                return _E.NOTHING if self.negated or self.gap else _E.OBJECT
            case Needs.PLACE | Needs.VERB:
                return _E.OBJECT
            case Needs.NOTHING | Needs.LITTLE:
                return _E.NOTHING

    def _finite(self) -> None:
        self.verbs += 1
        self.coordinated = False
        if self.last is Tag.WH or (self.question and self.verbs == 1 and not self.inverted):
            self.gap = False  # the question word is the subject: "which bus goes"
        if self.subject_pending:
            self.subject_pending = False
        elif self.main_pending:
            self.main_pending = self.gap = False

    def _was_verb(self) -> bool:
        """Whether the unknown word before was a verb, as the object that follows tells: "increase it"."""
        if self.last is not Tag.NOUN:
            return False
        if self.prior is Tag.TO:
            return True
        if self.prior not in (None, Tag.ADVERB, Tag.AND) or self.determined or not self._waiting():
            return False
        if self.subject_pending or self.main_pending:
            return False
        self._finite()
        return True

    def _begin_subject(self, *, after_noun: bool = False) -> None:
        """A subject stands here. After a noun it begins what is said of that: "the man I"."""
        if after_noun:
            self.gap = self.embedded = True
            if self._waiting() and self.determined and self.noun_first and not self.question:
                self.main_pending = True
        elif self.main_pending and not self.subject_pending and self.verbs:
            self.main_pending = False
        self.subject_pending = True
        self.negated = self.coordinated = False
        self.expected = _E.VERB

    def _found_subject(self) -> None:
        """A question has its subject: "are you", "how is he"."""
        done = bool(self.question) and self.after_subject is _E.PREDICATE
        self.expected = _E.NOTHING if done else self.after_subject

    def _subject(self, text: str, word: Word) -> Tag:
        if self.expected is _E.SUBJECT:
            self._found_subject()
        elif self.last in AUXILIARIES and self.prior in (Tag.AND, Tag.BUT):
            pass  # "and can you"
        else:
            in_front = self.last is Tag.WH and self.word in ("what", "when", "whatever") and not self.verbs
            self._begin_subject(after_noun=self.last is Tag.NOUN and self.word not in TIME_NOUNS)
            self.main_pending = self.main_pending or in_front  # "what I need is"
        return Tag.SUBJECT

    def _pronoun(self, text: str, word: Word) -> Tag:
        if self.expected is _E.SUBJECT:
            self._found_subject()
            if text == "there":
                self.expected = _E.OBJECT
        elif self.last in AUXILIARIES and self.prior in (Tag.AND, Tag.BUT):
            pass
        elif text == "you" and self._takes_second():
            self._after_person()
        elif self._was_verb():
            self.expected = _E.NOTHING
        elif self.expected is _E.CLAUSE or self.last in _OPENING_CLAUSE:
            self._begin_subject()
        elif self.last in _BEFORE_OBJECT:
            self.expected = _E.NOTHING
        elif text == "there" and self.last is not None:
            self.expected = _E.NOTHING
            return Tag.TIME
        elif text in ("you", "it", "there"):
            self._begin_subject(after_noun=self.last is Tag.NOUN and self.word not in TIME_NOUNS)
        elif self.last is None:
            self.noun_first = self.determined = True
        elif self.expected is not _E.VERB:
            self.expected = _E.NOTHING
        return Tag.PRONOUN

    def _object(self, text: str, word: Word) -> Tag:
        if self._takes_second():
            self._after_person()
        elif self.expected is not _E.VERB or self.last is Tag.TO:
            self._was_verb()
            self.expected = _E.NOTHING
        return Tag.OBJECT

    def _takes_second(self) -> bool:
        takes = self.verb is not None and self.verb.needs in (Needs.SECOND, Needs.VERB)
        return takes and self.last is Tag.VERB and self.expected is _E.OBJECT

    def _after_person(self) -> None:
        self.expected = _E.VERB if self.verb and self.verb.needs is Needs.VERB else _E.SECOND

    def _that(self, text: str, word: Word) -> Tag:
        if self._was_verb():
            self.expected = _E.NOTHING
            return Tag.PRONOUN
        if self.main_pending and self.verbs and not self.noun_first and not self.subject_pending:
            self.main_pending = False  # "if you could, that would"
        reported = self.verb is not None and not self.inverted and self._reports()
        if self.last is Tag.NOUN or reported:
            self.gap = self.gap or not reported
            self.main_pending = self.main_pending or (self.noun_first and self.determined and not self.verbs)
            self.subject_pending = self.embedded = True
            self.expected = _E.ANYTHING
            return Tag.THAT
        if self.expected is _E.SUBJECT:
            self._found_subject()
        elif self.last is None:
            self.noun_first = True
        elif self.last in _OPENING_CLAUSE:
            self._begin_subject()
        elif self.expected is not _E.VERB:
            self.expected = _E.NOTHING
        return Tag.PRONOUN

    def _reports(self) -> bool:
        """Whether "that" opens what was said: "it says that", "he told me yesterday that"."""
        reporting = self.verb is not None and self.verb.needs in (Needs.CLAUSE, Needs.SECOND)
        afterwards = reporting and self.last is Tag.TIME and self.prior in (Tag.VERB, Tag.OBJECT)
        return self.expected in (_E.CLAUSE, _E.SECOND) or afterwards

    def _auxiliary(self, text: str, word: Word) -> Tag:
        after = AUXILIARIES[word.tag]
        self.negated = self.negated or text.endswith("n't") or text == "cannot"
        again = self.verbs > 0 and not self.subject_pending and not self.main_pending
        if text in ("been", "be", "being") or (self.expected is _E.VERB and not self.subject_pending):
            self.expected = after  # "would have", "to be"
        elif self.last in (Tag.AND, Tag.BUT) and self.verbs:
            self.expected = after  # "and will not": the subject is not repeated
        elif self.expected is _E.OBJECT and (self.last is Tag.HAVE or self.inverted):
            self.expected = after  # "has been"
        elif text == "let's":
            self.verbs += 1
            self.expected = after
        elif (again and not self._follows_subject()) or self._asks(word.tag):
            self.verbs += 1
            self.main_pending = False
            self.inverted = True
            self.after_subject = after
            self.expected = _E.SUBJECT
        else:
            self._finite()
            self.inverted = False
            self.expected = after
        return word.tag

    def _follows_subject(self) -> bool:
        """Whether the noun before is rather the subject of a new clause: "now my screen" than the old one's object."""
        return self.last is Tag.NOUN and self.definite and self.phrase_after in _APART

    def _asks(self, tag: Tag) -> bool:
        """Whether an auxiliary begins a question here: "can", "what do", "which bus does"."""
        if self.last in (None, Tag.AND, Tag.BUT):
            return True
        if self.verbs or not self.question:
            return False
        return self.last is Tag.WH or (self.question in ("what", "which", "how", "whose") and tag is not Tag.BE)

    def _before_noun(self, text: str, word: Word) -> Tag:
        tag = word.tag
        if text == "one" and self.last in (Tag.DETERMINER, Tag.ADJECTIVE):
            self.expected = _E.NOTHING
            return Tag.NOUN  # "the red one"
        satisfies = tag is Tag.ADJECTIVE and self.last not in _BEFORE_NOUN
        if satisfies and self.expected in (_E.PREDICATE, _E.ANYTHING) and not (self.inverted and self.last is Tag.BE):
            self.expected = _E.NOTHING
            return Tag.NOUN  # "it is cheap"
        if tag is Tag.DETERMINER and self.prior in (None, Tag.ADVERB, Tag.AND):
            self._was_verb()
        if self.expected is _E.CLAUSE and tag is not Tag.NUMBER:
            self.subject_pending = True
        if self.before == "a" and self.word == "little" and text in COMPARATIVES:
            self.expected = _E.NOTHING
            return Tag.TIME  # "a little cheaper"
        if satisfies and self.word == "in" and text in COLOURS_AND_SIZES:
            self.expected = _E.NOTHING
            return Tag.NOUN
        self.coordinated = self._is_coordinated(text)
        self.noun_first = self.noun_first or not (self.verbs or self.subject_pending)
        if self.expected is _E.SUBJECT:
            if tag is Tag.NUMBER:
                self._found_subject()
        elif (
            self.inverted
            and self.last is not Tag.BE
            and self.expected in (_E.VERB, _E.PREDICATE)
            and self.last is not Tag.TO
        ):
            pass  # still the subject of the question
        elif satisfies and self.expected is _E.NOTHING:
            return Tag.NOUN
        else:
            self.expected = _E.NOTHING if tag is Tag.NUMBER else _E.NOUN
        return tag

    def _is_coordinated(self, text: str) -> bool:
        if self.word == "of" and self.before == "one":
            return self.phrase_after is Tag.AND and self.verbs > 0  # "and one of the"
        return self.last is Tag.AND and text in DEFINITE and self.verbs > 0

    def _preposition(self, text: str, word: Word) -> Tag:
        tag = word.tag
        if tag is Tag.TO:
            self.subject_pending = self.subject_pending and self.last is not Tag.WH  # "how to"
            self.gap = self.gap or (self.last is Tag.NOUN and self.prior in (Tag.BE, Tag.VERY))  # "easy to use"
            self.expected = _E.VERB
        elif tag is Tag.PARTICLE and self._is_particle(text):
            if self.expected is _E.PREDICATE or self.verb is None or self.verb.needs is not Needs.OBJECT:
                self.expected = _E.NOTHING
        elif self.expected is not _E.SUBJECT:
            self.expected = _E.NOUN
        return tag

    def _is_particle(self, text: str) -> bool:
        """Whether "up" belongs to its verb, and no noun need follow."""
        if text in ALONE:
            return self.verbs > 0 and self.last not in (Tag.PREPOSITION, Tag.PARTICLE)
        if text not in ("in", "on"):
            return False
        if self.last is Tag.VERB:
            return self.word in PHRASAL
        if self.last is Tag.OBJECT and self.before in ADMITTING:
            return text == "in"  # "let me in"
        return self.word in ("it", "them", "that") and self.before in PHRASAL

    def _conjunction(self, text: str, word: Word) -> Tag:
        self.expected = _E.CLAUSE if word.tag is Tag.BUT and self.verbs else _E.ANYTHING
        self.gap = self.inverted = self.negated = self.embedded = False
        return word.tag

    def _subordinator(self, text: str, word: Word) -> Tag:
        self.embedded = self.verbs > 0
        if word.tag is Tag.THAN:
            alone = text in ("since", "before") and (self.negated or self.last is Tag.THAN)
            self.expected = _E.NOTHING if alone else _E.NOUN
            self.gap = self.gap or text in ("than", "as")
        else:
            self.main_pending = self.main_pending or not (self.verbs or self.later)
            self.expected = _E.CLAUSE
            self.gap = self.negated = False
        return word.tag

    def _question_word(self, text: str, word: Word) -> Tag:
        self.gap = text in GAPS
        if self.verbs:
            self.asked_within = self.embedded = self.subject_pending = True
            self.inverted = False
        if self.verbs or self.last is None:
            self.question = text
        self.expected = _E.ANYTHING
        return word.tag

    def _modifier(self, text: str, word: Word) -> Tag:
        if word.tag is Tag.NOT:
            self.negated = True
            if self.expected is not _E.NOTHING or self.subject_pending:
                return word.tag
        self.expected = _E.ANYTHING
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
