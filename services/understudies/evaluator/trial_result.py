"""The result of a trial: the decision, and what may be served under it."""

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Self

from understudies.events import NOTHING_WITHHELD, Cause, ProvenLevels, Withheld

TrialOutcome = Literal["promote", "reject", "inconclusive"]

UNREACHABLE_THRESHOLD: Final = 2.0
"""A threshold above every confidence: only head inputs are served."""


@dataclass(frozen=True, slots=True)
class TrialResult:
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

    def state(self) -> dict[str, Any]:
        """Return a JSON-serialisable snapshot."""
        return {**asdict(self), "withheld": self.withheld.model_dump(mode="json")}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Restore the result from a snapshot."""
        levels = tuple((agreement, confidence) for agreement, confidence in state["levels"])
        return cls(**{**state, "withheld": Withheld.model_validate(state["withheld"]), "levels": levels})
