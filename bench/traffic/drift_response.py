"""What the services did about a change: whether a student was in service, and when it was taken back."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from understudies.events import Drift, GateDecision, Promotion

LifecycleEvents = Sequence[Promotion | GateDecision | Drift]


def was_in_service(story: LifecycleEvents, at: datetime) -> bool:
    """Whether students served at a moment."""
    return any(share > 0 for share in _current_shares(event for event in story if event.at <= at).values())


def find_withdrawal(story: LifecycleEvents, changed: datetime) -> datetime | None:
    """When, after a change, a student was first demoted, or went back to a smaller share of the calls."""
    before = _current_shares(event for event in story if event.at <= changed)
    for event in story:
        if event.at <= changed:
            continue
        if isinstance(event, Drift) and event.tier == "contract":
            return event.at
        if isinstance(event, Promotion):
            succeeded = event.stage == "retired"
            if event.stage == "demoted" or (not succeeded and event.share < before.get(event.student, 0.0)):
                return event.at
            before |= _current_shares([event])
    return None


def _current_shares(story: Iterable[Promotion | GateDecision | Drift]) -> dict[str, float]:
    """By student, the share of the calls that it may serve after all that was told."""
    shares: dict[str, float] = {}
    for event in story:
        if isinstance(event, Promotion):
            shares[event.student] = event.share if event.stage == "promoted" else 0.0
    return shares
