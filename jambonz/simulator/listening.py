"""The listen verb: a socket to the service with the media module behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit

from jambonz.simulator.call_info import CallInfo
from jambonz.simulator.line import Line
from jambonz.simulator.media_module import MediaModule, ModuleEvent
from jambonz.simulator.requestor import basic_auth
from jambonz.simulator.transport import NORMAL_CLOSURE, SUBPROTOCOL, ServiceSocket, SocketRefused, SocketTransport

SETUP_SECONDS = 0.05
"""From the verb's start to the connection: with the handshake, the first text comes about 75 ms after the answer."""

CONNECT_SECONDS = 10.0
DISCONNECT_SECONDS = 0.045
"""From a ``disconnect`` to the close of the socket."""

MAX_METADATA_BYTES = 8192
MAX_PATH = 4096
MAX_CREDENTIALS = 128

Ender = Literal["service", "jambonz"]


class Listening:
    """One listen verb's connection. ``done`` is set when the verb is over, for whatever reason of the socket's."""

    def __init__(
        self,
        properties: dict[str, Any],
        info: CallInfo,
        line: Line,
        *,
        base_url: str,
        app_auth: tuple[str, str] | None,
        unevenness: float,
        seed: int,
        note: Callable[[str], None],
        on_closed: Callable[[int, Ender], None],
    ) -> None:
        self.done = asyncio.Event()
        self.digits: str | None = None
        self._properties = properties
        self._line = line
        self._note = note
        self._on_closed = on_closed
        self._socket: ServiceSocket | None = None
        self._connected_at: float | None = None
        self._closed = False
        self.url, self._headers = self._address(base_url, app_auth)
        metadata, intact = self._metadata(info)
        self._first_text = metadata
        settings = properties.get("bidirectionalAudio") or {}
        self.module = MediaModule(
            settings.get("sampleRate"),
            send_text=self._send_text,
            send_binary=self._send_binary,
            on_event=self._on_module_event,
            # Real servers send "true" even where this is false; a simulator may be stricter than they are.
            enabled=intact and settings.get("enabled", True) and not properties.get("disableBidirectionalAudio"),
            streaming=intact and bool(settings.get("streaming")),
            codec_rate=line.ear.rate,
            listen_rate=int(properties.get("sampleRate") or 8000),
            mix_type=properties.get("mixType") or "mono",
            pass_dtmf=bool(properties.get("passDtmf")),
            unevenness=unevenness,
            seed=seed,
            ear=line.ear,
        )

    async def open(self, transport: SocketTransport) -> None:
        """Connect and introduce the call. Raises :class:`SocketRefused`, for an address that is none as well."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("ws", "wss") or "|" in self.url or len(parts.path) > MAX_PATH:
            raise SocketRefused(f"{self.url} is no address that the media server can connect to")
        if self._connected_at is None and int(self._properties.get("sampleRate") or 8000) % 8000:
            raise SocketRefused("the sample rate is not a multiple of 8000")
        try:
            self._socket = await asyncio.wait_for(
                transport.connect(self.url, subprotocol=SUBPROTOCOL, headers=self._headers, handler=self),
                CONNECT_SECONDS,
            )
        except TimeoutError as error:
            raise SocketRefused(f"no connection within {CONNECT_SECONDS:.0f} s") from error
        self._connected_at = asyncio.get_running_loop().time()
        self._line.on_key = self._on_key
        self._socket.send_text(self._first_text)
        self._line.connect(self.module, self._socket)

    def results(self) -> dict[str, Any]:
        """What the action hook is told. The duration's presence tells that the socket had been open."""
        results: dict[str, Any] = {}
        if self._connected_at is not None:
            results["dialCallDuration"] = int(asyncio.get_running_loop().time() - self._connected_at)
        if self.digits:
            results["digits"] = self.digits
        return results

    def close(self) -> None:
        """Jambonz closes: the verb or the call is over."""
        self._ended(NORMAL_CLOSURE, "jambonz")

    # What comes from the socket

    def on_text(self, text: str) -> None:
        self.module.receive_text(text)

    def on_binary(self, data: bytes) -> None:
        self.module.receive_binary(data)

    def on_closed(self, code: int) -> None:
        self._ended(code, "service")

    def _ended(self, code: int, by: Ender) -> None:
        if self._closed:
            return
        self._closed = True
        self._line.disconnect()
        self._line.on_key = lambda _digit, _ms: None
        if self._socket is not None:
            if by == "jambonz":
                self._socket.close(code)
            self._on_closed(code, by)
        self.done.set()

    # What comes from the module

    def _send_text(self, text: str) -> None:
        if self._socket is not None:
            self._socket.send_text(text)

    def _send_binary(self, data: bytes) -> None:
        if self._socket is not None:
            self._socket.send_binary(data)

    def _on_module_event(self, kind: ModuleEvent, data: Any) -> None:
        match kind:
            case "disconnect":
                asyncio.get_running_loop().call_later(DISCONNECT_SECONDS, self.close)
            case "error":
                self._note(f"the service reports an error: {data}")
                self.close()
            case "kill_audio":
                pass
            case "buffer_overrun":
                self._note("buffer_overrun: the service does not take the caller's sound, and 2 s of it were dropped")
            case "json" | "transcription" | "transfer" | "unsupported" | "malformed":
                self._note(f"a text that listen does nothing with ({kind}): {str(data)[:200]}")

    def _on_key(self, digit: str, _ms: int) -> None:
        if digit == self._properties.get("finishOnKey"):
            self.digits = digit
            self.close()

    # What it starts with

    def _address(self, base_url: str, app_auth: tuple[str, str] | None) -> tuple[str, dict[str, str]]:
        """The socket's URL (relative ones are the application's host) and the headers of the upgrade."""
        url = str(self._properties["url"])
        auth = self._properties.get("wsAuth")
        credentials = (auth["username"], auth["password"]) if auth else None
        if "://" not in url:
            credentials = credentials or app_auth
        url = urljoin(base_url, url)
        for scheme, mapped in (("http://", "ws://"), ("https://", "wss://")):
            if url.startswith(scheme):
                url = mapped + url.removeprefix(scheme)
        headers = {"Origin": f"http://{urlsplit(url).hostname}"}
        if credentials:
            if len(":".join(credentials)) >= MAX_CREDENTIALS:
                self._note("the user and password of wsAuth are too long and are not sent")
            else:
                headers["Authorization"] = basic_auth(*credentials)
        return url, headers

    def _metadata(self, info: CallInfo) -> tuple[str, bool]:
        """The first text frame, and whether the command that carries it to the media server is intact.

        It is one line of arguments with ``|`` between them and the metadata in single quotes: either character in it
        cuts it there, and what the later arguments say of bidirectional audio is lost.
        """
        introduction = {
            "sampleRate": self._properties.get("sampleRate") or 8000,
            "mixType": self._properties.get("mixType") or "mono",
            **info.attributes(),
            **(self._properties.get("metadata") or {}),
        }
        text = json.dumps(introduction, separators=(",", ":"), ensure_ascii=False)
        cut = min((index for index in (text.find("|"), text.find("'")) if index >= 0), default=None)
        if cut is not None:
            self._note("a | or ' in the metadata has corrupted the command to the media server")
            text = text[:cut]
        encoded = text.encode()
        if len(encoded) > MAX_METADATA_BYTES:
            self._note(f"the metadata was cut at {MAX_METADATA_BYTES} bytes")
            text = encoded[:MAX_METADATA_BYTES].decode(errors="ignore")
        return text, cut is None
