"""Define the rules of the router itself."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from understudies.redaction.packs import Pack, build_redactor

OnlineUnavailableRule = Literal["student_only", "serve", "refuse"]
"""Calls with a budget while Redis is unavailable: serve confident student answers only, serve all, or refuse all."""


class RouterRules(BaseModel):
    """Rules that apply to every call; an absent one is taken from the environment (`UNDERSTUDIES_ROUTER_…`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    require_key: bool | None = Field(
        default=None, description="whether a call needs a tenant's key; absent: if there are tenants"
    )
    max_body_bytes: int | None = Field(default=None, gt=0, description="largest request body; larger ones get a 413")
    request_timeout_s: float | None = Field(default=None, gt=0, description="longest total time for a request")
    when_online_away: OnlineUnavailableRule | None = Field(
        default=None, description="how to treat calls with a budget while Redis is unavailable; absent: student_only"
    )
    redact_packs: tuple[Pack, ...] = Field(
        default=(),
        description="what is redacted beside the default: passwords, cloud_secrets, national_ids, local_phones; "
        "applies from the next start",
    )
    redact_patterns: dict[str, str] = Field(
        default_factory=dict,
        description="patterns of your own, by the names of their placeholders; applies from the next start",
    )
    spool_max_bytes: int | None = Field(
        default=None, gt=0, description="most bytes on disk while the bus is unavailable; applies from the next start"
    )

    @field_validator("redact_patterns")
    @classmethod
    def _check_patterns(cls, patterns: dict[str, str]) -> dict[str, str]:
        build_redactor((), patterns)
        return patterns
