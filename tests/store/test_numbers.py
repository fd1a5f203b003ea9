from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from store import DEFAULT_OWNER, Listener, ListenerOptions, Owner, Page, Store
from store.errors import InUse, NotFound, NotSupported, StoreError
from store.numbers import Line, NumberFilter
from store.tables import phone_numbers
from tests.store.opened import definition, opened


async def listen(store: Store, agent_id: str, number: str | None, owner: Owner = DEFAULT_OWNER) -> Listener:
    return (await store.listeners.create(owner, agent_id, number=number, options=ListenerOptions()))[0]


async def house_number(store: Store, number: str) -> None:
    """A number that belongs to nobody."""
    await store.numbers.create(DEFAULT_OWNER, number, handler="jambonz")
    async with store._database.write() as connection:
        await connection.execute(
            sa.update(phone_numbers).where(phone_numbers.c.number == number).values(organisation_id=None)
        )


async def test_200_at_once_for_50_numbers(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        agent = await store.agents.create(DEFAULT_OWNER, definition())
        numbers = {f"4420{i:04}" for i in range(50)}
        for number in numbers:
            await store.numbers.create(DEFAULT_OWNER, number, handler="jambonz")
        asked = ["*"] * 100 + [number for number in sorted(numbers) for _ in range(2)]
        answers = await asyncio.gather(*(listen(store, agent.id, wanted) for wanted in asked), return_exceptions=True)
        won = [answer for answer in answers if isinstance(answer, Listener)]
        assert {listener.number for listener in won} == numbers
        assert len(won) == 50
        assert sum(isinstance(answer, InUse) for answer in answers) == 150
        assert {listener.id for listener in await store.listeners.list(DEFAULT_OWNER)} == {one.id for one in won}


async def test_any_free_number_is_the_first_that_fits(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        agent = await store.agents.create(DEFAULT_OWNER, definition())
        other = await store.accounts.create_organisation("other")
        await store.numbers.create(other, "441", handler="jambonz")
        await store.numbers.create(DEFAULT_OWNER, "442", handler="livekit")
        await store.numbers.create(DEFAULT_OWNER, "443", handler="jambonz")
        await store.numbers.update(DEFAULT_OWNER, "443", {"reservation": True})
        await store.numbers.create(DEFAULT_OWNER, "445", handler="jambonz")
        await house_number(store, "444")
        assert (await listen(store, agent.id, "*")).number == "444"
        assert (await listen(store, agent.id, "*")).number == "445"
        with pytest.raises(InUse, match="none of the numbers for jambonz is free"):
            await listen(store, agent.id, "*")
        assert (await listen(store, agent.id, "443")).number == "443"


@pytest.mark.parametrize(
    ("wanted", "refusal", "said"),
    [
        ("449", NotFound, "there is no number 449"),
        ("441", NotFound, "there is no number 441"),
        ("442", NotSupported, "the number 442 is for livekit, and the agent runs on jambonz"),
        ("443", InUse, "the number 443 has a listener already"),
    ],
)
async def test_why_a_number_cannot_be_had(tmp_path: Path, wanted: str, refusal: type[StoreError], said: str) -> None:
    async with opened(tmp_path) as store:
        agent = await store.agents.create(DEFAULT_OWNER, definition())
        other = await store.accounts.create_organisation("other")
        await store.numbers.create(other, "441", handler="jambonz")
        await store.numbers.create(DEFAULT_OWNER, "442", handler="livekit")
        await store.numbers.create(DEFAULT_OWNER, "443", handler="jambonz")
        await listen(store, agent.id, "443")
        with pytest.raises(refusal, match=said):
            await listen(store, agent.id, wanted)
        assert len(await store.listeners.list(DEFAULT_OWNER)) == 1


async def test_with_no_numbers_at_all_any_number_is_not_found(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        agent = await store.agents.create(DEFAULT_OWNER, definition())
        with pytest.raises(NotFound, match="there are no numbers for jambonz"):
            await listen(store, agent.id, "*")


async def test_ultravox_answers_on_numbers_of_jambonz(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        agent = await store.agents.create(DEFAULT_OWNER, definition(modelName="ultravox:ultravox/v0.7"))
        await store.numbers.create(DEFAULT_OWNER, "442", handler="jambonz")
        listener = await listen(store, agent.id, "*")
        assert (listener.number, listener.type) == ("442", "ultravox")


async def test_a_number_exists_once_for_everybody(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        other = await store.accounts.create_organisation("other")
        await store.numbers.create(DEFAULT_OWNER, "442", handler="jambonz")
        with pytest.raises(InUse):
            await store.numbers.create(other, "442", handler="jambonz")


async def test_numbers_of_the_house_are_seen_until_somebody_else_has_them(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        other = await store.accounts.create_organisation("other")
        agent = await store.agents.create(DEFAULT_OWNER, definition(name="mine"))
        await house_number(store, "442")

        async def seen(owner: Owner) -> list[tuple[str, str | None]]:
            rows = await store.numbers.list(owner, Page(), NumberFilter())
            return [(row.number, row.agent_name) for row in rows]

        assert await seen(other) == [("442", None)]
        await listen(store, agent.id, "*")
        assert await seen(other) == []
        assert await seen(DEFAULT_OWNER) == [("442", "mine")]
        assert not await store.numbers.delete(other, "442")
        assert not await store.numbers.update(other, "442", {"name": "x"})


async def test_a_number_in_use_stays(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        agent = await store.agents.create(DEFAULT_OWNER, definition())
        await store.numbers.create(DEFAULT_OWNER, "442", handler="jambonz")
        listener = await listen(store, agent.id, "442")
        with pytest.raises(InUse, match="delete the listener first"):
            await store.numbers.delete(DEFAULT_OWNER, "442")
        with pytest.raises(InUse, match="delete the listener first"):
            await store.numbers.update(DEFAULT_OWNER, "442", {"handler": "livekit", "name": "new"})
        assert await store.numbers.update(DEFAULT_OWNER, "442", {"handler": "jambonz", "name": "new"})
        assert await store.listeners.delete(DEFAULT_OWNER, listener.id)
        assert await store.numbers.delete(DEFAULT_OWNER, "442")
        assert await store.numbers.get(DEFAULT_OWNER, "442") is None


async def test_what_numbers_can_be_used_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        other = await store.accounts.create_organisation("other")
        agent = await store.agents.create(DEFAULT_OWNER, definition())
        flags = {"canRefer": True}
        both = await store.trunks.create(DEFAULT_OWNER, "both ways", handler="jambonz", outbound=True, flags=flags)
        into = await store.trunks.create(DEFAULT_OWNER, "in only", handler="jambonz", outbound=False, flags={})
        await store.numbers.create(DEFAULT_OWNER, "4411", handler="jambonz", trunk_id=both.id, outbound=True)
        await store.numbers.create(DEFAULT_OWNER, "4422", handler="jambonz", trunk_id=into.id)
        await store.numbers.create(DEFAULT_OWNER, "4433", handler="jambonz")
        await store.numbers.create(other, "4444", handler="jambonz", outbound=True)
        await house_number(store, "4455")
        await house_number(store, "4466")
        await listen(store, agent.id, "4466")
        asked = ["4411", "4422", "4433", "4444", "4455", "4466", "4477"]
        assert await store.numbers.lines(DEFAULT_OWNER, asked) == {
            "4411": Line("4411", True, both.id, "both ways", can_refer=True),
            "4422": Line("4422", False, into.id, None),
            "4433": Line("4433", False),
            "4466": Line("4466", False),
        }
        assert list(await store.numbers.lines(other, asked)) == ["4444"], "nobody else's"


async def test_filters(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        trunk = await store.trunks.create(DEFAULT_OWNER, "t", handler="jambonz", outbound=True, flags={})
        await store.numbers.create(DEFAULT_OWNER, "4411", handler="jambonz")
        await store.numbers.create(DEFAULT_OWNER, "4422", handler="livekit")
        await store.numbers.create(DEFAULT_OWNER, "4433", handler="jambonz", trunk_id=trunk.id, outbound=True)

        async def numbers(wanted: NumberFilter) -> list[str]:
            return [row.number for row in await store.numbers.list(DEFAULT_OWNER, Page(), wanted)]

        assert await numbers(NumberFilter(handler="jambonz")) == ["4411", "4433"]
        assert await numbers(NumberFilter(search="42")) == ["4422"]
        assert await numbers(NumberFilter(search="%")) == []
        assert await numbers(NumberFilter(trunk_ids=[trunk.id])) == ["4433"]
        assert await numbers(NumberFilter(outbound_only=True)) == ["4433"]
