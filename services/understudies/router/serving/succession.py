"""Ask the successor of a teacher about a sample of the calls before its retirement, and in audits after it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from understudies.datasets.teacher_lineage import retirement_of
from understudies.events import Reason, position
from understudies.router.call import Call
from understudies.router.recording.invocation import InvocationBuilder
from understudies.router.routing.decision import Decision
from understudies.router.serving.audits import AuditQueue
from understudies.router.serving.outcome import CallOutcome
from understudies.runtime.rules.rules import TaskRulesLookup

_SALT: Final = "succession"
_NEVER_SERVED: Final[frozenset[Reason]] = frozenset({"critical", "unsuitable", "not_allowed", "cached", "over_budget"})
"""Reasons of calls that tell nothing about what a student serves, or for which no money is left."""


class SuccessionSampler:
    """Draw the calls about which the successor is asked, in the days before the retirement of their teacher.

    The draw depends on the call's id alone, whoever served it: so the successor's answers are unbiased evidence. Only
    tasks with a student in service are drawn from: there is nothing to prove for others.
    """

    def __init__(self, queue: AuditQueue, rules: TaskRulesLookup, has_student: Callable[[Call], bool]) -> None:
        self._queue = queue
        self._rules = rules
        self._has_student = has_student

    def offer(self, outcome: CallOutcome) -> None:
        """Ask the successor about a call that has ended, in the background, if the call is drawn."""
        builder = outcome.pending.builder
        successor = self._find_successor(builder)
        if successor is None or outcome.pending.route.reason in _NEVER_SERVED:
            return
        sample = self._rules.for_task(builder.call.task).succession_sample
        if position(builder.call.id, _SALT) < sample:
            self._queue.enqueue(builder.for_successor(successor), Decision("audit"), sample)

    def for_audit(self, builder: InvocationBuilder) -> InvocationBuilder:
        """Return the builder whose audit asks a teacher that answers: that of a retired one asks its successor.

        Agents may go on naming the retired one while a student serves all of their calls; nobody would watch it.
        """
        call = builder.call
        successor = self._rules.successor_of(call.model)
        retirement = None if successor is None else retirement_of(call.model, self._rules.retirements())
        if successor is None or retirement is None or call.at < retirement.at:
            return builder
        return builder.with_successor(successor)

    def _find_successor(self, builder: InvocationBuilder) -> str | None:
        """Return the model to ask about a call; None if it is not to be asked about."""
        call = builder.call
        successor = self._rules.successor_of(call.model)
        if successor is None or not self._has_student(call):
            return None
        # Asking again would repeat what the provider stores or does itself.
        if call.stored or not builder.student_can_answer:
            return None
        retirement = retirement_of(call.model, self._rules.retirements())
        if retirement is None:
            return None
        lead = timedelta(days=self._rules.for_task(call.task).succession_days)
        return successor if retirement.at - lead <= call.at < retirement.at else None
