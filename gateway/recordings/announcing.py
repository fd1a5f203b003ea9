"""When a call's recording begins: once the caller has heard of it, if that is wanted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from gateway import metrics
from gateway.recordings.keeper import Recordings
from gateway.waiting import unless
from pipelines.agent.options import Recording
from pipelines.interlude import Interlude
from store.listeners import ListenerForCall

if TYPE_CHECKING:
    from gateway.session import CallSession


def recording_of(listener: ListenerForCall) -> Recording:
    """The listener's own, or else its agent's."""
    own = listener.options.recording
    return Recording.model_validate(own) if own is not None else listener.agent.options.recording


class Announcing:
    """Of one call. ``interlude`` is who can speak, if there is a voice."""

    def __init__(
        self,
        call: CallSession,
        recordings: Recordings | None,
        interlude: Callable[[], AbstractAsyncContextManager[Interlude | None]],
    ) -> None:
        self._call = call
        self._recordings = recordings
        self._interlude = interlude
        self._wanted: Recording | None = recording_of(call.listener)
        """What was not asked for yet."""

    async def begin(self) -> None:
        """Once, to the end of the call, whoever has it."""
        wanted, self._wanted = self._wanted, None
        if wanted is None or not wanted.enabled:
            return
        call = self._call
        if wanted.announces and not await unless(self._say_it_is_recorded(wanted), call.over):
            if not call.over.is_set():
                self._cannot_record()
            return
        if self._recordings is not None and call.leg is not None:
            call.recording = self._recordings.begin(call.record.row, wanted, call.format.rate, call.note)
            call.floor.record(call.recording)

    async def _say_it_is_recorded(self, wanted: Recording) -> bool:
        """Whether the caller has heard it to its end."""
        async with self._interlude() as interlude:
            return interlude is not None and await interlude.say(wanted.announcement or interlude.words.recorded)
        return False

    def _cannot_record(self) -> None:
        metrics.recordings.labels("unannounced").inc()
        sentence = "The call is not recorded: the caller could not be told that it is"
        self._call.log.warning(sentence)
        self._call.note("error", sentence)
