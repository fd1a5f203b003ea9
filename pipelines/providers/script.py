"""The script of a scripted agent: what a caller may say, what is answered, and what is remembered.

A script is data in the agent's definition. It has no regular expressions, so that no script can hold up the event loop.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from pipelines.providers.listening import words

MOST_RULES = 1000

_FIELD = re.compile(r"\{(\w+)\}")

ALWAYS_KNOWN = frozenset({"said", "result"})
"""What a template may name besides slots: the caller's words, and what the tool answered."""


def _phrase(text: str) -> str:
    if text.strip() != "*":
        if "*" in text:
            raise ValueError(f'"*" stands alone, for whatever is said; leave it out of {text!r}')
        if not words(text):
            raise ValueError(f'there is no word in {text!r}; write what is said, or "*" for whatever is said')
    return text


def _pattern(text: str) -> str:
    if len(_FIELD.findall(text)) != 1 or text.count("{") != 1:
        raise ValueError(f'a pattern marks once what it captures, as in "my name is {{name}}"; {text!r} does not')
    return _phrase(text)


Phrase = Annotated[str, AfterValidator(_phrase)]
"""Words that have to be said one after the other, in any case and punctuation, or ``*`` for whatever is said."""

Pattern = Annotated[str, AfterValidator(_pattern)]
"""A phrase in which ``{name}`` stands for the one to three words to be remembered."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=True)


class Slot(_Part):
    """Something to remember of what the caller says; said again, it replaces what was remembered.

    ``words`` maps each value to the phrases that mean it, ``patterns`` capture one, and
    ``time`` listens for a time of day. ``states`` limits it to some states of the conversation.
    """

    words: dict[str, tuple[Phrase, ...]] = {}
    patterns: tuple[Pattern, ...] = ()
    time: bool = False
    states: tuple[str, ...] = ()


class Call(_Part):
    """A tool to call; arguments that are strings are templates."""

    tool: str
    arguments: dict[str, Any] = {}


class Rule(_Part):
    """If all the conditions given hold, this is the answer. The first rule that holds is taken.

    ``said`` holds if any of its phrases was said, ``filled`` and ``missing`` if every slot named is or is not
    remembered, ``states`` if the conversation is in one of them; in ``after``, ``result`` holds if the tool's result
    contains the text. Then ``say`` is said, ``call`` is called, the slots in ``forget`` are forgotten, and the
    conversation goes to the state ``then``. ``after`` has the rules for the tool's result.
    """

    said: tuple[Phrase, ...] = ()
    states: tuple[str, ...] = ()
    filled: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    result: str | None = None
    say: str = ""
    call: Call | None = None
    forget: tuple[str, ...] = ()
    then: str | None = None
    after: Annotated[tuple[Rule, ...], FailFast()] = ()

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.say and self.call is None and self.then is None:
            raise ValueError('a rule needs at least one of "say", "call" and "then"')
        if self.after and self.call is None:
            raise ValueError('"after" is for the result of a tool; without a "call" there is none')
        return self


def _not_too_many(rules: Any) -> Any:
    """Before each of them is looked at, which takes its time."""
    if isinstance(rules, list | tuple) and len(rules) > MOST_RULES:
        raise ValueError(f"there are more than {MOST_RULES} rules")
    return rules


class Script(_Part):
    """A whole script. ``otherwise`` is said where no rule holds, ``opening`` before the caller has said anything, and
    ``silence`` where an answer is asked for though the caller said nothing more."""

    slots: dict[str, Slot] = {}
    rules: Annotated[tuple[Rule, ...], BeforeValidator(_not_too_many)] = Field(min_length=1, max_length=MOST_RULES)
    opening: str = ""
    otherwise: str = "Sorry, I did not understand that."
    silence: str = "Are you still there?"

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for where, name in _named(self.rules, "rules"):
            if name not in self.slots and name not in ALWAYS_KNOWN:
                known = ", ".join(sorted({*self.slots, *ALWAYS_KNOWN}))
                raise ValueError(f"{where} names {name!r}, which is no slot; known are {known}")
        return self


def _named(rules: tuple[Rule, ...], path: str) -> Iterator[tuple[str, str]]:
    """The slots that rules name, each with where."""
    for number, rule in enumerate(rules):
        here = f"{path}.{number}"
        for name in (*rule.filled, *rule.missing, *rule.forget):
            yield here, name
        templates = [rule.say, *(value for value in (rule.call.arguments if rule.call else {}).values())]
        for template in templates:
            for name in _FIELD.findall(template) if isinstance(template, str) else ():
                yield here, name
        yield from _named(rule.after, f"{here}.after")


def parse_script(data: object) -> Script:
    """The script in an agent's ``options.script``; ``ValueError`` names every mistake in words and with its path."""
    try:
        return Script.model_validate(data)
    except ValidationError as error:
        mistakes = "; ".join(
            f"{'.'.join(('options.script', *map(str, mistake['loc'])))}: {mistake['msg'].removeprefix('Value error, ')}"
            for mistake in error.errors()
        )
        raise ValueError(mistakes) from None


def fill(template: str, values: Mapping[str, str]) -> str:
    return _FIELD.sub(lambda match: values.get(match[1], ""), template)
