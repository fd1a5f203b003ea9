"""What can be asked of each vendor that costs nothing: whether it is there, and takes the key. Not what it can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipelines.catalogue.listings import LISTINGS, Listing

_PATHS = {
    "anthropic": "/v1/models?limit=1",
    "cartesia": "/voices?limit=1",
    "deepgram": "/v1/projects",  # its list of models is for everybody, and proves no key
    "gemini": "/v1beta/models?pageSize=1",
    "kokoro": "/models",
    "speaches": "/models",
    "ultravox": "/api/accounts/me",
}
"""Where less than a whole list does."""

_REFUSALS = {
    "deepgram": frozenset({401}),  # 403: a key that may speak, and may not list projects
    "gemini": frozenset({400, 401, 403}),  # a key that it does not know is a bad request to Google
}

LIMITED = "missing_permissions"
"""In ElevenLabs' refusal of a key that it knows, and that may not do this."""


@dataclass(frozen=True, slots=True)
class Probe:
    """``GET`` ``path`` at the base URL; ``refusals`` are the statuses that mean the key."""

    base_url: Callable[[str | None], str]
    path: str
    headers: Callable[[str], Mapping[str, str]]
    refusals: frozenset[int]


def _probe(listing: Listing) -> Probe:
    path = _PATHS.get(listing.vendor, listing.path)
    return Probe(listing.base_url, path, listing.headers, _REFUSALS.get(listing.vendor, frozenset({401, 403})))


PROBES: Mapping[str, Probe] = {listing.vendor: _probe(listing) for listing in LISTINGS}
