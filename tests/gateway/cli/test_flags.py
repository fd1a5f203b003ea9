from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from gateway.cli import trunkline
from gateway.cli.flags import setting_flags, settings_or_exit
from gateway.settings import Settings, variables


@click.command()
@setting_flags
def show(**flags: Any) -> None:
    settings = settings_or_exit(flags)
    click.echo(f"{settings.host} {settings.port} {settings.data_dir} {settings.authenticate_users}")


def shown(*flags: str, cwd: Path, **variables: str) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        return CliRunner(env=variables).invoke(show, flags)


def test_every_setting_has_a_flag_of_its_name() -> None:
    flags = {option for parameter in show.params for option in parameter.opts}
    assert flags == {f"--{name.replace('_', '-')}" for name in variables().values()}
    assert len(flags) == len(Settings.model_fields)


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TRUNKLINE_HOST=::1\nTRUNKLINE_PORT=1\nTRUNKLINE_DATA_DIR=file\n")
    result = shown("--data-dir", "flag", "--authenticate-users", "no", cwd=tmp_path, TRUNKLINE_PORT="2")
    assert (result.exit_code, result.output) == (0, "::1 2 flag False\n")


def test_without_any_the_defaults_hold(tmp_path: Path) -> None:
    assert shown(cwd=tmp_path).output == "127.0.0.1 8080 var True\n"


def test_each_bad_value_is_a_sentence_on_standard_error_and_no_secret_is_in_it(tmp_path: Path) -> None:
    result = shown("--port", "many", "--admin-key", "s3cr3t", cwd=tmp_path, TRUNKLINE_PROT="1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        "TRUNKLINE_PROT is no setting; did you mean TRUNKLINE_PORT?",
        "TRUNKLINE_PORT has a value that cannot be used; write a whole number.",
    ]
    assert "s3cr3t" not in shown("--admin-key", "s3cr3t", cwd=tmp_path).stderr


def test_help_names_the_variables_and_their_defaults() -> None:
    text = CliRunner().invoke(show, ["--help"]).output
    assert "TRUNKLINE_PORT [default: 8080]" in text
    assert "AUTHENTICATE_USERS [default: YES]" in text
    assert "DATABASE_URL\n" in text


def test_the_commands_are_listed_and_others_are_none() -> None:
    text = CliRunner().invoke(trunkline, ["--help"]).output
    for name in ("serve", "demo", "call", "check", "keys"):
        assert f"  {name} " in text
        assert CliRunner().invoke(trunkline, [name, "--help"]).exit_code == 0
    assert CliRunner().invoke(trunkline, ["dial"]).exit_code == 2
