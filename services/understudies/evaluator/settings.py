"""Settings of the evaluator."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class EvaluatorSettings(BaseSettings):
    """Settings of the evaluator, read from the environment with prefix `UNDERSTUDIES_EVALUATOR_`."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_EVALUATOR_", frozen=True)

    alpha: float = Field(
        default=0.05, gt=0, lt=1, description="maximum probability, over all looks, of a wrong promotion"
    )
    beta: float = Field(
        default=0.05, gt=0, lt=1, description="maximum probability, over all looks, of a wrong rejection"
    )
    n_max: int = Field(default=5000, gt=0, description="verdicts after which a trial is inconclusive")
    class_floor: float = Field(default=0.80, ge=0, le=1, description="minimum agreement within each class of answers")
    class_verdicts: int = Field(default=2, ge=1, description="minimum verdicts of a class for the floor to apply")
    over_all_students: bool = Field(
        default=False, description="whether alpha is spent over all students of a task together, instead of on each"
    )
    min_span_hours: float = Field(default=24, ge=0, description="minimum time span of traffic that the evidence covers")
    served_memory: int = Field(
        default=20_000, gt=0, description="maximum sampled calls that wait for their audit; the oldest are dropped"
    )
    judge_wait_s: float = Field(
        default=20.0,
        gt=0,
        description="time after which a judge that asks a model or runs code begins no more of a batch of a task's "
        "calls; those have no judgement",
    )
