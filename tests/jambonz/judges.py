"""Jambonz's own validators (JavaScript, in ``tests/node``) as judges of the verbs that we send."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

NODE = Path(__file__).parent.parent / "node"


class Verdict(NamedTuple):
    """The complaints of ``@jambonz/verb-specifications`` and ``@jambonz/schema``; None means accepted."""

    specifications: str | None
    schema: str | None


def judge(applications: Sequence[Any]) -> list[Verdict]:
    """What the validators say of each application (a list of verbs), in one run of Node.js."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed, and Jambonz's validators are written in JavaScript")
    if not (NODE / "node_modules").is_dir():
        pytest.skip("Jambonz's validators are not installed: run `npm ci` in tests/node")
    done = subprocess.run(
        [node, "judge.mjs"], cwd=NODE, input=json.dumps(applications), capture_output=True, text=True, timeout=100,
        check=True,
    )  # fmt: skip
    return [Verdict(**verdict) for verdict in json.loads(done.stdout)]
