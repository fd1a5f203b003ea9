"""What holds of every model whose answers are streamed as server-sent events, whoever the vendor is: what is told of
failures, how long is waited, and that nothing goes on in the background."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Any

import pytest

from pipelines.parts import Message, ModelEvent, ProviderError, TextDelta, ToolSpec, Usage
from pipelines.providers.anthropic import AnthropicConnection, AnthropicModel
from pipelines.providers.google import GoogleConnection, GoogleModel
from pipelines.providers.openai_responses import ResponsesConnection, ResponsesModel
from tests.simulators import anthropic_messages, gemini_chat, openai_responses
from tests.simulators.sse_server import Reply, SseServer
from tests.steady import PATIENCE

ASKED = [Message("system", "Be brief."), Message("user", "Hello?")]
TOOL = ToolSpec("book", "Books", {"type": "object", "properties": {"day": {"type": "string"}}})


@dataclass(frozen=True)
class Vendor:
    """``says`` gives the events of an answer with these texts, ``lead`` of which come before the first text. ``errors``
    are the vendor's names for what may go wrong in mid-stream, and what that is."""

    key: str
    serve: Callable[[], AbstractAsyncContextManager[SseServer]]
    connect: Callable[..., Any]
    model: Callable[..., Any]
    says: Callable[..., Sequence[Mapping[str, Any]]]
    lead: int
    usage: Usage
    errors: Mapping[str, str]
    pings: bool = True


VENDORS = {
    "anthropic": Vendor(
        anthropic_messages.KEY,
        anthropic_messages.serve_messages,
        AnthropicConnection,
        AnthropicModel,
        lambda *texts: anthropic_messages.message(anthropic_messages.text(*texts)),
        lead=3,
        usage=Usage(20, 12, 7, cache_write_tokens=5),
        errors={
            "overloaded_error": "server",
            "rate_limit_error": "rate_limit",
            "invalid_request_error": "bad_request",
        },
    ),
    "google": Vendor(
        gemini_chat.KEY,
        gemini_chat.serve_gemini_chat,
        GoogleConnection,
        GoogleModel,
        gemini_chat.text,
        lead=0,
        usage=Usage(20, 12, 7, reasoning_tokens=4, input_audio_tokens=6),
        errors={"UNAVAILABLE": "server", "RESOURCE_EXHAUSTED": "rate_limit", "INTERNAL": "server"},
        pings=False,
    ),
    "openai": Vendor(
        openai_responses.KEY,
        openai_responses.serve_responses,
        ResponsesConnection,
        ResponsesModel,
        lambda *texts: openai_responses.response(openai_responses.text(*texts)),
        lead=4,
        usage=Usage(20, 12, 7, reasoning_tokens=4, cache_write_tokens=5),
        errors={
            "server_error": "server",
            "rate_limit_exceeded": "rate_limit",
            "invalid_prompt": "bad_request",
        },
    ),
}


class Service:
    """A vendor's simulated service, and a connection to it."""

    def __init__(self, vendor: Vendor, server: SseServer, url: str) -> None:
        self.vendor = vendor
        self.server = server
        self.url = url
        self.connection = vendor.connect(api_key=vendor.key, base_url=url)
        self._more: list[Any] = []

    def replies(self, *replies: Reply) -> None:
        self.server.replies = list(replies)

    def connect(self, **options: Any) -> Any:
        """Another one."""
        self._more.append(self.vendor.connect(**{"api_key": self.vendor.key, "base_url": self.url, **options}))
        return self._more[-1]

    def stream(self, connection: Any = None, *tools: ToolSpec) -> AsyncGenerator[ModelEvent, None]:
        model = self.vendor.model(connection or self.connection, "a-model")
        return model.generate(ASKED, tools)  # type: ignore[no-any-return]

    async def answer(self, connection: Any = None, *tools: ToolSpec) -> list[ModelEvent]:
        async with asyncio.timeout(PATIENCE):
            return [event async for event in self.stream(connection, *tools)]

    async def fault(self, connection: Any = None) -> ProviderError:
        with pytest.raises(ProviderError) as caught:
            await self.answer(connection, TOOL)
        return caught.value

    async def close(self) -> None:
        for connection in (self.connection, *self._more):
            await connection.close()


@pytest.fixture(params=VENDORS)
async def service(request: pytest.FixtureRequest) -> AsyncGenerator[Service, None]:
    vendor = VENDORS[request.param]
    async with vendor.serve() as server:
        service = Service(vendor, server, server.base_url)
        yield service
        await service.close()
        assert server.mistakes == []


@pytest.mark.parametrize("chunk", [1, 7])
async def test_how_the_stream_is_cut_does_not_matter(service: Service, chunk: int) -> None:
    service.replies(Reply(service.vendor.says("Grüße", " 你好"), chunk=chunk))
    assert await service.answer() == [TextDelta("Grüße"), TextDelta(" 你好"), service.vendor.usage]


# Failures


@pytest.mark.parametrize(
    ("status", "kind", "requests"),
    [
        (302, "bad_request", 1),
        (400, "bad_request", 1),
        (403, "auth", 1),
        (404, "bad_request", 1),
        (429, "rate_limit", 1),
        (500, "server", 2),
        (503, "server", 2),
        (529, "server", 2),
    ],
)
async def test_refusals_are_told_apart(service: Service, status: int, kind: str, requests: int) -> None:
    key = service.vendor.key
    service.replies(Reply(status=status, message=f"no, {'x' * 240} {key} may not"))
    error = await service.fault()
    assert error.kind == kind
    assert key[:8] not in str(error)
    assert (len(service.server.requests), service.connection.retries) == (requests, requests - 1)


async def test_a_limit_says_when_to_come_back(service: Service) -> None:
    service.replies(Reply(status=429, message="slow down", headers={"retry-after": "17"}))
    assert "retry after 17 s" in str(await service.fault())


async def test_a_wrong_key_is_named_as_such_and_not_repeated(service: Service) -> None:
    error = await service.fault(service.connect(api_key="sk-wrong"))
    assert (error.kind, "sk-wrong" in str(error)) == ("auth", False)


@pytest.mark.parametrize("failure", ["refused", "broken off", "an error"])
async def test_one_failure_before_the_first_token_is_not_noticed(service: Service, failure: str) -> None:
    says, before = service.vendor.says, min(service.vendor.lead, 1)
    failures = {
        "refused": Reply(status=503),
        "broken off": Reply(says("No."), break_after=before),
        "an error": Reply(says("No."), error_after=before),
    }
    service.replies(failures[failure], Reply(says("Yes.")))
    assert await service.answer() == [TextDelta("Yes."), service.vendor.usage]
    assert service.connection.retries == 1


@pytest.mark.parametrize("which", range(3))
async def test_an_error_in_mid_stream(service: Service, which: int) -> None:
    vendor = service.vendor
    error, kind = list(vendor.errors.items())[which]
    half = vendor.says("Half", " of", " it")
    service.replies(Reply(half, error_after=vendor.lead + 2, error=error, message="Overloaded"))
    async with aclosing(service.stream()) as events:
        assert [await anext(events), await anext(events)] == [TextDelta("Half"), TextDelta(" of")]
        with pytest.raises(ProviderError, match="Overloaded") as caught:
            await anext(events)
    assert (caught.value.kind, service.connection.retries) == (kind, 0)


async def test_nobody_there(service: Service, unused_tcp_port: int) -> None:
    connection = service.connect(base_url=f"http://127.0.0.1:{unused_tcp_port}")
    assert (await service.fault(connection)).kind == "connect"
    assert connection.retries == 1


# Time


@pytest.mark.parametrize("pings", [False, True])
@pytest.mark.parametrize("first", [True, False], ids=["the first", "another"])
async def test_a_token_that_comes_too_late(service: Service, first: bool, pings: bool) -> None:
    vendor = service.vendor
    after = 0 if first else vendor.lead + 1
    service.replies(Reply(vendor.says("One", " two"), hang_after=after, pings=pings and vendor.pings))
    connection = service.connect(first_token_seconds=0.2, next_token_seconds=0.2)
    assert (await service.fault(connection)).kind == "timeout"
    assert len(service.server.requests) == 1


async def test_one_connection_serves_again_and_a_stream_that_stays_open_holds_nobody_up(service: Service) -> None:
    for _ in range(3):
        await service.answer()
    assert len(set(service.server.peers)) == 1
    service.replies(Reply(service.vendor.says("Yes."), linger=30.0))
    began = time.monotonic()
    assert await service.answer() == [TextDelta("Yes."), service.vendor.usage]
    assert time.monotonic() - began < 15, "and not 30"


# What is not wanted any more


async def test_closing_the_generator_stops_the_request(service: Service) -> None:
    vendor = service.vendor
    service.replies(Reply(vendor.says("One", " two", " three"), hang_after=vendor.lead + 2))
    async with aclosing(service.stream()) as events:
        assert await anext(events) == TextDelta("One")
    async with asyncio.timeout(PATIENCE):
        await service.server.left.wait()


@pytest.mark.parametrize("begun", [True, False])
async def test_cancelling_before_the_first_token_stops_the_request(service: Service, begun: bool) -> None:
    vendor = service.vendor
    hangs = Reply(vendor.says("One"), hang_after=min(vendor.lead, 1))
    service.replies(hangs if begun else Reply(first_after=30.0))
    task = asyncio.create_task(service.answer())
    async with asyncio.timeout(PATIENCE):
        await service.server.arrived.wait()
        task.cancel()
        await asyncio.wait([task])
        await service.server.left.wait()
