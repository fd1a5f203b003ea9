"""A long call that is recorded, on virtual time, with the real encoder: what of it is kept in memory as it goes on."""

from __future__ import annotations

import asyncio
import gc
import sys
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jambonz.simulator.caller import AwaitAgentSilence, HangUp, Speak, Step, Wait
from tests.calls.office import Office
from tests.calls.recorded import MemoryRows, recordings_in
from tests.clock import run_virtual
from tests.simulators.codeword import speak
from tests.simulators.replies import ReplyModel, always

TURN_SECONDS = 60.0
"""The caller says something so often."""

AGENT = {
    "options": {
        "greeting": "hello there",
        "idle": {"timeout": None},
        "maxDuration": "14500s",
        "recording": {"enabled": True, "announcement": None},
    }
}


@dataclass(frozen=True, slots=True)
class Sample:
    """``kept``: bytes of sound that are not written yet; ``objects`` of the process; ``written`` to the spool; and
    ``simulated``: bytes that the simulated caller's ear keeps."""

    seconds: float
    kept: int
    objects: int
    written: int
    simulated: int


def record(
    folder: Path, seconds: float, every: float, rows: MemoryRows, on_sample: Callable[[Sample], None]
) -> tuple[Sequence[Sample], float]:
    """A call of about so many seconds, with a sample every so many; and how long it was."""
    samples: list[Sample] = []

    async def main() -> float:
        model = ReplyModel(always("one two three four five six seven eight nine ten"))
        recordings = recordings_in(folder, rows)
        async with Office(AGENT, model, recordings=recordings, keep_audio=False) as office:
            one = min(TURN_SECONDS, seconds)
            turn: list[Step] = [Speak(speak("tell me more")), AwaitAgentSilence(), Wait(one - 6)]
            steps: list[Step] = [AwaitAgentSilence(), *turn * round(seconds / one), HangUp()]
            calling = asyncio.create_task(office.call(*steps))
            while not calling.done():
                await asyncio.wait([calling], timeout=every)
                model.told.clear()  # these are the test's own
                if not calling.done():
                    samples.append(_sample(office, folder))
                    on_sample(samples[-1])
            report = await calling
            assert report.ended is not None
            assert report.answered is not None
            return report.ended - report.answered

    return samples, run_virtual(main())


def _sample(office: Office, folder: Path) -> Sample:
    [session] = office.sessions
    assert session.recording is not None
    [part] = (folder / "spool").glob("*.part")
    gc.collect()
    kept = session.recording._sides.kept_bytes
    [call] = office.jambonz.calls.values()
    simulated = sum(sys.getsizeof(one) for one in vars(call.report.ear).values() if isinstance(one, array))
    return Sample(asyncio.get_running_loop().time(), kept, len(gc.get_objects()), part.stat().st_size, simulated)
