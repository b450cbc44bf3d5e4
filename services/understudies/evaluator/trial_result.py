"""What a trial has found: the decision, and what may be served by it."""

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Self

from understudies.events import NOTHING_WITHHELD, Cause, ProvenLevels, Withheld

TrialOutcome = Literal["promote", "reject", "inconclusive"]

UNREACHABLE_THRESHOLD: Final = 2.0
"""A threshold that no confidence reaches: the head alone is served."""


@dataclass(frozen=True, slots=True)
class TrialResult:
    """A decision of the gates with its thresholds, what is withheld, and the share of the calls that is left.

    `held` is why a student in service serves the canary share alone for now.
    """

    outcome: TrialOutcome
    threshold: float | None = None
    head_threshold: float | None = None
    withheld: Withheld = NOTHING_WITHHELD
    coverage: float = 0.0
    levels: ProvenLevels = ()
    held: Cause | None = None

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        return {**asdict(self), "withheld": self.withheld.model_dump(mode="json")}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The finding that `state` was taken from."""
        levels = tuple((agreement, confidence) for agreement, confidence in state["levels"])
        return cls(**{**state, "withheld": Withheld.model_validate(state["withheld"]), "levels": levels})
