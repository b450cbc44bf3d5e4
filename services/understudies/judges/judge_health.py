"""Remember which judges give no verdict, and why."""

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Final

from understudies.judges.materials import JudgeUnavailableError

LATE: Final = "late"
"""Cause of comparisons that were given up before they began, because others took too long."""


class JudgeHealth:
    """How often each judge gave no verdict, by cause, and why it last did, until it gives one again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._missing: Counter[tuple[str, str]] = Counter()
        self._failures: dict[str, str] = {}

    def record_failure(self, judge: str, error: JudgeUnavailableError) -> None:
        """Count a comparison without a verdict."""
        with self._lock:
            self._missing[judge, error.cause] += 1
            self._failures[judge] = str(error)

    def record_late(self, judge: str, count: int) -> None:
        """Count comparisons that the judge was too slow for."""
        with self._lock:
            self._missing[judge, LATE] += count

    def record_verdict(self, judge: str) -> None:
        """Note that the judge gives verdicts."""
        with self._lock:
            self._failures.pop(judge, None)

    @property
    def missing(self) -> Mapping[tuple[str, str], int]:
        """The comparisons without a verdict since the start, by judge and cause."""
        with self._lock:
            return dict(self._missing)

    @property
    def failures(self) -> dict[str, str]:
        """Why judges give no verdict now, by judge."""
        with self._lock:
            return dict(self._failures)
