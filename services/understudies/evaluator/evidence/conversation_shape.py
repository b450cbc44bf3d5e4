"""How the conversations of a task run: what is fixed about them before any label is seen."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Self

from understudies.datasets.conversations import Conversation, group_conversations, shared_openings
from understudies.datasets.dataset import Example
from understudies.datasets.inputs import identify_input
from understudies.datasets.system_template import NO_CONTEXT, SystemTemplate
from understudies.events import Request
from understudies.students.base import request_text

_COVERED_SHARE: Final = 0.95
_LONGEST: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class ConversationShape:
    """The most calls that speak for one conversation, how long one lasts, and the openings that many share.

    `system` tells the context of a call, as its students are taught to read it.
    """

    w_max: int = 1
    duration: timedelta = timedelta(0)
    openings: frozenset[str] = frozenset()
    system: SystemTemplate = NO_CONTEXT

    @classmethod
    def measure(cls, examples: Sequence[Example]) -> Self:
        """The shape of a dataset's conversations, whatever their splits.

        `w_max` is the least number at which 95% of the calls are heard, where every conversation is heard that often at
        most: the few that are longer must not slow down all the others. So many calls also come within `duration` of
        the first call of theirs, at most a week.
        """
        system = SystemTemplate.learn([one.request for one in examples if one.split == "train"])
        inputs = [identify_input(one.request, one.fingerprint, one.episode, system) for one in examples]
        openings = shared_openings(inputs)
        counting = ((one, known.at) for one, known in zip(inputs, examples, strict=True) if known.unbiased)
        times = [_first_times(cluster) for cluster in group_conversations(counting, openings)]
        offsets = sorted(at - min(conversation) for conversation in times for at in conversation)
        return cls(_cluster_cap([len(one) for one in times]), _typical_duration(offsets), openings, system)

    def call_text(self, request: Request) -> str:
        """What a call says: its context and its text, the system's where there is no other."""
        return f"{self.system.context(request)} {request_text(request) or request.system}"

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        known = {"w_max": self.w_max, "lasts_s": self.duration.total_seconds(), "openings": sorted(self.openings)}
        return known | ({"system": self.system.model_dump(mode="json")} if self.system.has_context else {})

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The shape that `state` was taken from."""
        system = SystemTemplate.model_validate(state["system"]) if "system" in state else NO_CONTEXT
        return cls(state["w_max"], timedelta(seconds=state["lasts_s"]), frozenset(state["openings"]), system)


def _first_times(cluster: Conversation[datetime]) -> list[datetime]:
    """When each input of a conversation came first."""
    first: dict[str, datetime] = {}
    for one, at in cluster.members:
        first[one.reading_name] = min(at, first.get(one.reading_name, at))
    return list(first.values())


def _cluster_cap(sizes: Sequence[int]) -> int:
    """The least number of calls of each conversation that makes 95% of all calls."""
    needed = _COVERED_SHARE * sum(sizes)
    candidates = range(1, max(sizes, default=1) + 1)
    return candidates[bisect_left(candidates, needed, key=lambda most: sum(min(size, most) for size in sizes))]


def _typical_duration(offsets: Sequence[timedelta]) -> timedelta:
    """The least time within which 95% of the calls come, at most a week."""
    if not offsets:
        return timedelta(0)
    return min(offsets[math.ceil(_COVERED_SHARE * len(offsets)) - 1], _LONGEST)
