"""What a test decides about the simulated model: what it says, how fast, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

History = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model says, and the tools that it calls: names, and arguments as an object or as they stand."""

    text: str = ""
    calls: Sequence[tuple[str, Mapping[str, Any] | str]] = ()


Script = Callable[[str, History], Reply]
"""From what the caller said since the model's latest answer or call of a tool (empty: nothing, there are results), and
everything that was said, with results of tools as ``tool``."""


def echo(user_text: str, history: History) -> Reply:
    return Reply(f"You said {user_text}".strip())


def obey(instructions: str) -> str:
    """What a response's own instructions have it say: what follows their last empty line."""
    return instructions.rsplit("\n\n", 1)[-1]


@dataclass(frozen=True, slots=True)
class Faults:
    """Bad days. Milliseconds of sound are counted in what ``counted`` says: the agent's, as sent, or the caller's."""

    refuse: int | None = None
    """The status at the upgrade: 401, 429, 503."""
    mute: bool = False
    drop_after_ms: int | None = None
    drop_code: int = 1006
    half_open_after_ms: int | None = None
    counted: Literal["agent", "caller"] = "agent"
    malformed: bool = False
    huge: bool = False
    expire_after: float | None = None
    silence: bool = False
    fatal: str | None = None
    """The code of an error that answers the first request for a response."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    speed: float = 5.0
    """How many times faster than it is spoken an answer is sent; ``math.inf``: all at once."""
    think: float = 0.3
    transcribe: float = 0.4
    late_deltas: int = 3
    """Sound of a response that still comes after it was cancelled."""
    late_seconds: float = 0.02


@dataclass(frozen=True, slots=True)
class Close:
    """1006 is no code on the wire: the connection is cut."""

    code: int
    reason: str = ""


Sent = str | Close


def full_detection(wanted: Mapping[str, Any]) -> dict[str, Any]:
    answers = {"create_response": True, "interrupt_response": True}
    if wanted["type"] == "semantic_vad":
        return {"eagerness": "auto", **answers, **wanted}
    return {"threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500, **answers, **wanted}


def default_session(model: str, expires_at: int | None) -> dict[str, Any]:
    pcm = {"type": "audio/pcm", "rate": 24000}
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": "sess_000001",
        "model": model,
        "instructions": "You are helpful.",
        "output_modalities": ["audio"],
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        **({"expires_at": expires_at} if expires_at is not None else {}),
        "audio": {
            "input": {
                "format": dict(pcm),
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": full_detection({"type": "server_vad"}),
            },
            "output": {"format": dict(pcm), "voice": "marin", "speed": 1.0},
        },
    }
