"""The result of a trial: the decision, and what may be served under it."""

from dataclasses import dataclass
from typing import Final, Literal

from understudies.events import NOTHING_WITHHELD, Cause, ProvenLevels, Withheld
from understudies.persistence.saved_state import SavedState

TrialOutcome = Literal["promote", "reject", "inconclusive"]

UNREACHABLE_THRESHOLD: Final = 2.0
"""A threshold above every confidence: only head inputs are served."""


@dataclass(frozen=True, slots=True)
class TrialResult(SavedState):
    """A gate decision with its thresholds, what is withheld, and the share of calls that remains.

    `held` is the cause for which a serving student is restricted to the canary share; None without a restriction.
    """

    outcome: TrialOutcome
    threshold: float | None = None
    head_threshold: float | None = None
    withheld: Withheld = NOTHING_WITHHELD
    coverage: float = 0.0
    levels: ProvenLevels = ()
    held: Cause | None = None
