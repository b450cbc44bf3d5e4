"""The rules of the router itself."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

OnlineUnavailableRule = Literal["student_only", "serve", "refuse"]
"""While Redis is away, of calls with a budget: students serve what they are sure of, or all are served, or none."""


class RouterRules(BaseModel):
    """What holds for every call; each one that is absent is as the environment says (`UNDERSTUDIES_ROUTER_…`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    require_key: bool | None = Field(
        default=None, description="whether a call needs a tenant's key; absent: where there are tenants"
    )
    max_body_bytes: int | None = Field(default=None, gt=0, description="largest request, answered 413 above")
    request_timeout_s: float | None = Field(default=None, gt=0, description="longest time for a request, all in all")
    when_online_away: OnlineUnavailableRule | None = Field(
        default=None, description="what becomes of calls with a budget while Redis is away; absent: student_only"
    )
    spool_max_bytes: int | None = Field(
        default=None, gt=0, description="most that is kept on disk for a bus that is away; holds from the next start"
    )
