"""The service under test, as ``trunkline serve`` runs it, with the speech parts of the bench."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import uvloop
from pydantic import SecretStr

from gateway import logs
from gateway.app import create_app
from gateway.equipment import Equipment
from gateway.factory import ProviderFactory
from gateway.realtime import RealtimeModels
from gateway.settings import Settings
from media.silero import load_model
from pipelines.tools.addresses import Guard
from tests.bench.parts import Parts
from tests.bench.server import serve
from tests.simulators.openai_realtime import KEY


def main(webhook_secret: str, model_url: str) -> None:
    """``model_url``: where OpenAI Realtime is simulated, if that is what the agents have."""
    logs.configure("error", "console")
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(
            data_dir=Path(directory),
            max_calls=10_000,
            authenticate_users=False,
            jambonz_webhook_secret=SecretStr(webhook_secret),
        )
        models = RealtimeModels({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": model_url})
        factory = ProviderFactory(Parts(), load_model(), equipment=Equipment(models, Guard()))
        uvloop.run(serve(create_app(settings, factory)))


if __name__ == "__main__":
    main(*sys.argv[1:])
