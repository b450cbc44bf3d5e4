"""Ids of verdicts."""

from datetime import datetime

from understudies.events import SeededIds


def verdict_id(kind: str, invocation: str, student: str, at: datetime) -> str:
    """The id that follows from what was judged: judging a call again, as after a crash, makes the same event again."""
    return SeededIds(f"{kind}:{invocation}:{student}")(at)
