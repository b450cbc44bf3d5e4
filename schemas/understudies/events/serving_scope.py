"""The scope of a promoted student: stricter levels that are proven, and what it must not answer at any confidence."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_Agreement = Annotated[float, Field(gt=0, le=1)]

ProvenLevels = tuple[tuple[_Agreement, float], ...]
"""Pairs of an agreement and the confidence from which it is proven, rising in both."""

LEVELS_DESCRIPTION = (
    "agreement proven from a confidence on, as [agreement, confidence], rising in both; the first holds "
    "from the threshold on"
)


class Withheld(BaseModel):
    """Answers, inputs and groups of calls that stay with the teacher because of the evidence against them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    answers: dict[str, float] = Field(
        default_factory=dict,
        description="the student's answers by key, each with the confidence up to which it is withheld; 1: always",
    )
    inputs: tuple[str, ...] = Field(default=(), description="inputs of the head, by their keys")
    groups: tuple[str, ...] = Field(default=(), description="calls by tenant or tag, such as `tenant=acme`")

    def __bool__(self) -> bool:
        return bool(self.answers or self.inputs or self.groups)


ALWAYS = 1.0
"""Withhold an answer whatever the student's confidence."""

NOTHING_WITHHELD = Withheld()

WITHHELD_DESCRIPTION = "what stays with the teacher although the student's confidence suffices"
HEAD_THRESHOLD_DESCRIPTION = "confidence from which inputs of the head are answered; absent: they stay with the teacher"
