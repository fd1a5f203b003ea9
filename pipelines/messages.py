"""What others than the caller's voice say to a pipeline, or have it do: a closed union."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipelines.agent import AgentDefinition
from pipelines.events import EndReason

MOST_WAITING = 100
"""Messages of one call that wait."""

Urgency = Literal["now", "soon", "later"]
"""``now``: answered at once; the agent is interrupted. ``soon``: answered as soon as neither the agent nor the caller
speaks, or together with what the caller says before that. ``later``: known to the agent from its next answer on, and
no reason for one."""


@dataclass(frozen=True, slots=True)
class Tell:
    """The caller says this, in text."""

    text: str
    urgency: Urgency = "soon"


@dataclass(frozen=True, slots=True)
class Say:
    """The agent says this, word for word: at once, interrupting itself, or as soon as nobody speaks. The caller can
    interrupt it, or not."""

    text: str
    urgency: Literal["now", "soon"] = "soon"
    interruptible: bool = True


@dataclass(frozen=True, slots=True)
class Commit:
    """The caller's turn is over now: what was said, and the texts that wait, are answered."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nothing more of what the agent says or does at the moment."""


@dataclass(frozen=True, slots=True)
class Become:
    """The agent is this one from its next answer on: of its definition the prompt, functions and keys count."""

    agent: AgentDefinition


@dataclass(frozen=True, slots=True)
class HangUp:
    """Interrupt what is said, say this to its end, and hang up; or let the caller go on to somebody else."""

    text: str
    why: EndReason = "api"


CallMessage = Tell | Say | Commit | Cancel | Become | HangUp


class NotNow(Exception):
    """The call is not in a state for this message; a sentence."""


class NotPossible(Exception):
    """This agent's model cannot do it; a sentence."""


class NotReachable(Exception):
    """What the message names for the agent to use cannot be reached, and nothing was changed; a sentence."""


ENDING = "The call is ending"
NOTHING_SAID = "The agent is saying nothing that could be cancelled"
NOTHING_TO_COMMIT = "The caller is saying nothing, and no text waits for an answer"
NOBODY = "Nobody has the call just now: it is being set up, or goes on to somebody else; try again shortly"
