"""Count how often people contradicted a judge's agreements, which bounds what the judge can prove."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from understudies.stats.bounds import anytime_lower_bound

_FALSE, _OF = "false", "of"
OPTIONS: Final = frozenset({_FALSE, _OF})
"""The options of a judge's name that hold the counts."""


@dataclass(frozen=True, slots=True)
class HumanMarks:
    """Of `of` agreements of a judge, drawn at random and marked by people, `false` were none.

    If a judge errs on at most a share e of its agreements, an agreement of q by the judge is one of at least
    q * (1 - e) >= q - e by people. Its disagreements where people see none only cost evidence.
    """

    false: int = 0
    of: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.false <= self.of:
            raise ValueError(f"{self.false} false agreements of {self.of} marked ones cannot be; write false:1;of:240")

    @classmethod
    def parse(cls, options: Mapping[str, frozenset[str]]) -> "HumanMarks":
        """Return the counts in a judge's options; none where it has none. Raises ValueError."""
        found = {key: options.get(key, frozenset()) for key in (_FALSE, _OF)}
        if not any(found.values()):
            return NO_MARKS
        if not all(len(values) == 1 and next(iter(values)).isdecimal() for values in found.values()):
            raise ValueError("its human marks are two whole numbers, such as false:1;of:240")
        return cls(*(int(next(iter(found[key]))) for key in (_FALSE, _OF)))

    @property
    def options(self) -> dict[str, tuple[str, ...]]:
        """The options for the judge's name."""
        return {_FALSE: (str(self.false),), _OF: (str(self.of),)} if self.of else {}

    def error_bound(self, alpha: float) -> float:
        """Return the upper bound, with confidence 1 - alpha, of the share of its agreements that are none.

        Valid however often people count and decide whether to mark more. 1 without marks.
        """
        return 1.0 - anytime_lower_bound(self.of - self.false, self.of, alpha) if self.of else 1.0

    @property
    def description(self) -> str:
        """The counts in words."""
        if not self.of:
            return "not measured against human marks yet, so it proves nothing"
        return f"people contradicted {self.false} of {self.of} of its agreements"


NO_MARKS: Final = HumanMarks()
