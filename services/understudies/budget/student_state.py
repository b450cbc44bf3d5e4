"""What the budget knows of one student."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from understudies.events import Drift, GateDecision, Invocation, Promotion, Verdict, usd

TRIAL_STAGES = frozenset({"authorised", "collected", "trained", "qualified"})
_MIN_ANSWERS = 30
"""Answers in service before their mean cost says more than validation did."""


@dataclass(slots=True)
class StudentState:
    """A student's promotions so far, its gate's last word and its audits."""

    promotion: Promotion
    seen: list[str] = field(default_factory=list)
    examples: int = 0
    authorised_at: datetime | None = None
    expected_share: float | None = None
    validated_cost: Decimal | None = None
    asked: int = 0
    paid: Decimal = Decimal(0)
    decision: GateDecision | None = None
    drift: Drift | None = None
    held: Drift | None = None
    """What changed, where it is to be proven anew before it serves its share again."""
    share_before: float = 0.0
    """The share that it served when that began."""
    proven_share: float = 0.0
    step_since: datetime | None = None
    step_audited: int = 0
    step_agreed: int = 0
    judged: int = 0
    audited: int = 0
    agreed: int = 0
    investment: dict[str, Any] = field(default_factory=dict)

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
        """Share of its audits that agreed; before the first, of all the evidence that its gates saw."""
        if self.audited:
            return self.agreed / self.audited
        evidence: dict[str, Any] = dict(self.decision.evidence) if self.decision else {}
        curve = evidence.get("curve")
        return curve[-1]["agreement"] if curve else None

    @property
    def cost_per_answer(self) -> Decimal | None:
        """US dollars of an answer: the mean in service, before that the one in validation; None where none is known."""
        return usd(self.paid / self.asked) if self.asked >= _MIN_ANSWERS else self.validated_cost

    def record_cost(self, call: Invocation) -> None:
        """Count what a call cost in which it was asked, whether or not it served."""
        own = call.route.student_cost_usd if call.route else Decimal(0)
        self.asked += 1
        self.paid += own or (call.cost_usd if call.served_by == "student" else Decimal(0))

    def apply_promotion(self, promotion: Promotion) -> None:
        """Take in the next promotion; a step of the ramp starts its own count of audits."""
        # Without a step, this state begins with the promotion: the topic is compacted, and a snapshot may be lost.
        # A hold interrupts a step of the ramp and does not begin it anew: its audits are of the same serving path.
        new_step = promotion.share != self.promotion.share and self.held is None
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

    def hold_share(self, change: Drift) -> None:
        """Something changed: the share in force is what it comes back to once it is proven again."""
        if self.is_serving:
            self.share_before = max(self.promotion.share, self.share_before)
            self.held = change

    def release_share(self) -> None:
        """It is proven again."""
        self.held, self.share_before = None, 0.0

    @property
    def is_reproven(self) -> bool:
        """Whether the gates have spoken for it since it was held."""
        decision = self.decision
        return (
            self.held is not None
            and decision is not None
            and decision.decision == "promote"
            and decision.at >= self.held.at
            and decision.evidence.get("held") is None
        )

    def record_verdict(self, verdict: Verdict) -> None:
        """Count one verdict: an audit, or in shadow one that is evidence and cost a teacher's call."""
        if verdict.phase != "audit":
            self.judged += verdict.phase == "shadow" and verdict.counts
            return
        if verdict.spot_check:
            return
        self.audited += 1
        self.step_audited += 1
        self.agreed += verdict.agreed
        self.step_agreed += verdict.agreed

    def state(self) -> dict[str, Any]:
        return {
            "story": self.promotion.model_dump(mode="json"),
            "seen": list(self.seen),
            "examples": self.examples,
            "authorised_at": self.authorised_at and self.authorised_at.isoformat(),
            "expected_share": self.expected_share,
            "validated_cost": None if self.validated_cost is None else str(self.validated_cost),
            "asked": self.asked,
            "paid": str(self.paid),
            "decision": self.decision and self.decision.model_dump(mode="json"),
            "drift": self.drift and self.drift.model_dump(mode="json"),
            "held": self.held and self.held.model_dump(mode="json"),
            "share_before": self.share_before,
            "proven_share": self.proven_share,
            "step_since": self.step_since and self.step_since.isoformat(),
            "step_audited": self.step_audited,
            "step_agreed": self.step_agreed,
            "judged": self.judged,
            "audited": self.audited,
            "agreed": self.agreed,
            "investment": self.investment,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "StudentState":
        cost = state.get("validated_cost")
        parsed = {
            "promotion": Promotion.model_validate(state["story"]),
            "decision": state["decision"] and GateDecision.model_validate(state["decision"]),
            "drift": state["drift"] and Drift.model_validate(state["drift"]),
            "held": Drift.model_validate(state["held"]) if state.get("held") else None,
            "validated_cost": None if cost is None else Decimal(cost),
            "paid": Decimal(state.get("paid", "0")),
            "authorised_at": state["authorised_at"] and datetime.fromisoformat(state["authorised_at"]),
            "step_since": state["step_since"] and datetime.fromisoformat(state["step_since"]),
        }
        kept = {name: value for name, value in state.items() if name != "story"}
        return cls(**{**kept, **parsed})
