"""What an input is: the names under which it is known, and the earlier turns that it contains."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from understudies.events import Message, Request


@dataclass(frozen=True, slots=True)
class Input:
    """One input by its fingerprint and by what a student reads of it; two that share a name are the same input.

    `earlier` names the turns before it that it contains whole, first to last.
    """

    fingerprint: str
    text: str | None = None
    earlier: tuple[str, ...] = ()
    episode: str | None = None

    @property
    def own(self) -> frozenset[str]:
        return frozenset({self.fingerprint} if self.text is None else {self.fingerprint, self.text})

    @property
    def episodes(self) -> frozenset[str]:
        """Its episode, if any."""
        return frozenset() if self.episode is None else frozenset({self.episode})

    @property
    def name(self) -> str:
        """The name that a later turn would know it by."""
        return self.text or self.fingerprint

    def since(self, openings: frozenset[str]) -> "Input":
        """The input without the turns up to the last that is a common opening."""
        common = [place for place, name in enumerate(self.earlier) if name in openings]
        return replace(self, earlier=self.earlier[common[-1] + 1 :]) if common else self


def input_of(request: Request, fingerprint: str, episode: str | None = None) -> Input:
    """An input by its fingerprint, by what a student reads of it, and by its episode.

    Two requests that differ only in their system prompt, as by a date in it, read the same. A later turn of a
    conversation contains the earlier ones whole, up to an answer of the assistant.
    """
    *turns, whole = _readings(request.messages)
    earlier = tuple(dict.fromkeys(turn for turn in turns if turn is not None and turn != whole))
    return Input(fingerprint, whole, earlier, episode)


def _readings(messages: tuple[Message, ...]) -> Iterator[str | None]:
    """The name of what had been said before each answer of the assistant, and at the end; None for nothing."""
    read, empty = hashlib.sha256(), True
    for message in messages:
        if message.role == "assistant":
            yield None if empty else _name(read.hexdigest())
        if message.role in ("system", "developer"):
            continue
        if words := " ".join(message.text.lower().split()):
            read.update((words if empty else f" {words}").encode("utf-8", "surrogatepass"))
            empty = False
    yield None if empty else _name(read.hexdigest())


def _name(digest: str) -> str:
    return f"text:{digest[:32]}"
