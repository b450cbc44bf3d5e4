"""Which inputs a student has been shown or judged on, so that none counts twice."""

from collections.abc import Iterable, Iterator
from typing import Any

from understudies.datasets.conversations import Conversation
from understudies.datasets.inputs import Input


class UsedInputs:
    """The inputs that are spent: learned from, chosen by, or judged already.

    A conversation or episode is spent as a whole: verdicts on its calls are not independent, and counted one by one
    they promote wrongly in a third of the cases at clusters of two (statistics.md, section 1).

    They are kept in the order in which they came: to sort a hundred thousand for each snapshot takes too long.
    """

    def __init__(self, own: Iterable[str] = (), earlier: Iterable[str] = ()) -> None:
        self._names = dict.fromkeys(own)
        self._earlier = dict.fromkeys(earlier)

    def mark_used(self, one: Input | Conversation[Any]) -> None:
        """Spend an input, or all of a conversation."""
        self._names |= dict.fromkeys(sorted(_names(one)))
        self._earlier |= dict.fromkeys(sorted(one.earlier))

    def is_unused(self, one: Input | Conversation[Any]) -> bool:
        """Whether neither the input, nor a turn before it, nor one that goes on from it, nor its episode, is spent."""
        own, earlier = self._names, self._earlier
        known = any(name in own for name in (*one.identifying_names, *_episodes(one)))
        return not (known or any(name in earlier for name in one.names) or any(name in own for name in one.earlier))

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        return {"own": list(self._names), "earlier": list(self._earlier)}


def _names(one: Input | Conversation[Any]) -> set[str]:
    return {*one.names, *_episodes(one)}


def _episodes(one: Input | Conversation[Any]) -> Iterator[str]:
    return (f"episode:{name}" for name in one.episodes)
