"""Which addresses a function's request may reach. Pure.

What counts is the address that is really connected to: however it was spelled, whatever a name stands for at the
moment, and wherever an IPv6 address leads that has an IPv4 address in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NOT_PUBLIC: tuple[Network, ...] = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4",
        "168.63.129.16/32",  # the metadata service of Azure, which is not private by its number
        "::/96", "100::/64", "fec0::/10", "2001:db8::/32", "5f00::/16",
    )
)  # fmt: skip
"""Beside what Python knows of them, which changes from release to release. RFC 6890 and its successors."""

_ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9*?._-]+)(?::(\d{1,5}))?")
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))


def is_public(address: Address) -> bool:
    """Whether it is a host of the internet's, and so are the addresses that it carries."""
    return all(
        one.is_global
        and not (one.is_multicast or one.is_private or one.is_reserved or one.is_link_local or one.is_loopback)
        and not _is_in(one, _NOT_PUBLIC)
        for one in _behind(address)
    )


PORTS = (443, 8443)
"""Where public hosts are asked, by https, unless an origin is listed."""


class Guard:
    """``networks`` may be connected to though they are not public. By organisation, ``*`` is every other: ``hosts`` are
    patterns of the only hosts that it may ask (None: all hosts), ``origins`` those of public origins that it may ask
    in another way than by https at :data:`PORTS`, such as ``http://api.example.com:80``."""

    def __init__(
        self,
        networks: Sequence[Network] = (),
        hosts: Mapping[str, Sequence[str]] | None = None,
        origins: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._networks = tuple(networks)
        self._hosts = dict(hosts or {})
        self._origins = dict(origins or {})

    def may_connect(self, text: str) -> bool:
        """``text`` is an address as a socket has it."""
        address = _address(text)
        return address is not None and (is_public(address) or self.is_listed(text))

    def is_listed(self, text: str) -> bool:
        """Whether the address is of a network that may be connected to whether it is public or not."""
        address = _address(text)
        return address is not None and _is_in(_really(address), self._networks)

    def may_leave(self, tenant: str, scheme: str, host: str, port: int) -> bool:
        """Whether requests of this kind may go to public addresses: others stay within the networks that are listed."""
        patterns = self._origins.get(tenant, self._origins.get("*", ()))
        plain = host.lower().rstrip(".")
        origin = f"{scheme}://{f'[{plain}]' if ':' in plain else plain}:{port}"
        return (scheme == "https" and port in PORTS) or any(fnmatchcase(origin, pattern) for pattern in patterns)

    def may_ask(self, tenant: str, host: str) -> bool:
        patterns = self._hosts.get(tenant, self._hosts.get("*"))
        plain = host.lower().rstrip(".")
        return patterns is None or any(fnmatchcase(plain, pattern) for pattern in patterns)


def parse_networks(text: str) -> tuple[Network, ...]:
    """Apart by commas or spaces. Raises ValueError."""
    try:
        return tuple(ip_network(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise ValueError("write networks such as 10.1.0.0/16, apart by commas") from None


def parse_hosts(text: str) -> dict[str, tuple[str, ...]]:
    """``organisation=host *.host; …``. Raises ValueError."""
    return _by_tenant(text, "hosts such as <organisation>=api.example.com *.example.org")


def parse_origins(text: str) -> dict[str, tuple[str, ...]]:
    """``organisation=http://host https://*.host:9443; …``; each with its port. Raises ValueError."""
    write = "origins such as <organisation>=http://api.example.com https://*.example.org:9443"
    return {tenant: tuple(_origin(one, write) for one in each) for tenant, each in _by_tenant(text, write).items()}


def _origin(text: str, write: str) -> str:
    found = _ORIGIN.fullmatch(text)
    port = int(found[3] or {"http": 80, "https": 443}[found[1]]) if found is not None else 0
    if found is None or not 0 < port < 65536:
        raise ValueError(f"write {write}, apart by semicolons")
    host = found[2].replace("[", "[[]")  # of an IPv6 address: no choice of characters
    return f"{found[1]}://{host}:{port}"


def _by_tenant(text: str, write: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for part in filter(None, (one.strip() for one in text.split(";"))):
        tenant, equals, patterns = part.partition("=")
        tenant = tenant.strip()
        if not tenant or not equals or tenant in found:
            raise ValueError(f"write {write}, apart by semicolons")
        found[tenant] = tuple(patterns.lower().replace(",", " ").split())
    return found


def _address(text: str) -> Address | None:
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _really(address: Address) -> Address:
    """Where a connection to it ends."""
    return next(_behind(address))


def _behind(address: Address) -> Iterator[Address]:
    """The address, unless it only carries another one; and what it carries."""
    if isinstance(address, IPv4Address):
        yield address
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif any(address in network for network in _NAT64):
        yield IPv4Address(int(address) & 0xFFFFFFFF)
    else:
        yield address
        if address.sixtofour is not None:
            yield address.sixtofour
        if address.teredo is not None:
            yield from address.teredo


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
