"""The guard on real sockets of loopback: what may not be connected to, and what costs no more than its bounds."""

from __future__ import annotations

import asyncio
import gzip
import socket
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from pipelines.tools.addresses import Guard, parse_hosts, parse_networks, parse_origins
from pipelines.tools.body import BadBody, Body
from pipelines.tools.http import LARGEST_ANSWER, GuardedHttp
from pipelines.tools.means import HttpAnswer, ToolFault
from pipelines.tools.request import HttpRequest

LOOPBACK = Guard(parse_networks("127.0.0.0/8"))


class Names(AbstractResolver):
    """Each look-up of any name has the next of these addresses (several, apart by commas); the last again and again."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        found = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found.split(",")
        ]

    async def close(self) -> None: ...


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Service:
    """Counts who connects."""

    def __init__(self, handler: Handler) -> None:
        self.seen: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self._handler = handler
        self.port = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append(request)  # type: ignore[arg-type]
        self.bodies.append(await request.read())
        return await self._handler(request)  # type: ignore[arg-type]


@asynccontextmanager
async def service(handler: Handler) -> AsyncIterator[Service]:
    served = Service(handler)
    server = web.Server(served.handle, access_log=None)

    def accept() -> Any:
        served.connections += 1
        return server()

    listening = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    served.port = listening.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        listening.close()
        await server.shutdown(0.1)


async def ask(
    url: str, guard: Guard = LOOPBACK, *, names: Names | None = None, seconds: float = 5.0, body: str | None = None
) -> HttpAnswer:
    http = GuardedHttp(guard, resolver=names)
    try:
        method = "GET" if body is None else "POST"
        return await http.ask(HttpRequest(method, url, {"X-A": "b"}, body, {}), seconds=seconds, tenant="acme")
    finally:
        await http.close()


async def found(request: web.Request) -> web.Response:
    return web.json_response({"found": True})


async def test_a_question_and_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with service(found) as served:
        answer = await ask(f"http://127.0.0.1:{served.port}/a%2Fb?c=%20", body='{"ü": 1}')
    assert answer == HttpAnswer(200, "OK", "application/json", '{"found": true}')
    [request] = served.seen
    assert (request.method, request.raw_path, request.headers["X-A"]) == ("POST", "/a%2Fb?c=%20", "b")
    assert served.bodies == ['{"ü": 1}'.encode()]
    assert "Cookie" not in request.headers


SPELLINGS = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "127.0.0.1.", "localhost",
    "LOCALHOST.", "0.0.0.0", "0", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]",  # noqa: S104 - nothing is bound
    "[2002:7f00:1::]", "%6c%6f%63alhost", "①②⑦.⓪.⓪.①", "user@127.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_spelling_of_loopback_connects(host: str) -> None:
    async with service(found) as served:
        with pytest.raises(ToolFault):
            await ask(f"http://{host}:{served.port}/", Guard())
        assert served.connections == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fe80::1"])
async def test_no_name_of_a_private_address_connects(address: str) -> None:
    with pytest.raises(ToolFault, match="not one that functions may connect to"):
        await ask("http://innocent.example.com/", Guard(), names=Names(address))


async def test_a_name_that_is_someone_else_the_next_time() -> None:
    async with service(found) as served:
        http = GuardedHttp(Guard(parse_networks("127.0.0.1")), resolver=Names("127.0.0.1", "127.0.0.2"))
        request = HttpRequest("GET", f"http://rebound.example.com:{served.port}/", {"Connection": "close"}, None, {})
        assert (await http.ask(request, seconds=5, tenant="a")).status == 200
        with pytest.raises(ToolFault, match="not one that functions may connect to"):
            await http.ask(request, seconds=5, tenant="a")
        await http.close()
    assert len(served.seen) == 1


async def test_a_name_of_several_addresses_connects_to_those_that_are_allowed() -> None:
    """Whichever is tried first, and however soon the next."""
    async with service(found) as served:
        for addresses in ("127.0.0.2,127.0.0.1", "127.0.0.1,127.0.0.2", "::1,127.0.0.2,127.0.0.1"):
            url = f"http://mixed.example.com:{served.port}/"
            assert (await ask(url, Guard(parse_networks("127.0.0.1")), names=Names(addresses))).status == 200
        with pytest.raises(ToolFault, match="not one that functions may connect to"):
            await ask(f"http://mixed.example.com:{served.port}/", Guard(), names=Names("127.0.0.1,::1,10.0.0.1"))
    assert len(served.seen) == 3


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "elsewhere", ["http://127.0.0.1:{port}/", "/other", "//127.0.0.1:{port}", "file:///etc/passwd"]
)
async def test_redirects_are_not_followed(status: int, elsewhere: str) -> None:
    async with service(found) as private:
        location = elsewhere.format(port=private.port)

        async def redirect(request: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": location}, body=b"x" * 100)

        async with service(redirect) as served:
            answer = await ask(f"http://127.0.0.1:{served.port}/", body="{}")
        assert (answer.status, answer.text, len(served.seen)) == (status, None, 1)
    assert private.connections == 0


async def test_a_host_that_is_not_among_those_of_the_tenant() -> None:
    async with service(found) as served:
        guard = Guard(parse_networks("127.0.0.1"), parse_hosts("acme=*.acme.com"))
        with pytest.raises(ToolFault, match="not among those that functions may ask"):
            await ask(f"http://127.0.0.1:{served.port}/", guard)
        url = f"http://api.acme.com:{served.port}/"
        assert (await ask(url, guard, names=Names("127.0.0.1"))).status == 200
        assert len(served.seen) == 1


def streams(headers: dict[str, str], piece: bytes, pause: float = 0) -> Handler:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/plain", **headers})
        await response.prepare(request)
        try:
            while True:
                await response.write(piece)
                await asyncio.sleep(pause)
        except ConnectionError:
            return response

    return stream


@asynccontextmanager
async def raw(write: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[int]:
    """A server that does not speak HTTP as it should, on a port of loopback."""
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await write(writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
        await asyncio.sleep(0)  # the last transport is closed


@pytest.mark.parametrize(
    "beginning", [b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\n"]
)
async def test_a_trickle_costs_no_more_than_its_time(beginning: bytes) -> None:
    """Of the body, of the status or of a header, which never ends. Real time, for the wait is one on real sockets: a
    third of a second each."""

    async def trickle(writer: asyncio.StreamWriter) -> None:
        writer.write(beginning)
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with raw(trickle) as port:
        began = asyncio.get_running_loop().time()
        with pytest.raises(ToolFault, match=r"did not answer within 0\.3 s|broke off"):
            await ask(f"http://127.0.0.1:{port}/", seconds=0.3)
        assert asyncio.get_running_loop().time() - began < 15, "it would go on for ever"


async def test_headers_without_end_cost_no_more_than_their_size() -> None:
    async def flood(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        for n in range(100_000):
            writer.write(b"X-%d: %s\r\n" % (n, b"x" * 1000))
            await writer.drain()

    async with raw(flood) as port:
        with pytest.raises(ToolFault, match="broke off"):
            await ask(f"http://127.0.0.1:{port}/")


async def test_an_answer_without_end_costs_no_more_than_its_size() -> None:
    async with service(streams({}, b"x" * 65536)) as served:
        with pytest.raises(ToolFault, match="more than 1 MiB"):
            await ask(f"http://127.0.0.1:{served.port}/")


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_bomb_is_unpacked_no_further_than_its_size(coding: str) -> None:
    plain = b"\0" * (64 * LARGEST_ANSWER)
    bomb = gzip.compress(plain, 9, mtime=0) if coding == "gzip" else zlib.compress(plain, 9)
    assert len(bomb) < LARGEST_ANSWER / 8

    async def explode(request: web.Request) -> web.Response:
        return web.Response(body=bomb, headers={"Content-Encoding": coding, "Content-Type": "text/plain"})

    async with service(explode) as served:
        with pytest.raises(ToolFault, match="more than 1 MiB"):
            await ask(f"http://127.0.0.1:{served.port}/")


@pytest.mark.parametrize(
    ("headers", "body", "text"),
    [
        ({"Content-Type": "text/plain; charset=latin-1"}, "für".encode("latin-1"), "für"),
        ({"Content-Type": "text/plain; charset=nonsense"}, b"a\xff", "a�"),
        ({"Content-Type": "application/hal+json"}, b"{}", "{}"),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, gzip.compress(b"[1]", mtime=0), "[1]"),
        ({"Content-Type": "image/png"}, b"\x89PNG", None),
        ({"Content-Type": "text/plain"}, b"x" * LARGEST_ANSWER, "x" * LARGEST_ANSWER),
    ],
)
async def test_answers_that_can_be_read(headers: dict[str, str], body: bytes, text: str | None) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body, headers=headers, status=404)

    async with service(answer) as served:
        got = await ask(f"http://127.0.0.1:{served.port}/")
    assert (got.status, got.text) == (404, text)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("br", b"x"),
        ("gzip", b"no gzip"),
        ("zstd", b"x"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"", mtime=0), mtime=0)),
    ],
)
async def test_answers_that_cannot(coding: str, body: bytes) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Encoding": coding, "Content-Type": "text/plain"})

    async with service(answer) as served:
        with pytest.raises(ToolFault, match="the request failed, or its answer"):
            await ask(f"http://127.0.0.1:{served.port}/")


async def test_nobody_is_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(ToolFault, match="could not be reached"):
        await ask(f"http://127.0.0.1:{port}/?secret=x")


class Outside(Guard):
    """To whom loopback is the internet."""

    def may_connect(self, text: str) -> bool:
        return True


async def test_a_public_address_is_asked_by_https_unless_its_origin_is_listed() -> None:
    """Also where another tenant, who may, has left a connection open."""
    async with service(found) as served:
        url = f"http://127.0.0.1:{served.port}/"
        http = GuardedHttp(Outside((), None, parse_origins(f"acme=http://127.0.0.1:{served.port}")))
        request = HttpRequest("GET", url, {}, None, {})
        for _ in range(2):
            assert (await http.ask(request, seconds=5, tenant="acme")).status == 200
            with pytest.raises(ToolFault, match="only be asked by https, at the port 443 or 8443"):
                await http.ask(request, seconds=5, tenant="other")
        await http.close()
    assert len(served.seen) == 2


async def test_networks_of_ones_own_are_asked_in_any_way() -> None:
    async with service(found) as served:
        assert (await ask(f"http://127.0.0.1:{served.port}/", LOOPBACK)).status == 200
        with pytest.raises(ToolFault, match="only be asked by https"):
            await ask(f"https://127.0.0.1:{served.port}/", Outside())


async def test_credentials_in_a_url_are_none_of_ours() -> None:
    async with service(found) as served:
        for user in ("ann:secret@", "ann@"):
            with pytest.raises(ToolFault, match="its URL has credentials in it"):
                await ask(f"http://{user}127.0.0.1:{served.port}/")
        assert served.connections == 0


async def test_what_a_service_wants_to_be_reminded_of_is_not_kept() -> None:
    async def remember(request: web.Request) -> web.Response:
        return web.Response(text="yes", headers={"Set-Cookie": "who=ann; Path=/"})

    async with service(remember) as served:
        # By a name: cookies of addresses are kept by nobody.
        request = HttpRequest("GET", f"http://service.example.com:{served.port}/", {}, None, {})
        http = GuardedHttp(LOOPBACK, resolver=Names("127.0.0.1"))
        for _ in range(2):
            await http.ask(request, seconds=5, tenant="a")
        await http.close()
    assert [request.headers.get("Cookie") for request in served.seen] == [None, None]


async def test_a_tenant_has_ten_at_once_and_who_waits_does_so_within_his_own_time() -> None:
    going = asyncio.Event()
    came = asyncio.Semaphore(0)

    async def hold(request: web.Request) -> web.Response:
        came.release()
        await going.wait()
        return web.Response(text="yes")

    async with service(hold) as served:
        http = GuardedHttp(LOOPBACK)
        request = HttpRequest("GET", f"http://127.0.0.1:{served.port}/", {}, None, {})
        held = [asyncio.create_task(http.ask(request, seconds=5, tenant="acme")) for _ in range(10)]
        for _ in held:
            await came.acquire()
        with pytest.raises(ToolFault, match="did not answer within"):
            await http.ask(request, seconds=0.05, tenant="acme")
        assert len(served.seen) == 10, "it was not even asked"
        other = asyncio.create_task(http.ask(request, seconds=5, tenant="globex"))
        await came.acquire()
        going.set()
        assert {one.status for one in await asyncio.gather(*held, other)} == {200}
        await http.close()


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_what_is_unpacked_at_once_costs_no_more_than_an_answer_may_have(coding: str) -> None:
    plain = b"\0" * (32 * LARGEST_ANSWER)
    bomb = gzip.compress(plain, 9, mtime=0) if coding == "gzip" else zlib.compress(plain, 9)
    body = Body(coding)
    tracemalloc.start()
    try:
        with pytest.raises(BadBody, match="more than 1 MiB"):
            body.feed(bomb)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 * LARGEST_ANSWER
