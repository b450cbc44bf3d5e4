"""What an input is: the names under which it is known, and the earlier turns that it contains."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from understudies.events import Message, Request

_BRIEF: Final = 200
"""Characters up to which a turn may be an opening that many conversations share, such as a greeting."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input by its fingerprint and by what a student reads of it; two that share a name are the same input.

    `earlier` names the turns before it that it contains whole, first to last; the first `brief` of them are short.
    """

    fingerprint: str
    text: str | None = None
    earlier: tuple[str, ...] = ()
    episode: str | None = None
    brief: int = 0

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
        common = [place + 1 for place, name in enumerate(self.earlier) if name in openings]
        if not common:
            return self
        return replace(self, earlier=self.earlier[common[-1] :], brief=max(0, self.brief - common[-1]))


def input_of(request: Request, fingerprint: str, episode: str | None = None) -> Input:
    """An input by its fingerprint, by what a student reads of it, and by its episode.

    Two requests that differ only in their system prompt, as by a date in it, read the same. A later turn of a
    conversation contains the earlier ones whole, up to an answer of the assistant.
    """
    *turns, (whole, _) = _readings(request.messages)
    lengths = {name: length for name, length in turns if length and name != whole}
    brief = sum(length <= _BRIEF for length in lengths.values())
    return Input(fingerprint, whole or None, tuple(lengths), episode, brief)


def _readings(messages: tuple[Message, ...]) -> Iterator[tuple[str, int]]:
    """Name and length of what had been said before each answer of the assistant, and at the end; nothing has none."""
    read, length = hashlib.sha256(), 0
    for message in messages:
        if message.role == "assistant":
            yield _name(read.hexdigest(), length)
        if message.role in ("system", "developer"):
            continue
        if words := " ".join(message.text.lower().split()):
            words = f" {words}" if length else words
            read.update(words.encode("utf-8", "surrogatepass"))
            length += len(words)
    yield _name(read.hexdigest(), length)


def _name(digest: str, length: int) -> tuple[str, int]:
    return (f"text:{digest[:32]}" if length else "", length)
