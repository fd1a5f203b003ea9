"""What is told to a model of a function in Python, and what the function is given."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from pipelines.functions import Functions, NotAFunction, RunContext, load, registered


class Guest(BaseModel):
    name: str
    age: int = 0


class Node(BaseModel):
    inner: Node | None = None


async def book(
    day: date,
    guest: Guest,
    people: Annotated[int, Field(ge=1, le=9)] = 2,
    kind: Literal["in", "out"] = "in",
    note: str | None = None,
    *,
    run: RunContext,
) -> str:
    """Book a table.

    In the house.

    Args:
        day: The day of the booking,
            not of the call.
        people (int): How many: all of them.

    Returns:
        people: nothing of this is a parameter.
    """
    return f"{day} {guest.name} {people} {kind} {note} {run.call_id}"


def test_its_hints_and_docstring_are_its_schema() -> None:
    one = Functions().add(book)
    assert (one.name, one.description, one.is_async, one.context) == (
        "book",
        "Book a table.\n\nIn the house.",
        True,
        "run",
    )
    assert one.schema["required"] == ["day", "guest"]
    properties = one.schema["properties"]
    assert list(properties) == ["day", "guest", "people", "kind", "note"]
    assert properties["day"] == {
        "type": "string",
        "format": "date",
        "description": "The day of the booking, not of the call.",
    }
    assert properties["people"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 9,
        "default": 2,
        "description": "How many: all of them.",
    }
    assert properties["kind"] == {"type": "string", "enum": ["in", "out"], "default": "in"}
    assert properties["guest"]["properties"]["name"]["type"] == "string"
    assert "$ref" not in str(one.schema)


def test_another_style_of_docstring_and_names_that_mean_something_to_pydantic() -> None:
    def copy(schema: str, json: int = 3) -> None:
        """Copy it.

        :param schema: which
            of them
        :param int json: how often
        :returns: nothing
        """

    one = Functions().add(copy, name="acme.copy", seconds=3)
    assert (one.name, one.description, one.is_async, one.context) == ("acme.copy", "Copy it.", False, None)
    described = {name: schema["description"] for name, schema in one.schema["properties"].items()}
    assert described == {"schema": "which of them", "json": "how often"}
    assert one.bind({"schema": "x", "other": 1}) == {"schema": "x"}


def test_arguments_are_as_the_hints_have_them() -> None:
    one = Functions().add(book)
    given = one.bind({"day": "2026-12-24", "guest": {"name": "Ann"}, "people": "3"})
    assert given == {"day": date(2026, 12, 24), "guest": Guest(name="Ann"), "people": 3}
    with pytest.raises(ValueError, match=r"'guest\.age' is wrong: Input should be a valid integer") as caught:
        one.bind({"day": "2026-12-24", "guest": {"name": "Ann", "age": "secret-7"}})
    assert "secret-7" not in str(caught.value)


def several(*args: int) -> None: ...
def anything(**kwargs: int) -> None: ...
def position(x: int, /) -> None: ...


def position_by_name(x: int) -> None: ...
def unknown(x: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def endless(x: Node) -> None: ...
def alive(x: Functions) -> None: ...


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (several, "cannot be given by its name"),
        (anything, "cannot be given by its name"),
        (position, "cannot be given by its name"),
        (unknown, "type hints that cannot be read"),
        (endless, "refers to itself"),
        (alive, "cannot be described to a model"),
        (lambda: None, "no name of a function"),
    ],
)
def test_what_cannot_be_one(run: Callable[..., Any], why: str) -> None:
    with pytest.raises(NotAFunction, match=why):
        Functions().add(run)


def test_a_name_is_of_one_function() -> None:
    functions = Functions()
    functions.add(book)
    functions.add(book)  # its module was loaded again
    with pytest.raises(NotAFunction, match="there are two functions 'book'"):
        functions.add(position_by_name, name="book")
    with pytest.raises(NotAFunction, match="more than 0 and up to 60 seconds"):
        functions.add(book, seconds=61)


MODULE = '''
from pipelines.functions import function

@function(name="test.loaded")
def loaded(x: int = 1) -> int:
    """Twice."""
    return 2 * x
'''


def test_modules_are_loaded_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "functions_of_a_test.py").write_text(MODULE)
    (tmp_path / "functions_that_fail.py").write_text("raise KeyError('x')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registered, "_known", {})
    load(["functions_of_a_test"])
    assert list(registered.names) == ["test.loaded"]
    for name, why in (("functions_that_fail", "KeyError"), ("functions_of_nobody", "No module named")):
        with pytest.raises(
            NotAFunction, match=rf"the module {name} with functions of agents cannot be imported \({why}|No"
        ):
            load([name])
    sys.modules.pop("functions_of_a_test", None)


def test_packages_name_their_modules_as_entry_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "functions_of_a_package.py").write_text(MODULE)
    about = tmp_path / "acme-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[trunkline.functions]\nacme = functions_of_a_package\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registered, "_known", {})
    load([])
    assert not registered.names  # what is installed is not asked for by that
    load(["acme"])
    assert list(registered.names) == ["test.loaded"]
    sys.modules.pop("functions_of_a_package", None)
