"""Report the fields that keep a task from being extracted, without quoting any value."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from understudies.students.extractor.fields import Leaf, scalars_of

_MOST_NAMED: Final = 5
_EXAMPLES: Final = 2
_LONGEST_FORM: Final = 24
_LONGEST_NUMBER: Final = 12
_PROSE_WORDS: Final = 6
"""Text of as many words is prose."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A field in the way: the share of the answers that it blocks, why, and the forms of values that do so."""

    field: str
    blocked: float
    why: str
    forms: tuple[str, ...] = ()

    def within(self, name: str) -> "Obstacle":
        """Return the obstacle of a field of a list's objects."""
        return replace(self, field=f"{name}[].{self.field}")

    def __str__(self) -> str:
        forms = f" (such as {', '.join(self.forms)})" if self.forms else ""
        return f"field {self.field}: {self.why}{forms}"


class NotExtractable(ValueError):  # noqa: N818 - names the condition
    """Report answers that cannot be extracted from their requests.

    Names the fields in the way, those that block most answers first. The text is published, so it quotes no value:
    only their forms, letters as x and digits as 0.
    """

    @classmethod
    def by_obstacles(cls, obstacles: Sequence[Obstacle]) -> "NotExtractable":
        """Create the error that names these fields."""
        ordered = sorted(obstacles, key=lambda one: -one.blocked)
        named = [f"{one}, in {one.blocked:.0%} of the answers" for one in ordered[:_MOST_NAMED]]
        more = [f"{len(ordered) - _MOST_NAMED} more fields"] if len(ordered) > _MOST_NAMED else []
        return cls("; ".join(named + more))


def is_prose(values: Sequence[Leaf]) -> bool:
    """Return whether values are mostly text of many words."""
    words = [len(value.split()) if isinstance(value, str) else 0 for value in values]
    return bool(words) and median(words) >= _PROSE_WORDS


def forms_of(values: Sequence[Leaf]) -> tuple[str, ...]:
    """Return the most common forms of values."""
    counts = Counter[str]()
    for value in values:
        scalars = scalars_of(value)
        counts.update(map(form_of, scalars) if scalars else [form_of(value)])
    return tuple(form for form, _ in counts.most_common(_EXAMPLES))


def form_of(value: Leaf) -> str:
    """Return the form of a value, which does not give the value away.

    >>> form_of("AB-1234"), form_of("word " * 50), form_of(-12.5), form_of(["a", "b"])
    ('text XX-0000', 'text of about 250 characters', 'number -00.0', 'list of 2')
    """
    if isinstance(value, list | dict):
        return f"list of {len(value)}" if isinstance(value, list) else "object"
    if isinstance(value, bool) or value is None:
        return "true or false" if isinstance(value, bool) else "null"
    if not isinstance(value, str):
        masked = _mask(str(value))
        return f"number {masked}" if len(masked) <= _LONGEST_NUMBER else f"number of {len(masked)} characters"
    if len(value) <= _LONGEST_FORM:
        return f"text {_mask(value)}"
    return f"text of about {round(len(value), -1)} characters"


def _mask(text: str) -> str:
    letters = re.sub(r"[^\W\d_]", lambda match: "X" if match[0].isupper() else "x", text)
    return " ".join(re.sub(r"\d", "0", letters).split())
