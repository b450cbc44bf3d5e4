"""Settings of the evaluator."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class EvaluatorSettings(BaseSettings):
    """Read from the environment, prefix `UNDERSTUDIES_EVALUATOR_`."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDIES_EVALUATOR_", frozen=True)

    alpha: float = Field(default=0.05, gt=0, lt=1, description="chance, over all looks, of promoting wrongly")
    beta: float = Field(default=0.05, gt=0, lt=1, description="chance, over all looks, of rejecting wrongly")
    n_max: int = Field(default=5000, gt=0, description="verdicts after which a trial is inconclusive")
    class_floor: float = Field(default=0.80, ge=0, le=1, description="agreement owed to each class of answers")
    class_verdicts: int = Field(default=2, ge=1, description="verdicts of a class from which the floor counts")
    over_all_students: bool = Field(
        default=False, description="whether alpha is spent over all students of a task together, not on each of them"
    )
    min_span_hours: float = Field(default=24, ge=0, description="traffic that the evidence must span")
    served_memory: int = Field(default=20_000, gt=0, description="drawn calls that wait for their audit")
