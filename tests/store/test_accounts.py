from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from store import DEFAULT_OWNER, Owner, Store
from store.rows import now
from tests.store.opened import opened


async def owner_of(store: Store, key: str) -> Owner | None:
    identity = await store.accounts.identify(key)
    return identity.owner if identity is not None else None


async def test_a_key_speaks_for_its_owner_until_it_expires(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        assert not await store.accounts.has_keys()
        other = await store.accounts.create_organisation("other")
        await store.accounts.add_key(DEFAULT_OWNER, "a", "key-a")
        await store.accounts.add_key(other, "b", "key-b", expires_at=now() + timedelta(hours=1))
        await store.accounts.add_key(other, "c", "key-c", expires_at=now() - timedelta(seconds=1))
        assert await store.accounts.has_keys()
        assert await owner_of(store, "key-a") == DEFAULT_OWNER
        assert await owner_of(store, "key-b") == other
        assert await owner_of(store, "key-c") is None
        assert await owner_of(store, "") is None


async def test_a_key_is_added_once_and_stays_with_its_first_owner(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        other = await store.accounts.create_organisation("other")
        await store.accounts.add_key(DEFAULT_OWNER, "a", "key")
        await store.accounts.add_key(other, "a", "key")
        assert await owner_of(store, "key") == DEFAULT_OWNER


async def test_a_key_that_is_set_is_the_only_one_of_its_name_and_good_for_everything(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        other = await store.accounts.create_organisation("other")
        await store.accounts.add_key(other, "admin", "of-another")
        await store.accounts.add_key(other, "k", "new", now() - timedelta(seconds=1), {"calls:read"})
        await store.accounts.set_key(DEFAULT_OWNER, "admin", "old")
        await store.accounts.set_key(DEFAULT_OWNER, "admin", "new")
        assert await owner_of(store, "old") is None
        identity = await store.accounts.identify("new")
        assert identity is not None
        assert (identity.owner, identity.scopes) == (DEFAULT_OWNER, None)
        await store.accounts.set_key(DEFAULT_OWNER, "admin", None)
        assert await owner_of(store, "new") is None
        assert await owner_of(store, "of-another") == other


async def test_a_user_who_comes_for_the_first_time_is_made_once(tmp_path: Path) -> None:
    ann = Owner("org-of-an-issuer", "user-of-an-issuer")
    async with opened(tmp_path) as store:
        await asyncio.gather(*(store.accounts.ensure(ann, "Ann") for _ in range(5)))
        await store.accounts.ensure(Owner(ann.organisation_id, "another"), "Bob")
        await store.accounts.add_key(ann, "k", "key-of-ann")
        assert await owner_of(store, "key-of-ann") == ann
        assert [key.name for key in await store.accounts.keys(ann)] == ["k"]
