"""Where no key is asked for: which requests are of this machine's own users, whom alone loopback lets in, and which of
pages that their browsers show, for those reach loopback, too. Pure."""

from __future__ import annotations

from yarl import URL

from gateway.settings import is_loopback


def refusal(host: str, origin: str | None, public_url: str | None) -> str | None:
    """Why a request with these headers is not served; None if it is. Browsers send the ``origin`` of a page along with
    what it asks of others, and as the ``host`` the name that it was loaded by, whomever that was made to lead to."""
    public = URL(public_url) if public_url is not None else None
    own = {host.lower()} | ({_authority(str(public.origin()))} if public is not None else set())
    if origin is not None and (_authority(origin) or None) not in own:
        return f"Pages of {origin} may not ask for this: no key is asked for here, and so anybody's page could"
    try:
        name = URL(f"http://{host}").host or ""
    except ValueError:
        name = ""
    if is_loopback(name) or (public is not None and name == public.host):
        return None
    return (
        f"This is not {host}: where no key is asked for, only names of this machine are answered to; set "
        "TRUNKLINE_PUBLIC_URL, or, if anybody may come in, TRUNKLINE_INSECURE=YES"
    )


def _authority(origin: str) -> str:
    return origin.partition("://")[2].lower()
