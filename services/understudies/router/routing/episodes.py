"""What an episode asks of each of its calls: a promise for all of its steps, and one variant throughout. Pure."""

from dataclasses import dataclass, replace

from understudies.router.routing.decision import Decision, TaskRoute

TEACHER_VARIANT = "teacher"
"""The variant of an episode that no student began."""

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class EpisodeTarget:
    """All calls of an episode are to agree with at least probability `target`, of which students serve `steps`.

    The first `steps` calls that a student serves spend what the target allows to go wrong; the teacher, who agrees
    with itself by definition, serves the rest. Raises ValueError where a number is out of range.
    """

    target: float
    steps: int

    def __post_init__(self) -> None:
        per_call_target(self.target, self.steps)

    @property
    def per_call(self) -> float:
        """The agreement that each call owes."""
        return per_call_target(self.target, self.steps)

    def allows(self, served: int) -> bool:
        """Whether a student may serve one more call after so many."""
        return served < self.steps


def per_call_target(target: float, steps: int) -> float:
    """The agreement each of `steps` calls needs for all of them to agree with probability `target`.

    The product holds for disagreements that are independent, and more than holds where they come together, as in a
    hard episode. Whatever their dependence, all agree with at least 1 - steps * (1 - result): .896 for .9 over five.
    Raises ValueError where the target is outside (0, 1) or the steps are fewer than one.

    >>> round(per_call_target(0.9, 5), 3), per_call_target(0.9, 1)
    (0.979, 0.9)
    """
    if not 0.0 < target < 1.0:
        raise ValueError(f"an episode's target must lie strictly between 0 and 1, got {target!r}")
    if steps < 1:
        raise ValueError(f"an episode has at least one step, got {steps!r}")
    return float(target ** (1.0 / steps))


def proven_threshold(route: TaskRoute, target: float | None) -> float | None:
    """The loosest confidence from which agreement of at least `target` is proven; None where there is none.

    Without a target it is the route's own threshold.
    """
    if target is None:
        return route.threshold
    proven = (threshold for agreement, threshold in route.levels if agreement >= target - _ROUNDING)
    found = min(proven, default=None)
    return None if found is None else max(found, route.threshold)


def with_episode_threshold(decision: Decision, episode: EpisodeTarget | None, served: int = 0) -> Decision:
    """The decision for a call of an episode in which students served so many calls before.

    A student that is to be asked gets the threshold that the episode needs; where none is proven, or the steps are
    used up, the teacher serves. Other decisions stand.
    """
    if episode is None or not decision.is_for_student or decision.route is None:
        return decision
    threshold = proven_threshold(decision.route, episode.per_call) if episode.allows(served) else None
    if threshold is None:
        return replace(decision, reason="episode_target")
    # What is proven of the head is the task's own promise; an episode that asks for more has it from the teacher.
    return replace(decision, route=replace(decision.route, threshold=threshold, head_threshold=None))


def initial_variant(decision: Decision) -> str:
    """The variant that a call begins an episode with: the student that is to be asked, else the teacher."""
    return decision.route.student if decision.is_for_student and decision.route else TEACHER_VARIANT


def apply_variant(decision: Decision, variant: str) -> Decision:
    """The decision for a call of an episode that began with a variant.

    The teacher keeps what it began, and also what a student began that is no longer in force. A student in force
    keeps its episodes when the share shrinks and the draw would now leave them out. Nothing else is overruled, so a
    critical call or one after a drift stays with the teacher whatever the episode began with.
    """
    if decision.route is None:
        return decision
    own = variant == decision.route.student
    if decision.is_for_student and not own:
        return replace(decision, reason="pinned")
    if decision.reason == "control" and own:
        return replace(decision, reason="promoted")
    return decision
