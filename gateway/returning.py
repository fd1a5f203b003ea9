"""The caller's media socket is lost in the middle of a call, and he comes back by another.

Jambonz dials no socket again: it ends the listen verb, and asks what is next. The answer is another one. Where it does
not know of the loss, and so does not ask, it is told, if there is a way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway import metrics
from gateway.control import ControlFailed
from gateway.putting_through import ENDED
from gateway.waiting import first_of, unless
from jambonz import verbs
from jambonz.hooks import ActionHook
from jambonz.verbs import Verb
from pipelines.history import Conversation
from pipelines.pipeline import Pipeline

if TYPE_CHECKING:
    from gateway.session import CallSession

LOST = frozenset({1001, 1006, 1011, 1012})
"""The close codes of a connection that is gone, or of what stood in between: not of a peer that was refused, or that
takes its leave without one (1005)."""

ASK_SECONDS = 1.5
"""Jambonz has asked by then, if it knows of the loss."""

BACK_SECONDS = 10.0
"""And the caller is back by then."""

PAUSE_SECONDS = 1.0
"""Between two attempts to connect."""

MOST, WITHIN_SECONDS = 3, 60.0
"""A line that is lost more often carries no conversation."""


class Returning:
    """Of one call."""

    def __init__(self, call: CallSession) -> None:
        self._call = call
        self._clock = asyncio.get_running_loop().time
        self._verbs: Sequence[Verb] | None = None
        self._cut = False  # the agent was, in the middle of an answer
        self._lost_at: deque[float] = deque(maxlen=MOST)

    @property
    def awaited(self) -> bool:
        """The caller is, and was not back since."""
        return self._verbs is not None

    def begin(self, speaker: Pipeline) -> bool:
        """The socket was lost, while ``speaker`` had the call. Whether there may be another: a goodbye is not said
        twice, but who was to be put through is."""
        call, now = self._call, self._clock()
        too_often = len(self._lost_at) == MOST and now - self._lost_at[0] < WITHIN_SECONDS
        parts = speaker.is_leaving and not call.transfers.pending
        if call.listen_again is None or call.progress.ended or too_often or parts:
            return False
        self._lost_at.append(now)
        self._cut = call.playout is not None and call.playout.has_sound_left(now)
        self._verbs = call.listen_again()
        call.attached.clear()
        call.note("status", {"socket": "lost"})
        return True

    def next(self, hook: ActionHook) -> Sequence[Verb] | None:
        """What comes after the socket that was lost, or after one that could not be connected."""
        if hook.call_status in ENDED:
            self._call.finish("caller")
            return None
        if hook.listen_connected or self._verbs is None:
            return self._verbs
        return [verbs.pause(PAUSE_SECONDS), *self._verbs]

    def on_attached(self) -> None:
        """A socket is there."""
        if self._verbs is not None:
            self._verbs = None
            self._call.note("status", {"socket": "back"})

    async def wait(self, so_far: Conversation) -> Conversation | None:
        """For the caller: what the agent goes on from. None: the call is over."""
        call = self._call
        await first_of(call.attached, call.over, seconds=ASK_SECONDS)
        if self._verbs is not None and call.control is not None and not call.over.is_set():
            try:
                await unless(call.control.redirect(self._verbs), call.attached, call.over)
            except ControlFailed as error:
                call.log.warning("Jambonz cannot be told of a socket that was lost", error=str(error))
        await first_of(call.attached, call.over, seconds=BACK_SECONDS)
        back = call.leg is not None and not call.over.is_set()
        metrics.sockets_lost.labels("back" if back else "gone").inc()
        if not back:
            call.finish("media_lost")
            return None
        return so_far.broken_off() if self._cut else so_far
