'''Functions of agents that are written in Python, for those who run the service.

    from pipelines.functions import RunContext, function

    @function
    async def book(day: date, people: int = 2, *, run: RunContext) -> str:
        """Book a table.

        Args:
            day: The day of the booking.
            people: How many will come.
        """
        return await tables.book(day, people, key=run.idempotency_key)

An agent has it as ``{"name": "book", "implementation": "python"}``. The model is shown the docstring and a schema of
the type hints, and what it says is checked against them before the function is run.
'''

from __future__ import annotations

import importlib
import inspect
import re
import typing
from collections.abc import Callable, Collection, Mapping, MutableMapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Annotated, Any, NotRequired, TypeVar, overload

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from typing_extensions import TypedDict

from pipelines.agent.schemas import BadSchema, standing_alone

F = TypeVar("F", bound=Callable[..., Any])

ENTRY_POINTS = "trunkline.functions"
"""The group in which packages name modules with functions."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SECTION = re.compile(r"(args|arguments|parameters|returns|raises|yields|examples?|notes?):", re.IGNORECASE)
_ITEM = re.compile(r"(\w+)\s*(?:\([^)]*\))?:\s*(.*)")
_FIELD = re.compile(r":param(?:\s+[^:]*?)?\s+(\w+):\s*(.*)")


class FunctionError(Exception):
    """Raise it with a sentence for the model, which is told that and nothing else. What else a function raises is told
    as a failure without words, and logged by its type and place."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """One run of a function, for a parameter of this type: the model does not see it."""

    function: str
    call_id: str
    organisation_id: str
    metadata: Mapping[str, Any]
    """The listener's and the call's: ``aplisay.callerId`` and the like. A copy."""
    data: MutableMapping[str, Any]
    """The call's own, for whatever functions want to keep in it until it is over."""
    log: Any
    """A logger of structlog, bound to the call. It is no place for what was said."""
    idempotency_key: str
    """The same whenever the same call of the function is run again, and another one for every other."""


class NotAFunction(ValueError):
    """A sentence: why it cannot be one of an agent's."""


@dataclass(frozen=True, slots=True)
class PythonFunction:
    """``schema`` is of the arguments, and stands alone. ``seconds``: the longest it may take, if it says so."""

    name: str
    description: str
    schema: Mapping[str, Any]
    seconds: float | None
    run: Callable[..., Any]
    is_async: bool
    context: str | None
    """The parameter that takes the :class:`RunContext`."""
    arguments: TypeAdapter[dict[str, Any]]

    def bind(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """As its type hints have them. Raises ValueError with a sentence that has no value in it."""
        try:
            return self.arguments.validate_python(dict(values))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            at = ".".join(map(str, first["loc"]))
            raise ValueError(f"the parameter {at!r} is wrong: {first['msg'][:300]}") from None


class Functions:
    """Those of a process, by name."""

    def __init__(self) -> None:
        self._known: dict[str, PythonFunction] = {}

    def add(self, run: Callable[..., Any], *, name: str | None = None, seconds: float | None = None) -> PythonFunction:
        """Raises :class:`NotAFunction`."""
        one = _described(run, name or str(getattr(run, "__name__", "")), seconds)
        before = self._known.get(one.name)
        if before is not None and _place(before.run) != _place(run):
            raise NotAFunction(f"there are two functions {one.name!r}: {_place(before.run)} and {_place(run)}")
        self._known[one.name] = one
        return one

    def get(self, name: str) -> PythonFunction | None:
        return self._known.get(name)

    @property
    def names(self) -> Collection[str]:
        return self._known.keys()


registered = Functions()
"""What :func:`function` has registered."""


@overload
def function(run: F, /) -> F: ...
@overload
def function(*, name: str | None = None, seconds: float | None = None) -> Callable[[F], F]: ...
def function(run: F | None = None, /, *, name: str | None = None, seconds: float | None = None) -> Any:
    """Register a function, ``async`` or not, for agents to name. ``seconds``: the longest that it may take, unless the
    agent says otherwise. Raises :class:`NotAFunction`."""

    def register(run: F) -> F:
        _ = registered.add(run, name=name, seconds=seconds)
        return run

    return register if run is None else register(run)


def load(names: Collection[str]) -> None:
    """Import modules, or what packages call so in the group :data:`ENTRY_POINTS`. Raises :class:`NotAFunction`."""
    packages = {one.name: one for one in entry_points(group=ENTRY_POINTS)} if names else {}
    for name in names:
        try:
            if name in packages:
                packages[name].load()
            else:
                importlib.import_module(name)
        except NotAFunction as error:
            raise NotAFunction(f"{name}: {error}") from error
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise NotAFunction(f"the module {name} with functions of agents cannot be imported ({why})") from error


def _described(run: Callable[..., Any], name: str, seconds: float | None) -> PythonFunction:
    if not _NAME.fullmatch(name):
        raise NotAFunction(f"{name!r} is no name of a function: letters, digits, _, . and -, up to 64")
    if seconds is not None and not 0 < seconds <= 60:
        raise NotAFunction(f"{name} may take more than 0 and up to 60 seconds, and not {seconds:g}")
    try:
        hints = typing.get_type_hints(run, include_extras=True)
    except Exception as error:
        raise NotAFunction(f"{name} has type hints that cannot be read ({error})") from error
    about, of_each = _docstring(inspect.getdoc(run) or "")
    context = None
    fields: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    for parameter in inspect.signature(run).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise NotAFunction(f"{name} has a parameter {parameter.name!r} that cannot be given by its name")
        hint = hints.get(parameter.name, Any)
        if hint is RunContext:
            context = parameter.name
            continue
        if parameter.name in of_each:
            hint = Annotated[hint, Field(description=of_each[parameter.name])]
        if parameter.default is not parameter.empty:
            hint = NotRequired[hint]
            defaults[parameter.name] = parameter.default
        fields[parameter.name] = hint
    try:
        arguments: TypeAdapter[dict[str, Any]] = TypeAdapter(TypedDict("Arguments", fields))  # type: ignore[operator]
        schema = standing_alone(arguments.json_schema())
    except (PydanticUserError, BadSchema, NameError, TypeError) as error:
        raise NotAFunction(f"{name} has parameters that cannot be described to a model ({error})") from error
    for parameter_name, default in defaults.items():
        if isinstance(default, str | int | float | bool):
            schema["properties"][parameter_name]["default"] = default
    return PythonFunction(name, about, schema, seconds, run, inspect.iscoroutinefunction(run), context, arguments)


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """What it says of the function, and of its parameters: in a section ``Args:``, or as ``:param name:``."""
    about: list[str] = []
    of_each: dict[str, str] = {}
    section, last = "", ""
    deep = 0  # how far in the names of a section are: what is further in goes on with the one before
    for line in text.splitlines():
        stripped = line.strip()
        indent = len(line) - len(line.lstrip())
        heading = _SECTION.fullmatch(stripped) if not indent else None
        field, item = _FIELD.fullmatch(stripped), _ITEM.fullmatch(stripped)
        if field is not None:
            section, last, deep = "args", field[1], 0
            of_each[last] = field[2]
        elif heading is not None or stripped.startswith((":return", ":raise", ":rtype", ":yield")):
            is_args = heading is not None and heading[1].lower() in ("args", "arguments", "parameters")
            section, last = "args" if is_args else "other", ""
        elif section == "args" and item is not None and indent and (not last or indent == deep):
            last, deep = item[1], indent
            of_each[last] = item[2]
        elif section == "args" and last and stripped:
            of_each[last] = f"{of_each[last]} {stripped}".strip()
        elif not section:
            about.append(stripped)
    return "\n".join(about).strip(), of_each


def _place(run: Callable[..., Any]) -> str:
    return f"{getattr(run, '__module__', '?')}.{getattr(run, '__qualname__', '?')}"
