"""Ask single services how they stand, and join what they know."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from understudies.runtime.errors import ConfigurationError
from understudies.status.joining import join_parts, join_story
from understudies.status.parts import StatusPart
from understudies.status.running import RunningProcess
from understudies.status.standing import Overview, TaskStory

_LACKS: Final = {
    "evaluator": "how far trials are",
    "observer": "calls of today, last decisions and stories",
    "router": "whether students can be loaded",
}
"""What is unknown without a service of a kind."""


@dataclass(frozen=True, slots=True)
class RunningServices:
    """Single services that answer by URL; at least one of them a budget service."""

    processes: Sequence[RunningProcess]

    def overview(self) -> Overview:
        """Return the standing of all tasks; blocks. Raises ConfigurationError, or RetryLater if one does not answer."""
        return self._join(self._ask())

    def story(self, task: str) -> TaskStory | None:
        """Return the story of a task, None if there is no such task; blocks, and raises as `overview` does."""
        parts = self._ask(task)
        standing = self._join(parts).of(task)
        return None if standing is None else TaskStory(standing=standing, events=join_story(parts))

    def _ask(self, task: str | None = None) -> list[StatusPart]:
        with ThreadPoolExecutor(len(self.processes)) as asking:
            return list(asking.map(lambda process: process.part(task), self.processes))

    def _join(self, parts: Sequence[StatusPart]) -> Overview:
        kinds = {part.service for part in parts}
        if "budget" not in kinds:
            raise ConfigurationError(
                f"{', '.join(process.url for process in self.processes)}: none of these is the budget service, which "
                "knows the tasks; give its --url too"
            )
        missing = [f"no {kind} was asked, so {what} is not known" for kind, what in _LACKS.items() if kind not in kinds]
        source = f"services at {', '.join(process.url for process in self.processes)}"
        return join_parts(parts, "; ".join((source, *missing)), datetime.now(UTC))
