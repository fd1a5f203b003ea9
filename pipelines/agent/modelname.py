"""``modelName``: which handler runs the call, whose model it is, and which model."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipelines.agent.strict import nearest

HANDLERS = ("jambonz", "ultravox", "livekit")
DEFAULT_HANDLER = "jambonz"
PROVIDERS = ("openai", "anthropic", "google", "groq", "ollama", "ultravox", "fixie-ai", "scripted")
"""Whose models are known. Model ids are data: any id of a known provider is accepted."""

_SHAPE = re.compile(r"(?:(?P<handler>[a-z0-9_-]+):)?(?P<provider>[^/:\s]+)/(?P<model>\S+)")


@dataclass(frozen=True, slots=True)
class ModelName:
    """``[handler:]provider/model``, taken apart."""

    handler: str
    provider: str
    model: str

    @classmethod
    def parse(cls, text: str) -> ModelName:
        """Raises ValueError with the rest of a sentence that begins with ``modelName``."""
        match = _SHAPE.fullmatch(text)
        if match is None:
            raise ValueError(f"is {text!r}; write [handler:]provider/model, for example openai/gpt-4o")
        handler, provider = match["handler"] or DEFAULT_HANDLER, match["provider"]
        if handler not in HANDLERS:
            raise ValueError(f"names an unknown handler {handler!r}; {_choose(handler, HANDLERS)}")
        if provider not in PROVIDERS:
            raise ValueError(f"names an unknown provider {provider!r}; {_choose(provider, PROVIDERS)}")
        return cls(handler, provider, match["model"])

    @property
    def is_realtime(self) -> bool:
        """Whether the model hears and speaks by itself. Ids are data: any that looks like one of a kind is one."""
        match self.provider:
            case "ultravox" | "fixie-ai":
                return True
            case "openai":
                return self.model.startswith(("gpt-realtime", "gpt-live"))
            case "google":
                return "-live" in self.model
            case _:
                return self.handler == "ultravox"

    @property
    def number_pool(self) -> str:
        """Whose numbers can ring this agent: Ultravox has none of its own and takes calls through Jambonz."""
        return number_pool(self.handler)

    def __str__(self) -> str:
        return f"{self.handler}:{self.provider}/{self.model}"


def number_pool(handler: str) -> str:
    return "jambonz" if handler == "ultravox" else handler


def _choose(name: str, known: tuple[str, ...]) -> str:
    meant = nearest(name, known)
    return f"did you mean {meant}?" if meant else f"known are {', '.join(known)}."
