"""The agent's tools, and who may call them.

The service disposes of what the model proposes: a call belongs to a generation, and acts only while that stands. What
it acts with comes from the definition and the call, and from the model only where the definition says so.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pipelines.agent import Function, Key
from pipelines.events import EndReason, PipelineEvent, RestCalled
from pipelines.parts import ToolCall, ToolSpec
from pipelines.tools.means import HttpAnswer, Means, ToolFault, ToolMemory
from pipelines.tools.parameters import BadArguments, Parameters, look_up, text_of
from pipelines.tools.request import build, secrets_of
from pipelines.tools.results import Outcome, parsed
from pipelines.tools.transfer import request_of

SECONDS = 10.0
"""The longest that a function may take which does not say how long."""

MOST_CALLS = 200
"""Of tools in one call."""


SHORTEST_SECRET = 6
"""Characters: what is shorter may stand in an answer by chance, and is none that keeps anything."""

_KEPT_FROM_MODELS = ("toolsCalls", "callHook")
"""Of the metadata, where the model says what it wants of them: what functions were given and returned may have been
kept from it, and a webhook has a secret."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the model is told, and whether, and why, the agent's part of the call ends once the generation was heard."""

    text: str
    ends: EndReason | None = None
    failed: bool = False


class Toolbox:
    """The functions of one agent, in one call. ``tell`` takes what is worth a line in the call's log."""

    def __init__(
        self,
        functions: Sequence[Function],
        metadata: Mapping[str, Any],
        elsewhere: Collection[str] = (),
        *,
        keys: Sequence[Key] = (),
        means: Means | None = None,
        tell: Callable[[PipelineEvent], None] = lambda event: None,
    ) -> None:
        """``elsewhere``: functions that the model's vendor runs by itself; the model is offered them all the same."""
        self._means = means or Means()
        self._elsewhere = elsewhere
        self._metadata = {**metadata, **self._means.metadata}
        memory = self._means.memory or ToolMemory()
        self._done, self._count = memory.done, memory.count
        self._tell = tell
        self.become(functions, keys)

    def become(self, functions: Sequence[Function], keys: Sequence[Key]) -> None:
        """These functions from here on. What those of before returned is still known, and their calls still count."""
        self._functions = {function.name: function for function in functions}
        self._parameters = {function.name: Parameters(function) for function in functions}
        self._keys = {key.name: key for key in keys}
        self.specs = [
            ToolSpec(function.name, function.description, self._parameters[function.name].schema)
            for function in functions
            if self._runs(function) or function.name in self._elsewhere
        ]
        self.unavailable = [function.name for function in functions if not self._runs(function)]
        """Functions of kinds that this service does not run: the model is not offered them."""

    def is_instant(self, name: str) -> bool:
        """Whether it does all it does in :meth:`call`, without a wait."""
        function = self._functions.get(name)
        if function is None or not self._runs(function):
            return True
        return function.implementation in ("stub", "builtin") and function.platform != "transfer"

    def is_sequential(self, name: str) -> bool:
        """Whether those that the model called before it, in one step, have to have returned: it says so, ends the call,
        or takes from what others returned."""
        function = self._functions.get(name)
        if function is None:
            return False
        chained = any(
            parameter.source == "metadata" and str(parameter.origin).split(".", 1)[0] == "toolsCalls"
            for parameter in function.parameters.values()
        )
        return function.sequential or chained or function.implementation == "builtin"

    def goes_on(self, name: str) -> bool:
        """Whether it is not stopped where the caller interrupts: a transfer always is."""
        function = self._functions.get(name)
        return function is not None and function.survives_interruption and function.platform != "transfer"

    async def run(self, call: ToolCall) -> ToolResult:
        """Run one call, which may take its time, in bounds. Never raises: what went wrong is said to the model in
        words that it can use."""
        if self.is_instant(call.name):
            return self.call(call)
        function = self._functions[call.name]
        values: dict[str, Any] = {}
        try:
            self._admit(function)
            values = self._values(function, call)
            if function.platform == "transfer":
                return await self._transfer(function, values, call)
            outcome = await self._act(function, values, call)
        except (BadArguments, ToolFault) as error:
            outcome = Outcome(error=str(error))
        return self._result(function, values, outcome)

    def call(self, call: ToolCall) -> ToolResult:
        """Run one call of a function that is instant. Never raises."""
        function = self._functions.get(call.name)
        if function is None or not self._runs(function):
            known = ", ".join(spec.name for spec in self.specs) or "none"
            return _failure(f"there is no tool {call.name[:64]!r}; the tools are: {known}")
        values: dict[str, Any] = {}
        try:
            self._admit(function)
            values = self._values(function, call)
        except BadArguments as error:
            return self._result(function, values, Outcome(error=str(error)))
        if function.platform == "hangup":
            return ToolResult("OK", ends="agent")
        return self._result(function, values, Outcome(self._instant(function, values)))

    def _instant(self, function: Function, values: Mapping[str, Any]) -> Any:
        """What a function returns that does all it does at once."""
        match function.platform:
            case "metadata":
                return self._read(function, values)
            case "transfer_status" if self._means.transfers is not None:
                return dict(self._means.transfers.status())
            case "pause_recording" | "resume_recording":
                return self._record(function.platform)
            case _:
                return parsed(_fill(function.result or "", values))

    async def _transfer(self, function: Function, values: Mapping[str, Any], call: ToolCall) -> ToolResult:
        """It is begun. What becomes of it is told later: to an agent who leaves the call for it, when he is back."""
        if self._means.transfers is None:
            raise ToolFault(f"{function.name} cannot be run here")
        begun = await self._means.transfers.request(request_of(function, values, call))
        result = self._result(function, values, Outcome(dict(begun.told)))
        return replace(result, ends="transferred") if begun.leaves else result

    async def _act(self, function: Function, values: Mapping[str, Any], call: ToolCall) -> Outcome:
        http = self._means.http
        if http is None:
            raise ToolFault(f"{function.name} cannot be run here")
        key = self._keys.get(function.key) if function.key is not None else None
        request = build(function, values, key, idempotency_key=f"{self._means.call_id}:{call.id}")
        self._tell(RestCalled(request.shown))
        seconds = function.timeout or SECONDS
        try:
            async with asyncio.timeout(seconds):
                answer = await http.ask(request, seconds=seconds, tenant=self._means.tenant)
        except TimeoutError:
            raise ToolFault(f"{function.name} got no answer within {seconds:g} s") from None
        return _outcome(function.name, _without(secrets_of(key), answer))

    def _values(self, function: Function, call: ToolCall) -> dict[str, Any]:
        metadata = {**self._metadata, "toolsCalls": self._done}
        return self._parameters[function.name].resolve(call.arguments, metadata)

    def _read(self, function: Function, values: Mapping[str, Any]) -> dict[str, Any]:
        """Metadata by its paths."""
        metadata: dict[str, Any] = {**self._metadata, "toolsCalls": self._done}
        if function.parameters["keys"].source == "generated":
            metadata = {name: value for name, value in metadata.items() if name not in _KEPT_FROM_MODELS}
        keys = [key.strip() for key in text_of(values.get("keys", "")).split(",")]
        return {key: look_up(metadata, key, "unknown") for key in keys if key}

    def _record(self, platform: Literal["pause_recording", "resume_recording"]) -> str:
        recorder = self._means.recorder()
        if recorder is None:
            return "nothing of this call is recorded"
        if platform == "pause_recording":
            recorder.pause()
            return "nothing is recorded until the recording is resumed"
        recorder.resume()
        return "the call is recorded again"

    def _admit(self, function: Function) -> None:
        self._count[function.name] += 1
        if function.max_calls is not None and self._count[function.name] > function.max_calls:
            raise BadArguments(f"{function.name} may not be called more than {function.max_calls} times in one call")
        if self._count.total() > MOST_CALLS:
            raise BadArguments(f"there were {MOST_CALLS} calls of tools in this call: no more are possible")

    def _result(self, function: Function, values: Mapping[str, Any], outcome: Outcome) -> ToolResult:
        self._done[function.name] = {"parameter": dict(values), **outcome.as_metadata()}
        return ToolResult(outcome.text(redact=function.redact), failed=outcome.error is not None)

    def _runs(self, function: Function) -> bool:
        match function.implementation:
            case "stub":
                return True
            case "builtin":
                on_the_call = function.platform in ("transfer", "transfer_status")
                return not on_the_call or self._means.transfers is not None
            case "rest":
                return self._means.http is not None
            case "client":
                return False


def _without(secrets: Sequence[str], answer: HttpAnswer) -> HttpAnswer:
    """Services repeat the key that they were given, above all where they refuse it: the model is not to know it."""

    def masked(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, "***") if len(secret) >= SHORTEST_SECRET else text
        return text

    return replace(answer, reason=masked(answer.reason), text=None if answer.text is None else masked(answer.text))


def _outcome(name: str, answer: HttpAnswer) -> Outcome:
    value = None if answer.text is None else parsed(answer.text)
    if 200 <= answer.status < 300:
        if answer.text is None:
            return Outcome(f"(an answer of the type {answer.type}, which cannot be read)")
        return Outcome(value)
    if 300 <= answer.status < 400:
        return Outcome(
            error=f"{name} was sent to another place, and does not go there", about={"status": answer.status}
        )
    error = f"{name} was answered with the status {answer.status}"
    return Outcome(value, error, {"status": answer.status, "statusText": answer.reason})


def _fill(template: str, values: Mapping[str, Any]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: text_of(values[match[1]]) if match[1] in values else match[0], template)


def _failure(sentence: str) -> ToolResult:
    return ToolResult(Outcome(error=sentence).text(redact=False), failed=True)
