"""The body of an answer over HTTP: no more of it than is of use, before and after it is decompressed. Pure."""

from __future__ import annotations

import re
import zlib

LARGEST_ANSWER = 1024 * 1024
"""Bytes of an answer as it comes, and of what is in it."""

_TEXT = re.compile(r"(text/.+|application/(.+\+)?(json|xml)|application/(x-www-form-urlencoded|javascript|x-ndjson))")
_CHARSETS = re.compile(
    r"utf-?8|us-ascii|iso-8859-\d{1,2}|latin-?1|windows-125\d|utf-?16(le|be)?|shift_jis|euc-jp|gb18030"
)


class BadBody(ValueError):
    """The message is the rest of a sentence: what is wrong with the answer."""


class Body:
    """``encoding`` is the ``Content-Encoding``. Raises :class:`BadBody`."""

    def __init__(self, encoding: str) -> None:
        self._kept = bytearray()
        self._came = 0
        match encoding.strip().lower():
            case "" | "identity":
                self._inflate = None
            case "gzip" | "x-gzip":
                self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
            case "deflate":
                self._inflate = zlib.decompressobj()
            case _:
                raise BadBody("came in an encoding that was not asked for")

    def feed(self, data: bytes) -> bytes:
        """What is in it."""
        self._came += len(data)
        if self._came > LARGEST_ANSWER:
            raise BadBody("was more than 1 MiB")
        if self._inflate is None:
            self._kept += data
            return data
        try:
            data = self._inflate.decompress(data, LARGEST_ANSWER + 1 - len(self._kept))
        except zlib.error:
            raise BadBody("was not compressed as it said") from None
        self._kept += data
        if len(self._kept) > LARGEST_ANSWER:
            raise BadBody("was more than 1 MiB")
        return data

    def text(self, content_type: str, charset: str | None) -> str | None:
        """None where it is nothing that can be read."""
        if self._kept and not _TEXT.fullmatch(content_type.lower()):
            return None
        known = charset if charset is not None and _CHARSETS.fullmatch(charset.lower()) else "utf-8"
        return bytes(self._kept).decode(known, errors="replace")
