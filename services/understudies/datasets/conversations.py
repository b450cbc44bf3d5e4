"""Which calls are one conversation or one episode, and so one piece of evidence."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Generic, TypeVar

from understudies.datasets.inputs import Input

Item = TypeVar("Item")

_MAX_CONTINUATIONS = 20
"""A turn that goes on in more ways than this is an opening that many conversations share, not one conversation."""


@dataclass(slots=True)
class Conversation(Generic[Item]):
    """Calls that are linked, in the order in which they were added, and all names that they and their turns have."""

    members: list[tuple[Input, Item]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    earlier: set[str] = field(default_factory=set)
    episodes: set[str] = field(default_factory=set)

    @property
    def identifying_names(self) -> set[str]:
        """The names that only inputs equal to one of the calls' have."""
        return {name for one, _ in self.members for name in one.identifying_names}


class Conversations(Generic[Item]):
    """Calls by the conversation or episode that they belong to.

    Two calls are linked where they name the same episode, or where the input of one is an earlier turn of the other;
    whatever is linked to the same call is one cluster. An earlier turn links only if it was a call itself: examples
    shown in every prompt never were, so they make no conversation of calls that have nothing else in common. Equal
    inputs alone link nothing: they are the same input in two conversations.
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
        """Whether an equal input is among the calls."""
        return any(name in self._by_name for name in one.identifying_names)

    def is_linked(self, one: Input) -> bool:
        """Whether a call with this input would belong to one of the clusters."""
        return bool(self._linked(one.names, one.earlier, one.episodes))

    def add(self, one: Input, item: Item) -> None:
        """Add a call."""
        self.add_conversation(Conversation([(one, item)], set(one.names), set(one.earlier), set(one.episodes)))

    def add_conversation(self, cluster: Conversation[Item]) -> None:
        """Add calls that are one cluster already; it grows by all that they are linked to."""
        near = self._linked(cluster.names, cluster.earlier, cluster.episodes)
        # What is large stays where it is: each call then moves a few times at most, however clusters grow together.
        home = max(near, key=lambda place: (len(self._conversations[place].members), -place), default=None)
        if home is None:
            home, self._next = self._next, self._next + 1
            self._conversations[home] = Conversation()
        for joining in [self.pop(place) for place in sorted(near - {home})]:
            self._join(home, joining)
        self._join(home, cluster)

    def pop(self, place: int) -> Conversation[Item]:
        """Remove a cluster."""
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
        """The clusters with their places, by which they are taken."""
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
    """The brief turns that go on in so many ways that they say nothing of who is speaking, such as a greeting.

    A long one, such as a document that is asked about again and again, is what its calls have in common.
    """
    ways: defaultdict[str, set[str]] = defaultdict(set)
    for one in inputs:
        for before, after in pairwise((*one.earlier, one.turn_name)[: one.brief + 1]):
            if len(ways[before]) <= _MAX_CONTINUATIONS:
                ways[before].add(after)
    return frozenset(name for name, after in ways.items() if len(after) > _MAX_CONTINUATIONS)


def group_conversations(calls: Iterable[tuple[Input, Item]], openings: frozenset[str]) -> Conversations[Item]:
    """The clusters of calls; a common opening links nothing."""
    clusters = Conversations[Item]()
    for one, item in calls:
        clusters.add(one.without_openings(openings), item)
    return clusters
