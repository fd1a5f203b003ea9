"""What the calls of a process share, and is of no call: the vendors of realtime models, and what functions run by."""

from __future__ import annotations

from gateway import metrics
from gateway.realtime import RealtimeModels
from gateway.settings import PROVIDERS, Settings
from pipelines.functions import registered
from pipelines.tools.addresses import Guard, parse_hosts, parse_networks, parse_origins
from pipelines.tools.http import GuardedHttp
from pipelines.tools.mcp import McpServers
from pipelines.tools.means import Means
from pipelines.tools.python import PythonFunctions
from ultravox.model import Webhook


class Equipment:
    """Functions reach what ``guard`` lets them."""

    def __init__(self, models: RealtimeModels, guard: Guard) -> None:
        self.models = models
        self._http = GuardedHttp(guard)
        self._mcp = McpServers(self._http)
        self._python = PythonFunctions(registered, _Strays())
        self.means = Means(http=self._http, mcp=self._mcp, python=self._python)
        """Of functions, whatever the call."""

    @classmethod
    def of(cls, settings: Settings) -> Equipment:
        networks, hosts = parse_networks(settings.tool_networks or ""), parse_hosts(settings.tool_hosts or "")
        models = RealtimeModels(provider_environment(settings), ultravox_webhook(settings))
        return cls(models, Guard(networks, hosts, parse_origins(settings.tool_origins or "")))

    async def close(self) -> None:
        await self.models.close()
        await self._mcp.close()
        await self._http.close()
        await self._python.close()


def ultravox_webhook(settings: Settings) -> Webhook | None:
    """Where it can reach us, and we can tell that it is Ultravox."""
    if settings.public_url is None or settings.ultravox_webhook_secret is None:
        return None
    return Webhook(f"{settings.public_url}/api/hooks/ultravox", settings.ultravox_webhook_secret.get_secret_value())


class _Strays:
    """The names are of those who run the service: there are not many."""

    def stray(self, function: str, change: int) -> None:
        metrics.functions_stray.labels(function).inc(change)

    def refused(self, function: str) -> None:
        metrics.functions_refused.labels(function).inc()


def provider_environment(settings: Settings) -> dict[str, str]:
    """``X_API_KEY`` and ``X_BASE_URL`` of every provider that has them, and what Google's cloud has instead."""
    environment: dict[str, str] = {}
    for name in PROVIDERS:
        provider = settings.provider(name)
        if provider.api_key is not None:
            environment[f"{name.upper()}_API_KEY"] = provider.api_key.get_secret_value()
        if provider.base_url is not None:
            environment[f"{name.upper()}_BASE_URL"] = provider.base_url
    google = {
        "GOOGLE_APPLICATION_CREDENTIALS": settings.google_application_credentials,
        "GOOGLE_PROJECT_ID": settings.google_project_id,
        "GOOGLE_SPEECH_ENDPOINT": settings.google_speech_endpoint,
        "GOOGLE_TTS_ENDPOINT": settings.google_tts_endpoint,
    }
    return environment | {name: str(value) for name, value in google.items() if value is not None}
