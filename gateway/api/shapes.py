"""Shapes that several parts of the API share: numbers, times, paging."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema
from typing_extensions import TypedDict

from pipelines.agent import Strict
from pipelines.agent.options import CallHook
from pipelines.agent.strict import A_TIME, refuse
from pipelines.agent.telephone import digits
from store import Page

T = TypeVar("T")

Digits = Annotated[str, AfterValidator(digits), Field(examples=["+442080996945"])]

_NUMBER = re.compile(r"\s*[+-]?[\d._]+(e[+-]?\d+)?\s*", re.IGNORECASE)

Handler = Literal["jambonz", "livekit", "ultravox"]


class Done(TypedDict):
    success: bool
    message: str


def iso(moment: datetime | None) -> str | None:
    """As JavaScript writes it: ``2026-11-20T12:00:00.000Z``."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _in_words(value: object) -> object:
    """Pydantic would take a number for the seconds since 1970."""
    if isinstance(value, int | float) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        raise refuse(A_TIME)
    return value


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:  # at the ends of the calendar, in another zone
        raise refuse(A_TIME) from None


Moment = Annotated[datetime, BeforeValidator(_in_words), AfterValidator(_in_utc)]
"""A date, or a time; without a zone it is UTC."""

Instant = Annotated[AwareDatetime, BeforeValidator(_in_words), AfterValidator(_in_utc)]
"""A time with its zone."""


class _WithCallHook(BaseModel):
    """Metadata: anything, and the name that means something to the service."""

    callHook: CallHook | None = None


def _metadata(value: dict[str, Any]) -> dict[str, Any]:
    _WithCallHook.model_validate(value)
    return value


Metadata = Annotated[dict[str, Any], AfterValidator(_metadata)]
"""What functions can read; a ``callHook`` in it has to be one."""


class Like:
    """Annotates a plain dict of an answer: its JSON is that of ``model``, which is not built just to be taken apart."""

    def __init__(self, model: type[Strict]) -> None:
        self._model = model

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(self._model.__pydantic_core_schema__)


class Window(Strict):
    """``limit`` rows after the first ``offset``; more than 200 are not given at once."""

    limit: int = Field(default=50, ge=1)
    offset: int = Field(default=0, ge=0, le=2**31)

    @property
    def page(self) -> Page:
        """One row more than is shown: whether it is there says whether there is a next page."""
        return Page(self.shown + 1, self.offset)

    @property
    def shown(self) -> int:
        return min(self.limit, 200)

    def split(self, rows: list[T]) -> tuple[list[T], int | None]:
        """The rows to show, and the offset of the next page if there is one."""
        return rows[: self.shown], self.offset + self.shown if len(rows) > self.shown else None


class OffsetQuery(Strict):
    """``pageSize`` rows after the first ``offset``."""

    offset: int = Field(default=0, ge=0, le=2**31)
    page_size: int = Field(default=50, ge=1)

    @property
    def window(self) -> Window:
        return Window(limit=self.page_size, offset=self.offset)
