"""``/models`` and ``/voices``: what an agent can be made of."""

from __future__ import annotations

from typing import Literal

from aiohttp import web
from typing_extensions import TypedDict

from gateway.api.operations import Operations
from gateway.keys import CATALOGUE

operations = Operations("Catalogue", "agents")


class ModelView(TypedDict):
    """``supportsFunctions``: it can call tools; ``audioModel``: it hears and speaks by itself, without ``stt`` and
    ``tts``; ``hasTelephony`` and ``hasWebRTC``: where its agents can be reached."""

    description: str
    supportsFunctions: bool
    audioModel: bool
    hasTelephony: bool
    hasWebRTC: bool


class VoiceView(TypedDict):
    """``name`` is what an agent has as ``tts.voice``."""

    name: str
    description: str
    gender: Literal["male", "female", "neutral", "unknown"]


@operations.add("GET", "/models", answer=dict[str, ModelView])
async def list_models(request: web.Request) -> web.Response:
    """List the models that agents can name, by handler:provider/model."""
    return web.json_response(await request.config_dict[CATALOGUE].models())


@operations.add("GET", "/voices", answer=dict[str, dict[str, dict[str, list[VoiceView]]]])
async def list_voices(request: web.Request) -> web.Response:
    """List the voices that agents can speak with, by handler, vendor and language ("any": whatever it is given)."""
    return web.json_response(await request.config_dict[CATALOGUE].voices())
