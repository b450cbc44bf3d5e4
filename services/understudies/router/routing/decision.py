"""Who serves a call: the routing decision, pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NamedTuple

from understudies.events import NOTHING_WITHHELD, Reason, Route, Withheld, position
from understudies.router.call import ZERO_USD
from understudies.runtime.fast_dataclass import fast_dataclass


@dataclass(frozen=True, slots=True)
class TaskRoute:
    """What is in force for a task: its promoted student, and how far it is trusted."""

    student: str
    artifact: str
    threshold: float
    share: float
    drifted: bool = False
    audit_probability: float = 0.0
    levels: tuple[tuple[float, float], ...] = ()
    """Agreement proven from a threshold on, as (agreement, threshold), rising in both."""
    head_threshold: float | None = None
    """Confidence from which inputs of the head are answered; None: they stay with the teacher."""
    withheld: Withheld = NOTHING_WITHHELD
    judge: str | None = None
    """By which its answers are compared with the teacher's."""
    spot_checks: bool = False
    """Whether the first of each answer on a day is audited beyond the draw."""


class RouteRecord(NamedTuple):
    """A decision as it is written on the event, in plain values."""

    reason: Reason
    threshold: float | None
    share: float
    audit_probability: float
    student_cost_usd: Decimal
    drawn: bool | None
    head: bool = False
    spot_check: bool = False

    def to_route(self) -> Route:
        """The same, validated."""
        return Route(**self._asdict())


@fast_dataclass
class Decision:
    """Where a call goes and why; `promoted` means that the student is asked, or has answered."""

    reason: Reason
    route: TaskRoute | None = None
    head: bool = False
    """Whether the input is of the head, as the student that was asked told."""

    @property
    def is_for_student(self) -> bool:
        return self.reason == "promoted"

    @property
    def student(self) -> str | None:
        """The student that was asked, or is to be."""
        asked = self.reason in ("promoted", "low_confidence", "student_error", "withheld", "unproven", "unconfirmed")
        return self.route.student if asked and self.route else None

    def to_record(
        self,
        *,
        audit_probability: float = 0.0,
        student_cost: Decimal = ZERO_USD,
        drawn: bool | None = None,
        spot_check: bool = False,
    ) -> RouteRecord:
        """The decision as it is written on the event."""
        route = self.route
        threshold, share = (None, 0.0) if route is None else (route.threshold, route.share)
        if self.head and route is not None:
            threshold = route.head_threshold
        return RouteRecord(self.reason, threshold, share, audit_probability, student_cost, drawn, self.head, spot_check)


def decide(
    route: TaskRoute | None,
    *,
    task: str,
    sticky_key: str,
    critical: bool = False,
    student_able: bool = True,
    student_allowed: bool = True,
    groups: Sequence[str] = (),
) -> Decision:
    """Whether the student is asked, before it is.

    The canary draw depends on the task and the sticky key (episode, else fingerprint) alone: a call that a share
    lets in stays in as the share grows. Calls left out are the control group: the teacher answers them without
    regard to the student's confidence. `student_able` is False for what no student can give, such as two choices,
    whether or not there is a student. `student_allowed` is what the task's rules say of the student, `groups` what the
    call belongs to, such as its tenant.
    """
    if critical:
        return Decision("critical", route)
    if not student_able:
        return Decision("unsuitable", route)
    if route is None:
        return Decision("no_student", route)
    if not student_allowed:
        return Decision("not_allowed", route)
    if route.drifted:
        return Decision("drift", route)
    if groups and any(group in route.withheld.groups for group in groups):
        return Decision("withheld", route)
    if not position(sticky_key, salt=f"canary:{task}") < route.share:
        return Decision("control", route)
    return Decision("promoted", route)


def block(decision: Decision, *, circuit_open: bool = False, over_budget: bool = False) -> Decision:
    """The decision where something stands in its way.

    A student whose circuit is open is not asked, and the teacher answers; without a budget nobody may be asked any
    more. A budget weighs more than a circuit, and neither matters to a decision that is for the teacher anyhow,
    unless there is no money for the teacher either.
    """
    if over_budget:
        return replace(decision, reason="over_budget")
    if circuit_open and decision.is_for_student:
        return replace(decision, reason="circuit_open")
    return decision


def student_instead(decision: Decision) -> Decision | None:
    """The decision to ask the student where there is no money for a teacher; None where that is not for a student.

    It is for one that is kept from the call by a draw or by its episode's beginning alone.
    """
    return replace(decision, reason="promoted") if decision.reason in ("control", "pinned") else None


def mark_fallback(decision: Decision, *, fallback: bool) -> Decision:
    """The decision where another model answered in place of the teacher: its answer is evidence of nothing."""
    return replace(decision, reason="fallback") if fallback else decision


def after_student(
    decision: Decision, confidence: float | None, *, head: str | None = None, answer: str = ""
) -> Decision:
    """The decision once the student was asked; confidence is None where it failed.

    `head` names an input of the head; `answer` is the key of what the student said.
    """
    route = decision.route
    if route is None or not decision.is_for_student:
        raise ValueError(f"no student was to be asked: {decision.reason!r}")
    decision = replace(decision, head=True) if head is not None else decision
    if confidence is None or not 0.0 <= confidence <= 1.0:
        return replace(decision, reason="student_error")
    return _apply_threshold(decision, route, confidence, head, answer)


def _apply_threshold(
    decision: Decision, route: TaskRoute, confidence: float, head: str | None, answer: str
) -> Decision:
    """The decision to serve an answer by what is proven and withheld on a route."""
    threshold = route.threshold if head is None else route.head_threshold
    if threshold is None:
        return replace(decision, reason="unproven")
    if confidence < threshold:
        return replace(decision, reason="low_confidence")
    return replace(decision, reason="withheld") if _is_withheld(route, confidence, head, answer) else decision


def _is_withheld(route: TaskRoute, confidence: float, head: str | None, answer: str) -> bool:
    # What is remembered for an input of the head is proven by itself, whatever else gets the same answer.
    if head is not None:
        return head in route.withheld.inputs
    return confidence <= route.withheld.answers.get(answer, -1.0)


def revalidate(
    decision: Decision,
    current: TaskRoute | None,
    confidence: float,
    *,
    head: str | None = None,
    answer: str = "",
    critical: bool = False,
    student_allowed: bool = True,
) -> Decision:
    """The decision to serve what a student has answered, by what is in force once it has answered.

    It may have drifted or left while it was asked. Then the teacher answers, and never as the evidence of a draw: that
    this call is not served depends on how sure the student was. A share that shrank meanwhile changes nothing.
    """
    if critical:
        return replace(decision, reason="critical")
    asked = decision.route
    if current is None or asked is None or (current.student, current.artifact) != (asked.student, asked.artifact):
        return replace(decision, reason="not_allowed")
    if current.drifted or not student_allowed:
        return replace(decision, reason="not_allowed")
    if _is_withheld(current, confidence, head, answer):
        # Told before how unsure it was: as a last resort an unsure answer is given, and one that is withheld never.
        return replace(decision, reason="withheld")
    return _apply_threshold(decision, current, confidence, head, answer)


def is_sampled(sample: float, probability: float) -> bool:
    """Whether a call with this uniform number in [0, 1) is among those drawn with the probability."""
    return sample < probability
