"""The catalogue as it is given out: what vendors list, where they could be asked, and else what is known of them.

Whoever asks waits for vendors the first time only, and then for :data:`ASK_SECONDS` at the most: later a list that has
grown old is given out once more while a new one is fetched. Nothing here is needed by calls.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
import structlog

from pipelines.catalogue import HANDLERS, MODELS, VOICES, Model, Voice, handler_of
from pipelines.catalogue.listings import LISTINGS, Entry, Listing

E = TypeVar("E", Model, Voice)

log = structlog.get_logger(__name__)

ASK_SECONDS = 2.0
"""For all of a vendor's list, its pages together."""

FRESH_SECONDS = 600.0
USABLE_SECONDS = 86_400.0
"""A list is given out for so long while the vendor cannot be asked for a newer one."""

RETRY_SECONDS = 30.0
"""After a failure a vendor is left alone for so long."""

MOST_PAGES = 10
MOST_ENTRIES = 2_000
LARGEST_ANSWER = 8 << 20


class ListingError(Exception):
    """A vendor could not be asked; the message is a sentence without its key."""


class Lister:
    """Asks vendors; ``env`` holds their ``X_API_KEY`` and ``X_BASE_URL``."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._http: aiohttp.ClientSession | None = None

    def configured(self, listing: Listing) -> bool:
        name = listing.vendor.upper()
        return bool(self._env.get(f"{name}_API_KEY") or self._env.get(f"{name}_BASE_URL"))

    async def ask(self, listing: Listing) -> tuple[Entry, ...]:
        """All that the vendor lists. Raises :class:`ListingError`."""
        name = listing.vendor.upper()
        base = listing.base_url(self._env.get(f"{name}_BASE_URL"))
        headers = dict(listing.headers(self._env.get(f"{name}_API_KEY", "")))
        path: str | None = listing.path
        found: list[Entry] = []
        try:
            async with asyncio.timeout(ASK_SECONDS):
                for _ in range(MOST_PAGES):
                    if path is None or len(found) >= MOST_ENTRIES:
                        break
                    answer = await self._get(base + path, headers)
                    found += listing.read(answer)
                    path = listing.more(answer)
        except TimeoutError:
            raise ListingError(f"{base} did not answer within {ASK_SECONDS:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ListingError(f"{base} cannot be reached: {type(error).__name__}") from None
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ListingError(f"{base} answered with what is no list: {error}") from None
        return tuple(found[:MOST_ENTRIES])

    async def close(self) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.close()

    async def _get(self, url: str, headers: Mapping[str, str]) -> Any:
        if self._http is None:
            self._http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        async with self._http.get(url, headers=headers, allow_redirects=False) as response:
            if response.status != 200:
                raise ListingError(f"{response.url.origin()} answered {response.status}")
            raw = bytearray()
            async for data in response.content.iter_any():
                raw += data
                if len(raw) > LARGEST_ANSWER:
                    raise ValueError(f"more than {LARGEST_ANSWER} bytes")
        return await asyncio.to_thread(json.loads, bytes(raw))


@dataclass(slots=True)
class _Shelf:
    """What is known of one listing. Times are of the loop's clock."""

    entries: tuple[Entry, ...] = ()
    listed_at: float | None = None
    failed_at: float | None = None
    asking: asyncio.Task[None] | None = None
    wondered: bool = False


class Catalogue:
    """Of one process. :meth:`close` it."""

    def __init__(self, env: Mapping[str, str], *, clock: Callable[[], float] | None = None) -> None:
        """``clock``: of the loop, unless a test has another."""
        self._lister = Lister(env)
        self._clock = clock
        self._shelves = {listing: _Shelf() for listing in LISTINGS if self._lister.configured(listing)}

    async def models(self) -> dict[str, Any]:
        """By ``handler:provider/model``."""
        shown: dict[str, Any] = {}
        for model in await self._all(Model, MODELS):
            reach = HANDLERS[handler_of(model.provider)]
            shown.setdefault(
                model.name,
                {
                    "description": model.description,
                    "supportsFunctions": model.functions,
                    "audioModel": model.audio,
                    "hasTelephony": reach.telephony,
                    "hasWebRTC": reach.webrtc,
                },
            )
        return shown

    async def voices(self) -> dict[str, Any]:
        """By handler, vendor and language."""
        shown: dict[str, Any] = {handler: {} for handler in HANDLERS}
        for voice in await self._all(Voice, VOICES):
            by_language = shown[handler_of(voice.vendor)].setdefault(voice.vendor, {})
            told = {"name": voice.name, "description": voice.description, "gender": voice.gender}
            for language in voice.languages:
                by_language.setdefault(language, []).append(told)
        return shown

    async def close(self) -> None:
        tasks = [shelf.asking for shelf in self._shelves.values() if shelf.asking is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._lister.close()

    async def _all(self, of: type[E], known: Iterable[E]) -> list[E]:
        """What is known, except of vendors that could be asked: of them, what they list."""
        await self._refresh(of)
        now = self._now()
        listed: list[E] = []
        replaced: set[str] = set()
        for listing, shelf in self._shelves.items():
            if listing.of is of and shelf.listed_at is not None and now - shelf.listed_at < USABLE_SECONDS:
                listed += (entry for entry in shelf.entries if isinstance(entry, of))
                replaced.update(listing.replaces)
        return [entry for entry in known if entry.source not in replaced] + listed

    async def _refresh(self, of: type[Entry]) -> None:
        """Waits for those of which there is nothing yet; the others are asked beside."""
        now = self._now()
        waited_for = []
        for listing, shelf in self._shelves.items():
            if listing.of is not of:
                continue
            fresh = shelf.listed_at is not None and now - shelf.listed_at < FRESH_SECONDS
            left_alone = shelf.failed_at is not None and now - shelf.failed_at < RETRY_SECONDS
            if shelf.asking is None and not fresh and not left_alone:
                shelf.asking = asyncio.create_task(self._ask(listing, shelf), name=f"list of {listing.vendor}")
            if shelf.asking is not None and (shelf.listed_at is None or now - shelf.listed_at >= USABLE_SECONDS):
                waited_for.append(shelf.asking)
        if waited_for:
            await asyncio.wait(waited_for)

    async def _ask(self, listing: Listing, shelf: _Shelf) -> None:
        try:
            shelf.entries = await self._lister.ask(listing)
        except ListingError as error:
            shelf.failed_at = self._now()
            if not shelf.wondered:
                shelf.wondered = True
                kind = f"{listing.of.__name__.lower()}s"
                log.warning("a vendor does not tell what it has", vendor=listing.vendor, of=kind, why=str(error))
        else:
            shelf.listed_at, shelf.failed_at, shelf.wondered = self._now(), None, False
        finally:
            shelf.asking = None

    def _now(self) -> float:
        return self._clock() if self._clock is not None else asyncio.get_running_loop().time()
