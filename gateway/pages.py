"""Where no key is asked for: which requests are of this machine's own users, whom alone loopback lets in, and which of
pages that their browsers show, for those reach loopback, too. Pure."""

from __future__ import annotations

from yarl import URL

from gateway.settings import is_loopback


def refusal(host: str, origin: str | None, public_url: str | None) -> str | None:
    """Why a request with these headers is not served; None if it is. Browsers send the ``origin`` of a page along with
    what it asks of others, and as the ``host`` the name that it was loaded by, whomever that was made to lead to.
    Whoever has a page on this machine can ask without a browser as well."""
    public = _host(public_url) if public_url is not None else None
    if origin is not None and not _is_ours(_host(origin), public):
        return f"Pages of {origin} may not ask for this: no key is asked for here, and so anybody's page could"
    if not _is_ours(_host(f"http://{host}"), public):
        return (
            f"This is not {host}: where no key is asked for, only names of this machine are answered to; set "
            "TRUNKLINE_PUBLIC_URL, or, if anybody may come in, TRUNKLINE_INSECURE=YES"
        )
    return None


def _is_ours(host: str | None, public: str | None) -> bool:
    return host is not None and (is_loopback(host) or host == public)


def _host(url: str) -> str | None:
    try:
        return URL(url).host
    except ValueError:
        return None
