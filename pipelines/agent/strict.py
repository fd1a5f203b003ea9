"""The base of every model that reads what people write: unknown names are errors that name the nearest known one.

JSON is camelCase; snake_case is accepted too, at every level. What was sent is what :meth:`Strict.as_sent` gives back.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Self, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Discriminator, Field, ModelWrapValidatorHandler, Tag, ValidationError
from pydantic import model_validator as pydantic_model_validator
from pydantic.alias_generators import to_camel, to_snake
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

M = TypeVar("M", bound=BaseModel)

MOST_PROBLEMS = 50
"""That are told: to find the nearest name takes its time, which is that of the calls."""

LONGEST_NAME = 100
"""Characters of what may be meant to be a name."""

A_TIME = "has to be a date or a time such as 2026-11-20T12:00:00Z"

_TEXT, _OBJECT, _ONE, _LIST = "(text)", "(object)", "(one)", "(list)"
"""Tags of :func:`text_or` and :func:`or_list`; they would show up in the path of an error, and are taken out of it."""


class Strict(BaseModel):
    """A model that refuses unknown fields by name."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    @pydantic_model_validator(mode="wrap")
    @classmethod
    def _names(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, dict):
            return handler(data)
        known: dict[str, Any] = {}
        problems: list[InitErrorDetails] = []
        for key, value in data.items():
            alias = _alias(cls, key)
            if alias is None:
                problems.append(_problem((str(key),), _unknown(str(key), cls.names())))
                if len(problems) == MOST_PROBLEMS:
                    break
            elif alias in known:
                problems.append(_problem((key,), PydanticCustomError("twice", "is given twice, in two spellings")))
            else:
                known[alias] = value
                if isinstance(value, bool) and alias in _numbers(cls):  # else true would be 1, and no limit a limit
                    problems.append(_problem((key,), refuse("has to be a number")))
        if not problems:
            return handler(known)
        try:
            handler(known)
        except ValidationError as error:
            problems += [_problem(e["loc"], _as_custom(e)) for e in error.errors()[:MOST_PROBLEMS]]
        raise ValidationError.from_exception_data(cls.__name__, problems, hide_input=True)

    @classmethod
    def names(cls) -> list[str]:
        """The names of the fields as they stand in JSON."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    @classmethod
    def in_api_spelling(cls, data: dict[str, Any]) -> dict[str, Any]:
        """``data`` with those of its keys that are fields in the spelling of the API: for laying it over other data."""
        return {_alias(cls, key) or key: value for key, value in data.items()}

    def as_sent(self) -> dict[str, Any]:
        """As JSON, with only what was set, in the names of the API."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _alias(model: type[Strict], key: Any) -> str | None:
    """The field that is meant, in the spelling of the API."""
    if not isinstance(key, str) or len(key) > LONGEST_NAME:
        return None
    aliases = _aliases(model)
    return aliases.get(key) or aliases.get(to_snake(key))


@cache
def _aliases(model: type[Strict]) -> Mapping[str, str]:
    """By both spellings. A definition is read for each call, and has hundreds of keys."""
    return {spelling: name for name in model.names() for spelling in (name, to_snake(name))}


@cache
def _numbers(model: type[Strict]) -> frozenset[str]:
    """Its fields that take a number, and neither true nor false."""
    return frozenset(
        field.alias or name
        for name, field in model.model_fields.items()
        if not (kinds := _kinds(field.annotation)).isdisjoint({int, float}) and kinds.isdisjoint({bool, Any, object})
    )


def _kinds(annotation: Any) -> set[Any]:
    """What a type is made of, by its unions and annotations; not what is in its lists and objects."""
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return set[Any]().union(*(_kinds(one) for one in get_args(annotation)))
    return {annotation}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in what was sent: where (``options.turns.endpointing``), and what, as the rest of a sentence."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path} {self.message}" if self.path else self.message

    def as_json(self) -> dict[str, str]:
        return {"path": self.path, "message": self.message}


def problems(error: ValidationError) -> list[Problem]:
    """What a validation error says, as sentences without the values that were sent: those may be secrets."""
    return [Problem(_path(e["loc"]), _plain(e)) for e in error.errors(include_url=False)[:MOST_PROBLEMS]]


def sentence(found: list[Problem]) -> str:
    """All of ``found`` in one line for people: the first one, and how many more there are."""
    more = len(found) - 1
    return f"{found[0]}" + (f" (and {more} more problem{'s' if more > 1 else ''})" if more else "")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` was probably meant to be, if one is near enough."""
    if len(name) > LONGEST_NAME:
        return None
    lowered = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.55)
    return lowered[found[0]] if found else None


def text_or(text: Any, model: type[M]) -> Any:
    """The type of a field that takes a plain ``text`` or ``model``, and that tells errors of the one kind sent only."""
    return Annotated[
        Annotated[text, Tag(_TEXT)] | Annotated[model, Tag(_OBJECT)],
        Discriminator(lambda value: _TEXT if isinstance(value, str) else _OBJECT),
    ]


def or_list(kind: Any, most: int) -> Any:
    """The type of a field that takes one ``kind`` or up to ``most`` of them in an array; see :func:`text_or`."""
    return Annotated[
        Annotated[kind, Tag(_ONE)] | Annotated[list[kind], Field(max_length=most), Tag(_LIST)],
        Discriminator(lambda value: _LIST if isinstance(value, list) else _ONE),
    ]


def refuse(message: str) -> PydanticCustomError:
    """The error to raise in a validator: ``message`` goes on after the name of the field."""
    return PydanticCustomError("rule", "{message}", {"message": message})


def refusal(what: str, found: Iterable[Problem]) -> ValidationError:
    """The error to raise in a validator of ``what`` for several fields at once."""
    wrong = [_problem((one.path,) if one.path else (), refuse(one.message)) for one in found]
    return ValidationError.from_exception_data(what, wrong, hide_input=True)


def _unknown(key: str, known: Iterable[str]) -> PydanticCustomError:
    known = list(known)
    meant = nearest(key, known)
    hint = f"did you mean {meant}?" if meant else f"known here: {', '.join(known)}."
    return PydanticCustomError("unknown", "{message}", {"message": f"is not known; {hint}"})


def _problem(loc: tuple[int | str, ...], error: PydanticCustomError) -> InitErrorDetails:
    return InitErrorDetails(type=error, loc=loc, input=None)


def _path(loc: tuple[int | str, ...]) -> str:
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in (_TEXT, _OBJECT, _ONE, _LIST):
            path += f".{part}" if path else part
    return path


_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not known",
    "string_type": "has to be a string",
    "model_type": "has to be an object",
    "dict_type": "has to be an object",
    "list_type": "has to be an array",
    "bool_type": "has to be true or false",
    "bool_parsing": "has to be true or false",
    "float_type": "has to be a number",
    "float_parsing": "has to be a number",
    "int_type": "has to be a whole number",
    "int_parsing": "has to be a whole number",
    "int_from_float": "has to be a whole number",
    "int_parsing_size": "has to be a smaller number",
    "timezone_aware": "has to have a time zone, as 2026-11-20T12:00:00Z has",
    **dict.fromkeys(
        ("datetime_type", "datetime_parsing", "datetime_from_date_parsing", "datetime_object_invalid"), A_TIME
    ),
}


_STARTS = tuple((f"{what} should ", "has to ") for what in ("Input", "String", "List", "Tuple", "Dictionary"))


def _plain(error: ErrorDetails) -> str:
    """Pydantic's message as the rest of a sentence that begins with the field's name."""
    kind, message = error["type"], error["msg"]
    if kind in _WORDS:
        return _WORDS[kind]
    if kind == "value_error":
        return f"is wrong: {message.removeprefix('Value error, ')}"
    if kind == "literal_error":
        return _one_of(str(error.get("ctx", {}).get("expected", "")), error["input"])
    for start, instead in _STARTS:
        if message.startswith(start):
            return instead + message.removeprefix(start)
    return message


def _one_of(expected: str, given: object) -> str:
    """``expected`` as pydantic lists it: 'udp', 'tcp' or 'tls'."""
    meant = nearest(given, re.findall(r"'([^']*)'", expected)) if isinstance(given, str) else None
    return f"has to be {expected}" + (f"; did you mean {meant}?" if meant else "")


def _as_custom(error: ErrorDetails) -> PydanticCustomError:
    return refuse(_plain(error))
