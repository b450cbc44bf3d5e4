"""Look up in a text where values stand, in whole tokens."""

from collections.abc import Sequence
from typing import NamedTuple

from understudies.students.extractor.fields import Fields
from understudies.students.extractor.readers import READERS, Scalar
from understudies.students.extractor.tokens import Token, line_numbers, token_span, tokenize

Span = tuple[int, int]
"""The first token, and one after the last."""
Place = tuple[int, list[Span]]
"""The number of a field, and the spans where a value of it stands."""


class TextIndex:
    """A text with its tokens, which remembers what each reader can read in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: Sequence[Token] = tokenize(text)
        self.lines = line_numbers(text, self.tokens)
        self._starts = {token.start: index for index, token in enumerate(self.tokens)}
        self._scanned: dict[str, dict[tuple[bool, Scalar], list[Span]]] = {}
        self._found: dict[tuple[str, Scalar], list[Span]] = {}

    def find(self, reader: str, value: Scalar) -> list[Span]:
        """Return the spans of whole tokens that stand for a value, as the reader reads it, first to last."""
        scan = READERS[reader].scan
        if scan is None:
            if (reader, value) not in self._found:
                places = READERS[reader].find(self.text, value)
                self._found[reader, value] = sorted({span for one in places if (span := self._tokens_at(one))})
            return self._found[reader, value]
        if isinstance(value, bool) or value is None:
            return []
        if reader not in self._scanned:
            values: dict[tuple[bool, Scalar], list[Span]] = {}
            for read, place in scan(self.text):
                if (span := self._tokens_at(place)) is not None:
                    values.setdefault((isinstance(read, str), read), []).append(span)
            self._scanned[reader] = values
        return self._scanned[reader].get((isinstance(value, str), value), [])

    def _tokens_at(self, place: tuple[int, int]) -> Span | None:
        return token_span(self.tokens, self._starts, place)


class Row(NamedTuple):
    """An object with the text that it was extracted from."""

    text: TextIndex
    fields: Fields
