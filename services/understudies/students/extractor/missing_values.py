"""Find the copied fields whose values do not all stand in their texts."""

from collections.abc import Iterator, Sequence

from understudies.students.extractor.alignment import is_nothing_in
from understudies.students.extractor.fields import Fields, items_of, scalars_of
from understudies.students.extractor.obstacles import Obstacle, forms_of
from understudies.students.extractor.plans import AnswerPlan, FieldPlan
from understudies.students.extractor.readers import Scalar
from understudies.students.extractor.text_index import TextIndex


def missing_values(texts: Sequence[TextIndex], answers: Sequence[Fields], plan: AnswerPlan) -> list[Obstacle]:
    """Return the copied fields with a value that stands nowhere, and the share of the answers that each blocks."""
    obstacles = list(_missing_in(plan, texts, [[answer] for answer in answers]))
    for number, section in plan.sections.items():
        field = plan.fields[number]
        items = [items_of(answer.get(field.path)) for answer in answers]
        obstacles += [one.within(field.name) for one in _missing_in(section.plan, texts, items)]
    return obstacles


def _missing_in(
    plan: AnswerPlan, texts: Sequence[TextIndex], objects: Sequence[Sequence[Fields]]
) -> Iterator[Obstacle]:
    for field in plan.fields:
        if field.kind == "copied":
            missed = [_missing(field, text, several) for text, several in zip(texts, objects, strict=True)]
            blocked = sum(map(bool, missed)) / len(texts)
            forms = forms_of([value for values in missed for value in values])
            if blocked:
                yield Obstacle(field.name, blocked, "a value stands nowhere in the text", forms)


def _missing(field: FieldPlan, text: TextIndex, objects: Sequence[Fields]) -> list[Scalar]:
    given = [value for one in objects if not is_nothing_in(field, value := one.get(field.path))]
    return [item for value in given for item in scalars_of(value) if not text.find(field.reader, item)]
