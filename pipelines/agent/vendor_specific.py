"""``options.vendorSpecific`` of an agent with a realtime model: which of the vendor's own words it may hold.

What is named here is passed on as it stands, and its values are the vendor's to judge. Checked when an agent is saved,
and again by the adapters, for a definition may be older than they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.agent.modelname import PROVIDERS, ModelName
from pipelines.agent.strict import Problem, nearest
from pipelines.providers.compatible import OTHER_PARTS

WHERE = "options.vendorSpecific"


@dataclass(frozen=True, slots=True)
class Words:
    """What an object may hold: ``names``, or anything but ``ours`` where there are none. ``ours`` the service fills in
    itself, from a place in the agent or from none. ``objects`` and ``arrays`` have to be that. ``inner`` is known of
    the objects in it. ``texts``: all values are text, under names that do not begin with ``reserved``."""

    names: frozenset[str] = frozenset()
    ours: Mapping[str, str | None] = field(default_factory=dict)
    objects: frozenset[str] = frozenset()
    arrays: frozenset[str] = frozenset()
    inner: Mapping[str, Words] = field(default_factory=dict)
    texts: bool = False
    reserved: str | None = None

    def problems(self, value: object, where: str) -> Iterator[Problem]:
        if not isinstance(value, Mapping):
            yield Problem(where, "has to be an object")
            return
        for name, given in value.items():
            place = f"{where}.{name}"
            if name in self.ours:
                instead = f"write it as {self.ours[name]}" if self.ours[name] else "leave it out"
                yield Problem(place, f"is set by the service itself; {instead}")
            elif self.names and name not in self.names:
                meant = nearest(str(name), self.names)
                hint = f"did you mean {meant}?" if meant else f"known here: {', '.join(sorted(self.names))}"
                yield Problem(place, f"is not known; {hint}")
            elif name in self.inner:
                yield from self.inner[name].problems(given, place)
            elif name in self.objects and not isinstance(given, Mapping):
                yield Problem(place, "has to be an object")
            elif name in self.arrays and not isinstance(given, list):
                yield Problem(place, "has to be an array")
            elif self.texts and not (isinstance(given, str) and not name.startswith(self.reserved or "\0")):
                yield Problem(place, "has to be text, under a name of your own")


_SIDE = Words(ours={"format": None})

OPENAI_REALTIME = Words(
    frozenset(
        {"audio", "include", "max_output_tokens", "parallel_tool_calls", "prompt", "reasoning", "tool_choice"}
        | {"tracing", "truncation"}
        | OTHER_PARTS
    ),
    ours={
        "instructions": "prompt",
        "model": "modelName",
        "output_modalities": None,
        "tools": "functions",
        "type": None,
        "voice": "options.tts.voice",
    },
    inner={"audio": Words(frozenset({"input", "output"}), inner={"input": _SIDE, "output": _SIDE})},
)
"""Fields of a session of OpenAI Realtime."""

GPT_LIVE_DELEGATION = Words(
    frozenset(
        {"instructions", "max_output_tokens", "model", "parallel_tool_calls", "reasoning", "service_tier", "text"}
        | {"tool_choice"}
    ),
    ours={"tools": "functions"},
)
"""Fields of the model behind GPT-Live."""

GPT_LIVE = Words(
    frozenset({"delegation"} | OTHER_PARTS),
    ours={"instructions": "prompt", "model": "modelName", "audio": None, "input": None},
    inner={"delegation": GPT_LIVE_DELEGATION},
)

GEMINI_GENERATION = frozenset({"enableAffectiveDialog", "maxOutputTokens", "seed", "thinkingConfig", "topK", "topP"})
GEMINI_LIVE = Words(
    GEMINI_GENERATION | {"proactivity", "safetySettings"},
    ours={
        "responseModalities": None,
        "speechConfig": "options.tts.voice",
        "systemInstruction": "prompt",
        "temperature": "options.temperature",
        "tools": "functions",
    },
)

HTTP_TOOLS = "httpTools"
"""The names of functions of the agent that Ultravox runs itself: no setting of its own."""

ULTRAVOX = Words(
    frozenset(
        {"callbacks", "dataConnection", "experimentalSettings", "externalVoice", "firstSpeakerSettings", HTTP_TOOLS}
        | {"inactivityMessages", "initialOutputMedium", "initialState", "joinTimeout", "languageHint", "metadata"}
        | {"recordingEnabled", "retentionPolicy", "selectedTools", "sharedSecrets", "transcriptOptional"}
        | {"vadSettings", "voiceOverrides"}
    ),
    ours={
        "systemPrompt": "prompt",
        "model": "modelName",
        "voice": "options.tts.voice",
        "temperature": "options.temperature",
        "maxDuration": "options.maxDuration",
        "timeExceededMessage": "options.timeExceededMessage",
        "initialMessages": None,
        "medium": None,
    },
    objects=frozenset({"vadSettings"}),
    arrays=frozenset({"selectedTools"}),
    inner={"metadata": Words(texts=True, reserved="ultravox.")},
)
"""Fields of the request that makes a call."""


def realtime_words(model: ModelName) -> tuple[str, Words] | None:
    """Under which name a realtime model has its words, and which; None for another model."""
    if not model.is_realtime:
        return None
    match model.provider:
        case "openai":
            return "openai", GPT_LIVE if model.model.startswith("gpt-live") else OPENAI_REALTIME
        case "google":
            return "google", GEMINI_LIVE
        case _:
            return "ultravox", ULTRAVOX


def vendor_problems(model: ModelName, vendor_specific: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with the names of vendors, and with what is said to that of a realtime model."""
    # Needed here and not sooner: the registry reads scripts, which are checked as agents are.
    from pipelines.providers.registry import SPEECH_TO_TEXT, TEXT_TO_SPEECH

    vendors = {*PROVIDERS, *SPEECH_TO_TEXT, *TEXT_TO_SPEECH}
    for vendor in vendor_specific:
        if vendor not in vendors:
            meant = nearest(vendor, vendors)
            hint = f"did you mean {meant}?" if meant else f"there are {', '.join(sorted(vendors))}"
            yield Problem(f"{WHERE}.{vendor}", f"names no vendor; {hint}")
    found = realtime_words(model)
    if found is not None and found[0] in vendor_specific:
        yield from found[1].problems(vendor_specific[found[0]], f"{WHERE}.{found[0]}")


def said_to(vendor: str, words: Words, vendor_specific: Mapping[str, Any]) -> dict[str, Any]:
    """What the agent says to ``vendor``, besides what is for its voices and recognisers. Raises ValueError with a
    sentence for what cannot be said."""
    value = vendor_specific.get(vendor, {})
    for problem in words.problems(value, f"{WHERE}.{vendor}"):
        raise ValueError(str(problem))
    return {name: given for name, given in value.items() if name not in OTHER_PARTS}
