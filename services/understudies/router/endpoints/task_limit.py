"""Limit the names of tasks that calls may bring up: every service keeps something of each task, for good."""

import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from understudies.events import owner_and_base
from understudies.runtime.throttle import Throttle

OVERFLOW_TASK: Final = "too-many-tasks"
"""The task of calls whose own would be one too many; the teacher answers them, as nothing else is known of them."""

_log = logging.getLogger(__name__)


class TaskLimit:
    """Admit up to `max_tasks` names from each tenant, beside those that `is_known` tells: with rules or a student."""

    def __init__(self, max_tasks: int, is_known: Callable[[str], bool]) -> None:
        self._max_tasks = max_tasks
        self._is_known = is_known
        self._admitted: set[str] = set()
        self._count: defaultdict[str | None, int] = defaultdict(int)
        self._log_throttle = Throttle(3600.0)

    def admits(self, task: str, tenant: str | None = None) -> bool:
        """Return whether a tenant's calls may be counted to the task; once they may, they always may."""
        if task in self._admitted or self._is_known(task):
            return True
        if self._count[tenant] < self._max_tasks:
            self._count[tenant] += 1
            self._admitted.add(task)
            return True
        if self._log_throttle():
            _log.warning(
                "calls%s name more than %d tasks, now %r: further ones are counted to %r and no student serves them. "
                "A task is a kind of work, not a request: look for an id in X-Understudies-Task, or raise "
                "UNDERSTUDIES_ROUTER_MAX_TASKS",
                f" of tenant {tenant!r}" if tenant else "",
                self._max_tasks,
                task,
                OVERFLOW_TASK,
            )
        return False


def is_overflow(task: str) -> bool:
    """Return whether a task, shared or a tenant's own, holds what was one too many.

    >>> is_overflow("too-many-tasks"), is_overflow("acme:too-many-tasks"), is_overflow("triage")
    (True, True, False)
    """
    return task.endswith(OVERFLOW_TASK) and owner_and_base(task)[1] == OVERFLOW_TASK
