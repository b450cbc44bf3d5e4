"""Topic `drift`: a promoted student agrees less than before, or its conditions changed."""

from typing import Literal

from pydantic import Field

from understudies.events.base import Event

Cause = Literal[
    "agreement",  # audited verdicts disagree more often than allowed
    "traffic",  # the student is confident on fewer or more calls than it was proven on
    "teacher",  # another model answers as the teacher
    "calendar",  # the first calls of a kind of day, weekday or weekend, that the student was not proven on
]


class Drift(Event):
    """A detector raised an alarm, or a condition changed; tier `contract` takes the student out of service at once.

    A cause other than agreement is no evidence against the student: it serves the canary share until it is proven
    again, and one that does not serve yet waits until then.
    """

    type: Literal["drift"] = "drift"
    student: str
    tier: Literal["warn", "contract"]
    drifted: bool = True
    cause: Cause = "agreement"
    confidence: float = Field(ge=0, le=1, description="1 - 1/A for the threshold A that the statistic reached")
    statistic: float
    audited: int = Field(ge=0, description="audited verdicts since the student began to serve, or since the last alarm")
    agreement_before: float | None = None
    agreement_after: float | None = None
