"""Which inputs a student has been shown or judged on, so that none counts twice."""

from collections.abc import Iterable, Iterator
from typing import Any

from understudies.students import Cluster, Input


class Inputs:
    """The inputs that are spent: learned from, chosen by, or judged already.

    A conversation or episode is spent as a whole: verdicts on its calls are not independent, and counted one by one
    they promote wrongly in a third of the cases at clusters of two (statistics.md, section 1).

    They are kept in the order in which they came: to sort a hundred thousand for each snapshot takes too long.
    """

    def __init__(self, own: Iterable[str] = (), earlier: Iterable[str] = ()) -> None:
        self._own = dict.fromkeys(own)
        self._earlier = dict.fromkeys(earlier)

    def take(self, one: Input | Cluster[Any]) -> None:
        """Spend an input, or all of a conversation."""
        self._own |= dict.fromkeys(sorted(_names(one)))
        self._earlier |= dict.fromkeys(sorted(one.earlier))

    def fresh(self, one: Input | Cluster[Any]) -> bool:
        """Whether neither the input, nor a turn before it, nor one that goes on from it, nor its episode, is spent."""
        own, earlier = self._own, self._earlier
        known = any(name in own for name in (*one.same, *_episodes(one)))
        return not (known or any(name in earlier for name in one.own) or any(name in own for name in one.earlier))

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        return {"own": list(self._own), "earlier": list(self._earlier)}


def _names(one: Input | Cluster[Any]) -> set[str]:
    return {*one.own, *_episodes(one)}


def _episodes(one: Input | Cluster[Any]) -> Iterator[str]:
    return (f"episode:{name}" for name in one.episodes)
