"""Keys that the agent's side of a call presses: by Jambonz, while the agent is silent, one sequence after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gateway.control import ControlFailed
from gateway.waiting import first_of
from pipelines.keys import keys_seconds
from pipelines.messages import NOBODY, NotNow, NotPossible
from pipelines.tools.means import ToolFault

if TYPE_CHECKING:
    from gateway.session import CallSession

SILENCE_SECONDS = 20.0
"""So long it is waited for the agent to be silent ..."""

QUIET_SECONDS = 0.1
"""... for so long, looked at so often."""

GIVE_SECONDS = 15.0
"""What Jambonz may take for the commands of a sequence, beside its tones and pauses."""

NO_CONTROL = "Keys can be pressed where Jambonz can be commanded: by its application socket, or by its REST API"


class Keypad:
    """Of one call. ``note`` enters into its log."""

    def __init__(self, call: CallSession, note: Callable[[str, Any], None]) -> None:
        self._call = call
        self._note = note
        self._pressing: asyncio.Task[str | None] | None = None

    @property
    def is_there(self) -> bool:
        return self._call.control is not None

    def shown(self, digits: str) -> str:
        """As logs may have them."""
        return "*" * len(digits) if self._call.listener.agent.options.dtmf.mask else digits

    def begin(self, digits: str) -> asyncio.Task[str | None]:
        """Press keys, which have to be such as :func:`~pipelines.keys.keys_problem` has nothing against. The task's
        result is what went wrong, if anything did. Raises :class:`NotPossible` and :class:`NotNow`."""
        call = self._call
        if call.control is None:
            raise NotPossible(NO_CONTROL)
        if call.over.is_set() or call.leg is None:
            raise NotNow(NOBODY)
        if self._pressing is not None and not self._pressing.done():
            raise NotNow("Keys are being pressed: wait until the log says that they were")
        self._pressing = asyncio.create_task(self._run(digits), name=f"keys of {call.id}")
        return self._pressing

    async def press(self, digits: str) -> None:
        """For functions, which wait until all are pressed. Raises :class:`ToolFault`."""
        try:
            pressing = self.begin(digits)
        except (NotPossible, NotNow) as error:
            raise ToolFault(str(error)) from None
        failure = await asyncio.shield(pressing)  # once begun, they are pressed to the end
        if failure is not None:
            raise ToolFault(failure)

    async def close(self) -> None:
        """The call is over."""
        if self._pressing is not None:
            self._pressing.cancel()
            await asyncio.gather(self._pressing, return_exceptions=True)

    async def _run(self, digits: str) -> str | None:
        try:
            async with asyncio.timeout(SILENCE_SECONDS + keys_seconds(digits) + GIVE_SECONDS):
                failure = await self._press(digits)
        except TimeoutError:
            failure = "The keys could not be pressed in time"
        outcome = "pressed" if failure is None else "failed"
        self._note("status", {"keys": {"digits": self.shown(digits), "outcome": outcome}})
        if failure is not None:
            self._note("error", failure)
        return failure

    async def _press(self, digits: str) -> str | None:
        """What went wrong, in words; None where nothing did."""
        call = self._call
        if not await self._silence():
            return "The keys were not pressed: the agent did not fall silent"
        playout, control = call.playout, call.control
        if playout is None or control is None or call.over.is_set():
            return "The keys were not pressed: the call is over"
        playout.hold()
        try:
            await control.dtmf(digits)
        except ControlFailed as error:
            return str(error)
        finally:
            playout.release(asyncio.get_running_loop().time())
            call.wake()
        return None

    async def _silence(self) -> bool:
        """Wait for the agent's. Whether it came."""
        now = asyncio.get_running_loop().time
        deadline, since = now() + SILENCE_SECONDS, None
        while now() < deadline and not self._call.over.is_set():
            playout = self._call.playout
            if playout is not None and not playout.idle(now()):
                since = None
            elif since is None:
                since = now()
            elif now() - since >= QUIET_SECONDS:
                return True
            await first_of(self._call.over, seconds=QUIET_SECONDS / 2)
        return self._call.over.is_set()
