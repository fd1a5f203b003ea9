"""As much of S3 as recordings use, on loopback: objects of one bucket, put, got, asked for and deleted.

It believes only requests that are signed (AWS Signature Version 4, in headers), whose body is what their checksum says,
and that are addressed by path. boto3 is the judge of its answers.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

from aiohttp import web
from aiohttp.test_utils import TestServer

ACCESS, SECRET, REGION = "AKIAOFTHESETESTS", "secret-of-these-tests", "eu-central-1"


class SimulatedS3:
    """``refuse`` so many requests with a 503; ``hang`` with all."""

    def __init__(self, bucket: str = "calls") -> None:
        self.bucket = bucket
        self.objects: dict[str, bytes] = {}
        self.mistakes: list[str] = []
        self.requests: list[tuple[str, str]] = []
        self.refuse = 0
        self.hang = False

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests.append((request.method, request.path))
        if self.hang:
            await asyncio.sleep(60)
        if self.refuse > 0:
            self.refuse -= 1
            return _error(503, "SlowDown")
        if wrong := self._wrong(request, body):
            self.mistakes.append(wrong)
            return _error(403, "SignatureDoesNotMatch")
        key = request.path.removeprefix(f"/{self.bucket}/")
        etag = {"ETag": f'"{hashlib.md5(self.objects.get(key, body)).hexdigest()}"'}  # noqa: S324 - what S3 has there
        match request.method:
            case "PUT":
                self.objects[key] = _unchunked(request, body)
                return web.Response(headers=etag)
            case "HEAD" | "GET" if key in self.objects:
                return web.Response(body=self.objects[key], headers=etag)
            case "DELETE":
                self.objects.pop(key, None)
                return web.Response(status=204)
            case _:
                return _error(404, "NoSuchKey")

    def _wrong(self, request: web.Request, body: bytes) -> str:
        if not request.path.startswith(f"/{self.bucket}/"):
            return f"{request.path} is not in the bucket {self.bucket}"
        scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
        given = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
        if scheme != "AWS4-HMAC-SHA256" or not {"Credential", "SignedHeaders", "Signature"} <= given.keys():
            return "the request is not signed"
        access, day, region, service, kind = given["Credential"].split("/")
        if (access, region, service, kind) != (ACCESS, REGION, "s3", "aws4_request"):
            return f"the credential is {given['Credential']}"
        hashed = request.headers["x-amz-content-sha256"]
        if len(hashed) == 64 and hashed != hashlib.sha256(body).hexdigest():
            return "the body is not the one that was signed"
        names = given["SignedHeaders"].split(";")
        headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in names)
        query = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(request.query.items()))
        asked = "\n".join([request.method, request.raw_path.split("?")[0], query, headers, ";".join(names), hashed])
        scope = f"{day}/{region}/{service}/{kind}"
        text = "\n".join([scheme, request.headers["x-amz-date"], scope, hashlib.sha256(asked.encode()).hexdigest()])
        key = b"AWS4" + SECRET.encode()
        for part in (day, region, service, kind):
            key = hmac.digest(key, part.encode(), "sha256")
        if not hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), given["Signature"]):
            return "the signature is wrong"
        crc = request.headers.get("x-amz-checksum-crc32")
        if crc is not None and crc != base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode():
            return "the checksum is not that of the body"
        return ""


def _unchunked(request: web.Request, body: bytes) -> bytes:
    """Of a body in pieces, each with its length (``aws-chunked``), which has the checksum at its end."""
    if "aws-chunked" not in request.headers.get("Content-Encoding", ""):
        return body
    whole = b""
    while body:
        length, _, body = body.partition(b"\r\n")
        size = int(length.split(b";")[0], 16)
        if size == 0:
            break
        whole, body = whole + body[:size], body[size + 2 :]
    if len(whole) != int(request.headers["x-amz-decoded-content-length"]):
        raise web.HTTPBadRequest(text="the body is not as long as it says")
    return whole


def _error(status: int, code: str) -> web.Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
    return web.Response(status=status, text=text, content_type="application/xml")


@asynccontextmanager
async def serve_s3(simulation: SimulatedS3) -> AsyncIterator[str]:
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{tail:.*}", simulation.handle)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(shutdown_timeout=0.1)
    try:
        yield str(server.make_url("")).rstrip("/")
    finally:
        await server.close()
