"""What the catalogue is made of: models and voices, as agents name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Gender = Literal["male", "female", "neutral", "unknown"]

ANY_LANGUAGE = "any"
"""Where a voice speaks whatever it is given."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a handler's agents can be reached."""

    telephony: bool
    webrtc: bool


HANDLERS: Mapping[str, Reach] = {
    "jambonz": Reach(telephony=True, webrtc=False),
    "ultravox": Reach(telephony=True, webrtc=True),
}

_OF_ULTRAVOX = ("ultravox", "fixie-ai")


def handler_of(provider: str) -> str:
    """Who runs the calls of a provider's models and voices."""
    return "ultravox" if provider in _OF_ULTRAVOX else "jambonz"


@dataclass(frozen=True, slots=True)
class Model:
    """``provider/id`` of an agent's ``modelName``. ``functions``: it can call tools; ``audio``: it hears and speaks
    itself."""

    provider: str
    id: str
    description: str
    functions: bool = True
    audio: bool = False

    @property
    def source(self) -> str:
        return self.provider

    @property
    def name(self) -> str:
        return f"{handler_of(self.provider)}:{self.provider}/{self.id}"


@dataclass(frozen=True, slots=True)
class Voice:
    """``name`` is what an agent has as ``tts.voice`` with ``tts.vendor`` ``vendor``; ``languages`` are tags, or
    :data:`ANY_LANGUAGE`."""

    vendor: str
    name: str
    description: str
    gender: Gender
    languages: tuple[str, ...]

    @property
    def source(self) -> str:
        return self.vendor


def tag(language: str) -> str:
    """A language tag as BCP 47 writes it: ``en-GB``, ``zh-Hant-TW``, ``vi-VN-x-south``."""
    first, *rest = language.replace("_", "-").split("-")
    private = False
    parts = [first.lower()]
    for part in rest:
        private = private or len(part) == 1
        if not private and len(part) == 2:
            parts.append(part.upper())
        elif not private and len(part) == 4 and part.isalpha():
            parts.append(part.title())
        else:
            parts.append(part.lower())
    return "-".join(parts)
