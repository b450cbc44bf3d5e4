"""Define the base of every event, and the types that events share."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

TASK_NAME_RULE: Final = (
    "a task name has 1 to 200 characters (letters, digits, spaces, -, _, :, and so on) and begins with no space; "
    "slashes, at signs and control characters are not allowed"
)
"""The rule of task names, in words for users."""


def to_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Utc = Annotated[AwareDatetime, AfterValidator(to_utc)]
"""A moment with a time zone, converted to UTC."""


def _explain_task_name(name: Any, check: ValidatorFunctionWrapHandler) -> Any:
    try:
        return check(name)
    except ValidationError:
        raise PydanticCustomError("task_name", TASK_NAME_RULE) from None


TaskName = Annotated[
    str,
    Field(min_length=1, max_length=200, pattern=r"^[^\s/@\x00-\x1f][^/@\x00-\x1f]*$"),
    WrapValidator(_explain_task_name),
]
"""A task's name without slash or at sign, which separate task, student and version elsewhere."""

_TASK_NAME: Final[TypeAdapter[str]] = TypeAdapter(TaskName)


def is_task_name(name: object) -> bool:
    """Return whether events allow the name for a task.

    >>> is_task_name("ticket-triage"), is_task_name("tickets/triage")
    (True, False)
    """
    try:
        _TASK_NAME.validate_python(name)
    except ValidationError:
        return False
    return True


class Event(BaseModel):
    """A fact that happened; immutable, named in the past tense, readable forever."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    id: str = Field(min_length=1, max_length=64, description="UUIDv7; the same event delivered twice keeps it")
    at: Utc = Field(description="when it happened, UTC")
    task: TaskName
