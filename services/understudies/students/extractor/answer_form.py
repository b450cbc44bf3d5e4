"""Take a JSON answer apart into fields, and write one as the teacher writes it."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from pydantic import JsonValue

from understudies.events.json_values import replace_lone_surrogates
from understudies.students.extractor.readers import Scalar

Path = tuple[str, ...]
Leaf = Scalar | list[Scalar]

_MAX_DEPTH: Final = 6
MAX_FIELDS: Final = 60


class UnsupportedForm(ValueError):  # noqa: N818 - names what was met
    """Report an answer whose form has no fields to extract; names the field."""


def flatten(value: JsonValue) -> dict[Path, Leaf]:
    """Return the fields of an object by their paths, through nested objects; raises UnsupportedForm for other forms."""
    fields: dict[Path, Leaf] = {}
    _flatten(value, (), fields)
    return fields


def _flatten(value: JsonValue, path: Path, fields: dict[Path, Leaf]) -> None:
    if isinstance(value, dict) and (value or not path):
        if len(path) >= _MAX_DEPTH:
            raise UnsupportedForm(f"{format_path(path)} nests too deeply")
        for key, inner in value.items():
            _flatten(inner, (*path, key), fields)
    elif not path or isinstance(value, dict):
        raise UnsupportedForm("the answer is not an object" if not path else f"{format_path(path)} is an empty object")
    elif isinstance(value, float) and not math.isfinite(value):
        raise UnsupportedForm(f"{format_path(path)} is no finite number")
    elif isinstance(value, str) and replace_lone_surrogates(value) != value:
        raise UnsupportedForm(f"{format_path(path)} is no Unicode text")
    elif isinstance(value, list):
        if any(isinstance(item, dict | list) for item in value):
            raise UnsupportedForm(f"{format_path(path)} is a list of objects")
        fields[path] = [item for item in value if not isinstance(item, dict | list)]
    else:
        fields[path] = value
    if len(fields) > MAX_FIELDS:
        raise UnsupportedForm(f"there are more than {MAX_FIELDS} fields")


def format_path(path: Path) -> str:
    """Return a path as text."""
    return ".".join(path)


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """How the teacher writes its answers: the order of fields, separators, indentation and escapes."""

    order: tuple[Path, ...]
    compact: bool = False
    indent: int | None = None
    escaped: bool = False
    fence: str | None = None
    """The language named by the Markdown fence around each answer; None without a fence."""

    @classmethod
    def learn(cls, texts: Sequence[str], fields: Iterable[Path]) -> "AnswerForm":
        """Learn from the answers' texts; the most common way of writing is taken."""
        order = _learn_order([list(flatten(json.loads(unfence(text)[1]))) for text in texts], fields)
        fence = Counter(unfence(text)[0] for text in texts).most_common(1)[0][0] if texts else None
        candidates = [
            cls(order, compact, indent, escaped, fence)
            for indent in (None, 2, 4)
            for compact in (False, True)
            for escaped in (False, True)
            if indent is None or not compact
        ]
        sample = [unfence(text)[1] for text in texts[:200]]
        return max(candidates, key=lambda form: sum(form.dump(json.loads(text)) == text for text in sample))

    def write(self, fields: Mapping[Path, Leaf]) -> str:
        """Return the answer with these fields."""
        built: dict[str, JsonValue] = {}
        place = {path: index for index, path in enumerate(self.order)}
        for path in sorted(fields, key=lambda path: place.get(path, len(place))):
            inner: dict[str, JsonValue] = built
            for key in path[:-1]:
                child = inner.setdefault(key, {})
                assert isinstance(child, dict)
                inner = child
            value = fields[path]
            inner[path[-1]] = list(value) if isinstance(value, list) else value
        text = self.dump(built)
        return f"```{self.fence}\n{text}\n```" if self.fence is not None else text

    def dump(self, value: JsonValue) -> str:
        """Return a value as JSON in this form."""
        separators = (",", ":") if self.compact else None
        return json.dumps(value, ensure_ascii=self.escaped, indent=self.indent, separators=separators)


def unfence(text: str) -> tuple[str | None, str]:
    """Return the language of the Markdown fence around a text, None without a fence, and the text inside."""
    body = text.strip()
    if not body.startswith("```") or not body.endswith("```") or "\n" not in body:
        return None, body
    head, _, rest = body.partition("\n")
    return head.removeprefix("```").strip(), rest.removesuffix("```").strip()


def _learn_order(answers: Sequence[Sequence[Path]], fields: Iterable[Path]) -> tuple[Path, ...]:
    """Return the fields in an order that as many neighbours as possible keep: by their mean place in the answers."""
    after: Counter[tuple[Path, Path]] = Counter()
    for paths in answers:
        after.update(pairwise(paths))
    places: dict[Path, list[float]] = {}
    for paths in answers:
        for index, path in enumerate(paths):
            places.setdefault(path, []).append(index / max(1, len(paths) - 1))
    known = sorted(set(fields) | set(places), key=lambda path: (_mean(places.get(path, [1.0])), path))
    # Neighbours in the answers decide where means mislead, as fields are often absent.
    for _ in known:
        swapped = False
        for left in range(len(known) - 1):
            one, other = known[left], known[left + 1]
            if after[other, one] > after[one, other]:
                known[left], known[left + 1] = other, one
                swapped = True
        if not swapped:
            break
    return tuple(known)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
