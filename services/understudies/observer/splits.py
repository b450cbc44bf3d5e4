"""The split of each example: that of the first call of its conversation or episode."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from understudies.datasets.conversations import group_conversations, shared_openings
from understudies.datasets.dataset import Example
from understudies.datasets.inputs import identify_input
from understudies.events import split_of


@dataclass(frozen=True, slots=True)
class DatedExample:
    """An example, and when its input came first."""

    example: Example
    first_at: datetime


def assign_splits(dated: Sequence[DatedExample]) -> list[Example]:
    """The examples in the same order, whole conversations and episodes in one split each.

    Else the later turns of a conversation would be clean evidence only where all turns before them were, which is
    rare, and what is held out would be short conversations and first turns.
    """
    inputs = [identify_input(one.example.request, one.example.fingerprint, one.example.episode) for one in dated]
    found: dict[int, Example] = {}
    for cluster in group_conversations(zip(inputs, range(len(dated)), strict=True), shared_openings(inputs)):
        places = [place for _, place in cluster.members]
        first = min(places, key=lambda place: (dated[place].first_at, dated[place].example.id))
        own = split_of(dated[first].example.fingerprint)
        found.update((place, dated[place].example.model_copy(update={"split": own})) for place in places)
    return [found[place] for place in range(len(dated))]
