"""The shape of a task's conversations, fixed before any label is read."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final, Self

from understudies.datasets.conversations import Conversation, group_conversations, shared_openings
from understudies.datasets.dataset import Example
from understudies.datasets.inputs import identify_input
from understudies.datasets.system_template import NO_CONTEXT, SystemTemplate
from understudies.events import Request
from understudies.persistence.fields import SORTED, Seconds
from understudies.persistence.saved_state import Key, SavedState
from understudies.students.base import request_text

_COVERED_SHARE: Final = 0.95
_MAX_DURATION: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class ConversationShape(SavedState):
    """The most calls that count for one conversation, how long one lasts, and the openings that many share.

    `system` extracts the context of a call, as its students are trained to read it.
    """

    w_max: int = 1
    duration: Annotated[Seconds, Key("lasts_s")] = timedelta(0)
    openings: Annotated[frozenset[str], SORTED] = frozenset()
    system: SystemTemplate = NO_CONTEXT

    @classmethod
    def measure(cls, examples: Sequence[Example]) -> Self:
        """Measure the shape of a dataset's conversations, over all splits.

        `w_max` is the least cap on the calls counted per conversation that includes 95% of the calls: the few longer
        conversations must not slow down all others. As many calls also occur within `duration` of the first call of
        their conversation, at most a week.
        """
        system = SystemTemplate.learn([example.request for example in examples if example.split == "train"])
        inputs = [identify_input(example.request, example.fingerprint, example.episode, system) for example in examples]
        openings = shared_openings(inputs)
        unbiased = (
            (call_input, example.at) for call_input, example in zip(inputs, examples, strict=True) if example.unbiased
        )
        times = [_first_times(conversation) for conversation in group_conversations(unbiased, openings)]
        offsets = sorted(at - min(conversation) for conversation in times for at in conversation)
        sizes = [len(conversation) for conversation in times]
        return cls(_cluster_cap(sizes), _typical_duration(offsets), openings, system)

    def call_text(self, request: Request) -> str:
        """Return the text of a call: its context and its text, or the system prompt if there is no other text."""
        return f"{self.system.context(request)} {request_text(request) or request.system}"


def _first_times(conversation: Conversation[datetime]) -> list[datetime]:
    """Return the first time of each input of a conversation."""
    first: dict[str, datetime] = {}
    for call_input, at in conversation.members:
        first[call_input.reading_name] = min(at, first.get(call_input.reading_name, at))
    return list(first.values())


def _cluster_cap(sizes: Sequence[int]) -> int:
    """Return the least cap on the calls of a conversation that includes 95% of all calls."""
    needed = _COVERED_SHARE * sum(sizes)
    candidates = range(1, max(sizes, default=1) + 1)
    return candidates[bisect_left(candidates, needed, key=lambda cap: sum(min(size, cap) for size in sizes))]


def _typical_duration(offsets: Sequence[timedelta]) -> timedelta:
    """Return the least time within which 95% of the calls occur, at most a week."""
    if not offsets:
        return timedelta(0)
    return min(offsets[math.ceil(_COVERED_SHARE * len(offsets)) - 1], _MAX_DURATION)
