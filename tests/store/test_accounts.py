from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from store import DEFAULT_OWNER, Owner
from store.rows import now
from tests.store.opened import opened


async def test_a_key_speaks_for_its_owner_until_it_expires(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        assert not await store.accounts.has_keys()
        other = await store.accounts.create_organisation("other")
        await store.accounts.add_key(DEFAULT_OWNER, "a", "key-a")
        await store.accounts.add_key(other, "b", "key-b", expires_at=now() + timedelta(hours=1))
        await store.accounts.add_key(other, "c", "key-c", expires_at=now() - timedelta(seconds=1))
        assert await store.accounts.has_keys()
        assert await store.accounts.owner_of_key("key-a") == DEFAULT_OWNER
        assert await store.accounts.owner_of_key("key-b") == other
        assert await store.accounts.owner_of_key("key-c") is None
        assert await store.accounts.owner_of_key("") is None


async def test_a_key_is_added_once_and_stays_with_its_first_owner(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        other = await store.accounts.create_organisation("other")
        await store.accounts.add_key(DEFAULT_OWNER, "a", "key")
        await store.accounts.add_key(other, "a", "key")
        assert await store.accounts.owner_of_key("key") == DEFAULT_OWNER


async def test_keys_are_dropped_by_name(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for key in ("old", "new"):
            await store.accounts.add_key(DEFAULT_OWNER, "admin", key)
        await store.accounts.drop_keys("admin", but="new")
        assert await store.accounts.owner_of_key("old") is None
        assert await store.accounts.owner_of_key("new") == DEFAULT_OWNER


async def test_a_user_who_comes_for_the_first_time_is_made_once(tmp_path: Path) -> None:
    ann = Owner("org-of-an-issuer", "user-of-an-issuer")
    async with opened(tmp_path) as store:
        await asyncio.gather(*(store.accounts.ensure(ann, "Ann") for _ in range(5)))
        await store.accounts.ensure(Owner(ann.organisation_id, "another"), "Bob")
        await store.accounts.add_key(ann, "k", "key-of-ann")
        assert await store.accounts.owner_of_key("key-of-ann") == ann
        assert [key.name for key in await store.accounts.keys(ann)] == ["k"]
