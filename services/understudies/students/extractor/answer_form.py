"""Write fields as a JSON answer, as the teacher writes it."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pydantic import JsonValue

from understudies.students.extractor.fields import Fields, Leaf, Path, flatten, items_of, nest


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """How the teacher writes its answers: the order of fields, separators, indentation and escapes."""

    order: tuple[Path, ...]
    """The paths of the fields; those of a list's objects begin with the path of the list."""
    compact: bool = False
    indent: int | None = None
    escaped: bool = False
    fence: str | None = None
    """The language named by the Markdown fence around each answer; None without a fence."""

    @classmethod
    def learn(cls, texts: Sequence[str], fields: Iterable[Path]) -> "AnswerForm":
        """Learn from the answers' texts; the most common way of writing is taken."""
        answers = [flatten(json.loads(unfence(text)[1])) for text in texts]
        order = _learn_orders(answers, fields)
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
        place = {path: index for index, path in enumerate(self.order)}
        text = self.dump(nest(_sorted(fields, (), place)))
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


def _sorted(fields: Mapping[Path, Leaf], within: Path, place: Mapping[Path, int]) -> Fields:
    """Return fields, and those of objects in lists, in the order of their places."""
    ordered: Fields = {}
    for path in sorted(fields, key=lambda path: place.get((*within, *path), len(place))):
        value = fields[path]
        items = items_of(value)
        ordered[path] = [_sorted(item, (*within, *path), place) for item in items] if items else value
    return ordered


def _learn_orders(answers: Sequence[Mapping[Path, Leaf]], fields: Iterable[Path]) -> tuple[Path, ...]:
    """Return the order of the fields, then of those of each list's objects."""
    lists: dict[Path, list[list[Path]]] = {}
    for answer in answers:
        for path, value in answer.items():
            for item in items_of(value):
                lists.setdefault(path, []).append([(*path, *inner) for inner in item])
    inner = [path for items in lists.values() for path in _learn_order(items, ())]
    return (*_learn_order([list(answer) for answer in answers], fields), *inner)


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
