"""A listener that writes down what it hears."""

from __future__ import annotations

from dataclasses import dataclass, field

from jambonz.listen import Started


@dataclass
class Notes:
    """Everything that a leg told, in order and by kind."""

    heard: list[str] = field(default_factory=list)
    started: Started | None = None
    frames: list[bytes] = field(default_factory=list)
    digits: list[tuple[str, int | None]] = field(default_factory=list)
    marks: list[tuple[str, bool]] = field(default_factory=list)
    closed: list[tuple[int, str]] = field(default_factory=list)

    def on_started(self, started: Started) -> None:
        self.heard.append("started")
        self.started = started

    def on_audio(self, frame: bytes) -> None:
        self.heard.append("audio")
        self.frames.append(frame)

    def on_dtmf(self, digit: str, milliseconds: int | None) -> None:
        self.heard.append("dtmf")
        self.digits.append((digit, milliseconds))

    def on_mark(self, name: str, cleared: bool) -> None:
        self.heard.append("mark")
        self.marks.append((name, cleared))

    def on_closed(self, code: int, reason: str) -> None:
        self.heard.append("closed")
        self.closed.append((code, reason))
