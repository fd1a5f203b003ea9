"""The key and the address of each vendor, from the settings ``X_API_KEY`` and ``X_BASE_URL``."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.providers.compatible import HOMES, compatible_base_url


def account(env: Mapping[str, str], vendor: str, home: str, *, wants_key: bool = True) -> tuple[str, str]:
    """The key and the base URL. A base URL alone is enough, for servers without keys. Raises ValueError, with a
    sentence for whoever set this up."""
    base_url = env.get(f"{vendor.upper()}_BASE_URL") or None
    key = env.get(f"{vendor.upper()}_API_KEY", "")
    if wants_key and not key and not base_url:
        raise ValueError(f"{vendor} needs {vendor.upper()}_API_KEY in the environment")
    return key, base_url or home


def compatible_account(env: Mapping[str, str], vendor: str) -> tuple[str, str]:
    """The same of a vendor of :data:`pipelines.providers.compatible.HOMES`."""
    home = HOMES[vendor]
    key, base_url = account(env, vendor, home.url, wants_key=home.wants_key)
    return key, compatible_base_url(vendor, base_url) or home.url
