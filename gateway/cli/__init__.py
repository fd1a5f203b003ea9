"""The command line: ``trunkline``, with one module for each command, imported when the command is given."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

# Before numpy is imported: its products here are small, and waking up other cores for them costs more than they do.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

_COMMANDS = {
    "serve": "Run the service.",
    "demo": "Hear one real call, offline: talk, an interruption, a goodbye.",
    "call": "Ring a running service as Jambonz would.",
    "check": "Tell what is configured and reachable.",
    "agents": "List, make, change and delete agents.",
    "numbers": "List, add and delete telephone numbers, and tell Jambonz.",
    "trunks": "List, make, change and delete trunks.",
    "registrations": "List, make, change and delete SIP registrations.",
    "listeners": "List, keep and end what agents listen on.",
    "calls": "List calls, read them back, and place some.",
    "keys": "Make, list, replace and delete API keys.",
    "reseal": "Encrypt all secrets with the new CREDENTIALS_KEY.",
    "limits": "Show and set how many calls at once there may be.",
}


class _Commands(click.Group):
    """A command's module is imported when it runs: ``--help`` waits for no database driver."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command = getattr(import_module(f"gateway.cli.{name}"), name)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="trunkline", prog_name="trunkline")
def trunkline() -> None:
    """Answers phone calls with AI: Jambonz takes the call, this holds the conversation."""


def main() -> None:
    if sys.argv[1:2] != ["serve"]:
        # The metrics of one process need no files, and would mix with those that a former process left there.
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    trunkline(prog_name="trunkline")
