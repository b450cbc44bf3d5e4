"""Count the lines that were skipped by the reason."""

from collections.abc import Iterable
from dataclasses import dataclass

from understudies.importers.recorded_call import SkippedLine


@dataclass(frozen=True, slots=True)
class SkipReason:
    """A reason, how many lines it skipped, and the first of them with the reason in full."""

    reason: str
    count: int
    first: SkippedLine


def count_reasons(skipped: Iterable[SkippedLine]) -> list[SkipReason]:
    """Count the lines by their reasons, without what differs from line to line; the most frequent first."""
    groups: dict[str, list[SkippedLine]] = {}
    for line in skipped:
        groups.setdefault(_general(line.reason), []).append(line)
    reasons = [SkipReason(reason, len(lines), lines[0]) for reason, lines in groups.items()]
    return sorted(reasons, key=lambda reason: (-reason.count, reason.first.line))


def _general(reason: str) -> str:
    return reason.partition(":")[0].partition(" of type ")[0].partition(" of kind ")[0]
