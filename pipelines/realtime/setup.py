"""From an agent's definition, and what was said so far, to what a session is told."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.agent import AgentDefinition
from pipelines.history import History
from pipelines.parts import Message, ToolSpec
from pipelines.realtime.model import Capabilities, Detection, Setup

MOST_MESSAGES = 100
"""Of the conversation so far, for a session that takes over."""

LEAST_SILENCE = 0.2
"""Less is in the middle of words."""


def detection_of(agent: AgentDefinition, can: Capabilities) -> Detection:
    """Who tells turns: as the agent says, as far as the model can; otherwise the model as it always does."""
    wanted: dict[str, Detection] = {"vad": "own", "semantic": "semantic", "auto": "server"}
    found = wanted[agent.options.turns.detection]
    return found if found in can.detections else "server"


def silence_of(agent: AgentDefinition) -> float | None:
    """How much silence ends the caller's turn, where the agent says so and nobody judges the words: half way between
    ``minDelay`` and ``maxDelay``. Of what is not said, the other one's meaning is kept: the least, or half of the
    most."""
    wanted = agent.options.turns.endpointing
    match "min_delay" in wanted.model_fields_set, "max_delay" in wanted.model_fields_set:
        case True, True:
            silence = (wanted.min_delay + wanted.max_delay) / 2
        case True, False:
            silence = wanted.min_delay
        case False, True:
            silence = wanted.max_delay / 2
        case _:
            return None
    return max(silence, LEAST_SILENCE)


LEAST_SECONDS = 1.0
"""What is left of a call whose time is over: the service's own clock ends it."""


def setup_of(
    agent: AgentDefinition,
    can: Capabilities,
    tools: Sequence[ToolSpec],
    history: History,
    *,
    first: bool,
    spent: float = 0.0,
) -> Setup:
    """``first``: this session begins the call, with the greeting; otherwise it goes on. ``spent``: the seconds that the
    call has lasted."""
    options = agent.options
    opening = options.opening
    return Setup(
        instructions=agent.prompt,
        tools=tools,
        voice=options.tts.voice,
        language=options.tts.language or options.stt.language,
        hints=options.stt.hints,
        temperature=options.temperature,
        detection=detection_of(agent, can),
        interruptible=options.turns.interruption.enabled,
        silence_seconds=silence_of(agent),
        greeting=opening.text if first and opening is not None else None,
        greeting_interruptible=opening is None or opening.interruptible,
        idle_seconds=options.idle.timeout,
        idle_prompts=options.idle.prompts,
        idle_farewell=options.idle.farewell,
        longest_seconds=None if options.max_seconds is None else max(options.max_seconds - spent, LEAST_SECONDS),
        time_exceeded=options.time_exceeded_message,
        history=() if first else spoken(history.entries),
        vendor=options.vendor_specific,
    )


def spoken(entries: Sequence[Message]) -> Sequence[Message]:
    """The latest of the conversation, cut where no call is parted from its result. A message of the caller that was
    not answered yet is left out: it is told again, to be answered."""
    latest = list(entries[-MOST_MESSAGES:])
    while latest and latest[0].role == "tool":
        latest.pop(0)
    if latest and latest[-1].role == "user":
        latest.pop()
    return latest
