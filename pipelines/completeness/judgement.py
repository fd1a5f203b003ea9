"""What is said of a text: whether its turn is over, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["complete", "uncertain", "open"]
Expects = Literal["free", "digits", "yes_no"]
"""What the agent's question asked for."""

Reason = Literal[
    "nothing",  # no words
    "digits_pending",  # too few for any number of that kind
    "digits_plausible",  # they may be a whole number
    "digits_whole",  # as many as were asked for
    "spelling",  # letters one by one, or an e-mail address without its end
    "spelled_word",  # the letters are those of a word that was said
    "filler",  # "um", "let me see"
    "trailing_word",  # an article, a preposition, a conjunction, an auxiliary: something follows
    "missing_verb",  # a subject, and nothing said of it
    "missing_object",  # "I would like", "can you tell me"
    "missing_noun",  # "a new"
    "missing_clause",  # "I think", "if you have time"
    "may_continue",  # a bare verb or object, which seldom is the end: "please call", "I have an appointment"
    "number",  # a number that may lack its unit, or its rest
    "name",  # one word of a name
    "trailing_mark",  # the recogniser heard it go on: a comma, dots
    "fragment",  # words without a verb
    "courtesy",  # greetings, thanks, yes and no
    "short_answer",  # a few words to a question that asks for no more
    "sentence_end",  # a whole clause or question
    "unknown_language",
]


@dataclass(frozen=True, slots=True)
class Judgement:
    kind: Kind
    reason: Reason
