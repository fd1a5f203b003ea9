"""Secrets among options: written, and never read. Pure.

They are taken out of what is kept in the clear and given back, and put in again for whoever needs them. What is left
out, in the place where it belongs, stays: nobody could send it again. A null takes it away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Path = tuple[str, ...]

_ULTRAVOX = ("vendorSpecific", "ultravox")

OF_OPTIONS: Sequence[Path] = (
    ("recording", "key"),
    ("callHook", "hashKey"),
    (*_ULTRAVOX, "sharedSecrets"),
    (*_ULTRAVOX, "externalVoice", "generic", "headers"),
    *((*_ULTRAVOX, "callbacks", event, "secrets") for event in ("joined", "ended", "billed")),
)
"""Where an agent's ``options`` have secrets."""

OF_METADATA: Sequence[Path] = (("callHook", "hashKey"),)
OF_RECORDING: Sequence[Path] = (("key",),)


def take_out(value: Mapping[str, Any], paths: Sequence[Path]) -> tuple[dict[str, Any], dict[str, Any]]:
    """``value`` without its secrets, and these by their paths, as ``callHook.hashKey``. Neither shares with it what was
    changed."""
    left, secrets = dict(value), {}
    for path in paths:
        place = _place(left, path)
        if place is not None and place.get(path[-1]) is not None:
            secrets[".".join(path)] = _own(left, path).pop(path[-1])
    return left, secrets


def put_in(value: Mapping[str, Any], secrets: Mapping[str, Any]) -> dict[str, Any]:
    """``value`` with the secrets that it has a place for, and nothing, not even null, in that place."""
    whole = dict(value)
    for name, secret in secrets.items():
        path = tuple(name.split("."))
        place = _place(whole, path)
        if place is not None and path[-1] not in place:
            _own(whole, path)[path[-1]] = secret
    return whole


def _place(value: Mapping[str, Any], path: Path) -> Mapping[str, Any] | None:
    """What has the last name of ``path``; None where there is nothing, or something else."""
    place: Any = value
    for name in path[:-1]:
        place = place.get(name) if isinstance(place, Mapping) else None
    return place if isinstance(place, Mapping) else None


def _own(value: dict[str, Any], path: Path) -> dict[str, Any]:
    """The same, to be changed: copied on the way there."""
    place = value
    for name in path[:-1]:
        place[name] = dict(place[name])
        place = place[name]
    return place
