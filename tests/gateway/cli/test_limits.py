from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import trunkline


def run(directory: Path, *arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(trunkline, ["limits", *arguments, "--data-dir", str(directory)])
    assert result.exit_code == status, result.output
    return result.output


def test_limits_are_set_one_by_one_and_taken_away(tmp_path: Path) -> None:
    assert run(tmp_path) == "organisation  no limit\nuser          no limit\n"
    assert run(tmp_path, "--organisation", "20") == "organisation  20\nuser          no limit\n"
    assert json.loads(run(tmp_path, "--user", "0", "--json")) == {"organisation": 20, "user": 0}
    assert json.loads(run(tmp_path, "--organisation", "none", "--json")) == {"organisation": None, "user": 0}
    assert run(tmp_path) == "organisation  no limit\nuser          0\n"


@pytest.mark.parametrize("wrong", ["-1", "many", "1.5", "10000000"])
def test_what_is_no_limit(tmp_path: Path, wrong: str) -> None:
    assert "is no limit; write a number of calls" in run(tmp_path, f"--user={wrong}", status=2)
    assert not list(tmp_path.iterdir())
