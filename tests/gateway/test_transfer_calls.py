"""A transfer that fails, and one that does not, over real sockets and with a real store: the caller comes back by
another socket, and each bridge has its record."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jambonz.simulator.caller import AwaitAgentSilence, AwaitAgentSpeech, Caller, Step, Wait
from jambonz.simulator.feature_server import SimulatedJambonz
from jambonz.simulator.network import AiohttpTransport
from jambonz.simulator.outcomes import DialOutcome, Outcomes
from jambonz.simulator.report import SocketFailed, SocketOpened
from pipelines.tools.transfer import TransferRequest
from store import DEFAULT_OWNER
from store.calls import Period
from tests.gateway.service import CALLER, NUMBER, PASSWORD, SECRET, Service, serving
from tests.simulators.codeword import heard_words, plain_words
from tests.simulators.replies import ReplyModel, always
from tests.steady import PATIENCE

DESK = "+442079460999"


@pytest.mark.realtime
@pytest.mark.parametrize("by_socket", [False, True], ids=["webhooks", "application"])
async def test_a_caller_who_comes_back_and_is_put_through_then(tmp_path: Path, by_socket: bool) -> None:
    """Real sockets know real time only: some 4 s."""
    agent = {"options": {"greeting": "Hello."}}
    model = ReplyModel(always("Busy."))
    async with serving(tmp_path, agent=agent, model=model, jambonz_application_password=PASSWORD) as service:
        dials = DialOutcome("busy", 486, ring_seconds=0.1), DialOutcome(ring_seconds=0.1, talk_seconds=0.2)
        async with AiohttpTransport() as transport:
            jambonz = SimulatedJambonz(
                base_url=service.url, transport=transport, webhook_secret=SECRET, outcomes=Outcomes(dials=dials)
            )
            steps: list[Step] = [AwaitAgentSpeech(), AwaitAgentSilence(min_gap=0.3), Wait(20)]
            calling = asyncio.create_task(
                jambonz.place_call(
                    to="+" + NUMBER,
                    from_=CALLER,
                    caller=Caller(steps),
                    call_hook=service.application if by_socket else None,
                )
            )
            await _transfer(service, after="Hello.")
            await _transfer(service, after="Busy.")
            report = await calling
        await service.quiet()
        await service.switchboard._around.recorder.settled()
        assert heard_words(report.heard) == plain_words("hello one busy two")
        opened = [event.url for event in report.events if isinstance(event, SocketOpened)]
        assert len(set(opened)) == 2, "another socket, with another token"
        assert not [event for event in report.events if isinstance(event, SocketFailed)]
        calls = await service.store.calls.of_organisation(DEFAULT_OWNER, after_index=0, limit=9, period=Period())
        [own] = [call for call in calls if call.parent_id is None]
        assert (own.status, own.end_reason) == ("ended normally", "transferred")
        bridges = [(call.parent_id, call.called_id, call.end_reason) for call in calls if call is not own]
        assert sorted(bridges) == [(own.id, DESK[1:], "busy"), (own.id, DESK[1:], "callee")]
        assert {call.model_name for call in calls if call is not own} == {"telephony:bridged-call"}


async def _transfer(service: Service, *, after: str) -> None:
    """Once the caller has heard that."""
    async with asyncio.timeout(PATIENCE):
        while True:
            for call in service.switchboard.calls:
                speaker = call.speaker
                heard = [entry.content for entry in speaker.history.entries] if speaker is not None else []  # type: ignore[attr-defined]
                if after in heard:
                    number = "One." if after == "Hello." else "Two."
                    await call.commands.transfer(TransferRequest(DESK, fixed=True), number, {})
                    return
            await asyncio.sleep(0.02)
