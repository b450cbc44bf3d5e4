"""Decide whether the student or the teacher serves a call. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NamedTuple

from understudies.events import NOTHING_WITHHELD, Reason, Withheld, position
from understudies.router.call import ZERO_USD
from understudies.runtime.fast_dataclass import fast_dataclass


@dataclass(frozen=True, slots=True)
class TaskRoute:
    """The promoted student of a task, and the conditions under which it serves."""

    student: str
    artifact: str
    threshold: float
    share: float
    drifted: bool = False
    audit_probability: float = 0.0
    levels: tuple[tuple[float, float], ...] = ()
    """Proven agreement by threshold, as (agreement, threshold) pairs, rising in both."""
    head_threshold: float | None = None
    """Confidence from which inputs of the head are served; None leaves them to the teacher."""
    withheld: Withheld = NOTHING_WITHHELD
    judge: str | None = None
    """The judge that compares the student's answers with the teacher's."""
    spot_checks: bool = False
    """True if the first occurrence of each answer on a day is audited in addition to the random draw."""


class RouteRecord(NamedTuple):
    """A decision as recorded on the event, in plain values named as the fields of its `Route`."""

    reason: Reason
    threshold: float | None
    share: float
    audit_probability: float
    student_cost_usd: Decimal
    drawn: bool | None
    head: bool = False
    spot_check: bool = False


@fast_dataclass
class Decision:
    """The route of a call and its reason; `promoted` means that the student is asked, or has answered."""

    reason: Reason
    route: TaskRoute | None = None
    head: bool = False
    """True if the student reported that the input is of the head."""

    @property
    def is_for_student(self) -> bool:
        return self.reason == "promoted"

    @property
    def student(self) -> str | None:
        """The student that was asked or is to be asked; None without one."""
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
        """Return the decision as recorded on the event."""
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
    """Decide before the student is asked.

    The canary draw depends only on the task and the sticky key (episode, else fingerprint): a call that a share lets in
    stays in as the share grows. Calls left out form the control group: the teacher answers them regardless of the
    student's confidence. `student_able` is False for requests that no student can serve, such as two choices, whether
    or not there is a student. `student_allowed` says whether the task's rules permit the student; `groups` are the
    groups that the call belongs to, such as its tenant.
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
    """Return the decision after checking the circuit breaker and the budget.

    If the student's circuit is open, the teacher answers; without a budget neither may be asked. The budget takes
    precedence over the circuit. Neither changes a decision for the teacher, unless there is no budget for the teacher
    either.
    """
    if over_budget:
        return replace(decision, reason="over_budget")
    if circuit_open and decision.is_for_student:
        return replace(decision, reason="circuit_open")
    return decision


def student_instead(decision: Decision) -> Decision | None:
    """Return the decision to ask the student because the budget covers no teacher call; None if it must not be asked.

    The student may be asked only if nothing but the draw or the start of the episode kept it from the call.
    """
    return replace(decision, reason="promoted") if decision.reason in ("control", "pinned") else None


def mark_fallback(decision: Decision, *, fallback: bool) -> Decision:
    """Return the decision, marked as answered by a fallback model if `fallback`: its answer is no evidence."""
    return replace(decision, reason="fallback") if fallback else decision


def after_student(
    decision: Decision, confidence: float | None, *, head: str | None = None, answer: str = ""
) -> Decision:
    """Return the decision after the student was asked; a confidence of None means that it failed.

    `head` is the key of an input of the head; `answer` is the key of the student's answer. Raises ValueError if the
    decision was not for a student.
    """
    route = decision.route
    if route is None or not decision.is_for_student:
        raise ValueError(f"the decision is not for a student: {decision.reason!r}")
    decision = replace(decision, head=True) if head is not None else decision
    if confidence is None or not 0.0 <= confidence <= 1.0:
        return replace(decision, reason="student_error")
    return _apply_threshold(decision, route, confidence, head, answer)


def _apply_threshold(
    decision: Decision, route: TaskRoute, confidence: float, head: str | None, answer: str
) -> Decision:
    """Decide whether to serve an answer by the proven and withheld confidence of a route."""
    threshold = route.threshold if head is None else route.head_threshold
    if threshold is None:
        return replace(decision, reason="unproven")
    if confidence < threshold:
        return replace(decision, reason="low_confidence")
    return replace(decision, reason="withheld") if _is_withheld(route, confidence, head, answer) else decision


def _is_withheld(route: TaskRoute, confidence: float, head: str | None, answer: str) -> bool:
    # A remembered input of the head is proven by itself, regardless of other inputs with the same answer.
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
    groups: Sequence[str] = (),
) -> Decision:
    """Decide again whether to serve a student's answer, by the route in force after it has answered.

    The student may have drifted or been replaced while it was asked. Then the teacher answers, but not as
    evidence of a draw: that the call is not served depends on the student's confidence. A share that shrank meanwhile
    changes nothing.
    """
    if critical:
        return replace(decision, reason="critical")
    previous = decision.route
    if (
        current is None
        or previous is None
        or (current.student, current.artifact) != (previous.student, previous.artifact)
    ):
        return replace(decision, reason="not_allowed")
    if current.drifted or not student_allowed:
        return replace(decision, reason="not_allowed")
    if any(group in current.withheld.groups for group in groups) or _is_withheld(current, confidence, head, answer):
        # Check this before the threshold: an answer below it may be served as a last resort, a withheld one never.
        return replace(decision, reason="withheld")
    return _apply_threshold(decision, current, confidence, head, answer)


def is_sampled(sample: float, probability: float) -> bool:
    """Return whether a uniform number in [0, 1) falls within the probability."""
    return sample < probability
