"""Calls that cannot go on, over real sockets and with a real store."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from gateway.session import CallSession
from jambonz.simulator.caller import AwaitAgentSpeech, Caller, HangUp, Wait
from jambonz.simulator.feature_server import SimulatedJambonz
from jambonz.simulator.network import AiohttpTransport
from jambonz.simulator.outcomes import DialOutcome, Outcomes
from pipelines.agent import AgentDefinition
from pipelines.cascade import Cascade
from pipelines.parts import ProviderError
from store import DEFAULT_OWNER
from store.calls import Period
from store.listeners import ListenerForCall
from tests.gateway.service import CALLER, NUMBER, PASSWORD, SECRET, CodewordFactory, serving
from tests.simulators.codeword import heard_words, plain_words
from tests.simulators.replies import ReplyModel, always


class Picky(CodewordFactory):
    """It has no model of that name."""

    def pipeline(
        self, listener: ListenerForCall, session: CallSession, spawn: Callable[[Coroutine[Any, Any, None]], Any]
    ) -> Cascade:
        if listener.agent.model.model == "broken":
            raise ProviderError("scripted", "bad_request", "there is no script of that name")
        return super().pipeline(listener, session, spawn)


@pytest.mark.realtime
@pytest.mark.parametrize(("who", "by_socket"), [("agent", False), ("number", False), ("number", True)])
async def test_a_call_that_cannot_be_set_up(tmp_path: Path, who: str, by_socket: bool) -> None:
    factory = Picky(ReplyModel(always("unused")))
    async with serving(
        tmp_path, agent={"modelName": "scripted/broken"}, factory=factory, jambonz_application_password=PASSWORD
    ) as service:
        other = AgentDefinition.model_validate(
            {"modelName": "scripted/other", "prompt": "x", "options": {"greeting": "Good morning."}}
        )
        made = await service.store.agents.create(DEFAULT_OWNER, other)
        fallback = {"agent": made.id} if who == "agent" else {"number": "+442079460999"}
        listener = await service.store.find_listener(NUMBER)
        assert listener is not None
        await service.store.agents.update(
            DEFAULT_OWNER,
            listener.agent_id,
            lambda stored: AgentDefinition.model_validate({**stored, "options": {"fallback": fallback}}),
        )
        outcomes = Outcomes(dials=(DialOutcome(ring_seconds=0.2, talk_seconds=0.3),))
        async with AiohttpTransport() as transport:
            jambonz = SimulatedJambonz(
                base_url=service.url, transport=transport, webhook_secret=SECRET, outcomes=outcomes
            )
            caller = Caller([AwaitAgentSpeech(), Wait(0.8), HangUp()], patience=5)
            hook = service.application if by_socket else None
            report = await jambonz.place_call(to="+" + NUMBER, from_=CALLER, caller=caller, call_hook=hook)
        await service.quiet()
        await service.switchboard._around.recorder.settled()
        calls = await service.store.calls.of_organisation(DEFAULT_OWNER, after_index=0, limit=9, period=Period())
        [call] = [one for one in calls if one.parent_id is None]
        assert [one.end_reason for one in calls if one is not call] == (["callee"] if who == "number" else [])
        events = await service.store.calls.events(DEFAULT_OWNER, call.id) or []
        [went_on] = [event.data["fallback"] for event in events if event.type == "status" and "fallback" in event.data]
        if who == "agent":
            assert heard_words(report.heard) == plain_words("good morning")
            assert went_on == {"kind": "agent", "agentId": made.id, "modelName": "scripted/other"}
            assert (call.status, call.end_reason) == ("ended normally", "caller")
        else:
            [dialled] = report.dials
            assert (dialled.party, dialled.caller_id) == ("+442079460999", "+" + NUMBER)
            assert went_on == {"kind": "number", "number": "+442079460999"}
            assert (call.status, call.end_reason) == ("ended normally", "transferred")
        assert call.agent_id == listener.agent_id
