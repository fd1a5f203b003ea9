"""From the name of a model in an agent's definition to the model, and the connections that a process has to vendors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from pipelines.parts import LanguageModel
from pipelines.providers import anthropic, google
from pipelines.providers.accounts import account, compatible_account
from pipelines.providers.anthropic import AnthropicConnection, AnthropicModel
from pipelines.providers.google import GoogleConnection, GoogleModel
from pipelines.providers.openai import OPTIONAL as CHAT_OPTIONAL
from pipelines.providers.openai import OpenAIChatModel, OpenAIConnection, chat_settings
from pipelines.providers.openai_models import api_for, chat_fields, model_settings, responses_fields
from pipelines.providers.openai_responses import OPTIONAL as RESPONSES_OPTIONAL
from pipelines.providers.openai_responses import ResponsesConnection, ResponsesModel
from pipelines.providers.script import parse_script
from pipelines.providers.scripted import ECHO, ScriptedLanguageModel
from pipelines.providers.thinking import groq_fields
from pipelines.providers.unwelcome import OptionalFields

CHAT = ("openai", "groq", "ollama")
"""The vendors of chat completions."""

LANGUAGE_MODELS = (*CHAT, "anthropic", "google", "scripted")


class _Closeable(Protocol):
    async def close(self) -> None: ...


class LanguageModels:
    """``env`` holds the settings of the vendors. A model is of one agent in one call, its connection of the process."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._chat: dict[str, OpenAIConnection] = {}
        self._responses: ResponsesConnection | None = None
        self._anthropic: AnthropicConnection | None = None
        self._google: GoogleConnection | None = None

    def model(self, model_name: str, options: Mapping[str, Any]) -> LanguageModel:
        """The one that ``[handler:]provider/model`` names. Raises ValueError, with a sentence for whoever wrote the
        agent."""
        before, slash, model = model_name.partition("/")
        provider = before.rpartition(":")[2]
        if not slash or not model:
            raise ValueError(f"modelName is {model_name!r}; write provider/model, such as openai/gpt-4o")
        temperature, specific = options.get("temperature"), options.get("vendorSpecific", {})
        if temperature is not None and not 0 <= temperature <= 1:
            raise ValueError(f"options.temperature is {temperature:g}; it goes from 0 to 1")
        match provider:
            case "scripted":
                return _scripted(model_name, model, options)
            case "openai":
                return self._openai(model, temperature, model_settings(specific))
            case _ if provider in CHAT:
                more = chat_settings(provider, specific)
                quick = groq_fields(model) if provider == "groq" else {}
                return OpenAIChatModel(
                    self._chat_connection(provider),
                    model,
                    temperature=temperature,
                    more={**quick, **more},
                    optional=_but(CHAT_OPTIONAL, more),
                )
            case "anthropic":
                settings = anthropic.model_settings(specific)
                if self._anthropic is None:
                    key, base_url = account(self._env, "anthropic", anthropic.BASE_URL)
                    self._anthropic = AnthropicConnection(api_key=key, base_url=base_url)
                return AnthropicModel(self._anthropic, model, temperature=temperature, settings=settings)
            case "google":
                settings = google.model_settings(specific)
                if self._google is None:
                    key, base_url = account(self._env, "gemini", google.BASE_URL)
                    self._google = GoogleConnection(api_key=key, base_url=base_url)
                return GoogleModel(self._google, model, temperature=temperature, settings=settings)
            case _:
                there = ", ".join(LANGUAGE_MODELS)
                raise ValueError(f"there is no provider {provider!r} of models; there are {there}")

    async def close(self) -> None:
        """Connections are opened again where they are needed."""
        connections: list[_Closeable] = [*self._chat.values()]
        vendors = (self._responses, self._anthropic, self._google)
        connections += [connection for connection in vendors if connection is not None]
        self._responses = self._anthropic = self._google = None
        self._chat.clear()
        for connection in connections:
            await connection.close()

    def _openai(self, model: str, temperature: float | None, settings: Mapping[str, Any]) -> LanguageModel:
        # What the agent itself asks for is not left out in silence.
        named = ("reasoning", "reasoning_effort") if "reasoning" in settings else ()
        chat = OpenAIChatModel(
            self._chat_connection("openai"),
            model,
            temperature=temperature,
            more=chat_fields(model, settings),
            optional=_but(CHAT_OPTIONAL, named),
        )
        if settings.get("api", api_for(model)) == "chat":
            return chat
        if self._responses is None:
            key, base_url = compatible_account(self._env, "openai")
            self._responses = ResponsesConnection(api_key=key, base_url=base_url)
        return ResponsesModel(
            self._responses,
            model,
            temperature=temperature,
            fields=responses_fields(model, settings),
            optional=_but(RESPONSES_OPTIONAL, named),
            instead=None if "api" in settings else chat,
        )

    def _chat_connection(self, provider: str) -> OpenAIConnection:
        if provider not in self._chat:
            key, base_url = compatible_account(self._env, provider)
            self._chat[provider] = OpenAIConnection(provider, api_key=key, base_url=base_url)
        return self._chat[provider]


def _scripted(model_name: str, model: str, options: Mapping[str, Any]) -> LanguageModel:
    if model == "echo":
        return ScriptedLanguageModel(ECHO)
    if "script" not in options:
        raise ValueError(f"{model_name} needs its script in options.script; scripted/echo needs none")
    return ScriptedLanguageModel(parse_script(options["script"]))


def _but(optional: OptionalFields, named: Collection[str]) -> OptionalFields:
    return {field: words for field, words in optional.items() if field not in named}
