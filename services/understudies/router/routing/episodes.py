"""Apply episode guarantees: one agreement target for all steps, and one variant throughout. Pure."""

from dataclasses import dataclass, replace

from understudies.router.routing.decision import Decision, TaskRoute

TEACHER_VARIANT = "teacher"
"""The variant of an episode that was not started by a student."""

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class EpisodeTarget:
    """The target that all calls of an episode agree with at least probability `target`.

    Students serve at most `steps` of the calls, which use up the allowed disagreement; the teacher, who agrees with
    itself by definition, serves the rest. Raises ValueError if a number is out of range.
    """

    target: float
    steps: int

    def __post_init__(self) -> None:
        per_call_target(self.target, self.steps)

    @property
    def per_call(self) -> float:
        """The agreement that each call needs."""
        return per_call_target(self.target, self.steps)

    def allows(self, served: int) -> bool:
        """Return whether a student may serve another call after `served` calls."""
        return served < self.steps


def per_call_target(target: float, steps: int) -> float:
    """Return the agreement that each of `steps` calls needs for all of them to agree with probability `target`.

    The product is exact for independent disagreements and conservative for positively correlated ones, as in a hard
    episode. Whatever the dependence, all agree with at least 1 - steps * (1 - result): .896 for .9 over five. Raises
    ValueError if the target is outside (0, 1) or there are fewer than one step.

    >>> round(per_call_target(0.9, 5), 3), per_call_target(0.9, 1)
    (0.979, 0.9)
    """
    if not 0.0 < target < 1.0:
        raise ValueError(f"an episode's target must lie strictly between 0 and 1, got {target!r}")
    if steps < 1:
        raise ValueError(f"an episode has at least one step, got {steps!r}")
    return float(target ** (1.0 / steps))


def proven_threshold(route: TaskRoute, target: float | None) -> float | None:
    """Return the lowest threshold with a proven agreement of at least `target`; None if there is none.

    Without a target, return the route's own threshold.
    """
    if target is None:
        return route.threshold
    proven = (level for agreement, level in route.levels if agreement >= target - _ROUNDING)
    threshold = min(proven, default=None)
    return None if threshold is None else max(threshold, route.threshold)


def with_episode_threshold(decision: Decision, episode: EpisodeTarget | None, served: int = 0) -> Decision:
    """Return the decision for a call of an episode in which students already served `served` calls.

    A student to be asked gets the threshold that the episode needs; if none is proven, or the steps are used up, the
    teacher serves. Other decisions are unchanged.
    """
    if episode is None or not decision.is_for_student or decision.route is None:
        return decision
    threshold = proven_threshold(decision.route, episode.per_call) if episode.allows(served) else None
    if threshold is None:
        return replace(decision, reason="episode_target")
    # Only the task's own target is proven for the head; the teacher serves it in an episode that asks for more.
    return replace(decision, route=replace(decision.route, threshold=threshold, head_threshold=None))


def initial_variant(decision: Decision) -> str:
    """Return the variant with which a call starts an episode: the student to be asked, else the teacher."""
    return decision.route.student if decision.is_for_student and decision.route else TEACHER_VARIANT


def apply_variant(decision: Decision, variant: str) -> Decision:
    """Return the decision for a call of an episode that started with a variant.

    The teacher keeps the episodes that it started, and those of a student that is no longer in force. A student in
    force keeps its episodes when the share shrinks and the draw would now exclude them. No other decision is overruled,
    so a critical call or one after a drift stays with the teacher whatever the variant.
    """
    if decision.route is None:
        return decision
    is_current = variant == decision.route.student
    if decision.is_for_student and not is_current:
        return replace(decision, reason="pinned")
    if decision.reason == "control" and is_current:
        return replace(decision, reason="promoted")
    return decision
