"""Identify inputs: by their names, and by the earlier turns that they contain."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from understudies.datasets.system_template import NO_CONTEXT, SystemTemplate
from understudies.events import Message, Request

_MAX_OPENING_CHARS: Final = 200
"""Longest turn that may be an opening that many conversations share, such as a greeting."""


@dataclass(frozen=True, slots=True)
class Input:
    """Input by its fingerprint, by its text, and by its reading, the part that a student reads if more than the text.

    Two inputs with the same fingerprint or the same reading are the same input. `earlier` names the earlier turns that
    it contains whole, by their text, first to last; the first `brief` of them are short.
    """

    fingerprint: str
    text: str | None = None
    earlier: tuple[str, ...] = ()
    episode: str | None = None
    brief: int = 0
    reading: str | None = None

    @property
    def names(self) -> frozenset[str]:
        """The names of the input: fingerprint, text and reading."""
        return frozenset(name for name in (self.fingerprint, self.text, self.reading) if name is not None)

    @property
    def identifying_names(self) -> frozenset[str]:
        """The names shared only by the same input."""
        return frozenset({self.fingerprint, self.reading_name})

    @property
    def episodes(self) -> frozenset[str]:
        """The episode of the input, if any."""
        return frozenset() if self.episode is None else frozenset({self.episode})

    @property
    def turn_name(self) -> str:
        """The name by which a later turn refers to the input."""
        return self.text or self.fingerprint

    @property
    def reading_name(self) -> str:
        """The name of the part of the input that a student reads."""
        return self.reading or self.turn_name

    def without_openings(self, openings: frozenset[str]) -> "Input":
        """Return the input without the turns up to and including the last shared opening."""
        common = [index + 1 for index, name in enumerate(self.earlier) if name in openings]
        if not common:
            return self
        return replace(self, earlier=self.earlier[common[-1] :], brief=max(0, self.brief - common[-1]))


def identify_input(
    request: Request, fingerprint: str, episode: str | None = None, system: SystemTemplate = NO_CONTEXT
) -> Input:
    """Identify an input by its fingerprint, its reading and its episode.

    Two requests that differ only in their system prompt, for example by a date in it, have the same reading, unless
    `system` finds a different context there. A later turn of a conversation contains the earlier ones whole, up to an
    answer of the assistant, whatever their context was.
    """
    *turns, (whole, _) = _turn_names(request.messages)
    lengths = {name: length for name, length in turns if length and name != whole}
    brief = sum(length <= _MAX_OPENING_CHARS for length in lengths.values())
    context = system.context(request)
    return Input(fingerprint, whole or None, tuple(lengths), episode, brief, _reading_name(context, whole))


def _turn_names(messages: tuple[Message, ...]) -> Iterator[tuple[str, int]]:
    """Yield name and length of the text before each answer of the assistant, and at the end; "" names an empty text."""
    read, length = hashlib.sha256(), 0
    for message in messages:
        if message.role == "assistant":
            yield _text_name(read.hexdigest(), length)
        if message.role in ("system", "developer"):
            continue
        if words := " ".join(message.text.lower().split()):
            words = f" {words}" if length else words
            read.update(words.encode("utf-8", "surrogatepass"))
            length += len(words)
    yield _text_name(read.hexdigest(), length)


def _reading_name(context: str, text: str) -> str | None:
    if not context:
        return None
    read = f"{context.lower()}\n{text}".encode("utf-8", "surrogatepass")
    return f"read:{hashlib.sha256(read).hexdigest()[:32]}"


def _text_name(digest: str, length: int) -> tuple[str, int]:
    return (f"text:{digest[:32]}" if length else "", length)
