"""Find the student that leads a task at a time: the one in force, else the one on trial."""

from collections.abc import Iterable
from datetime import datetime

from understudies.events import Promotion


def find_leading(promotions: Iterable[Promotion], since: datetime, until: datetime) -> str | None:
    """Return the student that leads a task at the end of a span; if none does, the last one that led within it.

    So the day on which a student fell shows how it fell. The promotions are those of one task, in order.
    """
    leading: Promotion | None = None
    last: str | None = None
    for event in promotions:
        if event.at > until or event.steering is not None:
            continue
        is_promoted = event.stage == "promoted"
        if is_promoted or (event.stage == "trained" and (leading is None or leading.stage != "promoted")):
            leading = event
        elif leading is not None and event.student == leading.student and event.stage != "qualified":
            last = leading.student if event.at >= since else None
            leading = None
    return leading.student if leading is not None else last
