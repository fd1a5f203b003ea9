"""The verbs that Jambonz is answered with.

Jambonz refuses a whole application for one unknown property, and its media server takes some values apart by ``|`` and
``'``. These builders give dicts, ready for JSON, that it accepts; values that it would choke on are a
:class:`VerbError` here, and not a call that ends in silence there.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

Verb = dict[str, Any]
Target = dict[str, Any]

METADATA_PREFIX = "trunkline_"
"""Goes before each key of listen's metadata: a key of Jambonz's own (``callId``, ``from``) would replace its value."""

MAX_METADATA_BYTES = 1024
"""Jambonz cuts metadata, call attributes and tag together, at 8192 bytes, in the middle of the JSON."""

LISTEN_RATES = (8000, 16000, 24000, 32000, 48000, 64000)

_MAX_HOST = 512
_MAX_PATH = 4096
_MAX_CREDENTIALS = 127

_METADATA_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_METADATA_VALUE = re.compile(r"[ !#-&(-\[\]-{}~]*")  # printable ASCII without " ' \ |
_URL_TEXT = re.compile(r"[!#-&(-;=?-\[\]_a-z{}~]+")  # the same without space < > ^ `
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_PRINTABLE = re.compile(r"[ -~]+")
_DTMF = re.compile(r"[0-9A-D*#w]{1,64}")


class VerbError(ValueError):
    """A value that Jambonz would refuse or misread."""


def answer() -> Verb:
    """Answer the call (200). The first verb that needs media does so by itself."""
    return {"verb": "answer"}


def listen(
    url: str,
    *,
    action_hook: str,
    sample_rate: int = 8000,
    metadata: Mapping[str, str] | None = None,
    ws_auth: tuple[str, str] | None = None,
    pass_dtmf: bool = True,
    early_media: bool = False,
) -> Verb:
    """Open the listen socket at ``url``: the caller in mono, and our audio back, both at ``sample_rate``.

    ``action_hook`` is posted when listen ends for any reason, a failure to connect included: it is the way back of a
    call whose socket was lost. ``metadata`` comes back in the socket's first frame; ``ws_auth`` is a user and a
    password for Basic authentication. Marks are exact only where ``sample_rate`` is that of the call's codec: 8000 on
    most telephones, 16000 on a wideband line.
    """
    if sample_rate not in LISTEN_RATES:
        raise VerbError(f"listen takes a sample rate of {', '.join(map(str, LISTEN_RATES))}, not {sample_rate}")
    verb: Verb = {
        "verb": "listen",
        "url": _url(url, "listen's url", ("ws", "wss", "http", "https")),
        "actionHook": hook(action_hook, "listen's action hook"),
        "mixType": "mono",
        "sampleRate": sample_rate,
        "passDtmf": pass_dtmf,
        # All three: with one left out, audio that we send is swallowed without a word.
        "bidirectionalAudio": {"enabled": True, "streaming": True, "sampleRate": sample_rate},
    }
    if metadata:
        prefixed = {METADATA_PREFIX + key: value for key, value in metadata.items()}
        verb["metadata"] = _small_and_flat(prefixed, "listen's metadata")
    if ws_auth:
        verb["wsAuth"] = _credentials(*ws_auth)
    if early_media:
        verb["earlyMedia"] = True
    return verb


def say(text: str, *, early_media: bool = False) -> Verb:
    """Speak ``text`` with the voice that the Jambonz application has as its default."""
    if not text.strip():
        raise VerbError("say needs a text")
    return {"verb": "say", "text": text} | ({"earlyMedia": True} if early_media else {})


def play(url: str, *, early_media: bool = False, action_hook: str | None = None) -> Verb:
    """Play a WAV or MP3 file that Jambonz fetches."""
    verb: Verb = {"verb": "play", "url": _url(url, "play's url", ("http", "https"))}
    if early_media:
        verb["earlyMedia"] = True
    if action_hook is not None:
        verb["actionHook"] = hook(action_hook, "play's action hook")
    return verb


def pause(seconds: float) -> Verb:
    return {"verb": "pause", "length": _positive(seconds, "pause's length")}


def tag(data: Mapping[str, str]) -> Verb:
    """Replace the call's ``customerData``, which goes into every later hook, and into the first frame of a listen
    socket: it is held to the same rules as metadata."""
    return {"verb": "tag", "data": _small_and_flat(data, "tag's data")}


def redirect(action_hook: str, *, status_hook: str | None = None) -> Verb:
    """Go on with the verbs that ``action_hook`` answers."""
    verb: Verb = {"verb": "redirect", "actionHook": hook(action_hook, "redirect's action hook")}
    if status_hook is not None:
        verb["statusHook"] = hook(status_hook, "redirect's status hook")
    return verb


def phone(number: str, *, trunk: str | None = None) -> Target:
    """A telephone number (E.164) for :func:`dial`, by way of the carrier ``trunk`` (name or sid)."""
    target: Target = {"type": "phone", "number": printable(number, "dial's number")}
    if trunk is not None:
        target["trunk"] = printable(trunk, "dial's trunk")
    return target


def sip(uri: str, *, auth: tuple[str, str] | None = None, proxy: str | None = None) -> Target:
    """A SIP address for :func:`dial`."""
    if not uri.startswith(("sip:", "sips:")):
        raise VerbError("dial's SIP address begins with sip: or sips:")
    target: Target = {"type": "sip", "sipUri": printable(uri, "dial's SIP address")}
    if auth is not None:
        target["auth"] = _credentials(*auth)
    if proxy is not None:
        target["proxy"] = printable(proxy, "dial's proxy")
    return target


def user(name: str) -> Target:
    """A registered user (``name@realm``) for :func:`dial`."""
    return {"type": "user", "name": printable(name, "dial's user")}


def dial(
    targets: Sequence[Target],
    *,
    action_hook: str,
    caller_id: str | None = None,
    answer_on_bridge: bool = True,
    timeout: float | None = None,
    time_limit: float | None = None,
    music: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Verb:
    """Ring ``targets`` and bridge the caller to the first that answers. ``timeout`` bounds the ringing and
    ``time_limit`` the bridged call, in seconds. ``music`` is the URL of a WAV or MP3 file: what an answered caller
    hears while it rings, which is silence otherwise."""
    if not targets:
        raise VerbError("dial needs a target")
    verb: Verb = {
        "verb": "dial",
        "target": list(targets),
        "answerOnBridge": answer_on_bridge,
        "actionHook": hook(action_hook, "dial's action hook"),
    }
    if caller_id is not None:
        verb["callerId"] = printable(caller_id, "dial's caller id")
    if timeout is not None:
        verb["timeout"] = _positive(timeout, "dial's timeout")
    if time_limit is not None:
        verb["timeLimit"] = _positive(time_limit, "dial's time limit")
    if music is not None:
        verb["dialMusic"] = _url(music, "dial's music", ("http", "https"))
    return verb | sip_headers(headers)


def conference(name: str, *, action_hook: str, id: str) -> Verb:
    """Into a room with whoever else is sent there; it ends for all when one of them leaves. The action hook says which
    verb it was by its ``id``, and by nothing else."""
    return {
        "verb": "conference",
        "id": printable(id, "conference's id"),
        "name": printable(name, "conference's name"),
        "beep": False,
        "startConferenceOnEnter": True,
        "endConferenceOnExit": True,
        "actionHook": hook(action_hook, "conference's action hook"),
    }


def sip_refer(
    refer_to: str,
    *,
    action_hook: str,
    event_hook: str | None = None,
    referred_by: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Verb:
    """Have the caller's side ring ``refer_to`` (a number, ``sip:`` or ``tel:``) itself. Needs an answered call."""
    verb: Verb = {
        "verb": "sip:refer",
        "referTo": printable(refer_to, "sip:refer's target"),
        "actionHook": hook(action_hook, "sip:refer's action hook"),
    }
    if event_hook is not None:
        verb["eventHook"] = hook(event_hook, "sip:refer's event hook")
    if referred_by is not None:
        verb["referredBy"] = printable(referred_by, "sip:refer's referred-by")
    return verb | sip_headers(headers)


def sip_decline(status: int, reason: str | None = None, *, headers: Mapping[str, str] | None = None) -> Verb:
    """Refuse a call that is not answered yet, with a SIP status of 400 to 699."""
    if not 400 <= status <= 699:
        raise VerbError(f"sip:decline takes a SIP status from 400 to 699, not {status}")
    verb: Verb = {"verb": "sip:decline", "status": status}
    if reason is not None:
        verb["reason"] = printable(reason, "sip:decline's reason")
    return verb | sip_headers(headers)


def hangup(*, headers: Mapping[str, str] | None = None) -> Verb:
    """End an answered call; one that is not answered yet is ended by :func:`sip_decline`."""
    return {"verb": "hangup"} | sip_headers(headers)


def dtmf(digits: str, *, milliseconds: int | None = None) -> Verb:
    """Send tones: 0 to 9, ``*``, ``#``, A to D, and ``w`` for half a second of pause."""
    if not _DTMF.fullmatch(digits):
        raise VerbError("dtmf takes up to 64 of 0-9, *, #, A-D and w")
    verb: Verb = {"verb": "dtmf", "dtmf": digits}
    if milliseconds is not None:
        verb["duration"] = _positive(milliseconds, "dtmf's duration")
    return verb


def _small_and_flat(data: Mapping[str, str], what: str) -> dict[str, str]:
    for key, value in data.items():
        if not _METADATA_KEY.fullmatch(key):
            raise VerbError(f"{what} has the key {key!r}; use letters, digits and _")
        if not _METADATA_VALUE.fullmatch(value):
            raise VerbError(f"{what} needs, under {key}, a string of ASCII without quotes, backslashes and |")
    size = len(json.dumps(dict(data)))
    if size > MAX_METADATA_BYTES:
        raise VerbError(f"{what} takes {size} bytes; at most {MAX_METADATA_BYTES} come through whole")
    return dict(data)


def _url(url: str, what: str, schemes: tuple[str, ...]) -> str:
    """An absolute URL, or a path on the host that the call's own hook went to."""
    scheme, found, rest = url.partition("://")
    host, slash, path = rest.partition("/") if found else ("", "/", url[1:])
    if not _URL_TEXT.fullmatch(url) or (scheme not in schemes or not host if found else not url.startswith("/")):
        raise VerbError(f"{what} must be {', '.join(schemes)} or a path, of ASCII without spaces, quotes and |")
    if len(host) > _MAX_HOST or len(slash + path) > _MAX_PATH:
        raise VerbError(f"{what} is too long: Jambonz takes {_MAX_HOST} bytes of host and {_MAX_PATH} of path")
    return url


def hook(url: str, what: str) -> str:
    return _url(url, what, ("http", "https"))


def _credentials(username: str, password: str) -> dict[str, str]:
    together = f"{username}:{password}"
    if ":" in username or not _METADATA_VALUE.fullmatch(together) or len(together) > _MAX_CREDENTIALS:
        raise VerbError(f"a user (without :) and a password are at most {_MAX_CREDENTIALS - 1} bytes of plain ASCII")
    return {"username": username, "password": password}


def sip_headers(headers: Mapping[str, str] | None) -> dict[str, dict[str, str]]:
    for name, value in (headers or {}).items():
        if not _HEADER_NAME.fullmatch(name):
            raise VerbError(f"{name!r} is no name of a SIP header")
        printable(value, f"the SIP header {name}")
    return {"headers": dict(headers)} if headers else {}


def printable(value: str, what: str) -> str:
    """SIP is made of lines: a line break in a value would be a header more."""
    if not _PRINTABLE.fullmatch(value):
        raise VerbError(f"{what} must be printable ASCII, and not empty")
    return value


def _positive(value: float, what: str) -> float:
    if not (math.isfinite(value) and value > 0):
        raise VerbError(f"{what} must be more than 0, not {value}")
    return value
