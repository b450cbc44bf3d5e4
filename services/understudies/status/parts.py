"""What single services know of the tasks; light to import, as commands that only ask need it."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from understudies.events import Utc
from understudies.status.standing import (
    CallCounts,
    LastDecision,
    MeasuredAgreement,
    StoryEvent,
    TaskStanding,
    TrialProgress,
)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)

    at: Utc


class OwnedPartitions(BaseModel):
    """The partitions that one of several copies has, by number, of so many."""

    model_config = ConfigDict(frozen=True)

    numbers: tuple[int, ...]
    count: int


class BudgetPart(_Part):
    """The standings of the tasks of one budget service, without what the others know."""

    service: Literal["budget"] = "budget"
    partitions: OwnedPartitions | None = Field(default=None, description="those of its tasks, with --partitioned")
    tasks: tuple[TaskStanding, ...]


class TrialStanding(BaseModel):
    """How one trial stands."""

    model_config = ConfigDict(frozen=True)

    promised: float
    agreement: MeasuredAgreement | None = None
    progress: TrialProgress | None = None
    next_look: Utc | None = None


class EvaluatorPart(_Part):
    """The trials of one evaluator, by student."""

    service: Literal["evaluator"] = "evaluator"
    partitions: OwnedPartitions | None = Field(default=None, description="those of its tasks, with --partitioned")
    trials: dict[str, TrialStanding]
    judge_failures: dict[str, str] = Field(default={}, description="why judges give no verdict now, by llm[NAME]")


class ObserverPart(_Part):
    """What the store knows, by task; the events of the task that was asked for."""

    service: Literal["observer"] = "observer"
    today: dict[str, CallCounts]
    price_sources: dict[str, str]
    last_decisions: dict[str, LastDecision]
    events: tuple[StoryEvent, ...] = ()


class RouterPart(_Part):
    """Why students in force could not be loaded by one router, by name."""

    service: Literal["router"] = "router"
    not_loaded: dict[str, str]


class TrainerPart(_Part):
    """How far the trainings of one trainer have come, by student; what it trained, the others know."""

    service: Literal["trainer"] = "trainer"
    training: dict[str, str] = {}
    judge_failures: dict[str, str] = Field(default={}, description="why judges give no verdict now, by llm[NAME]")


StatusPart = Annotated[
    BudgetPart | EvaluatorPart | ObserverPart | RouterPart | TrainerPart, Field(discriminator="service")
]
STATUS_PART: TypeAdapter[StatusPart] = TypeAdapter(StatusPart)
