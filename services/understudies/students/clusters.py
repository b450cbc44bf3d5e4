"""Which calls are one conversation or one episode, and so one piece of evidence."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Generic, TypeVar

from understudies.students.inputs import Input

Item = TypeVar("Item")

_MOST_WAYS = 20
"""A turn that goes on in more ways than this is an opening that many conversations share, not one conversation."""


@dataclass(slots=True)
class Cluster(Generic[Item]):
    """Calls that are linked, in the order in which they were added, and all names that they and their turns have."""

    members: list[tuple[Input, Item]] = field(default_factory=list)
    own: set[str] = field(default_factory=set)
    earlier: set[str] = field(default_factory=set)
    episodes: set[str] = field(default_factory=set)

    @property
    def same(self) -> set[str]:
        """The names that only inputs equal to one of the calls' have."""
        return {name for one, _ in self.members for name in one.same}


class Clusters(Generic[Item]):
    """Calls by the conversation or episode that they belong to.

    Two calls are linked where they name the same episode, or where the input of one is an earlier turn of the other;
    whatever is linked to the same call is one cluster. An earlier turn links only if it was a call itself: examples
    shown in every prompt never were, so they make no conversation of calls that have nothing else in common. Equal
    inputs alone link nothing: they are the same input in two conversations.
    """

    def __init__(self) -> None:
        self._clusters: dict[int, Cluster[Item]] = {}
        self._own: defaultdict[str, set[int]] = defaultdict(set)
        self._earlier: defaultdict[str, set[int]] = defaultdict(set)
        self._episodes: dict[str, int] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._clusters)

    def __iter__(self) -> Iterator[Cluster[Item]]:
        return iter(list(self._clusters.values()))

    def knows(self, one: Input) -> bool:
        """Whether an equal input is among the calls."""
        return any(name in self._own for name in one.same)

    def links(self, one: Input) -> bool:
        """Whether a call with this input would belong to one of the clusters."""
        return bool(self._near(one.own, one.earlier, one.episodes))

    def add(self, one: Input, item: Item) -> None:
        """Add a call."""
        self.put(Cluster([(one, item)], set(one.own), set(one.earlier), set(one.episodes)))

    def put(self, cluster: Cluster[Item]) -> None:
        """Add calls that are one cluster already; it grows by all that they are linked to."""
        near = self._near(cluster.own, cluster.earlier, cluster.episodes)
        # What is large stays where it is: each call then moves a few times at most, however clusters grow together.
        home = max(near, key=lambda place: (len(self._clusters[place].members), -place), default=None)
        if home is None:
            home, self._next = self._next, self._next + 1
            self._clusters[home] = Cluster()
        for joining in [self.take(place) for place in sorted(near - {home})]:
            self._join(home, joining)
        self._join(home, cluster)

    def take(self, place: int) -> Cluster[Item]:
        """Remove a cluster."""
        cluster = self._clusters.pop(place)
        for index, names in ((self._own, cluster.own), (self._earlier, cluster.earlier)):
            for name in names:
                index[name].discard(place)
                if not index[name]:
                    del index[name]
        for name in cluster.episodes:
            del self._episodes[name]
        return cluster

    def places(self) -> list[tuple[int, Cluster[Item]]]:
        """The clusters with their places, by which they are taken."""
        return list(self._clusters.items())

    def _near(self, own: Iterable[str], earlier: Iterable[str], episodes: Iterable[str]) -> set[int]:
        near = {self._episodes[name] for name in episodes if name in self._episodes}
        near.update(*(self._own[name] for name in earlier if name in self._own))
        near.update(*(self._earlier[name] for name in own if name in self._earlier))
        return near

    def _join(self, place: int, joining: Cluster[Item]) -> None:
        cluster = self._clusters[place]
        cluster.members += joining.members
        cluster.own |= joining.own
        cluster.earlier |= joining.earlier
        cluster.episodes |= joining.episodes
        for name in joining.own:
            self._own[name].add(place)
        for name in joining.earlier:
            self._earlier[name].add(place)
        for name in joining.episodes:
            self._episodes[name] = place


def openings_of(inputs: Collection[Input]) -> frozenset[str]:
    """The brief turns that go on in so many ways that they say nothing of who is speaking, such as a greeting.

    A long one, such as a document that is asked about again and again, is what its calls have in common.
    """
    ways: defaultdict[str, set[str]] = defaultdict(set)
    for one in inputs:
        for before, after in pairwise((*one.earlier, one.name)[: one.brief + 1]):
            if len(ways[before]) <= _MOST_WAYS:
                ways[before].add(after)
    return frozenset(name for name, after in ways.items() if len(after) > _MOST_WAYS)


def clustered(calls: Iterable[tuple[Input, Item]], openings: frozenset[str]) -> Clusters[Item]:
    """The clusters of calls; a common opening links nothing."""
    clusters = Clusters[Item]()
    for one, item in calls:
        clusters.add(one.since(openings), item)
    return clusters
