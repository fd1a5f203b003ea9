"""The service under test, as ``trunkline serve`` runs it, with the speech parts of the bench."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import uvloop
from pydantic import SecretStr

from gateway import logs
from gateway.app import create_app
from gateway.factory import ProviderFactory
from gateway.settings import Settings
from media.silero import load_model
from tests.bench.parts import Parts
from tests.bench.server import serve


def main(webhook_secret: str) -> None:
    logs.configure("warning", "console")
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(
            data_dir=Path(directory),
            max_calls=10_000,
            authenticate_users=False,
            jambonz_webhook_secret=SecretStr(webhook_secret),
        )
        uvloop.run(serve(create_app(settings, ProviderFactory(Parts(), load_model()))))


if __name__ == "__main__":
    main(sys.argv[1])
