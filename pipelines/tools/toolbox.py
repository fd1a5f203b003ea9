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
from pipelines.events import EndReason, PipelineEvent
from pipelines.keys import keys_problem
from pipelines.parts import ToolCall, ToolSpec
from pipelines.tools.acting import Acting
from pipelines.tools.audit import Audit
from pipelines.tools.means import Means, ToolFault, ToolMemory
from pipelines.tools.parameters import BadArguments, Parameters, look_up, text_of
from pipelines.tools.results import Outcome, parsed
from pipelines.tools.transfer import request_of

MOST_CALLS = 200
"""Of tools in one call."""

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
        masks_keys: bool = False,
    ) -> None:
        """``elsewhere``: functions that the model's vendor runs by itself; the model is offered them all the same.
        ``masks_keys``: nobody is told which keys are pressed."""
        self._means = means or Means()
        self._elsewhere = elsewhere
        self._metadata = {**metadata, **self._means.metadata}
        memory = self._means.memory or ToolMemory()
        self._done, self._count = memory.done, memory.count
        self._tell = tell
        self._masks_keys = masks_keys
        self.running: set[str] = set()
        """The ids of calls that have not returned."""
        self._acting = Acting(self._means, memory, self._metadata, tell)
        self.become(functions, keys)

    def become(self, functions: Sequence[Function], keys: Sequence[Key]) -> None:
        """These functions from here on. What those of before returned is still known, and their calls still count. An
        MCP server has none that neither :meth:`prepare` nor :meth:`ready_for` has asked."""
        self._declared, self._keys = functions, keys
        self._acting.become(functions, keys)
        self._functions: dict[str, Function] = {}
        self._parameters: dict[str, Parameters] = {}
        self.specs: list[ToolSpec] = []
        self.unavailable: list[str] = []
        """Functions of kinds that this service does not run, or that are not there: the model is not offered them."""
        for function in functions:
            about, schema = self._acting.described(function)
            self._add(function, about, schema)
        for found in self._acting.tools(functions):
            self._add(found.function, found.function.description, found.schema)

    def _add(self, function: Function, about: str, schema: Mapping[str, Any] | None) -> None:
        self._functions[function.name] = function
        parameters = self._parameters[function.name] = Parameters(function, schema)
        runs = self._runs(function)
        if runs or function.name in self._elsewhere:
            self.specs.append(ToolSpec(function.name, about, parameters.schema))
        if not runs:
            self.unavailable.append(function.name)

    async def prepare(self) -> None:
        """Learns which tools MCP servers have, in bounded time: what does not answer is done without."""
        if any(function.implementation == "mcp" for function in self._declared):
            await self._acting.ask_servers(self._declared)
            self.become(self._declared, self._keys)

    async def ready_for(self, functions: Sequence[Function], keys: Sequence[Key]) -> None:
        """The same of the MCP servers that :meth:`become` would bring, beside whatever goes on. Raises
        :class:`~pipelines.messages.NotReachable` for one that is new and does not answer: all is as before then."""
        await self._acting.ask_more_servers(functions, keys)

    def is_instant(self, name: str) -> bool:
        """Whether it does all it does in :meth:`call`, without a wait."""
        function = self._functions.get(name)
        if function is None or not self._runs(function):
            return True
        return function.implementation in ("stub", "builtin") and function.platform not in ("transfer", "dtmf")

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

    def is_parting(self, name: str) -> bool:
        """Whether there is nothing more to be done after it."""
        function = self._functions.get(name)
        return function is not None and function.platform in ("hangup", "accept_transfer", "reject_transfer")

    def goes_on(self, name: str) -> bool:
        """Whether it is not stopped where the caller interrupts: keys are pressed to the end, a transfer always is."""
        function = self._functions.get(name)
        if function is None or function.platform == "transfer":
            return False
        return function.survives_interruption or function.platform == "dtmf"

    async def run(self, call: ToolCall) -> ToolResult:
        """Run one call, which may take its time, in bounds. Never raises: what went wrong is said to the model in
        words that it can use."""
        if self.is_instant(call.name):
            return self.call(call)
        self.running.add(call.id)
        try:
            return await self._run(call)
        finally:
            self.running.discard(call.id)

    async def _run(self, call: ToolCall) -> ToolResult:
        function = self._functions[call.name]
        values: dict[str, Any] = {}
        audit = Audit(function, self.shown(call), self._tell, asyncio.get_running_loop().time)
        try:
            self._admit(function)
            values = self._values(function, call)
            audit.begin(self._masked(function, values))
            if function.platform == "transfer":
                return await self._transfer(function, values, call, audit)
            if function.platform == "dtmf":
                outcome = await self._press(function, values)
            else:
                outcome = await self._acting.perform(function, values, call)
        except (BadArguments, ToolFault) as error:
            outcome = Outcome(error=str(error))
        except asyncio.CancelledError:
            audit.end("stopped")
            raise
        return self._result(function, values, outcome, audit)

    def shown(self, call: ToolCall) -> ToolCall:
        """As others may see it."""
        function = self._functions.get(call.name)
        return call if function is None else replace(call, arguments=self._masked(function, call.arguments))

    def shown_result(self, call: ToolCall, text: str) -> str:
        """What it returned, likewise: what is wrong with keys is told of with the keys."""
        keys, masked = (text_of(one.arguments.get("digits", "")) for one in (call, self.shown(call)))
        return text if keys == masked else text.replace(keys, masked)

    def call(self, call: ToolCall) -> ToolResult:
        """Run one call of a function that is instant. Never raises."""
        function = self._functions.get(call.name)
        if function is None or not self._runs(function):
            known = ", ".join(spec.name for spec in self.specs) or "none"
            return _failure(f"there is no tool {call.name[:64]!r}; the tools are: {known}")
        values: dict[str, Any] = {}
        audit = Audit(function, call, self._tell)
        try:
            self._admit(function)
            values = self._values(function, call)
        except BadArguments as error:
            return self._result(function, values, Outcome(error=str(error)), audit)
        audit.begin(values)
        if function.platform == "hangup":
            audit.end("done")
            return ToolResult("OK", ends="agent")
        if function.platform in ("accept_transfer", "reject_transfer"):
            return self._answer(function, values, audit)
        return self._result(function, values, Outcome(self._instant(function, values)), audit)

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

    def _answer(self, function: Function, values: Mapping[str, Any], audit: Audit) -> ToolResult:
        """Whoever was rung takes the call, or does not: either way this conversation is over."""
        answers = self._means.answers
        try:
            if answers is not None and function.platform == "accept_transfer":
                answers.accept()
            elif answers is not None:
                answers.reject(str(values.get("reason", "")))
        except ToolFault as error:
            return self._result(function, values, Outcome(error=str(error)), audit)
        audit.end("done")
        return ToolResult("OK", ends="transferred" if function.platform == "accept_transfer" else "agent")

    async def _transfer(
        self, function: Function, values: Mapping[str, Any], call: ToolCall, audit: Audit
    ) -> ToolResult:
        """It is begun. What becomes of it is told later: to an agent who leaves the call for it, when he is back."""
        if self._means.transfers is None:
            raise ToolFault(f"{function.name} cannot be run here")
        begun = await self._means.transfers.request(request_of(function, values, call))
        result = self._result(function, values, Outcome(dict(begun.told)), audit)
        return replace(result, ends="transferred") if begun.leaves else result

    async def _press(self, function: Function, values: Mapping[str, Any]) -> Outcome:
        digits = text_of(values.get("digits", ""))
        wrong = keys_problem(digits)
        if wrong is not None:
            raise BadArguments(f"digits {wrong}")
        if self._means.press is None:
            raise ToolFault(f"{function.name} cannot be run here")
        await self._means.press(digits)
        return Outcome("OK")

    def _masked(self, function: Function, values: Mapping[str, Any]) -> Mapping[str, Any]:
        if not self._masks_keys or function.platform != "dtmf" or "digits" not in values:
            return values
        return {**values, "digits": "*" * len(text_of(values["digits"]))}

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

    def _result(self, function: Function, values: Mapping[str, Any], outcome: Outcome, audit: Audit) -> ToolResult:
        audit.end("done" if outcome.error is None else "failed")
        self._done[function.name] = {"parameter": dict(values), **outcome.as_metadata()}
        return ToolResult(outcome.text(redact=function.redact), failed=outcome.error is not None)

    def _runs(self, function: Function) -> bool:
        match function.implementation:
            case "stub":
                return True
            case "builtin":
                match function.platform:
                    case "dtmf":
                        return self._means.press is not None
                    case "transfer" | "transfer_status":
                        return self._means.transfers is not None
                    case "accept_transfer" | "reject_transfer":
                        return self._means.answers is not None
                    case _:
                        return True
            case "rest" | "client" | "python" | "mcp":
                return self._acting.runs(function)


def _fill(template: str, values: Mapping[str, Any]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: text_of(values[match[1]]) if match[1] in values else match[0], template)


def _failure(sentence: str) -> ToolResult:
    return ToolResult(Outcome(error=sentence).text(redact=False), failed=True)
