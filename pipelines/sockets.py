"""What the sockets to vendors have in common: whom TLS trusts, what went wrong where none could be opened, messages in
pieces, and why one was closed."""

from __future__ import annotations

import asyncio
import ssl

from picows import WSError, WSFrame, WSInvalidStatusError, WSMsgType, WSTransport

from pipelines.parts import ProviderError, ProviderFault

_STATUS: dict[int, ProviderFault] = {401: "auth", 402: "auth", 403: "auth", 408: "timeout", 429: "rate_limit"}

_trusted: list[ssl.SSLContext] = []


async def trusted() -> ssl.SSLContext:
    """Whom the system trusts: read once for a process, and beside the loop, for it takes tens of milliseconds."""
    if not _trusted:
        _trusted.append(await asyncio.to_thread(ssl.create_default_context))
    return _trusted[0]


def look_at_end(transport: WSTransport) -> None:
    """Of a socket that is disconnected: picows keeps why in a future, about which asyncio complains if nobody looks."""
    end = transport.wait_disconnected()
    try:
        end.send(None)
    except (StopIteration, WSError):
        pass
    finally:
        end.close()


class TooLarge(Exception):
    """A message is more than anybody would send."""


class Pieces:
    """Of a message of at most ``most`` bytes that comes in more than one frame."""

    __slots__ = ("_is_text", "_most", "_so_far")

    def __init__(self, most: int) -> None:
        self._most = most
        self._so_far = bytearray()
        self._is_text = False

    def begin(self, frame: WSFrame) -> None:
        self._so_far[:] = frame.get_payload_as_bytes()
        self._is_text = frame.msg_type == WSMsgType.TEXT

    def go_on(self, frame: WSFrame) -> tuple[bytes, bool] | None:
        """The whole message, and whether it is text, once it is there. Raises :class:`TooLarge`."""
        self._so_far += frame.get_payload_as_bytes()
        if len(self._so_far) > self._most:
            raise TooLarge
        if not frame.fin:
            return None
        whole = bytes(self._so_far)
        self._so_far.clear()
        return whole, self._is_text


def close_of(frame: WSFrame) -> tuple[int, str]:
    """The code, and the words; 1005 where there is none (RFC 6455, 7.1.5)."""
    payload = frame.get_payload_as_bytes()
    return int.from_bytes(payload[:2]) if payload else 1005, payload[2:].decode(errors="replace")


def opening_fault(name: str, error: BaseException, *, what: str, seconds: float) -> ProviderError | None:
    """``error`` of opening ``what`` (a socket, a session) as one that can be told; None if it is none of the vendor's.
    ``seconds`` is how long was waited for it."""
    match error:
        case ProviderError():
            return error
        case WSInvalidStatusError():
            status = int(error.response.status) if error.response is not None else 0
            kind = _STATUS.get(status, "server" if status >= 500 else "bad_request")
            return ProviderError(name, kind, f"the upgrade of the socket was answered with status {status}")
        case TimeoutError():
            return ProviderError(name, "timeout", f"there was no {what} within {seconds:g} s")
        case WSError():
            return ProviderError(name, "protocol", f"the handshake failed: {error}")
        case OSError():
            return ProviderError(name, "connect", f"no {what}: {error}")
        case _:
            return None
