"""As much of S3 as recordings use, on loopback: objects of one bucket, put at once or in parts, got whole or by ranges,
asked for and deleted.

It believes only requests that are signed (AWS Signature Version 4, in headers), not long ago, whose body is what its
checksums say, and that are addressed by path. Parts have to be as large as S3 wants them. boto3 is the judge of its
answers.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote
from xml.etree import ElementTree

from aiohttp import web
from aiohttp.test_utils import TestServer

ACCESS, SECRET, REGION = "AKIAOFTHESETESTS", "secret-of-these-tests", "eu-central-1"
SMALLEST_PART = 5 * 1024 * 1024
"""Of an upload in parts, but for the last one."""

LARGEST_SKEW = 15 * 60
"""Seconds between the clocks of both."""


class Refused(Exception):
    def __init__(self, status: int, code: str, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.status = status
        self.code = code


@dataclass
class Upload:
    """In parts, until it is complete."""

    key: str
    parts: dict[int, bytes] = field(default_factory=dict)


class SimulatedS3:
    """``refuse`` so many requests with a 503, after ``refuse_after`` others; ``hang`` with all. ``mistakes``: what S3
    would not have taken."""

    def __init__(self, bucket: str = "calls") -> None:
        self.bucket = bucket
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, Upload] = {}
        """Under way: who leaves them pays for them."""
        self.mistakes: list[str] = []
        self.requests: list[tuple[str, str]] = []
        self.refuse = self.refuse_after = 0
        self.hang = False

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests.append((request.method, request.path_qs))
        if self.hang:
            await asyncio.sleep(60)
        if self.refuse_after > 0:
            self.refuse_after -= 1
        elif self.refuse > 0:
            self.refuse -= 1
            return _error(503, "SlowDown")
        try:
            body = _checked(request, body)
            return self._answer(request, self._key(request), body)
        except Refused as refused:
            if refused.status != 404:
                self.mistakes.append(str(refused))
            return _error(refused.status, refused.code)

    def _key(self, request: web.Request) -> str:
        bucket, _, key = request.path.removeprefix("/").partition("/")
        if bucket != self.bucket:
            raise Refused(404, "NoSuchBucket", f"{request.path} is not in the bucket {self.bucket}")
        if not key:
            raise Refused(405, "MethodNotAllowed", "nobody asks for the bucket itself")
        return key

    def _answer(self, request: web.Request, key: str, body: bytes) -> web.Response:
        query = request.query
        match request.method:
            case "POST" if "uploads" in query:
                upload_id = f"upload-{len(self.requests)}"
                self.uploads[upload_id] = Upload(key)
                return _xml("InitiateMultipartUploadResult", Bucket=self.bucket, Key=key, UploadId=upload_id)
            case "POST":
                return self._complete(query.get("uploadId", ""), key, body)
            case "PUT" if "uploadId" in query:
                self._upload(query["uploadId"], key).parts[int(query["partNumber"])] = body
                return web.Response(headers={"ETag": _etag(body)})
            case "PUT":
                self.objects[key] = body
                return web.Response(headers={"ETag": _etag(body)})
            case "HEAD" | "GET":
                return self._give(request, key)
            case "DELETE" if "uploadId" in query:
                self._upload(query["uploadId"], key)
                del self.uploads[query["uploadId"]]
                return web.Response(status=204)
            case "DELETE":
                self.objects.pop(key, None)
                return web.Response(status=204)
            case _:
                raise Refused(405, "MethodNotAllowed", request.method)

    def _upload(self, upload_id: str, key: str) -> Upload:
        upload = self.uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise Refused(404, "NoSuchUpload", upload_id)
        return upload

    def _complete(self, upload_id: str, key: str, body: bytes) -> web.Response:
        upload = self._upload(upload_id, key)
        listed = [
            (int(part.findtext("{*}PartNumber", "0")), part.findtext("{*}ETag", ""))
            for part in ElementTree.fromstring(body).iter()  # noqa: S314 - boto3 wrote it
            if part.tag.endswith("}Part") or part.tag == "Part"
        ]
        if [number for number, _ in listed] != sorted(upload.parts) or not listed:
            raise Refused(400, "InvalidPartOrder", f"{listed}")
        if any(etag != _etag(upload.parts[number]) for number, etag in listed):
            raise Refused(400, "InvalidPart", f"{listed}")
        if any(len(upload.parts[number]) < SMALLEST_PART for number, _ in listed[:-1]):
            raise Refused(400, "EntityTooSmall", f"{[len(part) for part in upload.parts.values()]}")
        self.objects[key] = b"".join(upload.parts[number] for number, _ in listed)
        del self.uploads[upload_id]
        return _xml("CompleteMultipartUploadResult", Bucket=self.bucket, Key=key, ETag=_etag(self.objects[key]))

    def _give(self, request: web.Request, key: str) -> web.Response:
        data = self.objects.get(key)
        if data is None:
            raise Refused(404, "NoSuchKey", key)
        headers = {"ETag": _etag(data), "Accept-Ranges": "bytes"}
        if request.headers.get("If-Match", headers["ETag"]) != headers["ETag"]:
            raise Refused(412, "PreconditionFailed", key)
        asked = request.headers.get("Range")
        if asked is None:
            return web.Response(body=data, headers=headers)
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
        if found is None or int(found[1]) >= len(data):
            raise Refused(416, "InvalidRange", asked)
        start, stop = int(found[1]), min(int(found[2] or len(data) - 1), len(data) - 1)
        headers["Content-Range"] = f"bytes {start}-{stop}/{len(data)}"
        return web.Response(status=206, body=data[start : stop + 1], headers=headers)


def _checked(request: web.Request, body: bytes) -> bytes:
    """The body as it was meant. Raises :class:`Refused`."""
    _check_signature(request, body)
    checksum, whole = request.headers.get("x-amz-checksum-crc32"), body
    if "aws-chunked" in request.headers.get("Content-Encoding", ""):
        whole, trailers = _unchunked(body)
        if len(whole) != int(request.headers["x-amz-decoded-content-length"]):
            raise Refused(400, "IncompleteBody", "the body is not as long as it says")
        checksum = trailers.get(request.headers.get("x-amz-trailer", ""))
        if checksum is None:
            raise Refused(400, "MalformedTrailerError", "the checksum that was promised is not there")
    if checksum is None and request.method == "PUT":
        raise Refused(400, "InvalidRequest", "there is no checksum")
    if checksum is not None and checksum != base64.b64encode(zlib.crc32(whole).to_bytes(4, "big")).decode():
        raise Refused(400, "BadDigest", "the checksum is not that of the body")
    return whole


def _check_signature(request: web.Request, body: bytes) -> None:
    scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
    given = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
    if scheme != "AWS4-HMAC-SHA256" or not {"Credential", "SignedHeaders", "Signature"} <= given.keys():
        raise Refused(403, "AccessDenied", "the request is not signed")
    access, day, region, service, kind = given["Credential"].split("/")
    if (access, region, service, kind) != (ACCESS, REGION, "s3", "aws4_request"):
        raise Refused(403, "InvalidAccessKeyId", f"the credential is {given['Credential']}")
    signed_at = request.headers["x-amz-date"]
    at = datetime.strptime(signed_at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if not signed_at.startswith(day) or abs((datetime.now(UTC) - at).total_seconds()) > LARGEST_SKEW:
        raise Refused(403, "RequestTimeTooSkewed", signed_at)
    names = given["SignedHeaders"].split(";")
    if not {"host", "x-amz-content-sha256", "x-amz-date"} <= set(names) or names != sorted(names):
        raise Refused(403, "AccessDenied", f"the headers that are signed are {names}")
    hashed = request.headers["x-amz-content-sha256"]
    if len(hashed) == 64 and hashed != hashlib.sha256(body).hexdigest():
        raise Refused(400, "XAmzContentSHA256Mismatch", "the body is not the one that was signed")
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in names)
    query = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(request.query.items()))
    asked = "\n".join([request.method, request.raw_path.split("?")[0], query, headers, ";".join(names), hashed])
    scope = f"{day}/{region}/{service}/{kind}"
    text = "\n".join([scheme, signed_at, scope, hashlib.sha256(asked.encode()).hexdigest()])
    key = b"AWS4" + SECRET.encode()
    for part in (day, region, service, kind):
        key = hmac.digest(key, part.encode(), "sha256")
    if not hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), given["Signature"]):
        raise Refused(403, "SignatureDoesNotMatch", "the signature is wrong")


def _unchunked(body: bytes) -> tuple[bytes, dict[str, str]]:
    """Of a body in pieces, each with its length (``aws-chunked``): all of them, and the headers at its end."""
    whole = bytearray()
    while body:
        length, _, body = body.partition(b"\r\n")
        size = int(length.split(b";")[0], 16)
        if size == 0:
            break
        whole += body[:size]
        body = body[size + 2 :]
    lines = [line.partition(":") for line in body.decode().split("\r\n") if line]
    return bytes(whole), {name.lower(): value.strip() for name, _, value in lines}


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'  # noqa: S324 - what S3 has there


def _xml(name: str, **fields: str) -> web.Response:
    inner = "".join(f"<{key}>{value}</{key}>" for key, value in fields.items())
    text = f'<?xml version="1.0" encoding="UTF-8"?><{name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inner}</{name}>'
    return web.Response(text=text, content_type="application/xml")


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
