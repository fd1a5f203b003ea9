from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import pytest

from gateway import call_hooks, metrics
from gateway.call_hooks import PAUSES, CallHooks, hook_of
from gateway.outside import POST_SECONDS, Refused
from jambonz.simulator.caller import AwaitAgentSilence, HangUp, Speak
from pipelines.agent import AgentDefinition
from store import DEFAULT_OWNER, ListenerForCall, ListenerOptions
from store.calls import NewCall
from tests.calls.office import Office
from tests.clock import run_virtual
from tests.simulators.codeword import speak
from tests.simulators.replies import ReplyModel, always
from tests.store.opened import at

URL = "https://hooks.example.com/calls"


class Receiver:
    """Answers what ``answers`` has, in turn, and then 200: a status, an error to raise, or seconds to hang."""

    def __init__(self, *answers: int | Exception | float) -> None:
        self.answers = list(answers)
        self.got: list[tuple[float, str, Mapping[str, Any]]] = []

    async def post(self, url: str, body: Mapping[str, Any], *, seconds: float) -> int:
        self.got.append((asyncio.get_running_loop().time(), url, body))
        match self.answers.pop(0) if self.answers else 200:
            case Exception() as error:
                raise error
            case float(hang):
                async with asyncio.timeout(seconds):
                    await asyncio.sleep(hang)
                return 200
            case int(status):
                return status

    @property
    def events(self) -> list[str]:
        return [body["event"] for _, _, body in self.got]


def listener(hook: Any = None, **metadata: Any) -> ListenerForCall:
    options = {} if hook is None else {"callHook": hook}
    agent = AgentDefinition.model_validate({"modelName": "scripted/x", "prompt": "x", "options": options})
    return ListenerForCall("l", "agent", DEFAULT_OWNER, agent, "1", ListenerOptions(metadata=metadata))


def record() -> NewCall:
    return NewCall(DEFAULT_OWNER, "agent", "l", "scripted/x", "jambonz", "+1", "2", id="call")


def played(receiver: Receiver, hook: Any = None, *, seconds: float = 600.0) -> list[Any]:
    """A call of three seconds: what was noted of its hooks, when."""
    noted: list[Any] = []

    async def main() -> None:
        hooks = CallHooks(receiver)
        loop = asyncio.get_running_loop()

        def note(kind: str, data: Any) -> None:
            assert kind == "status"
            noted.append((round(loop.time(), 3), data["callHook"]))

        ours = hooks.of_call(listener(hook or {"url": URL}), record(), note)
        assert ours is not None
        began = loop.time()
        ours.started(at(0))
        assert loop.time() == began, "nobody waits"
        await asyncio.sleep(3)
        ours.ended(at(3), "caller", 3.0004, None)
        await asyncio.sleep(seconds)
        await hooks.close()
        assert not hooks._waiting

    run_virtual(main())
    return noted


def test_what_is_posted() -> None:
    receiver = Receiver()
    noted = played(receiver, {"url": URL, "hashKey": "secret"})
    [(when, url, start), (_, _, end)] = receiver.got
    digest = hmac.new(b"secret", b"secret|call|l|agent", hashlib.sha256).hexdigest()
    common = {
        "callId": "call",
        "agentId": "agent",
        "listenerId": "l",
        "callerId": "+1",
        "calledId": "2",
        "hash": digest,
    }
    assert (when, url) == (0, URL)
    assert start == {"event": "start", "timestamp": at(0).isoformat(), **common}
    assert end == {
        "event": "end", "timestamp": at(3).isoformat(), "reason": "caller", "durationSeconds": 3.0, **common,
    }  # fmt: skip
    assert noted == [
        (when, {"event": event, "attempts": 1, "status": 200, "error": None})
        for when, event in ((0, "start"), (3, "end"))
    ]


def test_only_what_is_wanted_and_no_hash_without_a_key() -> None:
    receiver = Receiver()
    played(receiver, {"url": URL, "events": ["end"]})
    [(_, _, body)] = receiver.got
    assert body["event"] == "end"
    assert "hash" not in body


@pytest.mark.parametrize("trouble", [503, 429, OSError("refused"), POST_SECONDS + 60], ids=repr)
def test_it_is_tried_again_and_the_end_comes_after_the_start(trouble: Any) -> None:
    receiver = Receiver(trouble, trouble)
    noted = played(receiver)
    assert receiver.events == ["start", "start", "start", "end"]
    hung = POST_SECONDS if isinstance(trouble, float) else 0.0
    assert [when for when, _, _ in receiver.got[1:3]] == pytest.approx([hung + 1, 2 * hung + 6])
    assert [(one["event"], one["attempts"], one["status"], one["error"]) for _, one in noted] == [
        ("start", 3, 200, None), ("end", 1, 200, None),
    ]  # fmt: skip


@pytest.mark.parametrize(("trouble", "attempts"), [(404, 1), (302, 1), (Refused("not public"), 1), (500, 5)], ids=repr)
def test_it_is_given_up(trouble: Any, attempts: int) -> None:
    receiver = Receiver(*[trouble] * attempts)
    noted = played(receiver)
    assert receiver.events == ["start"] * attempts + ["end"]
    (when, start), (_, end) = noted
    assert start["attempts"] == attempts
    assert start["error"] == ("not public" if isinstance(trouble, Refused) else f"answered with {trouble}")
    assert end["error"] is None
    assert when == (sum(PAUSES) if attempts == 5 else 0)


def test_when_the_service_stops_each_has_one_last_attempt() -> None:
    receiver = Receiver(*[500] * 10)
    noted = played(receiver, seconds=0.0)
    assert receiver.events == ["start", "start", "start", "end"]
    assert [one["error"] for _, one in noted] == ["answered with 500"] * 2
    receiver = Receiver(500, 500, 1000.0)
    noted = played(receiver, seconds=0.0)
    assert [one["error"] for _, one in noted] == ["the service stopped"] * 2
    assert noted[-1][0] == 3 + call_hooks.CLOSE_SECONDS


def test_what_was_broken_off_was_not_delivered() -> None:
    delivered = metrics.call_hooks.labels("start", "delivered")
    before = delivered._value.get()
    noted = played(Receiver(RuntimeError("the session is closed")), {"url": URL, "events": ["start"]})
    assert [one["error"] for _, one in noted] == ["the service stopped"]
    assert delivered._value.get() == before


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_hooks, "MOST_WAITING", 1)
    receiver = Receiver(POST_SECONDS - 1)
    noted = played(receiver)
    assert receiver.events == ["start"]
    assert noted[0] == (
        3, {"event": "end", "attempts": 0, "status": None, "error": "too many webhooks wait to be sent"},
    )  # fmt: skip


def test_that_of_the_listener_goes_before_that_of_the_agent() -> None:
    assert hook_of(listener()) is None
    for own, expected in (({}, URL), ({"callHook": {"url": "https://b.example.com/"}}, "https://b.example.com/")):
        found = hook_of(listener({"url": URL}, **own))
        assert found is not None
        assert found.url == expected
    assert hook_of(listener({"url": URL}, callHook={"url": "nonsense"})) is None
    assert hook_of(listener({"url": URL}, callHook="nonsense")) is None


def test_a_call_with_a_receiver_that_hangs() -> None:
    """The caller hears the same, and what became of it is in the log, after the call's end."""

    async def main() -> None:
        receiver = Receiver(POST_SECONDS + 60, 500, 200)
        agent = {"options": {"greeting": "Hello.", "callHook": {"url": URL, "includeTranscript": True}}}
        async with Office(agent, ReplyModel(always("You want a table.")), hooks=CallHooks(receiver)) as office:
            await office.call(AwaitAgentSilence(), Speak(speak("i want a table")), AwaitAgentSilence(), HangUp())
            await asyncio.sleep(60)
            await office.recorder.settled()
            kinds = [kind for kind, _ in office.log()]
            assert office.said("agent") == ["Hello.", "You want a table."]
            hooks = office.status("callHook")
            assert [(one["event"], one["attempts"], one["error"]) for one in hooks] == [
                ("start", 3, None), ("end", 1, None),
            ]  # fmt: skip
            assert kinds.index("hangup") < len(kinds) - 1
            entries = receiver.got[-1][2]["transcript"]["entries"]
            assert [(one["type"], one["data"]) for one in entries] == [
                ("agent", "Hello."), ("user", "i want a table"), ("agent", "You want a table."),
            ]  # fmt: skip

    run_virtual(main())
