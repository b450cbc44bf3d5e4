"""Gather the inputs of the routing decision on a call."""

from typing import Final

from understudies.judges.answer_key import answer_key
from understudies.router.call import Call
from understudies.router.recording.invocation import InvocationBuilder
from understudies.router.routing.decision import Decision, decide, revalidate, student_instead
from understudies.router.routing.episodes import EpisodeTarget, apply_variant, initial_variant, with_episode_threshold
from understudies.router.routing.table import RoutingTable
from understudies.router.serving.episode_affinity import EpisodeAffinity
from understudies.router.serving.student_registry import StudentRegistry
from understudies.runtime.rules.groups import day_group, groups_of
from understudies.runtime.rules.task import TaskRules
from understudies.students.answer_validation import has_checkable_form
from understudies.students.base import Answer

_MAX_STUDENT_BODY_BYTES: Final = 1_000_000
"""Size limit of a body for a student: redacting text that looks like card numbers takes seconds per megabyte."""


class RouteSelector:
    """Decide the route of each call by the routing table, the task's rules and the call's episode."""

    def __init__(self, registry: StudentRegistry, *, affinity: EpisodeAffinity | None = None) -> None:
        self.table = RoutingTable()
        self._registry = registry
        self._affinity = EpisodeAffinity() if affinity is None else affinity

    async def decide(self, builder: InvocationBuilder, rules: TaskRules, *, critical: bool = False) -> Decision:
        """Return the decision on a call before the student or teacher is asked."""
        call = builder.call
        route = self.table.route(call.task, call.at)
        able = not call.stored and len(call.raw or b"") <= _MAX_STUDENT_BODY_BYTES
        able = able and builder.student_can_answer and has_checkable_form(call.request)
        able = able and (route is None or await builder.check_recordable())
        decision = decide(
            route,
            task=call.task,
            sticky_key=call.episode or (builder.fingerprint if route is not None and able else ""),
            critical=critical or call.critical or rules.critical,
            student_able=able,
            student_allowed=route is None or rules.allows_student(route.student, self._registry.kind(route.artifact)),
            groups=_groups(call, rules) if route is not None and route.withheld.groups else (),
        )
        return decision if call.episode is None else await self._in_episode(decision, call, call.episode, rules)

    def student_instead(self, decision: Decision, call: Call, rules: TaskRules) -> Decision | None:
        """Return the decision to ask the student instead of a teacher over budget; None if it must not be asked."""
        asked = student_instead(decision)
        if asked is None or call.episode is None:
            return asked
        served = self._affinity.count_served(call.tenant, call.task, call.episode)
        asked = with_episode_threshold(asked, _episode_target(rules), served)
        return asked if asked.is_for_student else None

    async def claim_episode_step(self, call: Call, rules: TaskRules) -> bool:
        """Return whether a student with enough confidence may serve the call; if so, count a step of its episode."""
        target = _episode_target(rules)
        if target is None or call.episode is None:
            return True
        return await self._affinity.claim_step(call.tenant, call.task, call.episode, call.id, target.steps)

    def revalidate(
        self, decision: Decision, call: Call, rules: TaskRules, answer: Answer | None, *, critical: bool
    ) -> Decision:
        """Return the decision on serving a student's answer, by the table and the rules as they are now."""
        confidence, head, key = (0.0, None, "")
        if answer is not None:
            confidence, head, key = answer.confidence, answer.head, answer_key(answer.message)
        route = self.table.route(call.task, call.at)
        allowed = route is not None and rules.allows_student(route.student, self._registry.kind(route.artifact))
        critical = critical or call.critical or rules.critical
        return revalidate(
            decision,
            route,
            confidence,
            head=head,
            answer=key,
            critical=critical,
            student_allowed=allowed,
            groups=_groups(call, rules) if route is not None and route.withheld.groups else (),
        )

    async def _in_episode(self, decision: Decision, call: Call, episode: str, rules: TaskRules) -> Decision:
        variant = await self._affinity.variant(call.tenant, call.task, episode, initial_variant(decision))
        served = self._affinity.count_served(call.tenant, call.task, episode)
        return with_episode_threshold(apply_variant(decision, variant), _episode_target(rules), served)


def _groups(call: Call, rules: TaskRules) -> tuple[str, ...]:
    return (*groups_of(rules.watch, call.tenant, call.tags), day_group(call.at))


def _episode_target(rules: TaskRules) -> EpisodeTarget | None:
    if rules.episode_target is None or rules.episode_steps is None:
        return None
    return EpisodeTarget(rules.episode_target, rules.episode_steps)
