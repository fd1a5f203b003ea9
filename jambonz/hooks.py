"""What Jambonz's webhooks say: the call hook, status hooks and action hooks.

Bodies are JSON objects with snake_case keys (``customerData`` excepted). Everything but the call's sid may be absent,
and fields we do not know are left alone: newer servers add some. Hooks arrive concurrently, more than once and out of
order; :class:`CallProgress` makes one state of them.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from jambonz.sdp import offers_wideband

MAX_HOOK_BYTES = 256 * 1024
"""A call hook carries the whole INVITE; some kilobytes are usual."""

BAD_REQUEST = 400
TOO_LARGE = 413


class HookRefused(Exception):
    """A body that is no hook; ``status`` is the HTTP status to answer, the message a sentence to answer with it."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


Number = Annotated[
    str | None, BeforeValidator(lambda value: normalize_number(str(value)) if isinstance(value, str | int) else value)
]
Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
Object = Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)]


class Hook(BaseModel):
    """What every hook says of its call. ``to`` and ``from_`` are normalised, ``customer_data`` is the call's tag."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True, populate_by_name=True)

    call_sid: str = Field(min_length=1, max_length=128)
    parent_call_sid: Text = ""
    account_sid: Text = ""
    application_sid: Text = ""
    direction: Text = ""
    from_: Number = Field(default=None, alias="from")
    to: Number = None
    call_id: Text = ""
    call_status: Text = ""
    sip_status: int | None = None
    sip_reason: Text = ""
    trace_id: Text = ""
    originating_sip_ip: Text = ""
    originating_sip_trunk_name: Text = ""
    customer_data: Object = Field(default_factory=dict, alias="customerData")


class CallHook(Hook):
    """A new call: posted once when it comes in, or when the far end of a call that we placed has answered.

    ``sip`` is the INVITE (``headers`` as they were written, ``body``, ``uri``); outbound calls have none.
    """

    caller_name: Text = ""
    sip: Object = Field(default_factory=dict)
    env_vars: Object = Field(default_factory=dict)

    @property
    def sip_headers(self) -> dict[str, str]:
        """The INVITE's headers, names in lower case."""
        headers = self.sip.get("headers")
        return {str(name).lower(): str(value) for name, value in headers.items()} if isinstance(headers, dict) else {}

    @property
    def offers_wideband(self) -> bool | None:
        """Whether the INVITE's SDP offers audio beyond 8 kHz; None where there is no SDP that tells."""
        body = self.sip.get("body")
        return offers_wideband(body) if isinstance(body, str) else None


class StatusHook(Hook):
    """A change of a call's state. Legs that ``dial`` made report too, under sids of their own."""

    duration: float | None = None
    call_termination_by: Text = ""


class ActionHook(Hook):
    """A verb has ended; the fields tell how, and only those of its kind are there. The event hook of ``sip:refer`` is
    one, too: it says the SIP status of the call that is rung elsewhere, as ``call_status``, and not whose it is."""

    call_sid: str = Field(default="", max_length=128)
    dial_call_duration: float | None = None
    digits: Text = ""
    dial_call_status: Text = ""
    dial_sip_status: int | None = None
    refer_status: int | None = None
    final_referred_call_status: int | None = None
    verb_id: Text = ""
    event: Text = ""
    reason: Text = ""
    type: Text = ""
    """``amd_human_detected``, ``amd_machine_detected``, …: news of who answers, and no verb is over."""
    greeting: Text = ""
    hint: Text = ""

    @model_validator(mode="after")
    def _says_whose(self) -> Self:
        if not self.call_sid and not self.is_refer_event:
            raise PydanticCustomError("missing_sid", "is missing")
        return self

    @property
    def is_refer_event(self) -> bool:
        return self.event == "transfer-status"

    @property
    def is_of_transfer(self) -> bool:
        """Of ``dial`` or ``sip:refer``: over, or in its course."""
        return bool(self.dial_call_status) or self.refer_status is not None or self.is_refer_event

    @property
    def listen_connected(self) -> bool:
        """Whether the listen socket had been open: the duration's presence is the only sign of it."""
        return self.dial_call_duration is not None


HookT = TypeVar("HookT", bound=Hook)


def parse_hook(model: type[HookT], body: bytes) -> HookT:
    """The hook in a body whose signature was found good, or :class:`HookRefused`."""
    if len(body) > MAX_HOOK_BYTES:
        raise HookRefused(TOO_LARGE, f"The body has {len(body)} bytes; a hook has at most {MAX_HOOK_BYTES}.")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    match first["type"]:
        case "json_invalid":
            raise HookRefused(BAD_REQUEST, "The body is not JSON.")
        case "model_type":
            raise HookRefused(BAD_REQUEST, "The body is JSON, but not an object.")
        case "missing_sid":
            raise HookRefused(BAD_REQUEST, "The body lacks call_sid.")
        case "missing":
            raise HookRefused(BAD_REQUEST, f"The body lacks {first['loc'][0]}.")
        case _:
            raise HookRefused(BAD_REQUEST, f"The body's {first['loc'][0]} is wrong: {first['msg']}.")


_ADDRESS = re.compile(r"(?:^|<)\s*(?:sips?|tel):([^@;?>]*)", re.IGNORECASE)
_SEPARATORS = str.maketrans("", "", " -.()\u00a0")
_WITHHELD = frozenset({"anonymous", "restricted", "unavailable", "unknown", "private", "withheld"})


def normalize_number(value: str) -> str | None:
    """A party as the database keeps it: digits without ``+``, a SIP user's name as it is, None for a withheld number.

    Takes what SIP may bring, less what cannot be printed: ``+44 20 7946 0000``, ``sip:+442079460000@host;user=phone``,
    ``"Ann" <sip:ann@host>``, ``tel:+44-20-7946-0000``.
    """
    address = _ADDRESS.search(value)
    user = address.group(1) if address else value.partition("@")[0]
    user = "".join(character for character in user if character.isprintable()).strip()
    digits = user.translate(_SEPARATORS).removeprefix("+")
    if digits.isascii() and digits.isdigit():
        return digits
    if not digits or user.lower() in _WITHHELD:
        return None
    return user


_STAGES = {"queued": 0, "trying": 1, "ringing": 2, "early-media": 3, "in-progress": 4}
_ENDS = frozenset({"completed", "failed", "busy", "no-answer"})


class CallProgress:
    """One call's state, whatever the order in which hooks tell it.

    It only moves forward, and the first ending is final: a late ``ringing`` revives nothing. Hooks of other calls and
    states that we do not know change nothing.
    """

    def __init__(self, call_sid: str) -> None:
        self.call_sid = call_sid
        self.state = ""
        """Jambonz's word for it, empty before the first hook."""
        self.answered = False
        self.sip_status: int | None = None
        """That of the state."""
        self.duration: float | None = None
        """Seconds, once the call is completed."""
        self.terminated_by = ""
        """``caller`` or ``jambonz`` (which stands for us, too), once the call is completed."""

    @property
    def ended(self) -> bool:
        return self.state in _ENDS

    def update(self, hook: Hook) -> bool:
        """Take a hook in; True if the state changed."""
        if hook.call_sid != self.call_sid:
            return False
        state = hook.call_status
        self.answered |= state in ("in-progress", "completed")
        if isinstance(hook, StatusHook) and state in _ENDS:
            if self.duration is None:
                self.duration = hook.duration
            self.terminated_by = self.terminated_by or hook.call_termination_by
        if self.ended or not (state in _ENDS or _STAGES.get(state, -1) > _STAGES.get(self.state, -1)):
            return False
        self.state = state
        self.sip_status = hook.sip_status
        return True
