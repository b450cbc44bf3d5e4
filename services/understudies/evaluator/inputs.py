"""Which inputs a student has been shown or judged on, so that none counts twice."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from understudies.events import Request
from understudies.students import request_text


@dataclass(frozen=True, slots=True)
class Input:
    """The names under which an input is known, and those of the earlier turns that it contains."""

    own: frozenset[str]
    earlier: frozenset[str] = frozenset()


def input_of(request: Request, fingerprint: str, episode: str | None = None) -> Input:
    """An input by its fingerprint, by what a student reads of it, and by its episode.

    Two requests that differ only in their system prompt, as by a date in it, read the same; so they are one piece
    of evidence. A later turn of a conversation contains the earlier ones whole. Verdicts on such inputs are not
    independent, and counted one by one they promote wrongly in a third of the cases at clusters of two
    (statistics.md, section 1).
    """
    own = {fingerprint, *_named(request)}
    if episode is not None:
        own.add(f"episode:{episode}")
    turns = [n for n, message in enumerate(request.messages) if message.role == "assistant" and n > 0]
    prefixes = (request.model_copy(update={"messages": request.messages[:n]}) for n in turns)
    return Input(frozenset(own), frozenset(name for prefix in prefixes for name in _named(prefix)))


def _named(request: Request) -> Iterable[str]:
    read = " ".join(request_text(request).lower().split())
    return [f"text:{hashlib.sha256(read.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"] if read else []


class Inputs:
    """The inputs that are spent: learned from, chosen by, or judged already.

    They are kept in the order in which they came: to sort a hundred thousand for each snapshot takes too long.
    """

    def __init__(self, own: Iterable[str] = (), earlier: Iterable[str] = ()) -> None:
        self._own = dict.fromkeys(own)
        self._earlier = dict.fromkeys(earlier)

    def take(self, one: Input) -> None:
        """Spend an input."""
        self._own |= dict.fromkeys(sorted(one.own))
        self._earlier |= dict.fromkeys(sorted(one.earlier))

    def fresh(self, one: Input) -> bool:
        """Whether neither the input, nor a turn before it, nor one that goes on from it, is spent."""
        own, earlier = self._own, self._earlier
        return not (any(name in own or name in earlier for name in one.own) or any(name in own for name in one.earlier))

    def state(self) -> dict[str, Any]:
        """A JSON-serialisable snapshot."""
        return {"own": list(self._own), "earlier": list(self._earlier)}
