"""The files under deploy/ agree with the code: no engine runs here, so what can be compared is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from gateway.settings import variables

ROOT = Path(__file__).parent.parent
CONTAINERFILE = (ROOT / "deploy/Containerfile").read_text()
COMPOSE = (ROOT / "deploy/compose.yaml").read_text()
ENV_EXAMPLE = (ROOT / "deploy/env.example").read_text()


def pins(name: str) -> set[str]:
    return set(re.findall(r"^[\w.-]+==[^ ]+", (ROOT / "locks" / name).read_text(), re.MULTILINE))


def test_the_image_holds_every_package_of_ours_and_nothing_that_is_not_there() -> None:
    copied = {
        path for line in re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERFILE, re.MULTILINE) for path in line.split()
    }
    assert all((ROOT / path).exists() for path in copied)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) < copied
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {path.split("/")[0] for path in copied} == let_in


def test_the_image_has_the_versions_that_were_tested() -> None:
    tested = pins("requirements.lock")
    assert pins("runtime.lock") < tested
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [
        one for extra in ("offline", "openai", "postgres") for one in project["optional-dependencies"][extra]
    ]
    names = {pin.split("==")[0].lower() for pin in pins("runtime.lock")}
    assert {re.split(r"[\[<>=;, ]", one)[0].lower() for one in wanted} <= names


def test_variables_are_those_that_the_service_reads() -> None:
    service = COMPOSE.partition("\n  postgres:\n")[0]
    given = set(re.findall(r"^      ([A-Z_]+):", service, re.MULTILINE))
    given |= set(re.findall(r"\b(TRUNKLINE_\w+|LOGFORMAT)=", CONTAINERFILE))
    assert given
    assert given <= set(variables())


def test_what_must_be_given_is_in_the_example_and_all_that_is_there_is_read() -> None:
    offered = set(re.findall(r"^([A-Z_]+)=", ENV_EXAMPLE, re.MULTILINE))
    assert set(re.findall(r"\$\{([A-Z_]+):\?", COMPOSE)) <= offered <= {*variables(), "POSTGRES_PASSWORD"}


def test_the_service_is_given_every_setting_of_the_file() -> None:
    service = COMPOSE.partition("\n  postgres:\n")[0]
    assert re.search(r"^    env_file: \.env$", service, re.MULTILINE)


def test_stopping_leaves_time_for_the_calls_to_end() -> None:
    [drain] = re.findall(r'TRUNKLINE_DRAIN_SECONDS: "(\d+)"', COMPOSE)
    grace = re.search(r"stop_grace_period: (\d+)m # TRUNKLINE", COMPOSE)
    assert grace is not None
    assert int(grace[1]) * 60 >= int(drain) + 30
