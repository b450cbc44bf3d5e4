"""Learn from recorded answers how each of their fields can be answered."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from pydantic import JsonValue

from understudies.students.extractor.derivation import derive
from understudies.students.extractor.fields import (
    MAX_FIELDS,
    Fields,
    Leaf,
    Path,
    format_path,
    is_nothing,
    items_of,
    prefixes,
    to_json,
)
from understudies.students.extractor.obstacles import NotExtractable, Obstacle, forms_of
from understudies.students.extractor.plans import AnswerPlan, FieldPlan, Nothing, ObjectPlan
from understudies.students.extractor.text_index import Row, TextIndex
from understudies.students.extractor.value_planning import Unplanned, Values, choose_whole, plan_values

_MOST_STRAY: Final = 0.05
"""Share of the answers in which an object may be another value by mistake."""
_MOST_LEFT_OUT: Final = 0.02
"""Share of the answers in which a field that cannot be answered is left out, wrongly."""


def learn_plan(texts: Sequence[TextIndex], answers: Sequence[Fields]) -> AnswerPlan:
    """Plan each field by the recorded answers; raises NotExtractable, which names all fields in the way."""
    paths = {path for answer in answers for path in answer}
    if not paths:
        raise NotExtractable("the answers have no fields")
    if len(paths) > MAX_FIELDS:
        raise NotExtractable(f"the answers have {len(paths)} different fields; at most {MAX_FIELDS} can be learned")
    plan, obstacles = _learn_section([Row(*row) for row in zip(texts, answers, strict=True)])
    if obstacles:
        raise NotExtractable.by_obstacles(obstacles)
    if len(plan.numbered) > MAX_FIELDS:
        raise NotExtractable(
            f"the answers have {len(plan.numbered)} different fields; at most {MAX_FIELDS} can be learned"
        )
    return plan


def _learn_section(rows: Sequence[Row]) -> tuple[AnswerPlan, list[Obstacle]]:
    """Plan the fields of the answers, or of the objects of one of their lists."""
    paths = dict.fromkeys(path for row in rows for path in row.fields)
    around = [{outer for path in row.fields for outer in prefixes(path)} for row in rows]
    objects = dict.fromkeys(outer for path in paths for outer in prefixes(path))
    obstacles: list[Obstacle] = []
    planned: dict[Path, FieldPlan | Unplanned] = {}
    for path in paths:
        if path not in objects:
            holders = [row for row, outer in zip(rows, around, strict=True) if not path[:-1] or path[:-1] in outer]
            planned[path] = _plan_field(path, holders)
    derive(planned, rows)
    for path, one in planned.items():
        if isinstance(one, Unplanned):
            if sum(obstacle.blocked for obstacle in one.obstacles) > _MOST_LEFT_OUT:
                obstacles += one.obstacles
            else:
                planned[path] = replace(one.plan, kind="constant", presence=0.0)
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


def _plan_object(path: Path, inside: Sequence[tuple[Row, set[Path]]]) -> ObjectPlan | Obstacle | None:
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
            forms_of(strays),
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


def _plan_field(path: Path, holders: Sequence[Row]) -> FieldPlan | Unplanned:
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
        chosen = choose_whole(plan, values) if isinstance(planned, Unplanned) else None
        return chosen or planned
    return plan_values(plan, values, len(holders))


def _plan_items(plan: FieldPlan, values: Values, holders: int) -> FieldPlan | Unplanned:
    rows = [Row(text, item) for text, value in values for item in items_of(value)]
    others = [value for _, value in values if not items_of(value)]
    section, obstacles = _learn_section(rows)
    obstacles = [one.within(plan.name) for one in obstacles]
    if others:
        why = "a list of objects in some answers and another value in others"
        obstacles.append(Obstacle(plan.name, len(others) / holders, why, forms_of(others)))
    elif not obstacles and not any(field.kind == "copied" for field in section.fields):
        obstacles.append(Obstacle(plan.name, plan.presence, "no field of its objects stands in the text"))
    if obstacles:
        return Unplanned(obstacles, plan)
    return replace(plan, kind="items", items=section)
