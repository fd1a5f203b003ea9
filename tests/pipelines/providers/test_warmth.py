"""Connections that are open before they are needed: over TLS, and counted at the other end."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_asyncio
import trustme
from aiohttp import web

from pipelines.parts import Message, TextDelta
from pipelines.providers.anthropic import AnthropicConnection, AnthropicModel
from pipelines.providers.openai import OpenAIChatModel, OpenAIConnection
from pipelines.providers.warmth import AGAIN_SECONDS, GIVE_UP_SECONDS, Warmth
from tests.clock import run_virtual
from tests.steady import PATIENCE

CHUNK = (
    b'data: {"choices": [{"index": 0, "delta": {"content": "Hello."}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
)


class Server:
    """Answers chat completions and nothing else; notes who connects, and what they ask."""

    def __init__(self) -> None:
        self.connections: set[int] = set()
        self.asked: list[tuple[str, str]] = []
        self.url = ""
        self.came = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.connections.add(id(request.transport))
        self.asked.append((request.method, request.path))
        self.came.set()
        if request.path != "/v1/chat/completions":
            return web.json_response({"error": {"message": "no"}}, status=404)
        await request.read()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(CHUNK)
        return response


@pytest.fixture
def certificate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ssl.SSLContext:
    """Of 127.0.0.1, trusted by whom the environment trusts."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return context


@pytest_asyncio.fixture
async def server(certificate: ssl.SSLContext) -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificate)
    await site.start()
    server.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


async def test_the_first_words_come_over_a_connection_that_was_open(server: Server) -> None:
    connection = OpenAIConnection("openai", api_key="k", base_url=f"{server.url}/v1")
    model = OpenAIChatModel(connection, "gpt")
    await model.prepare()
    async with asyncio.timeout(PATIENCE):
        await server.came.wait()
        while connection.warmth.busy:  # noqa: ASYNC110 - what another task does
            await asyncio.sleep(0.005)
    await model.prepare()  # of the next call: nothing is done again
    async with aclosing(model.generate([Message("user", "Hi")])) as answer:
        assert [event async for event in answer] == [TextDelta("Hello.")]
    assert server.asked == [("GET", "/v1/models"), ("POST", "/v1/chat/completions")]
    assert len(server.connections) == 1
    await connection.close()


async def test_without_tls_nothing_is_sent_ahead() -> None:
    connection = AnthropicConnection(api_key="k", base_url="http://127.0.0.1:9")
    await AnthropicModel(connection, "claude").prepare()
    await asyncio.sleep(0)
    await connection.close()


def test_it_is_done_again_after_a_while_and_given_up_where_nobody_answers() -> None:
    async def main() -> None:
        tries: list[float] = []
        loop = asyncio.get_running_loop()

        async def connect() -> None:
            tries.append(loop.time())
            await asyncio.sleep(100)

        warmth = Warmth("https://vendor", connect)
        warmth.warm()
        warmth.warm()
        await asyncio.sleep(GIVE_UP_SECONDS + 0.1)
        assert not warmth.busy
        warmth.warm()
        await asyncio.sleep(AGAIN_SECONDS - 5)
        warmth.used()
        await asyncio.sleep(AGAIN_SECONDS - 1)
        warmth.warm()
        await asyncio.sleep(2)
        warmth.warm()
        await asyncio.sleep(0)
        assert [round(at - tries[0]) for at in tries] == [0, round(2 * AGAIN_SECONDS - 5 + GIVE_UP_SECONDS - 1 + 2)]
        await warmth.close()
        assert not warmth.busy

    run_virtual(main())


async def test_what_goes_wrong_is_the_first_requests_to_tell() -> None:
    async def connect() -> None:
        raise OSError("nobody there")

    warmth = Warmth("https://vendor", connect)
    warmth.warm()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not warmth.busy
    await warmth.close()
