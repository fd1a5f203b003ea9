"""An agent as people define it: the JSON of ``POST /api/agents``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import chain, islice
from typing import Any, Self

from pydantic import Field, model_validator

from pipelines.agent.functions import Function, Key, cross_check
from pipelines.agent.modelname import ModelName
from pipelines.agent.options import AgentOptions, Fallback, Model
from pipelines.agent.secrets import OF_OPTIONS, put_in, take_out
from pipelines.agent.speech import missing_speech
from pipelines.agent.strict import MOST_PROBLEMS, Strict, refusal
from pipelines.agent.vendor_specific import vendor_problems


class AgentDefinition(Strict):
    """Model, prompt, voice, tools and options."""

    name: str | None = Field(default=None, max_length=200)
    description: str | None = Field(default=None, max_length=5000)
    model_name: Model = Field(description="[handler:]provider/model", examples=["openai/gpt-4o", "scripted/echo"])
    prompt: str = Field(max_length=500_000)
    options: AgentOptions = AgentOptions()
    functions: list[Function] = Field(default=[], max_length=128)
    keys: list[Key] = Field(default=[], max_length=64, description="Write-only: never given back.")

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        problems = chain(
            cross_check(self.functions, self.keys),
            missing_speech(self.options, talks=self.model.is_realtime),
            vendor_problems(self.model, self.options.vendor_specific),
        )
        if found := list(islice(problems, MOST_PROBLEMS)):
            raise refusal(type(self).__name__, found)
        return self

    @cached_property
    def model(self) -> ModelName:
        return ModelName.parse(self.model_name)

    def with_models(self, names: Sequence[str]) -> AgentDefinition:
        """The same agent with the first of these models, for which the others step in."""
        options = self.options
        changes: dict[str, Any] = {
            "fallback": (options.fallback or Fallback()).model_copy(update={"model": list(names[1:])})
        }
        if self.model.is_realtime and options.tts.vendor is None:  # the voice is that model's
            changes["tts"] = options.tts.model_copy(update={"voice": None})
        other = self.model_copy(update={"model_name": names[0], "options": options.model_copy(update=changes)})
        other.__dict__.pop("model", None)  # that of the other name
        return other

    def changed(self, changes: Mapping[str, Any]) -> AgentDefinition:
        """With these of its fields, as JSON, in place of its own. Raises :class:`pydantic.ValidationError`."""
        return AgentDefinition.model_validate({**self.as_sent(), "keys": self.secrets(), **changes})

    def keeping_secrets(self, older: Mapping[str, Any]) -> AgentDefinition:
        """With those of ``older``, a whole definition as JSON, that were not sent with the options again."""
        _, secrets = take_out(older.get("options", {}), OF_OPTIONS)
        return self.changed({"options": put_in(self.as_sent().get("options", {}), secrets)}) if secrets else self

    def with_context(self, context: str) -> AgentDefinition:
        """The same agent, which knows this of the call."""
        return self.model_copy(update={"prompt": f"{self.prompt}\n\n{context}".strip()}) if context else self

    def as_stored(self) -> dict[str, Any]:
        """As sent, without ``keys`` and what is secret of the options: what the store holds in the clear and the API
        gives back."""
        sent = {name: value for name, value in self.as_sent().items() if name != "keys"}
        return {**sent, "options": take_out(sent["options"], OF_OPTIONS)[0]} if "options" in sent else sent

    def secrets(self) -> list[dict[str, Any]]:
        """``keys`` with their secrets: what the store encrypts."""
        return [key.reveal() for key in self.keys]

    def option_secrets(self) -> dict[str, Any]:
        """Those of the options, likewise; see :mod:`pipelines.agent.secrets`."""
        return take_out(self.as_sent().get("options", {}), OF_OPTIONS)[1]
