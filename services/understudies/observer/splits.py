"""Assign splits: each example takes that of the first call of its conversation or episode."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from understudies.datasets.conversations import group_conversations, shared_openings
from understudies.datasets.dataset import Example
from understudies.datasets.inputs import identify_input
from understudies.events import Split, split_of


@dataclass(frozen=True, slots=True)
class DatedExample:
    """An example, and the first time that its input occurred."""

    example: Example
    first_at: datetime


def assign_splits(dated: Sequence[DatedExample]) -> list[Example]:
    """Return the examples in the same order, each conversation and episode within one split.

    Otherwise the later turns of a conversation would be clean evidence only where all turns before them were, which is
    rare, and the held-out evidence would be short conversations and first turns.
    """
    examples = [item.example for item in dated]
    inputs = [identify_input(example.request, example.fingerprint, example.episode) for example in examples]
    assigned: dict[int, Example] = {}
    for cluster in group_conversations(zip(inputs, range(len(dated)), strict=True), shared_openings(inputs)):
        places = [place for _, place in cluster.members]
        first = min(places, key=lambda place: (dated[place].first_at, examples[place].id))
        own = split_of(examples[first].fingerprint)
        assigned.update((place, _with_split(examples[place], own)) for place in places)
    return [assigned[place] for place in range(len(dated))]


def _with_split(example: Example, split: Split) -> Example:
    return example if example.split == split else example.model_copy(update={"split": split})
