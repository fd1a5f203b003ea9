"""What is said in the service's own voice: a moment's patience, an apology, a goodbye that the model cannot say."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence

from media.playout import Playout
from pipelines.events import PipelineHost
from pipelines.generation import Delivery, Generation, Stage
from pipelines.history import History
from pipelines.parts import Message, ModelEvent, ProviderError, TextToSpeech, ToolSpec
from pipelines.standby import Standby
from pipelines.tools import Toolbox


class OwnVoice:
    """Says texts as they stand, on a call's playout."""

    def __init__(
        self,
        voices: Standby[TextToSpeech],
        playout: Playout,
        host: PipelineHost,
        history: History,
        toolbox: Toolbox,
        *,
        clock: Callable[[], float],
        language: str,
    ) -> None:
        self._stage = Stage(
            models=Standby("llm", [_NoModel()]),
            voices=voices,
            history=history,
            toolbox=toolbox,
            playout=playout,
            format=playout.format,
            host=host,
            clock=clock,
            decided=_decided,
            on_hang_up=_nobody_hangs_up,
            on_protected=_ignore,
            language=language,
        )

    async def say(self, generation: Generation) -> None:
        """Until all of it was made, or the voice failed."""
        await Delivery(generation, self._stage).run()


class _NoModel:
    """Texts that are said as they stand need no model."""

    name = "none"

    async def prepare(self) -> None: ...

    async def generate(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> AsyncGenerator[ModelEvent]:
        raise ProviderError(self.name, "unavailable", "there is no model for this")
        yield

    async def close(self) -> None: ...


async def _decided() -> None:
    """Nothing that is said as it stands waits for a decision."""


def _nobody_hangs_up() -> None:
    """Only a model does."""


def _ignore(generation: Generation) -> None: ...
