"""Requests to addresses that users name: with a guard, so that nobody reaches by us what only we can reach.

An address is judged when it is connected to, after names are resolved; what was judged is what is connected to. Neither
redirects nor proxies are followed.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""RFC 6052: the last four bytes are an IPv4 address."""

ALLOW = "TRUNKLINE_PRIVATE_ADDRESSES=YES would allow it"

CONNECTIONS = 100
CONNECTIONS_OF_A_HOST = 10


class Refused(Exception):
    """The address is none that may be reached; a sentence."""


def is_public(address: str) -> bool:
    """Whether anybody on the internet reaches it as we do."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inside = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inside is None and ip in NAT64:
            inside = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inside is not None:
            ip = inside
    return ip.is_global and not ip.is_multicast


class _NotPublic(OSError):
    """A name whose addresses are not public."""


class _PublicResolver(AbstractResolver):
    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = [one for one in await self._resolver.resolve(host, port, family) if is_public(one["host"])]
        if not found:
            raise _NotPublic(0, f"{host} has no public address")
        return found

    async def close(self) -> None:
        await self._resolver.close()


class Outside:
    """``private`` allows addresses that are not public. ``resolver`` stands in for the system's."""

    def __init__(self, *, private: bool = False, resolver: AbstractResolver | None = None) -> None:
        self._private = private
        self._resolver = resolver
        self._http: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: Mapping[str, Any], *, seconds: float) -> int:
        """The status of the answer, whose body is not read. Raises :class:`Refused`, TimeoutError and OSError."""
        host = URL(url).host or ""
        if not self._private and _is_address(host) and not is_public(host):
            raise Refused(f"{host} is not a public address; {ALLOW}")
        try:
            timeout = aiohttp.ClientTimeout(total=seconds)
            async with self._session().post(url, json=body, allow_redirects=False, timeout=timeout) as answer:
                return answer.status
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, _NotPublic):
                raise Refused(f"{host} has no public address; {ALLOW}") from None
            raise OSError(str(error)) from None
        except aiohttp.ClientError as error:
            raise OSError(str(error) or type(error).__name__) from None

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            resolver = self._resolver or aiohttp.DefaultResolver()
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=CONNECTIONS,
                    limit_per_host=CONNECTIONS_OF_A_HOST,
                    resolver=resolver if self._private else _PublicResolver(resolver),
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "Trunkline"},
            )
        return self._http


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
