from __future__ import annotations

import asyncio
from pathlib import Path

from click.testing import CliRunner

from gateway.cli import trunkline
from store import DEFAULT_OWNER, Owner, Store


def owner_of(key: str, directory: Path) -> Owner | None:
    async def look() -> Owner | None:
        store = await Store.open(f"sqlite:///{directory}/trunkline.sqlite3", data_dir=directory)
        try:
            return await store.accounts.owner_of_key(key)
        finally:
            await store.close()

    return asyncio.run(look())


def test_a_new_key_is_printed_alone_and_opens(tmp_path: Path) -> None:
    first, second = (
        CliRunner().invoke(trunkline, ["keys", "new", "--name", "n", "--data-dir", str(tmp_path)]) for _ in range(2)
    )
    assert first.exit_code == second.exit_code == 0
    assert first.output != second.output
    assert first.output.startswith("trk_")
    assert owner_of(first.output.strip(), tmp_path) == owner_of(second.output.strip(), tmp_path) == DEFAULT_OWNER


def test_names_that_the_service_gives_itself_are_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        trunkline, ["keys", "new", "--name", "TRUNKLINE_ADMIN_KEY", "--data-dir", str(tmp_path)]
    )
    assert result.exit_code == 2
    assert "choose another" in result.output
    assert not list(tmp_path.iterdir())


def test_a_database_that_cannot_be_reached_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = CliRunner().invoke(trunkline, ["keys", "new", "--data-dir", str(tmp_path / "file")])
    assert result.exit_code == 1
    assert "The database cannot be reached" in result.output
