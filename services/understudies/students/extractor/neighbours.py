"""Learn which words stand around the values of each field."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from understudies.students.extractor.text_index import Place, Span, TextIndex
from understudies.students.extractor.tokens import mask_digits


class Neighbours:
    """The words around the values of each field, counted in texts in which they tell one place of a value.

    These are the words before and after a value, and the first one of its line.
    """

    def __init__(self) -> None:
        self._counts = Counter[_Neighbour]()

    def learn(self, text: TextIndex, places: Sequence[Place]) -> None:
        """Count the neighbours that only one of the places of a value has."""
        for number, spans in places:
            around = Counter(one for span in spans for one in _neighbours(text, number, span))
            self._counts.update(one for one, count in around.items() if count == 1)

    def count(self, text: TextIndex, number: int, span: Span) -> int:
        """Return how often the neighbours of a span told a place of a field."""
        return sum(self._counts[one] for one in _neighbours(text, number, span))


_Neighbour = tuple[int, str, str]


def _neighbours(text: TextIndex, number: int, span: Span) -> list[_Neighbour]:
    tokens = text.tokens
    before = mask_digits(tokens[span[0] - 1].text) if span[0] else "<"
    after = mask_digits(tokens[span[1]].text) if span[1] < len(tokens) else ">"
    found = [(number, "before", before), (number, "after", after)]
    if text.lines[-1]:
        found.append((number, "line", mask_digits(tokens[bisect_left(text.lines, text.lines[span[0]])].text)))
    return found
