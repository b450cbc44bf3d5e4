"""Plan fields by their relations to others, where they cannot be answered by themselves."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from understudies.students.extractor.fields import Fields, Path, is_nothing
from understudies.students.extractor.plans import FieldPlan
from understudies.students.extractor.relation_search import find_check, find_relation
from understudies.students.extractor.text_index import Row
from understudies.students.extractor.value_planning import LEAST_COPIED, Unplanned, is_found

_MOST_BY_CHANCE: Final = 0.5
"""Share of the texts in which other texts' values may stand, too, for a value to be copied beyond doubt."""
_SAMPLE: Final = 50


def derive(planned: dict[Path, FieldPlan | Unplanned], rows: Sequence[Row]) -> None:
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
    _check(planned, answers)


def _check(planned: dict[Path, FieldPlan | Unplanned], answers: Sequence[Fields]) -> None:
    """Let copied numbers be checked by calculations with others."""
    for path, one in planned.items():
        if isinstance(one, FieldPlan) and one.kind == "copied" and not one.several:
            others = [other for other in planned if other != path and isinstance(planned[other], FieldPlan)]
            planned[path] = replace(one, relation=find_check(path, answers, others))


def _is_found_anywhere(plan: FieldPlan, rows: Sequence[Row]) -> bool:
    """Return whether a text mostly holds the values of other texts, too, such as small numbers in a page of them."""
    given = [(row.text, value) for row in rows if not is_nothing(value := row.fields.get(plan.path))]
    given = given[:: max(1, -(-len(given) // _SAMPLE))]
    others = [
        (text, other) for (text, value), (_, other) in zip(given, given[1:] + given[:1], strict=True) if other != value
    ]
    found = sum(is_found(plan.reader, text, other) for text, other in others)
    return bool(others) and found >= _MOST_BY_CHANCE * len(others)


def _overlapping(
    plan: FieldPlan, planned: dict[Path, FieldPlan | Unplanned], sources: Sequence[Path], rows: Sequence[Row]
) -> list[Path]:
    """Return the sources from whose places in the text a field can seldom be copied apart."""
    sample = [row for row in rows if not is_nothing(row.fields.get(plan.path))]
    sample = sample[:: max(1, -(-len(sample) // _SAMPLE))]
    found: list[Path] = []
    for path in sources:
        source = planned[path]
        assert isinstance(source, FieldPlan)
        if source.kind == "copied" and not source.several:
            apart = sum(_stand_apart(plan, source, row) for row in sample)
            if apart < LEAST_COPIED * len(sample):
                found.append(path)
    return found


def _stand_apart(plan: FieldPlan, source: FieldPlan, row: Row) -> bool:
    """Return whether the values of two fields have places in the text that do not overlap."""
    value, other = row.fields[plan.path], row.fields.get(source.path)
    if is_nothing(other) or isinstance(value, list | dict) or isinstance(other, list | dict):
        return True
    others = row.text.find(source.reader, other)
    return not others or any(
        one[1] <= two[0] or two[1] <= one[0] for one in row.text.find(plan.reader, value) for two in others
    )
