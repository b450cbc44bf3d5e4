"""Group calls into conversations and episodes, each of which is one piece of evidence."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Generic, TypeVar

from understudies.datasets.inputs import Input

Item = TypeVar("Item")

_MAX_CONTINUATIONS = 20
"""A turn with more distinct continuations than this is an opening that many conversations share."""


@dataclass(slots=True)
class Conversation(Generic[Item]):
    """Linked calls, in the order in which they were added, and all names of theirs and of their turns."""

    members: list[tuple[Input, Item]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    earlier: set[str] = field(default_factory=set)
    episodes: set[str] = field(default_factory=set)

    @property
    def identifying_names(self) -> set[str]:
        """The names shared only by inputs equal to that of one of the calls."""
        return {name for one, _ in self.members for name in one.identifying_names}


class Conversations(Generic[Item]):
    """Calls grouped by conversation or episode.

    Two calls are linked if they name the same episode, or if the input of one is an earlier turn of the other; all
    calls linked to the same call form one conversation. An earlier turn links only if it was a call itself: examples
    shown in every prompt never were, so they do not link otherwise unrelated calls. Equal inputs alone do not link:
    they are the same input in two conversations.
    """

    def __init__(self) -> None:
        self._conversations: dict[int, Conversation[Item]] = {}
        self._by_name: defaultdict[str, set[int]] = defaultdict(set)
        self._by_earlier: defaultdict[str, set[int]] = defaultdict(set)
        self._by_episode: dict[str, int] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._conversations)

    def __iter__(self) -> Iterator[Conversation[Item]]:
        return iter(list(self._conversations.values()))

    def contains(self, one: Input) -> bool:
        """Return whether an equal input is among the calls."""
        return any(name in self._by_name for name in one.identifying_names)

    def is_linked(self, one: Input) -> bool:
        """Return whether a call with this input would belong to one of the conversations."""
        return bool(self._linked(one.names, one.earlier, one.episodes))

    def add(self, one: Input, item: Item) -> None:
        """Add a call."""
        self.add_conversation(Conversation([(one, item)], set(one.names), set(one.earlier), set(one.episodes)))

    def add_conversation(self, cluster: Conversation[Item]) -> None:
        """Add calls that already form a conversation, and merge it with all conversations that they are linked to."""
        near = self._linked(cluster.names, cluster.earlier, cluster.episodes)
        # Merge into the largest one: each call then moves a few times at most, however conversations merge.
        home = max(near, key=lambda place: (len(self._conversations[place].members), -place), default=None)
        if home is None:
            home, self._next = self._next, self._next + 1
            self._conversations[home] = Conversation()
        for joining in [self.pop(place) for place in sorted(near - {home})]:
            self._join(home, joining)
        self._join(home, cluster)

    def pop(self, place: int) -> Conversation[Item]:
        """Remove and return a conversation."""
        cluster = self._conversations.pop(place)
        for index, names in ((self._by_name, cluster.names), (self._by_earlier, cluster.earlier)):
            for name in names:
                index[name].discard(place)
                if not index[name]:
                    del index[name]
        for name in cluster.episodes:
            del self._by_episode[name]
        return cluster

    def items(self) -> list[tuple[int, Conversation[Item]]]:
        """Return the conversations with their ids, which `pop` accepts."""
        return list(self._conversations.items())

    def _linked(self, own: Iterable[str], earlier: Iterable[str], episodes: Iterable[str]) -> set[int]:
        near = {self._by_episode[name] for name in episodes if name in self._by_episode}
        near.update(*(self._by_name[name] for name in earlier if name in self._by_name))
        near.update(*(self._by_earlier[name] for name in own if name in self._by_earlier))
        return near

    def _join(self, place: int, joining: Conversation[Item]) -> None:
        cluster = self._conversations[place]
        cluster.members += joining.members
        cluster.names |= joining.names
        cluster.earlier |= joining.earlier
        cluster.episodes |= joining.episodes
        for name in joining.names:
            self._by_name[name].add(place)
        for name in joining.earlier:
            self._by_earlier[name].add(place)
        for name in joining.episodes:
            self._by_episode[name] = place


def shared_openings(inputs: Collection[Input]) -> frozenset[str]:
    """Return the brief turns with so many continuations that they do not identify a conversation, such as a greeting.

    A long turn, such as a document that is asked about repeatedly, does link its calls.
    """
    ways: defaultdict[str, set[str]] = defaultdict(set)
    for one in inputs:
        for before, after in pairwise((*one.earlier, one.turn_name)[: one.brief + 1]):
            if len(ways[before]) <= _MAX_CONTINUATIONS:
                ways[before].add(after)
    return frozenset(name for name, after in ways.items() if len(after) > _MAX_CONTINUATIONS)


def group_conversations(calls: Iterable[tuple[Input, Item]], openings: frozenset[str]) -> Conversations[Item]:
    """Group calls into conversations; shared openings do not link calls."""
    clusters = Conversations[Item]()
    for one, item in calls:
        clusters.add(one.without_openings(openings), item)
    return clusters
