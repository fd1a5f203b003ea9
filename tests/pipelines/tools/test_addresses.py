from __future__ import annotations

import ipaddress

import pytest

from pipelines.tools.addresses import Guard, is_public, parse_hosts, parse_networks, parse_origins

PRIVATE = [
    "127.0.0.1", "127.255.255.254", str(ipaddress.ip_address(0)), "10.0.0.1",
    "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "168.63.129.16", "192.88.99.1",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1",
    "100::1", "2001:10::1",
]  # fmt: skip

PUBLIC = [
    "1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "168.63.129.15", "2606:4700:4700::1111",
    "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_private(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    assert not Guard().may_connect(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
    assert Guard().may_connect(address)


def test_addresses_as_sockets_have_them() -> None:
    assert not Guard().may_connect("fe80::1%eth0")
    assert not Guard().may_connect("/run/docker.sock")
    assert not Guard().may_connect("")


def test_private_networks_that_are_allowed() -> None:
    guard = Guard(parse_networks(" 10.1.0.0/16,127.0.0.1 , fd00:1::/32,"))
    for address in ("10.1.2.3", "127.0.0.1", "::ffff:127.0.0.1", "fd00:1::5", "1.1.1.1"):
        assert guard.may_connect(address)
    for address in ("10.2.0.1", "127.0.0.2", "fd00:2::5", "169.254.169.254"):
        assert not guard.may_connect(address)


@pytest.mark.parametrize("text", ["10.1.0.1/16", "localhost", "10.0.0.0/33", "a;b"])
def test_networks_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="write networks such as"):
        parse_networks(text)


@pytest.mark.parametrize(
    ("tenant", "host", "allowed"),
    [
        ("acme", "api.acme.com", True),
        ("acme", "API.ACME.COM.", True),
        ("acme", "acme.com", False),
        ("acme", "a.b.acme.org", True),
        ("acme", "acme.org", False),
        ("acme", "evilacme.org", False),
        ("acme", "api.acme.com.evil.com", False),
        ("none", "api.acme.com", False),
        ("other", "public.com", True),
        ("other", "api.acme.com", False),
    ],
)
def test_hosts_by_tenant(tenant: str, host: str, allowed: bool) -> None:
    guard = Guard((), parse_hosts("acme=api.acme.com *.acme.org; none=; *=public.com"))
    assert guard.may_ask(tenant, host) is allowed
    assert Guard((), parse_hosts("acme=a.com; *=*")).may_ask("other", host)
    assert Guard((), parse_hosts("acme2=a.com")).may_ask(tenant, host)
    assert Guard().may_ask(tenant, host)


@pytest.mark.parametrize("text", ["api.acme.com", "=a", "a=b; a=c"])
def test_hosts_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="write hosts such as"):
        parse_hosts(text)


@pytest.mark.parametrize(
    ("tenant", "scheme", "host", "port", "allowed"),
    [
        ("acme", "https", "any.com", 443, True),
        ("acme", "https", "any.com", 8443, True),
        ("acme", "https", "any.com", 22, False),
        ("acme", "http", "any.com", 80, False),
        ("acme", "http", "any.com", 443, False),
        ("acme", "http", "old.acme.com", 80, True),
        ("acme", "http", "OLD.acme.com.", 80, True),
        ("acme", "http", "old.acme.com", 8080, False),
        ("acme", "https", "old.acme.com", 80, False),
        ("acme", "https", "a.acme.org", 9443, True),
        ("acme", "http", "2606:4700::1", 8080, True),
        ("other", "http", "old.acme.com", 80, False),
        ("other", "http", "public.com", 80, True),
    ],
)
def test_what_is_not_https_has_to_be_listed(tenant: str, scheme: str, host: str, port: int, allowed: bool) -> None:
    listed = "acme=http://old.acme.com https://*.acme.org:9443, http://[2606:4700::1]:8080; *=http://public.com:80"
    assert Guard((), None, parse_origins(listed)).may_leave(tenant, scheme, host, port) is allowed
    assert Guard().may_leave(tenant, scheme, host, port) is (scheme == "https" and port in (443, 8443))


@pytest.mark.parametrize(
    "text", ["http://a.com", "a=a.com", "a=ftp://a.com", "a=http://a.com/", "a=http://a.com:0", "a=http://a.com:99999"]
)
def test_origins_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="write origins such as"):
        parse_origins(text)
