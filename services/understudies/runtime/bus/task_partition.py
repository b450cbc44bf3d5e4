"""Name one partition of the topics that are keyed by task, and the tasks whose events it holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from understudies.events import INVOCATIONS, VERDICTS, Topic
from understudies.runtime.bus.publisher import hash_key

PARTITIONED_TOPICS: Final = (INVOCATIONS, VERDICTS)
"""The topics of which a process may read some partitions; the others are small, and are read whole."""
PARTITIONED_NAMES: Final = frozenset(topic.name for topic in PARTITIONED_TOPICS)


@dataclass(frozen=True, slots=True)
class TaskPartition:
    """One of `count` partitions, by its number, of each of `PARTITIONED_TOPICS`."""

    number: int
    count: int

    def owns(self, task: str) -> bool:
        """Return whether the events of a task are in this partition, as Kafka's own clients place them."""
        return hash_key(task.encode("utf-8", "surrogatepass")) % self.count == self.number

    def numbers(self, topic: Topic) -> Sequence[int]:
        """Return which partitions of a topic are read."""
        return (self.number,) if topic in PARTITIONED_TOPICS else range(topic.partitions)

    def reads(self, topic: str, number: int) -> bool:
        """Return whether a partition of a topic, by its name, is read."""
        return number == self.number or topic not in PARTITIONED_NAMES
