"""What every event has."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field


def to_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Utc = Annotated[AwareDatetime, AfterValidator(to_utc)]
"""A moment with a time zone, kept in UTC."""

TaskName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\s/@\x00-\x1f][^/@\x00-\x1f]*$")]
"""A task's name: no slash or at sign, which separate task, student and version elsewhere."""


class Event(BaseModel):
    """A fact that happened; immutable, named in the past tense, readable for ever."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    id: str = Field(min_length=1, max_length=64, description="UUIDv7; the same event delivered twice keeps it")
    at: Utc = Field(description="when it happened, UTC")
    task: TaskName
