"""What the documentation says and the code can confirm."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from prometheus_client import REGISTRY
from pydantic import BaseModel

import gateway.metrics  # noqa: F401  (registers what it names)
from gateway.api import OPERATIONS
from gateway.cli import _COMMANDS, trunkline
from gateway.routes import jambonz_routes, service_routes
from gateway.settings import Settings, variables
from pipelines.agent import AgentDefinition, AgentOptions
from pipelines.agent.modelname import PROVIDERS
from pipelines.events import EndReason, TurnTimings
from pipelines.providers.script import Rule, Script, Slot
from tests.calls.test_traps import TRAPS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = {"README.md": (ROOT / "README.md").read_text()}
PAGES |= {path.relative_to(DOCS).as_posix(): path.read_text() for path in sorted(DOCS.rglob("*.md"))}


def lacks(page: str, names: Iterator[str] | list[str] | set[str]) -> set[str]:
    """Those of ``names`` that do not stand on the page as code, alone or as part of a path."""
    code = set(re.findall(r"`([^`\n]+)`", PAGES[page]))
    words = {word for text in code for word in re.findall(r"[\w:-]+", text)}
    return {name for name in names if name not in words}


# Links


def anchors(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_somewhere(page: str) -> None:
    here = ROOT / page if page == "README.md" else DOCS / page
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (here.parent / path).resolve() if path else here
        assert file.exists(), f"{page} links to {target}"
        assert file.is_relative_to(ROOT)
        if anchor:
            assert anchor in anchors(file.read_text()), f"{page} links to {target}"


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_are_there(page: str) -> None:
    for path in re.findall(r"`((?:gateway|jambonz|media|pipelines|store|tests|deploy|docs)/[\w./]+)`", PAGES[page]):
        assert (ROOT / path).exists(), f"{page} names {path}"


def test_tests_that_are_named_are_there() -> None:
    there = {
        name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    for page, text in PAGES.items():
        named = set(re.findall(r"`(test_\w+)`", text))
        assert named <= there, page


# Operations


def test_every_setting_and_every_metric_is_told() -> None:
    assert lacks("operations.md", set(variables())) == set()
    exposed = {
        metric.name + ("_total" if metric.type == "counter" else "")
        for metric in REGISTRY.collect()
        if metric.name.startswith("trunkline_")
    }
    assert exposed
    assert lacks("operations.md", exposed) == set()


def test_no_setting_or_metric_is_made_up() -> None:
    exposed = {sample.name for metric in REGISTRY.collect() for sample in metric.samples} | {
        metric.name + suffix for metric in REGISTRY.collect() for suffix in ("", "_total", "_bucket")
    }
    for page, text in PAGES.items():
        assert set(re.findall(r"\bTRUNKLINE_[A-Z_]+\b", text)) <= set(variables()), page
        assert set(re.findall(r"\btrunkline_(?!test)[a-z_]+\b", text)) - {"trunkline_"} <= exposed, page


def test_defaults_of_settings() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([^|`]+)`? \|", PAGES["operations.md"], re.MULTILINE))
    for variable, name in variables().items():
        default: Any = Settings.model_fields[name].default
        if isinstance(default, bool):
            default = "YES" if default else "NO"
        if default not in (None, ()) and variable in rows:
            assert rows[variable].strip() == str(default), variable


def test_endings_and_parts_of_the_latency() -> None:
    assert lacks("api.md", set(get_args(EndReason))) == set()
    assert all(reason in PAGES["operations.md"] for reason in get_args(EndReason))
    assert lacks("turn-taking.md", set(TurnTimings.__slots__)) == set()


# Agents


def options(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every option that is no group of others, by its path, with its default."""
    for name, field in model.model_fields.items():
        here = f"{path}{field.alias or name}"
        default = field.get_default()
        if isinstance(default, BaseModel):
            yield from options(type(default), f"{here}.")
        else:
            yield here, default


OPTIONS = PAGES["agents.md"] + PAGES["turn-taking.md"] + PAGES["going-on.md"]
"""The pages that tell of options."""


def test_every_option_is_named() -> None:
    """By its path, or, where the whole group has no effect yet, by the group."""
    assert lacks("agents.md", {field.alias or name for name, field in AgentOptions.model_fields.items()}) == set()
    code = set(re.findall(r"`([^`\n]+)`", OPTIONS))
    not_yet = set(re.findall(r"^\| `(\w+)` \| [^|]+ \| not yet", PAGES["agents.md"], re.MULTILINE))
    assert not_yet
    for path, _ in options(AgentOptions):
        assert path.removeprefix("turns.") in code or path.split(".")[0] in not_yet, path


def test_defaults_of_options() -> None:
    rows = dict(re.findall(r"^\| `([\w.]+)` \| ([^|]+) \|", OPTIONS, re.MULTILINE))
    checked = 0
    for path, default in options(AgentOptions):
        told = rows.get(path.removeprefix("turns."), "").strip().strip("`")
        if default is None or not re.match(r'["\[\d]|true$|false$', told):
            continue
        assert json.loads(told) == default, path
        checked += 1
    assert checked >= 15


def test_every_provider_and_every_field_of_a_script_is_named() -> None:
    assert lacks("agents.md", set(PROVIDERS)) == set()
    for model in (Script, Rule, Slot):
        assert lacks("agents.md", {field.alias or name for name, field in model.model_fields.items()}) == set()


@pytest.mark.parametrize("page", PAGES)
def test_agents_that_are_shown_can_be_made(page: str) -> None:
    blocks = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL)]
    bodies = [json.loads(body) for body in re.findall(r"-d '(\{.*?\})'", PAGES[page], re.DOTALL)]
    for shown in (*blocks, *bodies):
        if "modelName" in shown and "id" not in shown:
            AgentDefinition.model_validate(shown)
        elif "implementation" in shown:
            AgentDefinition.model_validate({"modelName": "scripted/echo", "prompt": "", "functions": [shown]})


# Jambonz, API, commands


def test_every_trap_is_told_with_its_proof() -> None:
    for trap in TRAPS:
        assert f"`{trap.name}`" in PAGES["jambonz.md"], trap.name


def test_paths_that_are_shown_are_served() -> None:
    served = {f"/api{operation.path}" for operation in OPERATIONS}
    served |= {"/api/openapi.json", "/api/docs", "/api/agent-db", "/"}
    served |= {str(route.path) for route in (*jambonz_routes(), *service_routes())}
    patterns = [re.sub(r"\{\w+\}", r"(?:\\{\\w+\\}|\\$\\w+|[A-Z]+_ID)", path) for path in served]
    for page, text in PAGES.items():
        for path in re.findall(
            r"(?:GET|POST|PUT|DELETE|\$URL|example\.com|`) ?(/(?:api|jambonz|progress)/[\w{}$/.-]+)", text
        ):
            assert any(re.fullmatch(pattern, path.rstrip("/")) for pattern in patterns) or path.endswith("/"), (
                f"{page}: {path}"
            )


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_are_shown_can_be_given(page: str) -> None:
    """With these flags and arguments; none is run."""
    for block in re.findall(r"^```sh\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if re.match(r"(\.venv/bin/)?trunkline ", line):
                words = shlex.split(line, comments=True)[1:]
                _parse(trunkline, words[: words.index("<")] if "<" in words else words)


def _parse(command: click.Command, words: list[str], parent: click.Context | None = None) -> None:
    context = command.make_context(command.name, list(words), parent=parent)
    if isinstance(command, click.Group):
        _, named, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert named is not None, words
        _parse(named, rest, context)


def test_every_command_is_told() -> None:
    assert all(f"`trunkline {command}" in PAGES["README.md"] for command in _COMMANDS)
