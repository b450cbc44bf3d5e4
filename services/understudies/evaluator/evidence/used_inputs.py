"""The inputs that a student was trained or judged on, so that none counts twice."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from understudies.datasets.conversations import Conversation
from understudies.datasets.inputs import Input
from understudies.persistence.fields import OrderedNames
from understudies.persistence.saved_state import Key, SavedState


class UsedInputs(SavedState):
    """The inputs that are used up: trained on, used for selection, or judged already.

    A conversation or episode is used up as a whole: verdicts on its calls are not independent, and counting them one by
    one promotes wrongly in a third of the cases at clusters of two (statistics.md, section 1).
    """

    _names: Annotated[OrderedNames, Key("own")]
    _earlier: OrderedNames

    def __init__(self, own: Iterable[str] = (), earlier: Iterable[str] = ()) -> None:
        self._names = dict.fromkeys(own)
        self._earlier = dict.fromkeys(earlier)

    def __len__(self) -> int:
        """Return the number of names that are kept."""
        return len(self._names) + len(self._earlier)

    def mark_used(self, item: Input | Conversation[Any]) -> None:
        """Mark an input, or a whole conversation, as used."""
        self._names |= dict.fromkeys(sorted(_names(item)))
        self._earlier |= dict.fromkeys(sorted(item.earlier))

    def is_unused(self, item: Input | Conversation[Any]) -> bool:
        """Return whether an input is unused.

        That holds if neither the input, nor an earlier turn, nor one that continues it, nor its episode is used.
        """
        own, earlier = self._names, self._earlier
        is_used = any(name in own for name in (*item.identifying_names, *_episodes(item)))
        return not (is_used or any(name in earlier for name in item.names) or any(name in own for name in item.earlier))


def _names(item: Input | Conversation[Any]) -> set[str]:
    return {*item.names, *_episodes(item)}


def _episodes(item: Input | Conversation[Any]) -> Iterator[str]:
    return (f"episode:{name}" for name in item.episodes)
