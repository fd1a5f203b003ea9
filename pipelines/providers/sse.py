"""Server-sent events: bytes in, events out. Pure.

The rules are those of the HTML standard (section 9.2.6): lines end in LF, CR or CRLF, a blank line ends an event, and
one without data, or without its blank line, is none. ``id`` and ``retry`` are for browsers that reconnect.
"""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_EVENT = 1 << 20
"""Bytes: a server that sends more without ending an event is not believed."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """``name`` is that of its ``event:`` line, empty where there is none."""

    name: str
    data: str


class SseReader:
    """What is read does not depend on how the bytes are cut."""

    def __init__(self) -> None:
        self._rest = b""
        self._after_cr = False
        self._begun = False
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0

    def push(self, data: bytes) -> list[ServerSentEvent]:
        """Raises ValueError when an event is longer than :data:`LONGEST_EVENT`."""
        if self._after_cr and data:
            data = data.removeprefix(b"\n")  # the second half of a CRLF that was cut
            self._after_cr = False
        lines = (self._rest + data).splitlines(keepends=True)
        self._rest = b""
        if lines and not lines[-1].endswith((b"\n", b"\r")):
            self._rest = lines.pop()
        elif lines:
            self._after_cr = lines[-1].endswith(b"\r")
        events = [event for line in lines if (event := self._line(line.rstrip(b"\r\n"))) is not None]
        if self._size + len(self._rest) > LONGEST_EVENT:
            raise ValueError(f"an event is longer than {LONGEST_EVENT} bytes")
        return events

    def _line(self, line: bytes) -> ServerSentEvent | None:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            self._name = value
        elif name == b"data":
            self._data.append(value)
            self._size += len(value) + 1
            if self._size > LONGEST_EVENT:
                raise ValueError(f"an event is longer than {LONGEST_EVENT} bytes")
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        name, data = self._name, b"\n".join(self._data)
        self._name, self._data, self._size = b"", [], 0
        return ServerSentEvent(_text(name), _text(data)) if data else None


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
