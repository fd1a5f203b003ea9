"""The agent that asks whoever is rung whether he takes the call: the caller's agent, with another task."""

from __future__ import annotations

from typing import Any

from pipelines.agent.definition import AgentDefinition
from pipelines.agent.functions import Function, InputSchema
from pipelines.agent.options import Fallback, Recording
from pipelines.history import Conversation
from pipelines.parts import Message

PLACEHOLDER = "${parentTranscript}"

LONGEST_SECONDS = 300.0
"""Of such a conversation: a caller waits for its end."""

DEFAULT_PROMPT = f"""\
You are on the telephone with somebody whom a caller wants to speak to; the caller waits on another line, and hears \
nothing of this. Say in a sentence or two who is calling and what it is about, and ask whether they take the call. \
If they do, call accept_transfer. If they do not, or if this is a machine or the wrong person, thank them and call \
reject_transfer with the reason. Promise nothing, and do not settle the matter yourself.

What was said with the caller so far:

{PLACEHOLDER}"""

BEGIN = "[The call was answered. Say who is calling, and why.]"
"""Nobody has said anything yet: the agent speaks first."""

LONGEST_TRANSCRIPT = 20_000
"""Characters: the latest."""


def consultant(agent: AgentDefinition, prompt: str | None, transcript: str) -> AgentDefinition:
    """``prompt`` is the transfer's own, or else the agent's ``transferPrompt``, or else ours. Without the functions,
    the greeting, the recording and the webhook of the caller's agent; and nobody else goes on where it cannot."""
    options = agent.options
    text = prompt or options.transfer_prompt or DEFAULT_PROMPT
    fallback = (options.fallback or Fallback()).model_copy(update={"agent": None, "number": None})
    # A machine is for the agent to tell, who is asked to: what outbound calls leave there is no business of this one.
    ringing = {"ring_timeout": options.transfer.ring_seconds, "detection": None}
    changes: dict[str, Any] = {
        "greeting": None,
        "fallback": fallback,
        "recording": Recording(),
        "call_hook": None,
        "max_duration": LONGEST_SECONDS,
        "time_exceeded_message": None,
        "outbound": options.outbound.model_copy(update=ringing),
    }
    return agent.model_copy(
        update={
            "prompt": text.replace(PLACEHOLDER, transcript[-LONGEST_TRANSCRIPT:]),
            "options": options.model_copy(update=changes),
            "functions": [_ACCEPT, _REJECT],
            "keys": [],
        }
    )


def opening() -> Conversation:
    """What it goes on from."""
    return Conversation([Message("user", BEGIN)], owed=True)


# What the API would refuse: nobody else's agent has these.
_ACCEPT = Function.model_construct(
    name="accept_transfer",
    description="They take the call: join them with the caller. Say first that you are connecting them.",
    implementation="builtin",
    platform="accept_transfer",
)
_REJECT = Function.model_construct(
    name="reject_transfer",
    description="They do not take the call, or nobody who could is there. Say goodbye first.",
    implementation="builtin",
    platform="reject_transfer",
    input_schema=InputSchema.model_validate(
        {"properties": {"reason": {"description": "Why, in a few words, for the caller's agent.", "maxLength": 500}}}
    ),
)
