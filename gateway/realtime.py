"""Which realtime model an agent's ``modelName`` names, with the key and the address that the settings have for it."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.agent import AgentDefinition
from pipelines.parts import ProviderError
from pipelines.providers.compatible import compatible_base_url
from pipelines.realtime.gemini import GeminiLiveModel
from pipelines.realtime.gpt_live import GptLiveModel
from pipelines.realtime.model import RealtimeModel
from pipelines.realtime.openai import OpenAIRealtimeModel
from ultravox.calls import HttpTool
from ultravox.model import UltravoxModel, Webhook
from ultravox.rest import BASE_URL, UltravoxRest


def http_tools(agent: AgentDefinition) -> dict[str, HttpTool]:
    """The agent's REST functions that ``vendorSpecific.ultravox.httpTools`` (names, or true for all) gives away."""
    ultravox = agent.options.vendor_specific.get("ultravox")
    wanted = ultravox.get("httpTools", ()) if isinstance(ultravox, Mapping) else ()
    tools = {}
    for function in agent.functions:
        if function.implementation != "rest" or not function.url or function.key:
            continue  # credentials are not given away
        if wanted is True or (isinstance(wanted, list) and function.name in wanted):
            static = {name: p.origin for name, p in function.parameters.items() if p.source == "static"}
            tools[function.name] = HttpTool(function.url, (function.method or "get").upper(), static)
    return tools


class RealtimeModels:
    """``env`` holds the settings ``X_API_KEY`` and ``X_BASE_URL`` of the vendors."""

    def __init__(self, env: Mapping[str, str], webhook: Webhook | None = None) -> None:
        """``webhook``: where Ultravox tells of ended calls."""
        self._env = env
        self._webhook = webhook
        self._ultravox: UltravoxRest | None = None

    def model(self, agent: AgentDefinition, *, wideband: bool = False) -> RealtimeModel:
        """``wideband``: for a leg of 16 kHz. Raises :class:`ProviderError` with a sentence for whoever set up the
        service."""
        name = agent.model
        if name.provider == "openai":
            key, base = self._key("openai"), compatible_base_url("openai", self._env.get("OPENAI_BASE_URL")) or ""
            if name.model.startswith("gpt-live"):
                return GptLiveModel(name.model, api_key=key, base_url=base, wideband=wideband)
            return OpenAIRealtimeModel(name.model, api_key=key, base_url=base, wideband=wideband)
        if name.provider == "google":
            base = self._base("gemini", "https://generativelanguage.googleapis.com")
            return GeminiLiveModel(name.model, api_key=self._key("gemini"), base_url=base)
        return self.ultravox(agent, http_tools(agent), wideband=wideband)

    def ultravox(
        self, agent: AgentDefinition, tools: Mapping[str, HttpTool], *, wideband: bool = False
    ) -> UltravoxModel:
        """``tools``: those that Ultravox asks by itself. Raises as :meth:`model` does."""
        # Ultravox's own models are named with their maker, ultravox/… or fixie-ai/…; on the wire they are without.
        name = agent.model.model
        return UltravoxModel(self.rest(), name, wideband=wideband, http_tools=tools, webhook=self._webhook)

    def rest(self) -> UltravoxRest:
        """Ultravox's. Raises as :meth:`model` does."""
        if self._ultravox is None:
            self._ultravox = UltravoxRest(self._key("ultravox"), self._base("ultravox", BASE_URL))
        return self._ultravox

    async def close(self) -> None:
        if self._ultravox is not None:
            await self._ultravox.close()

    def _key(self, vendor: str) -> str:
        key, base = self._env.get(f"{vendor.upper()}_API_KEY", ""), self._env.get(f"{vendor.upper()}_BASE_URL")
        if not key and not base:
            raise ProviderError(vendor, "auth", f"models of {vendor} need {vendor.upper()}_API_KEY in the environment")
        return key

    def _base(self, vendor: str, home: str) -> str:
        return self._env.get(f"{vendor.upper()}_BASE_URL") or home
