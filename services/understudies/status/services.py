"""Ask single services how they stand, and join what they know."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from understudies.runtime.errors import ConfigurationError, RetryLater
from understudies.status.joining import join_parts, join_story
from understudies.status.parts import BudgetPart, EvaluatorPart, OwnedPartitions, StatusPart
from understudies.status.running import RunningProcess
from understudies.status.standing import Overview, TaskStory

_LACKS: Final = {
    "evaluator": "how far trials are",
    "observer": "calls of today, last decisions and stories",
    "router": "whether students can be loaded",
}
"""What is unknown without a service of a kind."""
_SHARED: Final = (
    (BudgetPart, "budget", "their tasks are missing here"),
    (EvaluatorPart, "evaluator", "how far trials of their tasks are is not known"),
)
"""The parts that copies have by partition, and what is so without one of them."""


@dataclass(frozen=True, slots=True)
class _Answers:
    """What the services told, and why others did not."""

    parts: Sequence[StatusPart]
    failures: Sequence[RetryLater]

    def missing(self) -> Iterator[str]:
        """Yield a sentence for each that did not answer, and for partitions that none of the others has."""
        yield from map(str, self.failures)
        for kind, name, lack in _SHARED:
            count, absent = self._absent(kind)
            if absent:
                numbers = ", ".join(map(str, absent))
                yield (
                    f"of {count} partitions, {numbers} {'is' if len(absent) == 1 else 'are'} with no copy of {name} "
                    f"that answered, so {lack}: give the --url of all copies; those of one that ended are with another "
                    "in some seconds"
                )

    def is_missing(self, task: str) -> bool:
        """Return whether a task may be known to a budget service that did not answer."""
        from understudies.runtime.bus.task_partition import TaskPartition

        count, absent = self._absent(BudgetPart)
        return any(TaskPartition(number, count).owns(task) for number in absent) if count else bool(self.failures)

    def _absent(self, kind: type[BudgetPart] | type[EvaluatorPart]) -> tuple[int, list[int]]:
        """Return how many partitions copies of a kind share, 0 if they share none, and which nobody has."""
        owned = [part.partitions for part in self.parts if isinstance(part, kind)]
        shared = [one for one in owned if isinstance(one, OwnedPartitions)]
        count = max((one.count for one in shared), default=0)
        return count, sorted(set(range(count)).difference(*(one.numbers for one in shared)))


@dataclass(frozen=True, slots=True)
class RunningServices:
    """Single services that answer by URL; at least one of them a budget service."""

    processes: Sequence[RunningProcess]

    def overview(self) -> Overview:
        """Return the standing of all tasks, and what is missing where some did not answer; blocks.

        Raises ConfigurationError, or RetryLater if no budget service answers.
        """
        return self._join(self._ask())

    def story(self, task: str) -> TaskStory | None:
        """Return the story of a task, None if there is no such task; blocks, and raises as `overview` does.

        Raises RetryLater as well if the task may be one of those that are missing.
        """
        answers = self._ask(task)
        joined = self._join(answers)
        standing = joined.of(task)
        if standing is not None:
            return TaskStory(standing=standing, events=join_story(answers.parts), missing=joined.missing)
        if answers.is_missing(task):
            raise RetryLater(f"task {task!r} is not known to those that answered; {'; '.join(joined.missing)}")
        return None

    def _ask(self, task: str | None = None) -> _Answers:
        def ask(process: RunningProcess) -> StatusPart | RetryLater:
            try:
                return process.part(task)
            except RetryLater as error:
                return error

        with ThreadPoolExecutor(len(self.processes)) as asking:
            told = list(asking.map(ask, self.processes))
        return _Answers(
            [one for one in told if not isinstance(one, RetryLater)],
            [one for one in told if isinstance(one, RetryLater)],
        )

    def _join(self, answers: _Answers) -> Overview:
        kinds = {part.service for part in answers.parts}
        if "budget" not in kinds:
            if answers.failures:
                raise answers.failures[0]
            raise ConfigurationError(
                f"{', '.join(process.url for process in self.processes)}: none of these is the budget service, which "
                "knows the tasks; give its --url too"
            )
        silent = "answered" if answers.failures else "was asked"
        lacking = [f"no {kind} {silent}, so {what} is not known" for kind, what in _LACKS.items() if kind not in kinds]
        source = f"services at {', '.join(process.url for process in self.processes)}"
        joined = join_parts(answers.parts, "; ".join((source, *lacking)), datetime.now(UTC))
        return joined.model_copy(update={"missing": tuple(answers.missing())})
