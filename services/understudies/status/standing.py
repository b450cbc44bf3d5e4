"""The standing of a task: its phase, what it waits for, and the figures behind both."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from understudies.events import Usd, Utc
from understudies.status.decision import DecisionInForce

STATUS_PATH: Final = "/status"
"""Path below a router's base URL at which `understudies up` answers."""
STEERING_PATH: Final = "/steering"
"""Path at which it takes people's decisions."""
BACKUP_PATH: Final = "/backup"
"""Path at which it stages a backup."""
ERASURE_PATH: Final = "/erasure"
"""Path at which it erases calls."""
EXPORT_PATH: Final = "/export"
"""Path at which it gives the examples of a task."""
IMPORT_PATH: Final = "/import"
"""Path at which it takes imported calls."""

Phase = Literal["recording", "trial", "serving", "drifted", "kept with the teacher", "critical", "paused"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class TeacherPrice(_Frozen):
    """The mean price of a teacher's answer, and where the price of the last one is from."""

    usd: Usd
    source: str


class MeasuredAgreement(_Frozen):
    """How often a student agreed with the teacher, with the lower bound that holds at every look."""

    agreed: int
    compared: int
    lower: float
    basis: str = Field(description="what was compared")

    @property
    def share(self) -> float:
        """The share of the comparisons that agreed."""
        return self.agreed / self.compared


class TrialProgress(_Frozen):
    """How far the gates of a student on trial are: e-values at the threshold tested next, and what passes there."""

    input_evidence: float
    call_evidence: float
    evidence_needed: float
    verdicts: int
    calls: int = Field(description="calls since the dataset on which it was judged")
    whole_days: int


class LastDecision(_Frozen):
    """The latest decision about a task or its students."""

    at: Utc
    what: str
    student: str
    reason: str


class CallCounts(_Frozen):
    """Calls without audits and cached answers, and those of them that a student served."""

    calls: int = 0
    served: int = 0

    @property
    def served_share(self) -> float:
        """The share of the calls that a student served."""
        return self.served / self.calls if self.calls else 0.0


class TaskStanding(_Frozen):
    """How one task stands; None where a figure is unknown, or does not apply to the phase."""

    task: str
    phase: Phase
    waits_for: str = Field(description="what happens next, or why nothing does")
    examples: int | None = Field(default=None, description="distinct inputs with an answer of the teacher")
    needed: int | None = Field(default=None, description="examples that the next student needs")
    teacher_price: TeacherPrice | None = None
    roi: float | None = Field(default=None, description="return on the next student within its horizon")
    break_even_calls: int | None = None
    weekly_calls: int | None = Field(default=None, description="calls a week, as forecast")
    student: str | None = Field(default=None, description="the student in service, else on trial, else the last one")
    stage: str | None = Field(default=None, description="its latest stage")
    not_loaded: str | None = Field(default=None, description="why the student in force cannot be loaded")
    judge: str | None = Field(default=None, description="the judge of its rules; None: chosen by the form of answers")
    judge_failure: str | None = Field(default=None, description="why that judge gives no verdict now")
    agreement: MeasuredAgreement | None = None
    promised: float = Field(description="the agreement to be proven")
    trial: TrialProgress | None = None
    next_look: Utc | None = None
    share: float | None = Field(default=None, description="share of the eligible calls that the student may serve")
    coverage: float | None = Field(default=None, description="share of all calls on which it is proven")
    today: CallCounts = CallCounts()
    to_date: CallCounts = CallCounts()
    spent_usd: Usd | None = None
    saved_usd: Usd | None = Field(default=None, description="saved to date, net of training, trials and audits")
    last_decision: LastDecision | None = None
    steered: tuple[DecisionInForce, ...] = Field(default=(), description="what people decided that holds now")


class Overview(_Frozen):
    """The standing of all tasks at one time."""

    at: Utc
    source: str = Field(description="where it was read")
    tasks: tuple[TaskStanding, ...] = ()
    missing: tuple[str, ...] = Field(default=(), description="who did not answer, and what is not here therefore")

    def of(self, task: str) -> TaskStanding | None:
        """Return the standing of one task; None if there is no such task."""
        return next((standing for standing in self.tasks if standing.task == task), None)


class StoryEvent(_Frozen):
    """One thing that happened to a task."""

    at: Utc
    what: str
    student: str | None = None
    text: str = ""


class TaskStory(_Frozen):
    """A task's standing and all that happened to it, oldest first."""

    standing: TaskStanding
    events: tuple[StoryEvent, ...] = ()
    missing: tuple[str, ...] = Field(default=(), description="who did not answer, and what is not here therefore")
