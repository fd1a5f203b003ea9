"""Messages into a call under way: their shapes, for the REST API and the progress socket alike, and what they do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, assert_never

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from gateway.session import CallSession
from pipelines.agent import Function, Key, Strict
from pipelines.agent.strict import refuse
from pipelines.agent.telephone import target
from pipelines.keys import keys_problem
from pipelines.messages import Cancel, Commit, Say, Tell, Urgency
from pipelines.tools.transfer import TransferRequest

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000)]


def _keys(digits: str) -> str:
    wrong = keys_problem(digits)
    if wrong is not None:
        raise refuse(wrong)
    return digits


Keys = Annotated[str, AfterValidator(_keys), Field(examples=["1w2#"])]


class TextMessage(Strict):
    """The caller says this, in text. ``now``: it is answered at once, and interrupts the agent; ``soon``: as soon as
    neither the agent nor the caller speaks; ``later``: the agent knows it from its next answer on."""

    text: Words
    urgency: Urgency = "soon"


class SayMessage(Strict):
    """The agent says this, word for word. ``now`` interrupts it, ``soon`` waits until nobody speaks. With
    ``interruptible`` false the caller hears it to its end."""

    text: Words
    urgency: Literal["now", "soon"] = "soon"
    interruptible: bool = True


class CommitMessage(Strict):
    """The caller's turn is over now."""


class CancelMessage(Strict):
    """The agent says and does nothing more of what it is at."""


class DtmfMessage(Strict):
    """Keys are pressed for the other side to hear: ``digits`` are 0-9, *, # and A-D, with ``w`` and ``p`` for pauses of
    0.5 and 2 s."""

    digits: Keys


def _target(number: str) -> str:
    found = target(number)
    if found is None:
        raise refuse("has to be a telephone number such as +442080996945, or a SIP address")
    return found


class TransferMessage(Strict):
    """The caller is put through to ``number``, a telephone number or a SIP address, once ``text`` was heard, or words
    of the service's own. ``callerId`` is the number that is seen there. ``forceBridged``: not by REFER, whatever the
    trunk can."""

    number: Annotated[str, AfterValidator(_target), Field(max_length=300, examples=["+442080996945"])]
    text: Words | None = None
    caller_id: str | None = Field(default=None, max_length=100)
    force_bridged: bool = False


class HangUpMessage(Strict):
    """Say ``text`` to its end, and hang up; without it, hang up at once. ``reason`` is for the call's log."""

    text: Words | None = None
    reason: str | None = Field(default=None, max_length=500)


class CallUpdate(Strict):
    """Fields that are left out stay as they are. ``context`` is what the agent is to know of this call, beside its
    prompt; it takes the place of an earlier one."""

    prompt: str | None = Field(default=None, max_length=500_000)
    context: str | None = Field(default=None, max_length=100_000)
    functions: list[Function] | None = Field(default=None, max_length=128)
    keys: list[Key] | None = Field(default=None, max_length=64, description="Write-only: never given back.")

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.sent:
            raise refuse("changes nothing: send prompt, context, functions or keys")
        return self

    @property
    def sent(self) -> list[str]:
        return [name for name in ("prompt", "context", "functions", "keys") if getattr(self, name) is not None]

    def changes(self) -> dict[str, Any]:
        """Of the agent's definition, as JSON, with the secrets of keys."""
        changed = {name: value for name, value in self.as_sent().items() if name in self.sent and name != "context"}
        if self.keys is not None:
            changed["keys"] = [key.reveal() for key in self.keys]
        return changed


CallCommand = (
    TextMessage
    | SayMessage
    | CommitMessage
    | CancelMessage
    | DtmfMessage
    | TransferMessage
    | HangUpMessage
    | CallUpdate
)

COMMANDS: Mapping[str, type[CallCommand]] = {
    "text": TextMessage,
    "say": SayMessage,
    "commit": CommitMessage,
    "cancel": CancelMessage,
    "dtmf": DtmfMessage,
    "transfer": TransferMessage,
    "hangup": HangUpMessage,
    "update": CallUpdate,
}
"""By their names."""


async def perform(call: CallSession, command: CallCommand) -> None:
    """Returns once it is taken. Raises :class:`~pipelines.messages.NotNow`, :class:`~pipelines.messages.NotPossible`,
    :class:`~pipelines.tools.means.ToolFault` where a transfer may not be,
    :class:`~pipelines.messages.NotReachable` where an update brings what does not answer,
    and :class:`pydantic.ValidationError` where a changed agent would be none."""
    match command:
        case TextMessage(text=text, urgency=urgency):
            call.commands.take(Tell(text, urgency), {"text": text, "urgency": urgency})
        case SayMessage(text=text, urgency=urgency, interruptible=interruptible):
            call.commands.take(
                Say(text, urgency, interruptible), {"say": text, "urgency": urgency, "interruptible": interruptible}
            )
        case CommitMessage():
            call.commands.take(Commit(), {"commit": True})
        case CancelMessage():
            call.commands.take(Cancel(), {"cancel": True})
        case DtmfMessage(digits=digits):
            call.commands.press(digits)
        case TransferMessage(number=number, text=text, caller_id=caller_id, force_bridged=bridged):
            wanted = TransferRequest(number, caller_id, bridged=bridged)
            await call.commands.transfer(wanted, text, {"transfer": number, "text": text})
        case HangUpMessage(text=text, reason=reason):
            await call.commands.hang_up(text, reason)
        case CallUpdate(context=context):
            await call.commands.update(command.changes(), context, {"update": command.sent})
        case _:
            assert_never(command)
