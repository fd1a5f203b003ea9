from __future__ import annotations

import asyncio
import json
from pathlib import Path

from click.testing import CliRunner
from pydantic import SecretStr

from gateway.auth import NOT_ROTATED, ensure_admin_key
from gateway.cli import trunkline
from gateway.settings import Settings
from pipelines.agent import AgentDefinition
from store import DEFAULT_OWNER, Owner, Store


def owner_of(key: str, directory: Path) -> Owner | None:
    async def look() -> Owner | None:
        store = await Store.open(f"sqlite:///{directory}/trunkline.sqlite3", data_dir=directory)
        try:
            identity = await store.accounts.identify(key)
            return identity.owner if identity is not None else None
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


def test_the_key_of_the_settings_is_not_rotated(tmp_path: Path) -> None:
    async def started() -> str:
        store = await Store.open(f"sqlite:///{tmp_path}/trunkline.sqlite3", data_dir=tmp_path)
        await ensure_admin_key(store, Settings(admin_key=SecretStr("the key of the settings")))
        [key] = await store.accounts.keys(DEFAULT_OWNER)
        await store.close()
        return key.id

    result = CliRunner().invoke(trunkline, ["keys", "rotate", asyncio.run(started()), "--data-dir", str(tmp_path)])
    assert (result.exit_code, result.output) == (1, f"{NOT_ROTATED}\n")


def test_a_time_that_is_none_is_refused(tmp_path: Path) -> None:
    for wrong in (("new", "--days", "nan"), ("new", "--days", "1e308"), ("rotate", "x", "--hours", "nan")):
        result = CliRunner().invoke(trunkline, ["keys", *wrong, "--data-dir", str(tmp_path)])
        assert (result.exit_code, f"Invalid value for '{wrong[-2]}'" in result.output) == (2, True)
        assert not list(tmp_path.iterdir())


def test_a_database_that_cannot_be_reached_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = CliRunner().invoke(trunkline, ["keys", "new", "--data-dir", str(tmp_path / "file")])
    assert result.exit_code == 1
    assert "The database cannot be reached" in result.output


def test_keys_are_listed_replaced_and_deleted(tmp_path: Path) -> None:
    def keys(*arguments: str, status: int = 0) -> str:
        result = CliRunner().invoke(trunkline, ["keys", *arguments, "--data-dir", str(tmp_path)])
        assert result.exit_code == status, result.output
        return result.output

    assert "There are no keys" in keys("list")
    old = keys("new", "--name", "n", "--scope", "calls:read", "--days", "7").strip()
    [row] = json.loads(keys("list", "--json"))
    assert (row["name"], row["scopes"], row["lastUsedAt"]) == ("n", ["calls:read"], None)
    assert old not in keys("list")
    new = keys("rotate", row["id"], "--hours", "0").strip()
    assert new.startswith("trk_")
    assert owner_of(old, tmp_path) is None
    assert owner_of(new, tmp_path) == DEFAULT_OWNER
    [fresh] = [one["id"] for one in json.loads(keys("list", "--json")) if one["id"] != row["id"]]
    assert "deleted" in keys("delete", fresh)
    assert owner_of(new, tmp_path) is None
    assert "There is no key" in keys("delete", fresh, status=1)
    assert "There is no key" in keys("rotate", fresh, status=1)


def test_secrets_are_encrypted_with_another_key(tmp_path: Path) -> None:
    def reseal(*keys: str) -> tuple[int, str]:
        flags = [
            word for pair in zip(("--credentials-key", "--credentials-key-other"), keys, strict=False) for word in pair
        ]
        result = CliRunner().invoke(trunkline, ["reseal", "--data-dir", str(tmp_path), *flags])
        return result.exit_code, result.output

    async def fill() -> None:
        url = f"sqlite:///{tmp_path}/trunkline.sqlite3"
        store = await Store.open(url, data_dir=tmp_path, credentials_key="old-key")
        try:
            keys = [{"name": "crm", "in": "bearer", "value": "a secret"}]
            definition = {"modelName": "scripted/echo", "prompt": "x", "keys": keys}
            await store.agents.create(DEFAULT_OWNER, AgentDefinition.model_validate(definition))
        finally:
            await store.close()

    asyncio.run(fill())
    status, output = reseal("new-key")
    assert status == 1
    assert "open with neither key" in output
    assert reseal("new-key", "old-key") == (0, "1 encrypted anew, 0 were already\n")
    assert reseal("new-key") == (0, "0 encrypted anew, 1 were already\n")
