"""Tools of MCP servers. The judge is the server of the protocol's own SDK, over real sockets of loopback; what no
honest server does is done by a server of ours."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog
import uvicorn
from aiohttp import web
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel

from pipelines.agent import Key
from pipelines.parts import ToolCall
from pipelines.tools import Toolbox
from pipelines.tools.addresses import Guard, parse_networks
from pipelines.tools.http import GuardedHttp
from pipelines.tools.mcp import FAILED_SECONDS, FRESH_SECONDS, McpServers
from pipelines.tools.mcp_wire import MODERN_VERSIONS, McpServer, McpSession
from pipelines.tools.means import HttpAnswer, Means, ToolFault
from pipelines.tools.request import HttpRequest
from tests.clock import run_virtual
from tests.pipelines.tools.test_http import service
from tests.pipelines.tools.test_toolbox import function
from tests.steady import PATIENCE

KEYS = [Key.model_validate({"name": "token", "in": "bearer", "value": "secret-7"})]


class Guest(BaseModel):
    name: str


def sdk_server() -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer("crm", log_level="CRITICAL")

    @server.tool()
    def find(guest: Guest, tenant: str, times: int = 1) -> str:
        """Find a guest."""
        return f"{guest.name} of {tenant}, {times} times"

    @server.tool()
    def count() -> dict[str, int]:
        """Count the guests."""
        return {"guests": 3}

    @server.tool()
    def fail() -> str:
        """Fail."""
        raise ToolError("the guests are out")

    @server.tool()
    def delete() -> str:
        """Delete all guests."""
        raise AssertionError("nobody may")

    return server


@asynccontextmanager
async def serving(**how: Any) -> AsyncIterator[str]:
    """The SDK's server; its URL."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        config = uvicorn.Config(sdk_server().streamable_http_app(**how), log_level="critical", lifespan="on", ws="none")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve([listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        finally:
            server.should_exit = True
            await task


@dataclass
class Bench:
    """A toolbox for which one function stands for the server at ``url``."""

    url: str
    tools: Sequence[str] = ("find", "count", "fail")
    fields: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.http = GuardedHttp(Guard(parse_networks("127.0.0.0/8")))
        self.servers = McpServers(self.http)

    def box(self) -> Toolbox:
        means = Means("the-call", "acme", mcp=self.servers)
        about = {"url": self.url, "tools": list(self.tools), "result": None, "key": "token", **self.fields}
        return Toolbox([function("crm", implementation="mcp", **about)], {"tenant": "acme"}, keys=KEYS, means=means)

    async def prepared(self) -> Toolbox:
        box = self.box()
        await box.prepare()
        return box

    async def close(self) -> None:
        await self.servers.close()
        await self.http.close()


async def call(box: Toolbox, name: str, **arguments: Any) -> str:
    return (await box.run(ToolCall("1", name, arguments))).text


@pytest.mark.parametrize(
    "how", [{}, {"json_response": True}, {"stateless_http": True}], ids=["stream", "json", "stateless"]
)
async def test_a_server_of_the_protocols_own_sdk(how: dict[str, Any]) -> None:
    fixed = {"properties": {"tenant": {"source": "metadata", "from": "tenant"}}}
    async with serving(**how) as url:
        bench = Bench(url, fields={"input_schema": fixed})
        box = await bench.prepared()
        assert [(spec.name, spec.description) for spec in box.specs] == [
            ("crm_find", "Find a guest."),
            ("crm_count", "Count the guests."),
            ("crm_fail", "Fail."),
        ]
        schema = box.specs[0].parameters
        assert list(schema["properties"]) == ["times", "guest"] or list(schema["properties"]) == ["guest", "times"]
        assert schema["required"] == ["guest"]
        assert "$ref" not in json.dumps(schema)
        told = await call(box, "crm_find", guest={"name": "Ann"}, times="2", tenant="other")
        assert told == "Ann of acme, 2 times"
        assert json.loads(await call(box, "crm_count")) == {"guests": 3}
        assert "the guests are out" in json.loads(await call(box, "crm_fail"))["error"]
        assert "needs the parameter 'guest'" in await call(box, "crm_find")
        assert "there is no tool 'crm_delete'" in await call(box, "crm_delete")
        assert "there is no tool 'crm'" in await call(box, "crm")
        await bench.close()


# Servers that are not honest


@dataclass
class Server:
    """Answers by method: a result, an HTTP answer, or an exception's words as a JSON-RPC error."""

    answers: dict[str, Any]
    sent: list[tuple[str, dict[str, Any], Mapping[str, str]]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "DELETE":
            self.sent.append(("DELETE", {}, request.headers))
            return web.Response(status=405)
        message = json.loads(await request.read())
        self.sent.append((message["method"], message.get("params", {}), request.headers))
        if "id" not in message:
            return web.Response(status=202)
        answer = self.answers.get(message["method"], {})
        if callable(answer):
            answer = answer(message)
        if isinstance(answer, web.Response):
            return answer
        about = answer if isinstance(answer, dict) and "error" in answer else {"result": answer}
        headers = {"Mcp-Session-Id": "s-1"} if message["method"] == "initialize" else {}
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], **about}, headers=headers)

    @property
    def methods(self) -> list[str]:
        return [method for method, _, _ in self.sent]


HELLO = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}}


def listing(*tools: Any, **more: Any) -> dict[str, Any]:
    return {"tools": list(tools), **more}


def tool(name: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "description": f"The {name}.", "inputSchema": {"type": "object", **schema}}


async def test_its_session_its_version_and_its_key_go_with_each_request() -> None:
    pages = iter([listing(tool("a"), nextCursor="2"), listing(tool("b"))])
    server = Server({"initialize": HELLO, "tools/list": lambda _: next(pages), "tools/call": {"content": []}})
    async with service(server.handle) as served:
        bench = Bench(f"http://127.0.0.1:{served.port}/mcp", ["*"])
        box = await bench.prepared()
        assert [spec.name for spec in box.specs] == ["crm_a", "crm_b"]
        await call(box, "crm_b")
        await bench.close()
    assert server.methods == [
        "initialize",
        "notifications/initialized",
        "tools/list",
        "tools/list",
        "tools/call",
        "DELETE",
    ]
    for method, _, headers in server.sent:
        assert headers["Authorization"] == "Bearer secret-7"
        assert headers.get("Mcp-Session-Id") == (None if method == "initialize" else "s-1")
        assert headers.get("MCP-Protocol-Version") == (None if method == "initialize" else "2025-06-18")
    [asked] = [params for method, params, _ in server.sent if method == "tools/call"]
    assert asked == {
        "name": "b",
        "arguments": {},
        "_meta": {"trunkline/callId": "the-call", "trunkline/idempotencyKey": "the-call:1"},
    }


UNKNOWN = {"jsonrpc": "2.0", "error": {"code": -32000, "message": "No valid session"}, "id": None}


@pytest.mark.parametrize(
    "forgotten",
    [{"status": 404}, {"status": 404, "text": json.dumps(UNKNOWN)}, {"status": 400, "text": json.dumps(UNKNOWN)}],
)
async def test_a_session_that_is_forgotten_begins_anew(forgotten: dict[str, Any]) -> None:
    answers = iter([web.Response(**forgotten), {"content": [{"type": "text", "text": "done"}]}])
    server = Server({"initialize": HELLO, "tools/list": listing(tool("a")), "tools/call": lambda _: next(answers)})
    async with service(server.handle) as served:
        bench = Bench(f"http://127.0.0.1:{served.port}/mcp", ["a"])
        assert await call(await bench.prepared(), "crm_a") == "done"
        assert server.methods.count("initialize") == 2
        await bench.close()


async def test_a_request_that_is_refused_in_a_new_session_is_not_repeated_for_ever() -> None:
    refused = {"initialize": HELLO, "tools/list": listing(tool("a"))}
    server = Server({**refused, "tools/call": lambda _: web.Response(status=400, text=json.dumps(UNKNOWN))})
    async with service(server.handle) as served:
        bench = Bench(f"http://127.0.0.1:{served.port}/mcp", ["a"])
        assert "the server of a refused it: No valid session" in await call(await bench.prepared(), "crm_a")
        assert server.methods.count("tools/call") == 2
        await bench.close()


async def test_a_server_without_a_handshake() -> None:
    unsupported = {"error": {"code": -32022, "message": "no", "data": {"supported": ["2026-07-28"]}}}
    server = Server({"initialize": unsupported, "tools/list": listing(tool("a")), "tools/call": {"content": []}})
    async with service(server.handle) as served:
        bench = Bench(f"http://127.0.0.1:{served.port}/mcp", ["a"])
        await call(await bench.prepared(), "crm_a")
        await bench.close()
    assert server.methods == ["initialize", "tools/list", "tools/call"]
    _, params, headers = server.sent[-1]
    assert params["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    assert (headers["Mcp-Method"], headers["Mcp-Name"]) == ("tools/call", "a")
    assert "Mcp-Session-Id" not in headers


async def test_the_key_is_kept_from_the_model() -> None:
    answers = iter(
        [
            {"content": [], "structuredContent": {"you sent": ["Bearer secret-7"]}},
            {"isError": True, "content": [{"type": "text", "text": "secret-7 is old"}]},
            {"error": {"code": 1, "message": "no secret-7"}},
        ]
    )
    server = Server({"initialize": HELLO, "tools/list": listing(tool("a")), "tools/call": lambda _: next(answers)})
    async with service(server.handle) as served:
        bench = Bench(f"http://127.0.0.1:{served.port}/mcp", ["a"])
        box = await bench.prepared()
        told = [await call(box, "crm_a") for _ in range(3)]
        assert told[0] == '{"you sent":["Bearer ***"]}'
        assert "*** is old" in told[1]
        assert "refused it: no ***" in told[2]
        await bench.close()


LOOP = {"$ref": "#/$defs/x"}


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ({"initialize": web.Response(status=401)}, "refused the key (status 401)"),
        ({"initialize": web.Response(status=307, headers={"Location": "/"})}, "is at another place"),
        ({"initialize": web.Response(text="hello")}, "what is no answer of the protocol"),
        ({"initialize": {**HELLO, "protocolVersion": "1999"}}, "a version of the protocol that is not known"),
        ({"initialize": HELLO, "tools/list": {"error": {"code": -1, "message": "too busy"}}}, "too busy"),
        ({"initialize": HELLO, "tools/list": {"tools": 1}}, "without a list of tools"),
    ],
)
async def test_a_server_that_fails_is_done_without(answers: dict[str, Any], why: str) -> None:
    server = Server(answers)
    async with service(server.handle) as served:
        bench = Bench(f"http://127.0.0.1:{served.port}/mcp", ["*"])
        with structlog.testing.capture_logs() as lines:
            for _ in range(2):
                assert (await bench.prepared()).specs == []
        assert [why in line["error"] for line in lines] == [True, True]
        assert "secret-7" not in str(lines)
        assert server.methods.count("initialize") == 1  # it is not asked again at once
        await bench.close()


async def test_tools_that_no_function_can_be() -> None:
    tools = [
        tool("good", properties={"x": {"type": "integer", "title": "X"}}),
        tool("good"),
        tool("näh"),
        tool("n" * 64),
        tool("endless", properties={"x": LOOP}, **{"$defs": {"x": {"properties": {"y": LOOP}}}}),
        tool("elsewhere", properties={"x": {"$ref": "https://example.com/schema"}}),
        tool("slow", properties={"x": {"type": "string", "pattern": "(a+)+$"}}),
        {"name": "bare"},
        "text",
    ]
    server = Server({"initialize": HELLO, "tools/list": listing(*tools)})
    async with service(server.handle) as served:
        bench = Bench(f"http://127.0.0.1:{served.port}/mcp", ["*"])
        with structlog.testing.capture_logs() as lines:
            box = await bench.prepared()
        [spec] = box.specs
        assert (spec.name, spec.parameters["properties"]) == ("crm_good", {"x": {"type": "integer"}})
        assert [(line["tool"], line["why"].split()[0]) for line in lines] == [
            ("good", "has"),
            ("näh", "has"),
            ("n" * 64, "has"),
            ("endless", "has"),
            ("elsewhere", "has"),
            ("slow", "has"),
        ]
        await bench.close()


async def test_a_stream_is_read_to_its_answer_and_no_further() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        message = json.loads(await request.read())
        if message["method"] == "initialize":
            return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": HELLO})
        if "id" not in message:
            return web.Response(status=202)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": listing(tool("a"))}
        for event in (
            {"jsonrpc": "2.0", "method": "notifications/progress"},
            {"jsonrpc": "2.0", "id": 9, "method": "ping"},
            answer,
        ):
            await response.write(f"event: message\ndata: {json.dumps(event)}\n\n".encode())
        await asyncio.sleep(30)
        return response

    async with service(handle) as served:
        bench = Bench(f"http://127.0.0.1:{served.port}/mcp", ["a"])
        async with asyncio.timeout(PATIENCE):
            assert [spec.name for spec in (await bench.prepared()).specs] == ["crm_a"]
        await bench.close()


async def test_no_private_address_is_asked() -> None:
    server = Server({})
    async with service(server.handle) as served:
        http = GuardedHttp(Guard())
        with pytest.raises(ToolFault, match="not one that functions may connect to"):
            await McpServers(http).tools(McpServer(f"http://127.0.0.1:{served.port}/mcp", "acme"))
        assert served.connections == 0
        await http.close()


# Time


class Slow(GuardedHttp):
    """Without a wire: lists one tool, named after how often it was asked; ``seconds`` after it was asked."""

    def __init__(self) -> None:
        super().__init__(Guard())
        self.seconds = 0.0
        self.listed = 0

    async def ask(self, request: HttpRequest, **_: Any) -> HttpAnswer:
        message = json.loads(request.body or "")
        await asyncio.sleep(self.seconds)
        result: dict[str, Any] = HELLO
        if message["method"] == "tools/list":
            self.listed += 1
            result = listing(tool(f"a{self.listed}"))
        answer = {"jsonrpc": "2.0", "id": message.get("id"), "result": result}
        return HttpAnswer(200, "OK", "application/json", json.dumps(answer))


def test_a_list_is_kept_and_renewed_beside_the_calls() -> None:
    async def main() -> None:
        http, server = Slow(), McpServer("https://example.com/mcp", "acme")
        servers, loop = McpServers(http), asyncio.get_running_loop()

        async def names() -> list[str]:
            began = loop.time()
            tools = await servers.tools(server)
            assert loop.time() - began <= 0.1
            return [tool.name for tool in tools]

        assert list(await asyncio.gather(names(), names())) == [["a1"], ["a1"]]  # asked once
        await asyncio.sleep(FRESH_SECONDS + 1)
        assert await names() == ["a1"]
        await asyncio.sleep(1)
        assert await names() == ["a2"]
        http.seconds = 60
        await asyncio.sleep(FRESH_SECONDS + 1)
        assert await names() == ["a2"]  # whatever the server does
        await asyncio.sleep(10)
        assert await names() == ["a2"]
        await servers.close()

    run_virtual(main())


def test_a_server_that_does_not_answer_costs_two_seconds_once() -> None:
    async def main() -> None:
        http, server = Slow(), McpServer("https://example.com/mcp", "acme")
        servers, loop = McpServers(http), asyncio.get_running_loop()
        http.seconds = 60
        waited = []
        for pause in (0.0, 0.1, FAILED_SECONDS):
            await asyncio.sleep(pause)
            began = loop.time()
            with pytest.raises(ToolFault, match="did not list its tools within 2 s"):
                await servers.tools(server)
            waited.append(loop.time() - began)
        assert waited == pytest.approx([2.0, 0.0, 2.0])
        with pytest.raises(ToolFault, match="a did not answer within 3 s; it may have been done or not"):
            await servers.call(server, "a", {}, seconds=3, meta={})
        await servers.close()

    run_virtual(main())


def test_a_caller_who_hangs_up_meanwhile_says_nothing_of_the_server() -> None:
    async def main() -> None:
        http, server = Slow(), McpServer("https://example.com/mcp", "acme")
        servers = McpServers(http)
        http.seconds = 0.5
        gone = asyncio.create_task(servers.tools(server))
        await asyncio.sleep(0.7)
        gone.cancel()
        await asyncio.wait([gone])
        assert [tool.name for tool in await servers.tools(server)] == ["a1"]
        await servers.close()

    run_virtual(main())


@pytest.mark.parametrize("how", [{}, {"json_response": True}], ids=["stream", "json"])
async def test_the_sdk_takes_requests_without_a_handshake(how: dict[str, Any]) -> None:
    async with serving(**how) as url:
        bench = Bench(url)
        known = bench.servers._of(McpServer(url, "acme", {"Authorization": "Bearer secret-7"}))
        known.session = McpSession(MODERN_VERSIONS[0])
        box = await bench.prepared()
        assert [spec.name for spec in box.specs] == ["crm_find", "crm_count", "crm_fail"]
        assert json.loads(await call(box, "crm_count")) == {"guests": 3}
        assert "Ann of acme, 1 times" in await call(box, "crm_find", guest={"name": "Ann"}, tenant="acme")
        assert known.session.id is None
        await bench.close()
