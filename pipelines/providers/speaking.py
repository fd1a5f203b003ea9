"""What the wires of voices have in common: phrases that are begun, heard, finished, and left. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipelines.parts import SpeechEvent
from pipelines.providers.wire import Failed


@dataclass(frozen=True, slots=True)
class Said:
    """Some of a phrase: its sound, where its words are in it, what it cost."""

    phrase: str
    events: Sequence[SpeechEvent]


@dataclass(frozen=True, slots=True)
class Finished:
    """All of a phrase has come, these as the last."""

    phrase: str
    events: Sequence[SpeechEvent] = ()


@dataclass(frozen=True, slots=True)
class Broken:
    """A phrase will not be finished; its socket is good still, unless ``retire``: then it takes no more phrases."""

    phrase: str
    why: Failed
    retire: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """This is to be sent."""

    message: str


SpeakingEvent = Said | Finished | Broken | Send | Failed


class SpeakingProtocol(Protocol):
    """One socket of a vendor, which may have several phrases at a time. ``len`` is how many count: those that are not
    finished, and those that are not wanted any further, until the vendor has done with them. What the methods return is
    to be sent."""

    path: str
    goodbye: str | None

    @property
    def room(self) -> int:
        """Phrases at a time."""
        ...

    def query(self) -> list[tuple[str, str]]: ...

    def begin(self, text: str, settings: Mapping[str, Any]) -> tuple[str, Sequence[str]]:
        """A phrase, with what this vendor wants to be told besides. Its name comes first."""
        ...

    def leave(self, phrase: str, heard: float) -> Sequence[str]:
        """No more of it is wanted; ``heard`` seconds of it have sounded."""
        ...

    def forget(self, phrase: str) -> None:
        """Nothing of it was sent."""
        ...

    def holds(self, phrase: str) -> bool:
        """Whether it counts."""
        ...

    def receive(self, message: str | bytes) -> Sequence[SpeakingEvent]:
        """Events of phrases that are wanted. Raises :class:`Malformed`."""
        ...

    def __len__(self) -> int: ...
