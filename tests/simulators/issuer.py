"""An OpenID Connect issuer on loopback: publishes keys, signs tokens, replaces its keys, and has bad days."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "trunkline-of-these-tests"


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


class SigningPair:
    """``algorithm`` signs; the published key says so only if ``told``."""

    def __init__(self, kid: str | None, algorithm: str = "ES256", *, told: bool = True) -> None:
        self.kid, self.algorithm = kid, algorithm
        self.private: Any
        if algorithm.startswith("ES"):
            self.private = ec.generate_private_key(ec.SECP256R1())
            published = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        elif algorithm == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.generate()
            published = OKPAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        else:
            self.private = rsa_key()
            published = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        self.published = {
            **{name: value for name, value in published.items() if name not in ("key_ops", "use")},
            "use": "sig",
            **({"kid": kid} if kid is not None else {}),
            **({"alg": algorithm} if told else {}),
        }

    def sign(self, claims: dict[str, Any], **headers: Any) -> str:
        named = {"kid": self.kid} if self.kid is not None else {}
        return jwt.encode(claims, self.private, self.algorithm, headers={**named, **headers})


class SimulatedIssuer:
    """``fetches`` counts requests for the keys. Bad days: ``status`` of its answers, ``silent`` for none at all,
    ``garbage`` in place of its keys, ``claims_to_be`` another."""

    def __init__(self) -> None:
        self.url = ""
        self.pairs = [SigningPair("first")]
        self.fetches = 0
        self.status = 200
        self.silent = False
        self.garbage: bytes | None = None
        self.claims_to_be: str | None = None

    def token(self, pair: SigningPair | None = None, **changes: Any) -> str:
        """A good one but for ``changes``; None takes a claim out."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 300, **changes}
        return (pair or self.pairs[-1]).sign({name: value for name, value in claims.items() if value is not None})

    def rotate(self, kid: str, *, keep: bool = True) -> None:
        self.pairs = [*(self.pairs if keep else []), SigningPair(kid)]

    async def _configuration(self, _: web.Request) -> web.Response:
        if self.silent:
            await asyncio.Event().wait()
        told = {"issuer": self.claims_to_be or self.url, "jwks_uri": f"{self.url}/keys"}
        return web.json_response(told, status=self.status)

    async def _keys(self, _: web.Request) -> web.Response:
        self.fetches += 1
        if self.garbage is not None:
            return web.Response(body=self.garbage, content_type="application/json")
        return web.json_response({"keys": [pair.published for pair in self.pairs]})


@asynccontextmanager
async def serve_issuer() -> AsyncIterator[SimulatedIssuer]:
    issuer = SimulatedIssuer()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", issuer._configuration)
    app.router.add_get("/keys", issuer._keys)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(shutdown_timeout=0.1)
    issuer.url = str(server.make_url("")).rstrip("/")
    try:
        yield issuer
    finally:
        await server.close()
