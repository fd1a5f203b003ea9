"""A flag for every setting, made from the settings themselves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
from pydantic_core import PydanticUndefined

from gateway.settings import Settings, SettingsError, load, variables

F = TypeVar("F", bound=Callable[..., Any])

BAD_SETTINGS = 2
"""The exit status."""


def setting_flags(command: F) -> F:
    """Add ``--host``, ``--data-dir`` and so on to a click command, which passes them on to :func:`settings_or_exit`."""
    for variable, name in reversed(variables().items()):
        default = Settings.model_fields[name].default
        shown = "" if default in (None, PydanticUndefined) else f" [default: {_shown(default)}]"
        flag = f"--{name.replace('_', '-')}"
        command = click.option(flag, name, metavar="VALUE", help=f"{variable}{shown}")(command)
    return command


def settings_or_exit(flags: Mapping[str, Any]) -> Settings:
    """The settings; bad ones end the process with a sentence for each on standard error."""
    # By their variables, which is how an error names them.
    given = {Settings.model_fields[name].alias or name: value for name, value in flags.items()}
    try:
        return load(flags=given)
    except SettingsError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        sys.exit(BAD_SETTINGS)


def _shown(default: object) -> str:
    return ("YES" if default else "NO") if isinstance(default, bool) else str(default)
