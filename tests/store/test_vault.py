from __future__ import annotations

import errno
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.errors import CannotOpen, Unreadable
from store.vault import Vault, load_or_make_key


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.text(max_size=20))
def test_what_is_sealed_opens_again(text: str, key: str) -> None:
    assert Vault(key).open(Vault(key).seal(text, "agent 1"), "agent 1") == text


def test_the_same_text_is_never_sealed_alike() -> None:
    assert Vault("k").seal("text", "c") != Vault("k").seal("text", "c")


SEALED = Vault("k").seal("text", "agent 1")


@pytest.mark.parametrize(
    ("key", "sealed", "context"),
    [
        ("other", SEALED, "agent 1"),
        ("k", SEALED, "agent 2"),
        ("k", SEALED[:-4] + "AAAA", "agent 1"),
        ("k", "enc:a:b", "agent 1"),
        ("k", "plain", "agent 1"),
        ("k", "", "agent 1"),
    ],
    ids=["another key", "another row", "cut", "no cipher", "not sealed", "nothing"],
)
def test_what_was_not_sealed_so_does_not_open(key: str, sealed: str, context: str) -> None:
    with pytest.raises(Unreadable, match=context):
        Vault(key).open(sealed, context)


def test_a_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    first = load_or_make_key(tmp_path / "new")
    assert load_or_make_key(tmp_path / "new") == first
    assert stat.S_IMODE((tmp_path / "new" / "credentials.key").stat().st_mode) == 0o600
    assert len(first) >= 43


def test_an_empty_key_is_none(tmp_path: Path) -> None:
    """A full disk leaves it so, and everybody knows what is sealed with nothing."""
    (tmp_path / "credentials.key").touch()
    with pytest.raises(CannotOpen, match="has no key in it"):
        load_or_make_key(tmp_path)


def test_a_key_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        load_or_make_key(tmp_path)
    assert not list(tmp_path.iterdir())
