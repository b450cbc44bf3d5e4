"""The budget's state of one student: a fold over its events."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

from understudies.events import Drift, GateDecision, Invocation, Promotion, Verdict, usd
from understudies.persistence.saved_state import Key, SavedState

TRIAL_STAGES = frozenset({"authorised", "collected", "trained", "qualified"})
_FINAL_STAGES = frozenset({"rejected", "demoted", "retired"})
_DECIDED_STAGES = frozenset({"authorised", "qualified", "promoted"})
"""Stages before the final ones that the budget alone decides."""
_MIN_ANSWERS = 30
"""Served answers from which their mean cost is more reliable than the cost measured in validation."""


class MoreAudits(NamedTuple):
    """For what more of a serving student's answers are audited than usual, and until when."""

    purpose: str
    until: datetime


@dataclass(slots=True)
class StudentState(SavedState):
    """A student's latest promotion and gate decision, its costs and its audits."""

    promotion: Annotated[Promotion, Key("story")]
    seen: list[str] = field(default_factory=list)
    examples: int = 0
    authorised_at: datetime | None = None
    expected_share: float | None = None
    validated_cost: Decimal | None = None
    asked: int = 0
    paid: Decimal = Decimal(0)
    decision: GateDecision | None = None
    drift: Drift | None = None
    restriction: Annotated[Drift | None, Key("held")] = None
    """The change after which it must be proven again before it serves its full share."""
    share_before: float = 0.0
    """The share that it served when the restriction began."""
    proven_share: float = 0.0
    step_since: datetime | None = None
    step_audited: int = 0
    step_agreed: int = 0
    judged: int = 0
    audited: int = 0
    agreed: int = 0
    audited_before_decision: int = 0
    """The number of its audits when the gates last decided."""
    investment: dict[str, Any] = field(default_factory=dict)
    contradicted_at: datetime | None = None
    """When a process that no longer has the task said otherwise of the student; its stage is to be said again."""

    @property
    def name(self) -> str:
        return self.promotion.student

    @property
    def version(self) -> int:
        return int(self.name.rpartition("@")[2])

    @property
    def is_on_trial(self) -> bool:
        return self.promotion.stage in TRIAL_STAGES

    @property
    def is_serving(self) -> bool:
        return self.promotion.stage == "promoted"

    @property
    def agreement(self) -> float | None:
        """The share of its audits that agreed; before the first audit, that of all gate evidence; None without any."""
        if self.audited:
            return self.agreed / self.audited
        evidence: dict[str, Any] = dict(self.decision.evidence) if self.decision else {}
        curve = evidence.get("curve")
        return curve[-1]["agreement"] if curve else None

    @property
    def cost_per_answer(self) -> Decimal | None:
        """The price of an answer in US dollars: the mean in service, else that in validation, else None."""
        return usd(self.paid / self.asked) if self.asked >= _MIN_ANSWERS else self.validated_cost

    def record_cost(self, call: Invocation) -> None:
        """Add the cost of a call in which the student was asked, whether it served or not."""
        student_cost = call.route.student_cost_usd if call.route else Decimal(0)
        self.asked += 1
        self.paid += student_cost or (call.cost_usd if call.served_by == "student" else Decimal(0))

    def is_contradicted_by(self, promotion: Promotion) -> bool:
        """Return whether a promotion does not follow the student's stage: it was decided by an older state.

        Whoever is out of service comes back under another name, and nobody in service is made or tried again. A trial
        that was ended as lost may yet be collected and trained, which others than the budget say.
        """
        if self.promotion.stage in _FINAL_STAGES:
            return promotion.stage in _DECIDED_STAGES
        return self.is_serving and promotion.stage in TRIAL_STAGES

    def apply_promotion(self, promotion: Promotion) -> None:
        """Apply the next promotion; a step of the ramp restarts its audit counts."""
        self.contradicted_at = None
        # Without a step, the state begins with this promotion: the topic is compacted, and a snapshot may be lost.
        # A restriction interrupts a step of the ramp without restarting it: its audits cover the same serving path.
        new_step = promotion.share != self.promotion.share and self.restriction is None
        if promotion.stage == "promoted" and (self.step_since is None or new_step):
            self.step_since, self.step_audited, self.step_agreed = promotion.at, 0, 0
        if promotion.stage == "promoted":
            self.proven_share = float(str(promotion.evidence.get("coverage") or 0.0))
            self._record_validated_cost(promotion.evidence)
        if promotion.stage == "authorised":
            self.authorised_at = promotion.at
            self.investment = dict(promotion.evidence)
            self.examples = int(str(promotion.evidence.get("examples", 0)))
        if promotion.stage == "trained":
            validation = promotion.evidence.get("validation")
            if isinstance(validation, dict):
                self.expected_share = float(str(validation.get("expected_coverage", 0.0)))
                self._record_validated_cost(validation)
        self.promotion = promotion

    def _record_validated_cost(self, evidence: Mapping[str, Any]) -> None:
        if evidence.get("cost_per_call_usd") is not None:
            self.validated_cost = usd(str(evidence["cost_per_call_usd"]))

    def restrict_share(self, change: Drift) -> None:
        """Restrict a student to the canary share after a change; remember the share that it serves, to restore it.

        One that does not serve yet may not begin to on what its gates decided before.
        """
        if self.is_serving:
            self.share_before = max(self.promotion.share, self.share_before)
        if self.is_serving or self.is_on_trial:
            self.restriction = change

    def lift_restriction(self) -> None:
        """End the restriction: the student is proven again."""
        self.restriction, self.share_before = None, 0.0

    @property
    def more_audits(self) -> MoreAudits | None:
        """For what, and until when, more of its answers are audited than usual; None if they are not."""
        evidence = self.promotion.evidence
        purpose, until = evidence.get("more_audits"), evidence.get("more_audits_until")
        if not (isinstance(purpose, str) and isinstance(until, str)):
            return None
        return MoreAudits(purpose, datetime.fromisoformat(until))

    @property
    def is_reproven(self) -> bool:
        """Return whether the gates have promoted the student again since it was restricted."""
        decision = self.decision
        return (
            self.restriction is not None
            and decision is not None
            and decision.decision == "promote"
            and decision.at >= self.restriction.at
            and decision.evidence.get("held") is None
        )

    def apply_decision(self, decision: GateDecision) -> None:
        """Apply a decision of its gates."""
        self.decision, self.audited_before_decision = decision, self.audited

    def record_verdict(self, verdict: Verdict) -> None:
        """Count one verdict: an audit, or a shadow verdict that counts as evidence and cost a teacher's call."""
        if verdict.phase != "audit":
            self.judged += verdict.phase == "shadow" and verdict.counts
            return
        if verdict.spot_check:
            return
        self.audited += 1
        self.step_audited += 1
        self.agreed += verdict.agreed
        self.step_agreed += verdict.agreed
