"""Which inputs a student has been shown or judged on, so that none counts twice."""

from collections.abc import Iterable
from typing import Any

from understudies.students import Cluster, Input


class Inputs:
    """The inputs that are spent: learned from, chosen by, or judged already.

    A conversation or episode is spent as a whole: verdicts on its calls are not independent, and counted one by one
    they promote wrongly in a third of the cases at clusters of two (statistics.md, section 1).
    """

    def __init__(self, own: Iterable[str] = (), earlier: Iterable[str] = ()) -> None:
        self._own = set(own)
        self._earlier = set(earlier)

    def take(self, one: Input | Cluster[Any]) -> None:
        """Spend an input, or all of a conversation."""
        self._own |= _names(one)
        self._earlier.update(one.earlier)

    def fresh(self, one: Input | Cluster[Any]) -> bool:
        """Whether neither the input, nor a turn before it, nor one that goes on from it, nor its episode, is spent."""
        own = _names(one)
        return not (own & self._own or own & self._earlier or self._own.intersection(one.earlier))

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        return {"own": sorted(self._own), "earlier": sorted(self._earlier)}


def _names(one: Input | Cluster[Any]) -> set[str]:
    return {*one.own, *(f"episode:{name}" for name in one.episodes)}
