"""Messages into calls with realtime models, on each vendor's own wire: nothing is sent that it would refuse."""

from __future__ import annotations

import asyncio

import pytest

from gateway.messages import CallUpdate, CancelMessage, HangUpMessage, SayMessage, TextMessage, perform
from gateway.session import CallSession
from jambonz.simulator.caller import Wait
from pipelines.messages import NotPossible
from tests.calls.messages import in_call
from tests.calls.vendor_offices import AGENT, HELLO, LONG, VENDORS, office_of
from tests.clock import run_virtual
from tests.simulators.coarse import read_coarsely
from tests.simulators.codeword import plain_words

pytestmark = pytest.mark.usefixtures("by_both")

CAN_NOTE = {"openai", "gpt-live", "ultravox"}


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_conversation_in_texts(vendor: str) -> None:
    """Tools and all; what is cancelled is heard no further; a goodbye is heard."""

    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(4)
        await perform(call, TextMessage(text="look"))
        await asyncio.sleep(6)
        if vendor in CAN_NOTE:
            await perform(call, TextMessage(text="it is blue", urgency="later"))
            await asyncio.sleep(1.5)
        else:
            with pytest.raises(NotPossible):
                await perform(call, TextMessage(text="it is blue", urgency="later"))
        await perform(call, TextMessage(text="count", urgency="now"))
        await asyncio.sleep(2.5)
        await perform(call, CancelMessage())
        await asyncio.sleep(8)
        await perform(call, SayMessage(text="Oboe papa."))
        await asyncio.sleep(4)
        await perform(call, HangUpMessage(text="Goodbye then."))

    async def main() -> None:
        async with office_of(vendor, AGENT, []) as office:
            report = await in_call(office, meanwhile, Wait(60))
            heard = read_coarsely(report.heard)
            assert heard[:4] == plain_words(HELLO)[:4]
            assert heard[-4:] == plain_words("Oboe papa. Goodbye then.")
            counted = [word for word in heard[:-4] if word in LONG.split()]
            assert 1 <= len(counted) <= 10, "the rest was cancelled"
            assert counted == LONG.split()[: len(counted)]
            assert plain_words("It is there.") == [word for word in heard if word in ("it", "is", "there")][-3:]
            expected = ["look", *(["it is blue"] if vendor in CAN_NOTE else []), "count"]
            assert office.said("user") == expected
            assert (office.ending(), report.ended_by) == ("api", "jambonz")
            assert office.mistakes == []
        assert office.wire.open_sessions == 0

    run_virtual(main())


@pytest.mark.parametrize("vendor", VENDORS)
def test_an_update_reaches_the_vendor(vendor: str) -> None:
    """In the session, or by another one that begins with what was said."""

    async def meanwhile(call: CallSession) -> None:
        await asyncio.sleep(4)
        await perform(call, CallUpdate(prompt="You are another.", context="Ann."))
        await asyncio.sleep(4)
        await perform(call, TextMessage(text="look"))
        await asyncio.sleep(6)
        await perform(call, HangUpMessage())

    async def main() -> None:
        async with office_of(vendor, AGENT, []) as office:
            report = await in_call(office, meanwhile, Wait(60))
            assert read_coarsely(report.heard)[-3:] == plain_words("It is there.")
            sessions = office.wire.sessions
            assert len(sessions) == (1 if vendor == "openai" else 2)
            assert office.mistakes == []
            if vendor == "openai":
                updates = [one for one in office.simulations[0].received if one["type"] == "session.update"]  # type: ignore[attr-defined]
                assert updates[-1]["session"]["instructions"] == "You are another.\n\nAnn."
                assert {tool["name"] for tool in updates[-1]["session"]["tools"]} == {"hangup", "look"}
        assert office.wire.open_sessions == 0

    run_virtual(main())
