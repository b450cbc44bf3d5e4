"""Plan fields of scalars, and of lists of them, by their recorded values."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pydantic import JsonValue

from understudies.students.extractor.fields import Leaf, scalars_of, to_json
from understudies.students.extractor.obstacles import Obstacle, forms_of, is_prose
from understudies.students.extractor.plans import FieldKind, FieldPlan
from understudies.students.extractor.readers import READERS
from understudies.students.extractor.text_index import TextIndex

LEAST_COPIED: Final = 0.80
"""Share of a field's values that a reader must find in the text."""
_LEAST_CHOSEN: Final = 0.95
"""Share of a field's values that must be among those given repeatedly."""
_MOST_CHOICES: Final = 60
_FEW_CHOICES: Final = 8
_MOST_LISTS: Final = 12
"""Most different lists that are chosen whole."""
_MOST_LABELS: Final = 20
_LEAST_PLACEHOLDER: Final = 0.02
_SAMPLE: Final = 200

Values = Sequence[tuple[TextIndex, Leaf]]
"""The values of a field, each with the text that it was extracted from."""


@dataclass(frozen=True, slots=True)
class Unplanned:
    """A field that cannot be answered but perhaps by a relation to others."""

    obstacles: list[Obstacle]
    plan: FieldPlan


def plan_values(plan: FieldPlan, values: Values, holders: int) -> FieldPlan | Unplanned:
    """Plan a field by its values; `plan` knows all else about it, `holders` counts the objects that may have it."""
    counts = Counter(repr(value) for _, value in values)
    reader, share = _choose_reader(values)
    if len(counts) == 1 and (plan.presence == 1 or share < LEAST_COPIED):
        return replace(plan, kind="chosen" if plan.presence < 1 else "constant", choices=(to_json(values[0][1]),))
    if share >= LEAST_COPIED:
        return replace(plan, kind="copied", reader=reader)
    is_list = any(isinstance(value, list) for _, value in values)
    with_placeholder = None if is_list else _with_placeholder(plan, values, counts)
    # A default among numbers that are copied, not one class of a few whose names may stand in the text.
    if with_placeholder is not None and len(counts) > _FEW_CHOICES:
        return with_placeholder
    if chosen := choose_whole(plan, values):
        return chosen
    if is_list and (labels := _learn_labels([value for _, value in values])):
        return replace(plan, kind="multi_label", choices=labels)
    if with_placeholder is not None:
        return with_placeholder
    return Unplanned([_obstacle(plan, values, reader, share, holders)], plan)


def choose_whole(plan: FieldPlan, values: Values) -> FieldPlan | None:
    """Return the plan of a field whose values are a closed set; None if they are not."""
    counts = Counter(repr(value) for _, value in values)
    choices = {repr(value): to_json(value) for _, value in values if counts[repr(value)] > 1}
    most = _MOST_LISTS if any(isinstance(value, list) for _, value in values) else _MOST_CHOICES
    if len(choices) > most or sum(counts[name] for name in choices) < _LEAST_CHOSEN * len(values):
        return None
    kind: FieldKind = "constant" if len(choices) == 1 and plan.presence == 1 else "chosen"
    return replace(plan, kind=kind, choices=tuple(choices.values()))


def _learn_labels(values: Sequence[Leaf]) -> tuple[JsonValue, ...]:
    """Return the items of lists in the order in which they stand; none if they are no small closed set."""
    lists = [scalars_of(value) for value in values]
    counts = Counter(repr(item) for items in lists for item in items)
    labels = {repr(item): item for items in lists for item in items if counts[repr(item)] > 1}
    closed = sum(all(repr(item) in labels for item in items) for items in lists)
    if len(labels) > _MOST_LABELS or closed < _LEAST_CHOSEN * len(lists):
        return ()
    places: dict[str, list[float]] = {name: [] for name in labels}
    for items in lists:
        for index, item in enumerate(items):
            if repr(item) in places:
                places[repr(item)].append(index - (len(items) - 1) / 2)
    means = {name: sum(found) / len(found) for name, found in places.items()}
    return tuple(labels[name] for name in sorted(labels, key=lambda name: (means[name], name)))


def _with_placeholder(plan: FieldPlan, values: Values, counts: Counter[str]) -> FieldPlan | None:
    """Return the plan of a copied field for which one repeated value, such as "unknown", stands for nothing."""
    [(placeholder, count)] = counts.most_common(1)
    left = [(text, value) for text, value in values if repr(value) != placeholder]
    nothings = round(len(values) * (1 / plan.presence - 1))
    if count < max(2, _LEAST_PLACEHOLDER * len(values)) or count <= nothings or not left:
        return None
    reader, share = _choose_reader(left)
    if share < LEAST_COPIED:
        return None
    value = next(value for _, value in values if repr(value) == placeholder)
    presence = plan.presence * len(left) / len(values)
    return replace(plan, kind="copied", reader=reader, nothing=(to_json(value),), presence=presence)


def _obstacle(plan: FieldPlan, values: Values, reader: str, share: float, holders: int) -> Obstacle:
    missed = [value for text, value in values if not is_found(reader, text, value)]
    found = f"{share:.0%} of its values stand in the text"
    different = len({repr(value) for _, value in values})
    why = (
        f"free-form text, {found}"
        if is_prose([item for value in missed for item in scalars_of(value)])
        else f"{found}, and {different} different values are no closed set"
    )
    return Obstacle(plan.name, len(missed) / holders, why, forms_of(missed))


def _choose_reader(values: Values) -> tuple[str, float]:
    """Return the reader that finds most values, the first of equals, and the share of the values that it finds."""
    sample = values[:: max(1, -(-len(values) // _SAMPLE))]
    found = {name: sum(is_found(name, text, value) for text, value in sample) for name in READERS}
    best = max(found, key=lambda name: found[name])
    return best, found[best] / len(sample)


def is_found(reader: str, text: TextIndex, value: Leaf) -> bool:
    """Return whether a value stands in a text, or all of a list do."""
    return not isinstance(value, dict) and all(text.find(reader, item) for item in scalars_of(value))
