"""Settings: environment variables, a ``.env`` file, or flags, in rising order of precedence: file, environment, flags.

A name that starts with ``TRUNKLINE_`` and is not known, or a value that cannot be, stops the start with a sentence that
says what to write instead. Values of secrets are never part of it.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from yarl import URL

from pipelines.agent import nearest
from pipelines.providers.google_account import WRITE, target
from pipelines.tools.addresses import parse_hosts, parse_networks, parse_origins
from store.database import parse_url

PREFIX = "TRUNKLINE_"
PROVIDERS = (
    "openai", "anthropic", "deepgram", "elevenlabs", "ultravox", "groq", "cartesia", "gemini", "ollama", "speaches",
    "kokoro",
)  # fmt: skip
"""The X of ``X_API_KEY`` and ``X_BASE_URL``, in lower case."""

CALLS_PER_CORE = 100
"""What one core carries with room to spare: a relay would carry more, recognisers and voices want their part."""

V = TypeVar("V")


class SettingsError(Exception):
    """The service cannot start with these settings; each problem is a sentence."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _nothing_is_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _http_base(value: str) -> str:
    url = _url(value)
    if url is None or url.scheme not in ("http", "https"):
        raise ValueError("write a URL that starts with http:// or https:// (ws:// follows from it)")
    return _without_user(url, value)


def _server(value: str) -> str:
    url = _url(value if "://" in value else f"https://{value}")
    if url is None or url.scheme not in ("http", "https"):
        raise ValueError("write a host, such as jambonz.example.com, or a URL that starts with http:// or https://")
    return _without_user(url, str(url))


def _without_user(url: URL, value: str) -> str:
    if url.raw_user is not None or url.raw_password is not None:
        raise ValueError("write it without a user and a password: addresses are logged")
    return value.rstrip("/")


def _google_endpoint(value: str) -> str:
    if not target(value):
        raise ValueError(WRITE)
    return value.rstrip("/")


def _networks(value: str) -> str:
    parse_networks(value)
    return value


def _hosts(value: str) -> str:
    parse_hosts(value)
    return value


def _origins(value: str) -> str:
    parse_origins(value)
    return value


def _url(value: str) -> URL | None:
    try:
        url = URL(value)
    except ValueError:
        return None
    return url if url.host and url.port else None


def _database(value: str) -> str:
    try:
        parse_url(value)
    except ValueError as error:
        raise ValueError(str(error).replace("has to be", "write")) from None
    return value


def _issuers(value: Any) -> Any:
    """One or more URLs, apart by commas or spaces; each as its tokens have it, to the last character."""
    if not isinstance(value, str):
        return value
    issuers = tuple(value.replace(",", " ").split())
    for issuer in issuers:
        url = _url(issuer)
        if url is None or url.query or url.fragment:
            raise ValueError("write the https:// URLs of issuers, as their tokens have them in iss, apart by commas")
        if url.scheme != "https" and not (url.scheme == "http" and url.host and is_loopback(url.host)):
            raise ValueError("write https://; tokens of an issuer that is reached without TLS prove nothing")
    return issuers


def _recordings(value: str) -> str:
    """A folder, or where in S3."""
    if "://" in value:
        url = urlsplit(value)
        if url.scheme != "s3" or not url.netloc or url.query or url.fragment:
            raise ValueError("write a folder, or s3://bucket, or s3://bucket/prefix")
    return value.rstrip("/") or value


def _names(value: Any) -> Any:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


Optional = Annotated[V | None, BeforeValidator(_nothing_is_none)]
Secret = Optional[SecretStr]
GoogleEndpoint = Optional[Annotated[str, AfterValidator(_google_endpoint)]]
BaseUrl = Optional[Annotated[str, AfterValidator(_http_base)]]


@dataclass(frozen=True, slots=True)
class Provider:
    """Where a provider is and with which key; None: the vendor's own place, or no key."""

    name: str
    api_key: SecretStr | None
    base_url: str | None

    @property
    def ws_base_url(self) -> str | None:
        """``base_url`` for WebSockets: http becomes ws, https becomes wss."""
        return None if self.base_url is None else "ws" + self.base_url.removeprefix("http")


class Settings(BaseSettings):
    """Made by :func:`load`. A field's name in the environment is its alias, or its own name in capitals."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True, populate_by_name=True)

    host: str = Field("127.0.0.1", alias="TRUNKLINE_HOST", min_length=1)
    port: int = Field(8080, alias="TRUNKLINE_PORT", ge=0, le=65535)
    public_url: BaseUrl = Field(None, alias="TRUNKLINE_PUBLIC_URL")
    workers: int = Field(1, alias="TRUNKLINE_WORKERS", ge=1, le=256)
    max_calls: Optional[Annotated[int, Field(ge=1, le=100_000)]] = Field(None, alias="TRUNKLINE_MAX_CALLS")
    requests_per_second: float = Field(50, alias="TRUNKLINE_REQUESTS_PER_SECOND", ge=0, le=100_000)
    drain_seconds: float = Field(600, alias="TRUNKLINE_DRAIN_SECONDS", ge=0, le=86_400)
    retention_days: float = Field(0, alias="TRUNKLINE_RETENTION_DAYS", ge=0, le=36_500)
    data_dir: Path = Field(Path("var"), alias="TRUNKLINE_DATA_DIR")
    recordings: Optional[Annotated[str, AfterValidator(_recordings)]] = Field(None, alias="TRUNKLINE_RECORDINGS")
    s3_endpoint: BaseUrl = Field(None, alias="TRUNKLINE_S3_ENDPOINT")
    insecure: bool = Field(False, alias="TRUNKLINE_INSECURE")
    admin_key: Secret = Field(None, alias="TRUNKLINE_ADMIN_KEY")
    oidc_issuers: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_issuers)] = Field(
        (), alias="TRUNKLINE_OIDC_ISSUERS"
    )
    oidc_audience: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)] = Field(
        (), alias="TRUNKLINE_OIDC_AUDIENCE"
    )
    oidc_organisation: str = Field("own", alias="TRUNKLINE_OIDC_ORGANISATION", min_length=1)
    oidc_scope_claim: Optional[str] = Field(None, alias="TRUNKLINE_OIDC_SCOPE_CLAIM")
    metrics_token: Secret = Field(None, alias="TRUNKLINE_METRICS_TOKEN")
    tool_networks: Optional[Annotated[str, AfterValidator(_networks)]] = Field(None, alias="TRUNKLINE_TOOL_NETWORKS")
    tool_hosts: Optional[Annotated[str, AfterValidator(_hosts)]] = Field(None, alias="TRUNKLINE_TOOL_HOSTS")
    tool_origins: Optional[Annotated[str, AfterValidator(_origins)]] = Field(None, alias="TRUNKLINE_TOOL_ORIGINS")
    functions: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)] = Field((), alias="TRUNKLINE_FUNCTIONS")
    smart_turn_model: Optional[Path] = Field(None, alias="TRUNKLINE_SMART_TURN_MODEL")

    database_url: Optional[Annotated[str, AfterValidator(_database)]] = None
    authenticate_users: bool = True
    credentials_key: Secret = None
    credentials_key_other: Secret = None
    loglevel: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(str.lower)] = "info"
    logformat: Annotated[Literal["auto", "console", "json"], BeforeValidator(str.lower)] = "auto"
    prometheus_multiproc_dir: Optional[Path] = None
    otel_exporter_otlp_endpoint: Optional[str] = None

    jambonz_server: Optional[Annotated[str, AfterValidator(_server)]] = None
    jambonz_api_key: Secret = None
    jambonz_account_sid: Optional[str] = None
    jambonz_webhook_secret: Secret = None
    jambonz_application_username: str = Field("jambonz", min_length=1, max_length=64, pattern="^[!-9;-~]+$")
    jambonz_application_password: Secret = None

    openai_api_key: Secret = None
    openai_base_url: BaseUrl = None
    anthropic_api_key: Secret = None
    anthropic_base_url: BaseUrl = None
    deepgram_api_key: Secret = None
    deepgram_base_url: BaseUrl = None
    elevenlabs_api_key: Secret = None
    elevenlabs_base_url: BaseUrl = None
    ultravox_api_key: Secret = None
    ultravox_base_url: BaseUrl = None
    ultravox_webhook_secret: Secret = None
    groq_api_key: Secret = None
    groq_base_url: BaseUrl = None
    cartesia_api_key: Secret = None
    cartesia_base_url: BaseUrl = None
    gemini_api_key: Secret = None
    gemini_base_url: BaseUrl = None
    ollama_api_key: Secret = None
    ollama_base_url: BaseUrl = None
    speaches_api_key: Secret = None
    speaches_base_url: BaseUrl = None
    kokoro_api_key: Secret = None
    kokoro_base_url: BaseUrl = None

    google_application_credentials: Optional[Path] = None
    google_project_id: Optional[str] = None
    google_speech_endpoint: GoogleEndpoint = None
    google_tts_endpoint: GoogleEndpoint = None

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if not self.authenticate_users and not self.insecure and not is_loopback(self.host):
            raise ValueError(
                f"AUTHENTICATE_USERS=NO lets anybody who reaches {self.host} in; write TRUNKLINE_HOST=127.0.0.1, "
                "or AUTHENTICATE_USERS=YES, or, if you mean it, TRUNKLINE_INSECURE=YES"
            )
        if self.oidc_issuers and not self.oidc_audience:
            raise ValueError(
                "TRUNKLINE_OIDC_ISSUERS needs TRUNKLINE_OIDC_AUDIENCE; write what tokens for this service have in aud"
            )
        if self.workers > 1 and self.database.startswith("sqlite"):
            raise ValueError(
                f"TRUNKLINE_WORKERS={self.workers} needs PostgreSQL; write DATABASE_URL=postgresql://…, "
                "or TRUNKLINE_WORKERS=1"
            )
        if self.admin_key is not None and len(self.admin_key.get_secret_value()) < 16:
            raise ValueError("TRUNKLINE_ADMIN_KEY is too short to be a key; write 16 random characters or more")
        password = self.jambonz_application_password
        if password is not None and len(password.get_secret_value()) < 16:
            raise ValueError(
                "JAMBONZ_APPLICATION_PASSWORD is too short to keep others out; write 16 random characters or more"
            )
        return self

    @property
    def database(self) -> str:
        """Where the store is: DATABASE_URL, or a file in the data directory."""
        return self.database_url or f"sqlite:///{self.data_dir / 'trunkline.sqlite3'}"

    @property
    def credentials(self) -> dict[str, str | None]:
        """What :meth:`store.Store.open` is to encrypt with."""
        given = {"credentials_key": self.credentials_key, "other_key": self.credentials_key_other}
        return {name: key.get_secret_value() if key is not None else None for name, key in given.items()}

    @property
    def recordings_at(self) -> str:
        """Where finished recordings are: TRUNKLINE_RECORDINGS, or a folder in the data directory."""
        return self.recordings or str(self.data_dir / "recordings")

    @property
    def calls_at_once(self) -> int:
        """What this process takes: TRUNKLINE_MAX_CALLS, or what its share of the cores carries."""
        if self.max_calls is not None:
            return self.max_calls
        # A process has one event loop: a second core helps it with recognition and speech, a third hardly.
        share = min(2.0, len(os.sched_getaffinity(0)) / self.workers)
        return max(1, round(CALLS_PER_CORE * share))

    def provider(self, name: str) -> Provider:
        """Raises KeyError for a name that is not one of :data:`PROVIDERS`."""
        if name not in PROVIDERS:
            raise KeyError(name)
        return Provider(name, getattr(self, f"{name}_api_key"), getattr(self, f"{name}_base_url"))


def load(env_file: Path | None = Path(".env"), flags: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings. ``flags`` are values by field name (``port``) or variable (``TRUNKLINE_PORT``); None in them
    is a flag not given. Blocking (it reads a file). Raises :class:`SettingsError`."""
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    in_file = dotenv_values(env_file) if env_file is not None else {}
    unknown = _unknown([*os.environ, *in_file])
    try:
        settings = Settings(_env_file=env_file, **given)
    except ValidationError as error:
        raise SettingsError(unknown + [_sentence(e) for e in error.errors(include_input=False)]) from None
    if unknown:
        raise SettingsError(unknown)
    return settings


def variables() -> dict[str, str]:
    """Every variable that is read, and the field that it fills."""
    return {(field.alias or name).upper(): name for name, field in Settings.model_fields.items()}


def _unknown(names: Iterable[str]) -> list[str]:
    known = [name.removeprefix(PREFIX) for name in variables() if name.startswith(PREFIX)]
    ours = {name.upper().removeprefix(PREFIX) for name in names if name.upper().startswith(PREFIX)}
    sentences = []
    for name in sorted(ours.difference(known)):
        meant = nearest(name, known)
        hint = f"did you mean {PREFIX}{meant}?" if meant else f"known are {', '.join(PREFIX + k for k in known)}."
        sentences.append(f"{PREFIX}{name} is no setting; {hint}")
    return sentences


_WRITE = {
    "int_parsing": "write a whole number",
    "float_parsing": "write a number",
    "bool_parsing": "write YES or NO",
    "string_too_short": "write something, or leave it out",
}


def _sentence(error: Any) -> str:
    message = _WRITE.get(error["type"]) or error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return f"{message}."
    name = str(error["loc"][0]).upper()
    message = message.replace("Input should be", "write a value")
    return f"{name} has a value that cannot be used; {message}."


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine's own processes reaches this name or address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
