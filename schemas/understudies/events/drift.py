"""Topic `drift`: a promoted student no longer agrees as it did."""

from typing import Literal

from pydantic import Field

from understudies.events.base import Event

Cause = Literal[
    "agreement",  # audited verdicts disagree more often than they may
    "traffic",  # the student is sure of fewer or more calls than it was proven on
    "teacher",  # another model answers as the teacher
    "calendar",  # the first calls of a kind of day, weekday or weekend, that the student was not proven on
]


class Drift(Event):
    """A detector raised its alarm, or something changed; tier `contract` takes the student out of service at once.

    A cause other than agreement proves nothing against the student: it serves the canary share until it is proven anew.
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
