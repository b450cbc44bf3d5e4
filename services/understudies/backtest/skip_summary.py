"""Count the lines that were skipped by the reason."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from understudies.importers.recorded_call import ParsedLog, SkippedLine


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


def describe_empty_log(path: Path, parsed: ParsedLog) -> str:
    """Say why a log without a recorded call has none."""
    if not parsed.skipped:
        return f"{str(path)!r} is empty; expected one JSON object a line with `messages`, the last one the answer"
    count, first = len(parsed.skipped), parsed.skipped[0]
    skipped = "its only line was skipped" if count == 1 else f"all {count:,} lines were skipped"
    others = [f"{reason.count:,}: {reason.reason}" for reason in count_reasons(parsed.skipped)]
    rest = f" (lines by reason: {'; '.join(others[:5])})" if len(others) > 1 else ""
    return f"{str(path)!r} holds no recorded call: {skipped}, {first.place} because: {first.reason}{rest}"


def _general(reason: str) -> str:
    return reason.partition(":")[0].partition(" of type ")[0].partition(" of kind ")[0]
