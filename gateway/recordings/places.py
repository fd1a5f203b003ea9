"""Where finished recordings are: a folder, or a bucket of S3 or of something that speaks as S3 does.

What crosses here is sealed already. Everything blocks: it is for threads. Each call ends in bounded time, unless a
disk hangs; whoever calls has a deadline of his own for that.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 5, 20, 3


class PlaceError(Exception):
    """It could not be done now; a sentence without secrets."""


class Place(Protocol):
    """``name`` is a path of folders and a file, apart by ``/``. Each raises :class:`PlaceError`."""

    def put(self, name: str, path: Path) -> None:
        """Keep a copy of ``path``, whole or not at all. Twice is once."""
        ...

    def get(self, name: str, path: Path) -> bool:
        """Copy it to ``path``. False if there is none."""
        ...

    def delete(self, name: str) -> None:
        """Once it returns it is gone, if it was there."""
        ...


class Folder:
    """May be shared by several machines: then they find each other's."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, path: Path) -> None:
        target = self._root / name
        arriving = target.with_name(f".{target.name}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.copyfile(path, arriving)
            arriving.chmod(0o600)
            with arriving.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(arriving, target)
        except OSError as error:
            raise PlaceError(f"the recording could not be written to the folder: {error.strerror}") from None

    def get(self, name: str, path: Path) -> bool:
        try:
            shutil.copyfile(self._root / name, path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise PlaceError(f"the recording could not be read: {error.strerror}") from None
        return True

    def delete(self, name: str) -> None:
        try:
            (self._root / name).unlink(missing_ok=True)
        except OSError as error:
            raise PlaceError(f"the recording could not be deleted: {error.strerror}") from None


class Bucket:
    """``s3://bucket/prefix``. Credentials and region are found as boto3 finds them; ``endpoint`` is that of another
    service."""

    def __init__(self, url: str, endpoint: str | None = None) -> None:
        """Raises :class:`PlaceError` where boto3 is not installed."""
        try:
            import boto3  # type: ignore[import-untyped]
            from boto3.exceptions import Boto3Error  # type: ignore[import-untyped]
            from boto3.s3.transfer import TransferConfig  # type: ignore[import-untyped]
            from botocore.config import Config  # type: ignore[import-untyped]
            from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]
        except ImportError:
            raise PlaceError("recordings in S3 need the extra s3: pip install 'trunkline[s3]'") from None
        parts = urlsplit(url)
        self._bucket, self._prefix = parts.netloc, parts.path.strip("/")
        self._errors = (BotoCoreError, Boto3Error, ClientError, OSError)
        self._transfer = TransferConfig(use_threads=False)
        retries = {"total_max_attempts": ATTEMPTS, "mode": "standard"}
        config = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries=retries)
        try:
            self._client: Any = boto3.session.Session().client("s3", endpoint_url=endpoint, config=config)
        except self._errors as error:
            raise PlaceError(f"S3 cannot be used: {error}") from None

    def put(self, name: str, path: Path) -> None:
        try:
            self._client.upload_file(str(path), self._bucket, self._key(name), Config=self._transfer)
        except self._errors as error:
            raise PlaceError(f"the bucket did not take the recording: {error}") from None

    def get(self, name: str, path: Path) -> bool:
        try:
            self._client.download_file(self._bucket, self._key(name), str(path), Config=self._transfer)
        except self._errors as error:
            if getattr(error, "response", {}).get("Error", {}).get("Code") in ("404", "NoSuchKey"):
                return False
            raise PlaceError(f"the bucket did not give the recording: {error}") from None
        return True

    def delete(self, name: str) -> None:
        try:
            self._client.delete_object(Bucket=self._bucket, Key=self._key(name))
        except self._errors as error:
            raise PlaceError(f"the bucket did not delete the recording: {error}") from None

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name


def place_at(where: str, endpoint: str | None = None) -> Place:
    """``where`` is a folder, or ``s3://bucket`` or ``s3://bucket/prefix``."""
    return Bucket(where, endpoint) if where.startswith("s3://") else Folder(Path(where))
