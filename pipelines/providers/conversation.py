"""A conversation as vendors want it that know two sides only, and want them to take turns. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pipelines.parts import Message

BEGINNING = "(The call begins.)"
"""The caller's first message where the agent spoke first: these vendors take none of the agent's before one."""

SILENCE = "(The caller says nothing.)"
"""The caller's message after one of the agent's: without it, models would go on with their own sentence."""

Part = dict[str, Any]
T = TypeVar("T")

MOST_KEPT = 256
"""More calls of tools than a phone call has."""


class Kept(dict[str, T]):
    """What a vendor wants back with calls of tools, by the calls' ids: of the latest :data:`MOST_KEPT`."""

    def keep(self, call_id: str, what: T) -> None:
        while len(self) >= MOST_KEPT:
            del self[next(iter(self))]
        self[call_id] = what


def instructions(messages: Sequence[Message]) -> str:
    return "\n\n".join(m.content for m in messages if m.role == "system" and m.content.strip())


def turns(messages: Sequence[Message], parts: Callable[[Message], list[Part]]) -> list[tuple[bool, list[Part]]]:
    """Turns of the caller (True) and the agent (False), beginning and ending with the caller's.

    ``parts`` says a message in the vendor's words; messages of which nothing is left are left out. The results of tools
    are of the caller's side, those of one step together, before what the caller says.
    """
    taken: list[tuple[bool, list[Part]]] = []
    for message in messages:
        if message.role == "system" or not (said := parts(message)):
            continue
        caller = message.role != "assistant"
        if taken and taken[-1][0] == caller:
            taken[-1][1].extend(said)
        else:
            taken.append((caller, said))
    if not taken or not taken[0][0]:
        taken.insert(0, (True, parts(Message("user", BEGINNING))))
    if not taken[-1][0]:
        taken.append((True, parts(Message("user", SILENCE))))
    return taken
