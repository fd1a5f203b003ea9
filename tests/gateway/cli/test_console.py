from __future__ import annotations

import io
import sys
import threading

import pytest

from gateway.cli.console import Console


class Held(io.StringIO):
    """A terminal on which somebody pressed Ctrl-S."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def write(self, text: str) -> int:
        assert self.go_on.wait(10)
        return super().write(text)


def test_lines_come_in_order_and_all_before_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with Console() as console:
        for number in range(1000):
            console.print(str(number))
        console.print()
    assert capsys.readouterr().out == "".join(f"{number}\n" for number in range(1000)) + "\n"


def test_colours_are_left_out_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with Console() as console:
        console.print("\x1b[31mred\x1b[0m")
    assert capsys.readouterr().out == "red\n"


def test_whoever_prints_does_not_wait_for_a_terminal_that_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held()
    monkeypatch.setattr(sys, "stdout", held)
    with Console() as console:
        console.print("one")
        console.print("two")
        assert held.getvalue() == ""
        held.go_on.set()
    assert held.getvalue() == "one\ntwo\n"


def test_a_reader_who_has_left_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[str] = []

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            attempts.append(text)
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Gone())
    with Console() as console:
        console.print("one")
        console.print("two")
    assert "one\n" in attempts
    assert "two\n" not in attempts
