"""OpenAI Realtime, Azure's, and servers that speak its protocol: where they are, and what they can do."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from media.audio import MULAW_8K, PCM_24K
from pipelines.parts import ProviderError
from pipelines.realtime.model import Address, Capabilities, SessionOver, Setup
from pipelines.realtime.openai_preview import TRANSCRIPTION as PREVIEW_TRANSCRIPTION
from pipelines.realtime.openai_preview import flat_session, is_preview
from pipelines.realtime.openai_protocol import OpenAIRealtimeProtocol
from pipelines.realtime.openai_session import TRANSCRIPTION, session_fields

__all__ = ["OpenAIRealtimeModel", "OpenAIRealtimeProtocol"]

SESSION_SECONDS = 3600.0
"""The vendor's limit."""

_AZURE_HOSTS = (".azure.com", ".azure.us", ".azure.cn")


class OpenAIRealtimeModel:
    """One model of one account. ``wideband``: sound is PCM at 24 kHz, else G.711 as the telephone has it.
    ``transcription``: the recogniser that the words of the caller are known by; by default the one that there is."""

    def __init__(
        self,
        model: str,
        *,
        api_key: str,
        base_url: str = "https://api.openai.com/v1",
        name: str = "openai",
        wideband: bool = False,
        transcription: str | None = None,
    ) -> None:
        sound = PCM_24K if wideband else MULAW_8K
        self.name = name
        self.capabilities = Capabilities(
            input=sound,
            output=sound,
            truncates=True,
            updates=True,
            detections=frozenset({"server", "semantic", "own"}),
            session_seconds=SESSION_SECONDS,
        )
        self._api_key = api_key
        self._address, self._preview = _address(model, api_key, base_url)
        self._transcription = transcription or (PREVIEW_TRANSCRIPTION if self._preview else TRANSCRIPTION)

    async def dial(self, setup: Setup) -> Address:
        self._session(setup)
        return self._address

    def protocol(self, setup: Setup, handle: str | None = None) -> OpenAIRealtimeProtocol:
        """There are no handles here."""
        return OpenAIRealtimeProtocol(
            setup, self._session(setup), self.capabilities, secret=self._api_key, preview=self._preview
        )

    async def hang_up(self, address: Address) -> SessionOver | None:
        return None

    async def close(self) -> None: ...

    def _session(self, setup: Setup) -> dict[str, Any]:
        try:
            session = session_fields(setup, self.capabilities.input, self.capabilities.output, self._transcription)
            if self._preview:
                flat_session(session)
        except ValueError as error:
            raise ProviderError(self.name, "bad_request", str(error)) from error
        return session


def _address(model: str, api_key: str, base_url: str) -> tuple[Address, bool]:
    """And whether the server there is a preview. Azure's is known by its host, or by the ``api-version`` that nobody
    else asks for; paths like its own others have, too."""
    url = urlsplit(base_url)
    scheme = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}.get(url.scheme)
    if scheme is None or not url.hostname:
        raise ValueError(
            f"the base URL {base_url!r} of a realtime model begins with https://, http://, wss:// or ws://"
        )
    query = parse_qsl(url.query, keep_blank_values=True)
    path = url.path.rstrip("/")
    version = next((value for name, value in query if name == "api-version"), None)
    dated = version is not None
    of_azure = url.hostname.endswith(_AZURE_HOSTS)
    if of_azure and not path:
        path = "/openai" if dated else "/openai/v1"
    if not path.endswith("/realtime"):
        path += "/realtime"
    given = {name for name, _ in query}
    if not given & {"model", "deployment"}:
        query.append(("deployment" if dated else "model", model))
    headers = {"api-key": api_key} if of_azure or dated else {"Authorization": f"Bearer {api_key}"}
    address = Address(urlunsplit((scheme, url.netloc, path, urlencode(query), "")), headers if api_key else {})
    return address, is_preview(path, version)
