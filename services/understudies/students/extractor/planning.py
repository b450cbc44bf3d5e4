"""Learn from recorded answers how each of their fields can be answered."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from pydantic import JsonValue

from understudies.students.extractor.fields import (
    MAX_FIELDS,
    Fields,
    Leaf,
    Path,
    format_path,
    is_nothing,
    items_of,
    prefixes,
    scalars_of,
    to_json,
)
from understudies.students.extractor.obstacles import NotExtractable, Obstacle, form_of, is_prose
from understudies.students.extractor.plans import AnswerPlan, FieldKind, FieldPlan, Nothing, ObjectPlan
from understudies.students.extractor.readers import READERS
from understudies.students.extractor.relations import find_check, find_relation
from understudies.students.extractor.text_index import TextIndex

_LEAST_COPIED: Final = 0.80
"""Share of a field's values that a reader must find in the text."""
_LEAST_CHOSEN: Final = 0.95
"""Share of a field's values that must be among those given repeatedly."""
_MOST_CHOICES: Final = 60
_FEW_CHOICES: Final = 8
_MOST_LISTS: Final = 12
"""Most different lists that are chosen whole."""
_MOST_LABELS: Final = 20
_LEAST_PLACEHOLDER: Final = 0.02
_MOST_STRAY: Final = 0.05
"""Share of the answers in which an object may be another value by mistake."""
_MOST_BY_CHANCE: Final = 0.5
"""Share of the texts in which other texts' values may stand, too, for a value to be copied beyond doubt."""
_SAMPLE: Final = 200
_FEW: Final = 50
_EXAMPLES: Final = 2


class _Row(NamedTuple):
    """An object with the text that it was extracted from."""

    text: TextIndex
    fields: Fields


def learn_plan(texts: Sequence[TextIndex], answers: Sequence[Fields]) -> AnswerPlan:
    """Plan each field by the recorded answers; raises NotExtractable, which names all fields in the way."""
    paths = {path for answer in answers for path in answer}
    if not paths:
        raise NotExtractable("the answers have no fields")
    if len(paths) > MAX_FIELDS:
        raise NotExtractable(f"the answers have {len(paths)} different fields; at most {MAX_FIELDS} can be learned")
    plan, obstacles = _learn_section([_Row(*row) for row in zip(texts, answers, strict=True)])
    if obstacles:
        raise NotExtractable.by_obstacles(obstacles)
    if len(plan.numbered) > MAX_FIELDS:
        raise NotExtractable(
            f"the answers have {len(plan.numbered)} different fields; at most {MAX_FIELDS} can be learned"
        )
    return plan


def _learn_section(rows: Sequence[_Row]) -> tuple[AnswerPlan, list[Obstacle]]:
    """Plan the fields of the answers, or of the objects of one of their lists."""
    paths = dict.fromkeys(path for row in rows for path in row.fields)
    around = [{outer for path in row.fields for outer in prefixes(path)} for row in rows]
    objects = dict.fromkeys(outer for path in paths for outer in prefixes(path))
    obstacles: list[Obstacle] = []
    planned: dict[Path, FieldPlan | _Unplanned] = {}
    for path in paths:
        if path not in objects:
            holders = [row for row, outer in zip(rows, around, strict=True) if not path[:-1] or path[:-1] in outer]
            planned[path] = _plan_field(path, holders)
    _derive(planned, rows)
    for one in planned.values():
        if isinstance(one, _Unplanned):
            obstacles += one.obstacles
    object_plans: list[ObjectPlan] = []
    for path in sorted(objects, key=len, reverse=True):
        inside = [pair for pair in zip(rows, around, strict=True) if not path[:-1] or path[:-1] in pair[1]]
        learned = _plan_object(path, inside)
        if isinstance(learned, Obstacle):
            obstacles.append(learned)
        elif learned is not None:
            object_plans.append(learned)
    fields = [one for one in planned.values() if isinstance(one, FieldPlan)]
    return AnswerPlan(_choose_constant_objects(fields, object_plans), tuple(object_plans)), obstacles


def _plan_object(path: Path, inside: Sequence[tuple[_Row, set[Path]]]) -> ObjectPlan | Obstacle | None:
    """Return what stands in place of an object without values; None if the object always stands."""
    absent = [row.fields for row, around in inside if path not in around]
    if not absent:
        return None
    given = [fields[path] for fields in absent if path in fields]
    strays = [value for value in given if not is_nothing(value)]
    if len({repr(value) for value in strays}) > 1 and len(strays) > _MOST_STRAY * len(inside):
        return Obstacle(
            format_path(path),
            min(len(strays), len(inside) - len(strays)) / len(inside),
            "an object in some answers and a value in others",
            _forms(strays),
        )
    kept = sum(
        path in around and all(is_nothing(value) for field, value in row.fields.items() if field[: len(path)] == path)
        for row, around in inside
    )
    nothing, count = _most_common_nothing(len(absent) - len(given), given)
    return ObjectPlan(path, nothing) if count >= kept else None


def _choose_constant_objects(fields: Sequence[FieldPlan], objects: Sequence[ObjectPlan]) -> tuple[FieldPlan, ...]:
    """Return the fields; constants of an object that is not always given, and has no others, are chosen."""
    chosen: set[Path] = set()
    for one in objects:
        inner = [field for field in fields if field.path[: len(one.path)] == one.path]
        if all(field.kind == "constant" for field in inner):
            chosen |= {field.path for field in inner if field.choices}
    return tuple(replace(field, kind="chosen") if field.path in chosen else field for field in fields)


def _most_common_nothing(omitted: int, given: Sequence[Leaf]) -> tuple[Nothing, int]:
    """Return what stands most often where there is no value, and how often."""
    counts = Counter[str]()
    forms: dict[str, JsonValue] = {}
    for value in given:
        counts[repr(value)] += 1
        forms[repr(value)] = to_json(value)
    [(name, count)] = counts.most_common(1) or [("", 0)]
    return ((forms[name],), count) if count > omitted else ((), omitted)


@dataclass(frozen=True, slots=True)
class _Unplanned:
    """A field that cannot be answered but perhaps by a relation to others."""

    path: Path
    obstacles: list[Obstacle]
    plan: FieldPlan


def _plan_field(path: Path, holders: Sequence[_Row]) -> FieldPlan | _Unplanned:
    given = [(row.text, row.fields[path]) for row in holders if path in row.fields]
    values = [(text, value) for text, value in given if not is_nothing(value)]
    nothing, _ = _most_common_nothing(len(holders) - len(given), [value for _, value in given if is_nothing(value)])
    plan = FieldPlan(
        path,
        "constant",
        several=any(isinstance(value, list) and len(value) > 1 for _, value in values),
        always_list=bool(values) and all(isinstance(value, list) for _, value in values),
        nothing=nothing,
        presence=len(values) / len(holders),
    )
    if not values:
        return plan
    if any(items_of(value) for _, value in values):
        planned = _plan_items(plan, values, len(holders))
        chosen = _choose_whole(plan, values) if isinstance(planned, _Unplanned) else None
        return chosen or planned
    return _plan_values(plan, values, len(holders))


def _plan_values(plan: FieldPlan, values: Sequence[tuple[TextIndex, Leaf]], holders: int) -> FieldPlan | _Unplanned:
    counts = Counter(repr(value) for _, value in values)
    reader, share = _choose_reader(values)
    if len(counts) == 1 and (plan.presence == 1 or share < _LEAST_COPIED):
        return replace(plan, kind="chosen" if plan.presence < 1 else "constant", choices=(to_json(values[0][1]),))
    if share >= _LEAST_COPIED:
        return replace(plan, kind="copied", reader=reader)
    is_list = any(isinstance(value, list) for _, value in values)
    with_placeholder = None if is_list else _with_placeholder(plan, values, counts)
    # A default among numbers that are copied, not one class of a few whose names may stand in the text.
    if with_placeholder is not None and len(counts) > _FEW_CHOICES:
        return with_placeholder
    if chosen := _choose_whole(plan, values):
        return chosen
    if is_list and (labels := _learn_labels([value for _, value in values])):
        return replace(plan, kind="multi_label", choices=labels)
    if with_placeholder is not None:
        return with_placeholder
    return _Unplanned(plan.path, [_obstacle(plan, values, reader, share, holders)], plan)


def _choose_whole(plan: FieldPlan, values: Sequence[tuple[TextIndex, Leaf]]) -> FieldPlan | None:
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


def _with_placeholder(
    plan: FieldPlan, values: Sequence[tuple[TextIndex, Leaf]], counts: Counter[str]
) -> FieldPlan | None:
    """Return the plan of a copied field for which one repeated value, such as "unknown", stands for nothing."""
    [(placeholder, count)] = counts.most_common(1)
    left = [(text, value) for text, value in values if repr(value) != placeholder]
    nothings = round(len(values) * (1 / plan.presence - 1))
    if count < max(2, _LEAST_PLACEHOLDER * len(values)) or count <= nothings or not left:
        return None
    reader, share = _choose_reader(left)
    if share < _LEAST_COPIED:
        return None
    value = next(value for _, value in values if repr(value) == placeholder)
    presence = plan.presence * len(left) / len(values)
    return replace(plan, kind="copied", reader=reader, nothing=(to_json(value),), presence=presence)


def _obstacle(
    plan: FieldPlan, values: Sequence[tuple[TextIndex, Leaf]], reader: str, share: float, holders: int
) -> Obstacle:
    missed = [value for text, value in values if not _is_found(reader, text, value)]
    found = f"{share:.0%} of its values stand in the text"
    different = len({repr(value) for _, value in values})
    why = (
        f"free-form text, {found}"
        if is_prose([item for value in missed for item in scalars_of(value)])
        else f"{found}, and {different} different values are no closed set"
    )
    return Obstacle(plan.name, len(missed) / holders, why, _forms(missed))


def _forms(values: Sequence[Leaf]) -> tuple[str, ...]:
    """Return the most common forms of values."""
    counts = Counter[str]()
    for value in values:
        scalars = scalars_of(value)
        counts.update(map(form_of, scalars) if scalars else [form_of(value)])
    return tuple(form for form, _ in counts.most_common(_EXAMPLES))


def _choose_reader(values: Sequence[tuple[TextIndex, Leaf]]) -> tuple[str, float]:
    """Return the reader that finds most values, the first of equals, and the share of the values that it finds."""
    sample = values[:: max(1, -(-len(values) // _SAMPLE))]
    found = {name: sum(_is_found(name, text, value) for text, value in sample) for name in READERS}
    best = max(found, key=lambda name: found[name])
    return best, found[best] / len(sample)


def _is_found(reader: str, text: TextIndex, value: Leaf) -> bool:
    return not isinstance(value, dict) and all(text.find(reader, item) for item in scalars_of(value))


def _plan_items(plan: FieldPlan, values: Sequence[tuple[TextIndex, Leaf]], holders: int) -> FieldPlan | _Unplanned:
    rows = [_Row(text, item) for text, value in values for item in items_of(value)]
    others = [value for _, value in values if not items_of(value)]
    section, obstacles = _learn_section(rows)
    obstacles = [one.within(plan.name) for one in obstacles]
    if others:
        why = "a list of objects in some answers and another value in others"
        obstacles.append(Obstacle(plan.name, len(others) / holders, why, _forms(others)))
    elif not obstacles and not any(field.kind == "copied" for field in section.fields):
        obstacles.append(Obstacle(plan.name, plan.presence, "no field of its objects stands in the text"))
    if obstacles:
        return _Unplanned(plan.path, obstacles, plan)
    return replace(plan, kind="items", items=section)


def _derive(planned: dict[Path, FieldPlan | _Unplanned], rows: Sequence[_Row]) -> None:
    """Plan fields by relations to others if they are not copied, or stand anywhere, or where another field stands."""
    answers = [row.fields for row in rows]
    used: set[Path] = set()
    for path, one in reversed(planned.items()):
        if path in used or (isinstance(one, FieldPlan) and (one.several or one.kind not in ("copied", "chosen"))):
            continue
        sources = [
            other.path
            for other in planned.values()
            if isinstance(other, FieldPlan) and other.kind in ("copied", "items") and other.path != path
        ]
        if isinstance(one, FieldPlan) and one.kind == "copied":
            sources = sources if _is_found_anywhere(one, rows) else _overlapping(one, planned, sources, rows)
        relation = find_relation(path, answers, sources) if sources else None
        if relation is not None:
            base = one if isinstance(one, FieldPlan) else one.plan
            planned[path] = replace(base, kind="derived", reader="", choices=(), relation=relation)
            used.update(relation.sources)
    for path, one in planned.items():
        if isinstance(one, FieldPlan) and one.kind == "copied" and not one.several:
            others = [other for other in planned if other != path and isinstance(planned[other], FieldPlan)]
            planned[path] = replace(one, relation=find_check(path, answers, others))


def _is_found_anywhere(plan: FieldPlan, rows: Sequence[_Row]) -> bool:
    """Return whether a text mostly holds the values of other texts, too, such as small numbers in a page of them."""
    given = [(row.text, value) for row in rows if not is_nothing(value := row.fields.get(plan.path))]
    given = given[:: max(1, -(-len(given) // _FEW))]
    others = [
        (text, other) for (text, value), (_, other) in zip(given, given[1:] + given[:1], strict=True) if other != value
    ]
    found = sum(_is_found(plan.reader, text, other) for text, other in others)
    return bool(others) and found >= _MOST_BY_CHANCE * len(others)


def _overlapping(
    plan: FieldPlan, planned: dict[Path, FieldPlan | _Unplanned], sources: Sequence[Path], rows: Sequence[_Row]
) -> list[Path]:
    """Return the sources from whose places in the text a field can seldom be copied apart."""
    sample = [row for row in rows if not is_nothing(row.fields.get(plan.path))]
    sample = sample[:: max(1, -(-len(sample) // _FEW))]
    found: list[Path] = []
    for path in sources:
        source = planned[path]
        assert isinstance(source, FieldPlan)
        if source.kind == "copied" and not source.several:
            apart = sum(_stand_apart(plan, source, row) for row in sample)
            if apart < _LEAST_COPIED * len(sample):
                found.append(path)
    return found


def _stand_apart(plan: FieldPlan, source: FieldPlan, row: _Row) -> bool:
    """Return whether the values of two fields have places in the text that do not overlap."""
    value, other = row.fields[plan.path], row.fields.get(source.path)
    if is_nothing(other) or isinstance(value, list | dict) or isinstance(other, list | dict):
        return True
    others = row.text.find(source.reader, other)
    return not others or any(
        one[1] <= two[0] or two[1] <= one[0] for one in row.text.find(plan.reader, value) for two in others
    )
