"""How many calls there were of a kind, how many of them students served, and how many of these wrongly."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from understudies.stats.bounds import clopper_pearson_upper

PROMISED_AGREEMENT = 0.95
_SIGNIFICANCE = 0.05


@dataclass(slots=True)
class CallCounts:
    """Calls, served ones, and wrong ones among these."""

    calls: int = 0
    served: int = 0
    wrong: int = 0

    def add(self, served: bool, wrong: bool) -> None:
        """Count one call."""
        self.calls += 1
        self.served += served
        self.wrong += wrong

    @classmethod
    def sum(cls, parts: Iterable[Self]) -> "CallCounts":
        """All of them together."""
        total = CallCounts()
        for part in parts:
            total.calls += part.calls
            total.served += part.served
            total.wrong += part.wrong
        return total

    @property
    def share(self) -> float:
        """Of the calls, how many were served."""
        return self.served / self.calls if self.calls else 0.0

    @property
    def agreement(self) -> float | None:
        """Of the served calls, how many the teacher would have answered the same way; None where none was served."""
        return (self.served - self.wrong) / self.served if self.served else None

    @property
    def is_promise_kept(self) -> bool:
        """Whether the promise was kept: at 95% agreement, so many wrong answers come with a chance of 5% or more."""
        return clopper_pearson_upper(self.served - self.wrong, self.served, _SIGNIFICANCE) >= PROMISED_AGREEMENT

    def to_json(self) -> tuple[int, int, int]:
        return self.calls, self.served, self.wrong
