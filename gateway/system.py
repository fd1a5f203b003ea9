"""What the process around the service has to do with the system: its port, the signals that end it, and that it is the
only one."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
from pathlib import Path


def told_to_stop() -> list[signal.Signals]:
    """The signals that are orders to stop: from who runs the service, and from a terminal that goes, unless that was to
    be ignored (nohup)."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGTERM, signal.SIGINT, *([] if ignored else [signal.SIGHUP])]


def bind(host: str, port: int) -> list[socket.socket]:
    """A socket for every address of ``host`` that this machine has; port 0 is one that is free. Nobody gets in yet:
    they are to ``listen``. Blocking. Raises OSError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise OSError(f"cannot listen on {host}, which is no address and no name of one") from None
    bound: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            one = socket.socket(family, kind, protocol)
            bound.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if port == 0 and len(bound) > 1:
                address = (address[0], bound[0].getsockname()[1], *address[2:])
            try:
                one.bind(address)
            except OSError as error:
                sentence = (
                    f"cannot listen on {address[0]!s}, port {address[1]!r}: {os.strerror(error.errno or 0).lower()}"
                )
                raise OSError(sentence) from None
            one.setblocking(False)
    except OSError:
        for one in bound:
            one.close()
        raise
    return bound


def claim(path: Path) -> int:
    """The descriptor of a file that only one process has, until that is closed or the process ends. Blocking. Raises
    OSError where another has it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise OSError(f"another process has {path}") from None
    except OSError:
        pass  # a file system without locks
    return held
