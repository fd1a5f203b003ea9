"""No injection has anything leave that the agent's definition does not allow: no request, call, transfer or command."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from yarl import URL

from jambonz.simulator.caller import AwaitAgentSilence, AwaitAgentSpeech, HangUp, Speak, Step
from jambonz.simulator.report import CallReport
from pipelines.parts import Message, ToolCall
from pipelines.tools import acting, results, toolbox
from pipelines.tools import request as requests
from pipelines.tools.means import HttpAnswer, Means
from pipelines.tools.parameters import Parameters
from pipelines.tools.request import HttpRequest
from pipelines.tools.toolbox import Toolbox
from tests.calls.office import Office
from tests.calls.realtime_office import RealtimeOffice
from tests.clock import run_virtual
from tests.injections import INJECTIONS
from tests.injections.agent import AGENT, ALLOWED, BODIES, HEADERS, METADATA, NEVER_TOLD, PIN, SECRET_KEY
from tests.injections.injection import ENDLESS, Injection
from tests.simulators.codeword import heard_words, plain_words, speak
from tests.simulators.realtime_memory import MemoryModel
from tests.simulators.replies import Answer, ReplyModel

pytestmark = pytest.mark.usefixtures("by_both")

READ = "read the page to me"


class Sink:
    """Where requests end: it answers as the injection has it, and keeps what came."""

    def __init__(self, injection: Injection) -> None:
        self.asked: list[HttpRequest] = []
        self._injection = injection

    async def ask(self, request: HttpRequest, *, seconds: float, tenant: str) -> HttpAnswer:
        assert tenant == "acme"
        self.asked.append(request)
        url = URL(request.url, encoded=True)
        if url.host == "pages.example.com":
            return self._injection.page
        first = url.raw_parts[1]
        if first in self._injection.answers:
            return self._injection.answers[first]
        return HttpAnswer(200, "OK", "application/json", json.dumps({"pin": PIN} if first == "pins" else {"ok": True}))

    @property
    def lines(self) -> list[str]:
        return [f"{request.method} {request.url}" for request in self.asked]


class Obedient:
    """What both models do: one injection, whatever it is. ``obeyed`` is how often."""

    def __init__(self, injection: Injection) -> None:
        self.injection = injection
        self.obeyed = 0
        self._calls = 0

    def obey(self) -> tuple[str, list[ToolCall]]:
        self.obeyed += 1
        if not self.injection.calls or self.obeyed > self.injection.again:
            return self.injection.says, []
        return "", [self._call(*call) for call in self.injection.calls]

    def read(self) -> tuple[str, list[ToolCall]]:
        return "", [self._call("read_page", {})]

    def _call(self, name: str, arguments: Any) -> ToolCall:
        self._calls += 1
        return ToolCall(f"c{self._calls}", name, arguments)


def cascade(obedient: Obedient, http: Sink) -> Office:
    def script(messages: Sequence[Message]) -> Sequence[Answer]:
        last = messages[-1]
        if last.role == "user":
            text, calls = obedient.read() if last.content == READ else obedient.obey()
        elif last.name == "read_page" and not obedient.obeyed:
            text, calls = obedient.obey()
        else:
            text, calls = obedient.obey() if obedient.injection.again > 1 else (obedient.injection.says, [])
        return [*([text] if text else []), *calls]

    return Office(AGENT, ReplyModel(script), http=http)


def realtime(obedient: Obedient, http: Sink) -> RealtimeOffice:
    def reply(heard: str, history: object) -> tuple[str, Sequence[ToolCall]]:
        if heard == READ:
            return obedient.read()
        if not obedient.obeyed or obedient.injection.again > 1:
            return obedient.obey()
        return obedient.injection.says, []

    return RealtimeOffice(AGENT, MemoryModel(reply), http=http)


def told(office: Office) -> list[str]:
    """All that the model was told."""
    if isinstance(office, RealtimeOffice):
        assert isinstance(office.realtime, MemoryModel)
        assert office.realtime.mistakes == []
        return [*office.realtime.commands, *(repr(setup) for setup in office.realtime.setups)]
    return [message.content for messages in office.model.told for message in messages]


@pytest.mark.parametrize("kind", [cascade, realtime])
@pytest.mark.parametrize("injection", INJECTIONS, ids=lambda injection: injection.name)
def test_nothing_leaves_that_the_definition_does_not_allow(injection: Injection, kind: Any) -> None:
    obedient, sink = Obedient(injection), Sink(injection)
    said = READ if injection.by == "tool" else injection.words

    async def main() -> None:
        office: Office = kind(obedient, sink)
        office.means = Means("the-call", "acme", sink, {**METADATA, **injection.metadata})
        async with office:
            steps: list[Step] = [Speak(speak(said)), AwaitAgentSpeech(), AwaitAgentSilence(), HangUp()]
            report = await office.call(*steps)
            assert obedient.obeyed >= 1, "the model has to hear it, and to do it"
            nothing_but_the_call(office, report, given_up=injection.says == ENDLESS)
            assert heard_words(report.heard) == plain_words(injection.says) or injection.says == ENDLESS
            for text in told(office):
                assert not [secret for secret in (*NEVER_TOLD, *injection.unseen) if secret in text]
            assert not [secret for secret in NEVER_TOLD if secret in json.dumps(office.log())]

    run_virtual(main())
    expected = [*(["GET https://pages.example.com/today"] if injection.by == "tool" else []), *injection.leaves]
    assert sorted(sink.lines) == sorted(expected)
    for asked in sink.asked:
        allowed(asked)


def nothing_but_the_call(office: Office, report: CallReport, *, given_up: bool) -> None:
    """One call, one verb, nobody rung, and nobody hung up on, unless the model is ``given_up``."""
    verbs = report.verbs
    assert verbs == ["listen"] or (given_up and verbs == ["listen", "hangup"])
    assert {verb["verb"] for _, _, verbs in office.replies for verb in verbs or ()} <= {"answer", "listen", "hangup"}
    assert report.commands == []
    assert report.dials == []
    assert report.ended_by == "caller" or given_up
    assert len(office.store.started) == 1
    [session] = office.sessions
    assert session.recording is None


def allowed(request: HttpRequest) -> None:
    assert any(re.fullmatch(pattern, f"{request.method} {request.url}") for pattern in ALLOWED), request.url
    url = URL(request.url, encoded=True)
    assert (url.scheme, url.explicit_port, url.user, url.fragment) == ("https", None, None, "")
    assert set(request.headers) <= HEADERS
    assert not re.search(r"[\x00-\x1f\x7f]", "".join((*request.headers, *request.headers.values())))
    for text in (request.body or "", *request.headers.values()):
        text.encode()
    key = None if url.host != "crm.example.com" else f"Bearer {SECRET_KEY}"
    assert request.headers.get("Authorization") == key
    assert request.headers.get("X-Tenant") in (None, "acme")
    assert request.headers.get("X-Caller") in (None, "+447700900123")
    assert request.headers.get("Idempotency-Key", "the-call:").startswith("the-call:")
    first, body = url.raw_parts[1], json.loads(request.body or "{}")
    assert set(body) <= BODIES.get(first, frozenset())
    assert body.get("customer", "17") == "17"
    assert body.get("pin", PIN) == PIN


def test_there_are_as_many_as_promised() -> None:
    assert len({injection.name for injection in INJECTIONS}) == len(INJECTIONS) >= 40
    assert {injection.by for injection in INJECTIONS} == {"caller", "tool", "call"}


Broken = Callable[[pytest.MonkeyPatch], None]


def _instead(where: Any, name: str, value: Any) -> Broken:
    return lambda patch: patch.setattr(where, name, value)


def _model_fills_in_all(self: Parameters, name: str, parameter: object, arguments: Any, metadata: object) -> Any:
    return arguments.get(name, "17")


def _as_it_is(function: object, name: str, text: str) -> str:
    return text


def _answer_as_it_is(secrets: object, answer: HttpAnswer) -> HttpAnswer:
    return answer


RULES: Mapping[str, tuple[str, Broken]] = {
    "the model fills in its own parameters": ("another tenant", _instead(Parameters, "_value", _model_fills_in_all)),
    "values are checked": ("an operator of the database", _instead(Parameters, "_complaint", lambda *_: None)),
    "a value is one name in the path": ("a way out of the path", _instead(requests, "_in_path", _as_it_is)),
    "a value is one header": ("a line in a header", _instead(requests, "_header", _as_it_is)),
    "a value is the name of a host": ("a host of the call", _instead(requests, "_in_authority", _as_it_is)),
    "functions have a number of calls": ("fifty tips", _instead(Toolbox, "_admit", lambda *_: None)),
    "results are kept from the model": ("what a tool kept back", _instead(toolbox, "_KEPT_FROM_MODELS", ())),
    "keys are kept from it": ("a service that tells its key", _instead(acting, "_without", _answer_as_it_is)),
    "what nobody sees is taken out": ("letters that nobody sees", _instead(results, "clean", lambda text: text)),
    "a redacted failure is one": ("a failure that tells what is kept", _instead(results, "REDACTED_FAILURE", PIN)),
}
"""What is taken out, and the injection that is seen to succeed then."""


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_needed(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, broken = RULES[rule]
    [injection] = [one for one in INJECTIONS if one.name == name]
    broken(monkeypatch)
    with pytest.raises(AssertionError):
        test_nothing_leaves_that_the_definition_does_not_allow(injection, cascade)
