"""The models that are known without asking anybody: where a vendor cannot be asked, and more on those it lists.

Ids are data: an agent may name any id of a known provider. Sources: the vendors' SDKs (openai 3.52, anthropic, groq,
google-genai 3.4), November 2026; those with an announced end before 2027-02 are left out.
"""

from __future__ import annotations

from pipelines.catalogue.entries import Model

MODELS: tuple[Model, ...] = (
    Model("openai", "gpt-6-astra", "OpenAI GPT-6 Astra"),
    Model("openai", "gpt-6.1-sol", "OpenAI GPT-6.1 Sol"),
    Model("openai", "gpt-6.1-terra", "OpenAI GPT-6.1 Terra"),
    Model("openai", "gpt-6-luna", "OpenAI GPT-6 Luna"),
    Model("openai", "gpt-5.6-sol", "OpenAI GPT-5.6 Sol"),
    Model("openai", "gpt-5.6-terra", "OpenAI GPT-5.6 Terra"),
    Model("openai", "gpt-5.6-luna", "OpenAI GPT-5.6 Luna: small and fast"),
    Model("openai", "gpt-5.4", "OpenAI GPT-5.4"),
    Model("openai", "gpt-5.4-mini", "OpenAI GPT-5.4 mini: small and fast"),
    Model("openai", "gpt-realtime-2.1", "OpenAI Realtime", audio=True),
    Model("openai", "gpt-realtime-2.1-mini", "OpenAI Realtime, the small one", audio=True),
    Model("openai", "gpt-live-1", "OpenAI GPT-Live: hears and speaks at the same time", audio=True),
    Model("anthropic", "claude-haiku-5-5", "Claude Haiku 5.5: small and fast"),
    Model("anthropic", "claude-sonnet-5-5", "Claude Sonnet 5.5"),
    Model("anthropic", "claude-opus-5-5", "Claude Opus 5.5"),
    Model("anthropic", "claude-fable-5-2", "Claude Fable 5.2"),
    Model("anthropic", "claude-sonnet-5", "Claude Sonnet 5"),
    Model("anthropic", "claude-haiku-4-5", "Claude Haiku 4.5"),
    Model("google", "gemini-3.8-flash", "Gemini 3.8 Flash"),
    Model("google", "gemini-3.5-flash", "Gemini 3.5 Flash"),
    Model("google", "gemini-3.5-flash-lite", "Gemini 3.5 Flash-Lite: small and fast"),
    Model("google", "gemini-3.1-pro-preview", "Gemini 3.1 Pro, preview"),
    Model("google", "gemini-3.8-live", "Gemini 3.8 Live", audio=True),
    Model("google", "gemini-3.8-live-extended-thinking", "Gemini 3.8 Live, which thinks longer", audio=True),
    Model("google", "gemini-3.1-flash-live-preview", "Gemini 3.1 Flash Live, preview", audio=True),
    Model("groq", "openai/gpt-oss-120b", "GPT-OSS 120B on Groq"),
    Model("groq", "openai/gpt-oss-20b", "GPT-OSS 20B on Groq: small and fast"),
    Model("groq", "llama-3.3-70b-versatile", "Llama 3.3 70B on Groq"),
    Model("groq", "llama-3.1-8b-instant", "Llama 3.1 8B on Groq: small and fast"),
    Model("groq", "moonshotai/kimi-k2-instruct", "Kimi K2 on Groq"),
    Model("groq", "qwen/qwen3.8-27b", "Qwen 3.8 27B on Groq"),
    Model("ollama", "llama3.1", "Llama 3.1 on this machine, once it was pulled"),
    Model("ollama", "qwen3", "Qwen 3 on this machine, once it was pulled"),
    Model("ultravox", "ultravox-v0.7", "Ultravox 0.7", audio=True),
    Model("ultravox", "ultravox-v0.6", "Ultravox 0.6", audio=True),
    Model("ultravox", "ultravox-v0.6-gemma3-27b", "Ultravox 0.6 on Gemma 3 27B", audio=True),
    Model("ultravox", "ultravox-v0.6-llama3.3-70b", "Ultravox 0.6 on Llama 3.3 70B", audio=True),
    Model("fixie-ai", "ultravox-70B", "Ultravox 70B, by its former name", audio=True),
    Model("fixie-ai", "ultravox-8B", "Ultravox 8B, by its former name", audio=True),
    Model("scripted", "echo", "Offline: repeats what the caller said"),
    Model("scripted", "script", "Offline: follows the script in the agent's options"),
)

KNOWN: dict[tuple[str, str], Model] = {(model.provider, model.id): model for model in MODELS}


def described(provider: str, id: str, description: str = "", *, functions: bool = True, audio: bool = False) -> Model:
    """A model that a vendor lists: as it is known here, else as the vendor tells it."""
    return KNOWN.get((provider, id)) or Model(
        provider, id, description or f"{id}, as {provider} lists it", functions=functions, audio=audio
    )
