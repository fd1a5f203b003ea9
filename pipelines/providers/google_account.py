"""Who we are in Google's cloud, where it is, and Google's packages for it.

The packages are imported when they are first needed, beside the loop, for that takes half a second. Of them the
messages, the credentials and the channels are used. Messages are protobuf's own: the wrappers around them cost a
quarter more CPU for each request.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal
from urllib.parse import urlsplit

from pipelines.parts import ProviderError

NAME = "google"

WRITE = "write a host, such as eu-speech.googleapis.com, or http://host:port for one without TLS and credentials"

_MISSING = "its packages are not installed; write: pip install trunkline[google]"
_HOMES = {
    "GOOGLE_SPEECH_ENDPOINT": "speech.googleapis.com:443",
    "GOOGLE_TTS_ENDPOINT": "texttospeech.googleapis.com:443",
}

Service = Literal["speech", "tts"]


def target(endpoint: str) -> str:
    """Host and port of a host, perhaps with a port, or of a URL; empty if it is none."""
    try:
        parts = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        port = parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError:
        return ""
    if not parts.hostname or parts.scheme not in ("http", "https") or parts.path not in ("", "/"):
        return ""
    return f"[{parts.hostname}]:{port}" if ":" in parts.hostname else f"{parts.hostname}:{port}"


@dataclass(frozen=True, slots=True)
class Account:
    """What the settings say. ``endpoint`` is a host, perhaps with a port, or ``http://host:port`` for a channel without
    TLS and credentials; None is Google's own. Raises ``ValueError``, as a sentence."""

    credentials: str | None
    project: str | None
    endpoint: str | None
    variable: str
    """The setting that the endpoint is in."""

    def __post_init__(self) -> None:
        if not self.plain and self.credentials is None:
            raise ValueError(f"google needs GOOGLE_APPLICATION_CREDENTIALS in the environment, or {self.variable}")
        if not self.target:
            raise ValueError(f"{self.variable} is no place; {WRITE}")

    @classmethod
    def of(cls, service: Service, env: Mapping[str, str]) -> Account:
        variable = f"GOOGLE_{service.upper()}_ENDPOINT"
        return cls(
            env.get("GOOGLE_APPLICATION_CREDENTIALS") or None,
            env.get("GOOGLE_PROJECT_ID") or None,
            env.get(variable) or None,
            variable,
        )

    @property
    def plain(self) -> bool:
        return self.endpoint is not None and self.endpoint.startswith("http://")

    @property
    def target(self) -> str:
        """Host and port."""
        return target(self.endpoint) if self.endpoint is not None else _HOMES[self.variable]

    @property
    def location(self) -> str:
        """Where recognisers are: a regional host has those of its region only."""
        region, found, _ = self.target.partition("-speech.googleapis.com")
        return region if found else "global"


@dataclass(frozen=True, slots=True)
class Method:
    """``request`` and ``response`` are classes of messages."""

    path: str
    request: Any
    response: Any


@dataclass(frozen=True, slots=True)
class Sdk:
    """What Google's packages are needed for: gRPC itself, the methods with their messages, and channels with
    credentials. ``listing`` is a method that costs nothing."""

    grpc: Any
    streaming: Method
    listing: Method
    create_channel: Any
    credentials: Any
    project: str | None


@dataclass(frozen=True, slots=True)
class _Names:
    types: str
    transports: str
    transport: str
    service: str
    streaming: str
    listing: str


_NAMES: Mapping[Service, _Names] = {
    "speech": _Names(
        "google.cloud.speech_v2.types.cloud_speech",
        "google.cloud.speech_v2.services.speech.transports",
        "SpeechGrpcAsyncIOTransport",
        "google.cloud.speech.v2.Speech",
        "StreamingRecognize",
        "ListRecognizers",
    ),
    "tts": _Names(
        "google.cloud.texttospeech_v1.types.cloud_tts",
        "google.cloud.texttospeech_v1.services.text_to_speech.transports",
        "TextToSpeechGrpcAsyncIOTransport",
        "google.cloud.texttospeech.v1.TextToSpeech",
        "StreamingSynthesize",
        "ListVoices",
    ),
}


def load(service: Service, account: Account) -> Sdk:
    """Blocking, the first time for half a second. Raises :class:`ProviderError`."""
    names = _NAMES[service]
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # it tells of every connection that ends, past our log
    try:
        grpc, types = import_module("grpc"), import_module(names.types)
        import_module("grpc.aio")
        transport = getattr(import_module(names.transports), names.transport)
    except ImportError:
        raise ProviderError(NAME, "bad_request", _MISSING) from None

    def method(name: str) -> Method:
        request, response = (getattr(types, f"{name}{kind}").pb() for kind in ("Request", "Response"))
        return Method(f"/{names.service}/{name}", request, response)

    credentials, project = (None, None) if account.plain else _credentials(account.credentials or "")
    project = account.project or project
    return Sdk(grpc, method(names.streaming), method(names.listing), transport.create_channel, credentials, project)


def _credentials(path: str) -> tuple[Any, str | None]:
    """Who we are, and in which project, as the file says. A service account signs its own tokens, and asks nobody."""
    errors = import_module("google.auth.exceptions")
    try:
        with open(os.path.expanduser(path), "rb") as file:
            known = json.load(file)
        kind = known.get("type") if isinstance(known, dict) else None
        match kind:
            case "service_account":
                makers = import_module("google.oauth2.service_account").Credentials
                return makers.from_service_account_info(known).with_always_use_jwt_access(True), known.get("project_id")
            case "authorized_user":
                makers = import_module("google.oauth2.credentials").Credentials
                return makers.from_authorized_user_info(known), known.get("quota_project_id")
            case "external_account":
                return import_module("google.auth.identity_pool").Credentials.from_info(known), None
            case _:
                why = "it is none of service_account, authorized_user and external_account"
    except OSError as error:
        why = error.strerror or type(error).__name__
    except errors.GoogleAuthError as error:
        why = str(error).partition("\n")[0]
    except (ValueError, TypeError, AttributeError):
        why = "it is damaged"
    raise ProviderError(NAME, "auth", f"GOOGLE_APPLICATION_CREDENTIALS names a file that cannot be used: {why}")
