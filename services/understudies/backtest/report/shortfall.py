"""Explain an average agreement that lies below what is promised."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from understudies.backtest.report.formatting import format_count, format_percent
from understudies.events import Promotion


def explain_shortfall(
    promised: float,
    agreement: float | None,
    served: Iterable[tuple[str, bool]],
    promotions: Sequence[Promotion],
    in_force: str | None,
) -> str | None:
    """Return why the served calls agreed less than promised on average; None if they did not.

    `served` holds the student that answered each call and whether the teacher agrees.
    """
    if agreement is None or agreement >= promised:
        return None
    counts: Counter[str] = Counter()
    agreed: Counter[str] = Counter()
    for student, same in served:
        counts[student] += 1
        agreed[student] += same
    ended = {event.student: event.at for event in promotions if event.stage == "demoted"}
    parts = [_describe(student, agreed[student], counts[student], ended.get(student), in_force) for student in counts]
    return (
        f"On average {format_percent(agreement)} of what students served agreed, less than the "
        f"{format_percent(promised, 0)} promised. The promise is about one student, and about calls like those "
        f"on which it was proven: when answers change, some are wrong before its audits show it. {'; '.join(parts)}."
    )


def _describe(student: str, agreed: int, served: int, demoted: datetime | None, in_force: str | None) -> str:
    text = f"{student} agreed on {format_percent(agreed / served)} of {format_count(served)}"
    if demoted is not None:
        at = demoted.astimezone(UTC)
        return f"{text}, and was taken out of service on {at:%b} {at.day}"
    return f"{text}, and is in force" if student == in_force else text
