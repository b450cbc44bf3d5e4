"""Topic `drift`: a promoted student no longer agrees as it did."""

from typing import Literal

from pydantic import Field

from understudies.events.base import Event


class Drift(Event):
    """A drift detector raised its alarm; tier `contract` takes the student out of service at once."""

    type: Literal["drift"] = "drift"
    student: str
    tier: Literal["warn", "contract"]
    drifted: bool = True
    confidence: float = Field(ge=0, le=1, description="1 - 1/A for the threshold A that the statistic reached")
    statistic: float
    audited: int = Field(ge=0, description="audited verdicts since the switch or the last alarm")
    agreement_before: float | None = None
    agreement_after: float | None = None
