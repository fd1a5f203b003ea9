"""A leg that nobody listens to."""

from __future__ import annotations


class Nowhere:
    exact_marks = True

    def prepare(self, pcm: bytes) -> bytes:
        return pcm

    def send_audio(self, pcm: bytes) -> None: ...

    def send_mark(self, name: str) -> None: ...

    def send_clear(self) -> None: ...
