"""An erasure: as it is asked for, and as it is told."""

import re
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


def describe_problems(error: ValidationError) -> str:
    """Return what is wrong with a request, in words, without what was given."""
    problems = error.errors(include_url=False, include_input=False)
    return "; ".join(
        f"{'.'.join(map(str, one['loc']))}: {text}" if one["loc"] else text
        for one in problems
        if (text := one["msg"].removeprefix("Value error, "))
    )


class ErasureRequest(BaseModel):
    """What is to be erased, by whom and why; without `execute`, only find out what that would be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: str = Field(default="", max_length=200)
    fingerprint: str = ""
    by: str = Field(min_length=1, max_length=200)
    why: str = Field(min_length=1, max_length=2000)
    execute: bool = False

    @field_validator("by", "why", mode="before")
    @classmethod
    def _strip(cls, value: object) -> object:
        return value.strip() if isinstance(value, str) else value

    @field_validator("fingerprint")
    @classmethod
    def _check_fingerprint(cls, value: str) -> str:
        if value and not _FINGERPRINT.fullmatch(value):
            raise ValueError("a fingerprint has 64 hexadecimal digits in lower case, as each call is recorded with")
        return value

    @model_validator(mode="after")
    def _name_something(self) -> Self:
        if not self.tenant and not self.fingerprint:
            raise ValueError("name a tenant, a fingerprint, or both")
        return self

    def __str__(self) -> str:
        named = [f"tenant {self.tenant!r}"] if self.tenant else []
        if self.fingerprint:
            named.append(f"fingerprint {self.fingerprint[:12]}…")
        return ", ".join(named)


class TrainedStudent(BaseModel):
    """A student whose dataset held calls that are erased."""

    model_config = ConfigDict(frozen=True)

    name: str
    task: str
    stage: str
    dataset: str
    artifact: str | None = None

    @property
    def has_ended(self) -> bool:
        """Return whether it neither serves nor ever will, so that its artifact goes at once."""
        return self.stage in ("rejected", "demoted", "retired")


class ErasureReport(BaseModel):
    """What was erased, or would be."""

    model_config = ConfigDict(frozen=True)

    id: str | None = None
    """The erasure's own id once it is done; None if nothing was changed."""
    calls: int = 0
    verdicts: int = 0
    marks: int = 0
    tasks: dict[str, int] = Field(default_factory=dict)
    students: tuple[TrainedStudent, ...] = ()
    datasets: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()
    """The artifacts that go; those of students that may still serve stay until these have ended."""
    retrained: tuple[str, ...] = ()
    """The tasks for which a new student is asked."""
