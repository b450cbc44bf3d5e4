"""Name, label and describe what the models that choose a field learn from."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from understudies.students.extractor.crf import Features
from understudies.students.extractor.fields import Fields, Leaf, scalars_of, to_leaf
from understudies.students.extractor.plans import AnswerPlan, FieldPlan
from understudies.students.extractor.tokens import Token, mask_digits

NOT_CHOSEN: Final = -1
"""Stands for no value, or one that was given once."""
DOES_NOT_APPLY: Final = "0"
"""Label of a text to which one label of several does not apply; 1 else."""


def chooser_names(plan: AnswerPlan) -> list[str]:
    """Return the names of the models that choose."""
    return [name for number, one in enumerate(plan.numbered) for name, _ in choices_of(number, one, [])]


def choices_of(number: int, plan: FieldPlan, answers: Sequence[Fields]) -> Iterator[tuple[str, list[str]]]:
    """Yield for each model that chooses a field its name, and the label of each answer."""
    if plan.kind == "chosen":
        yield str(number), [_choice_label(plan, answer.get(plan.path)) for answer in answers]
    elif plan.kind == "multi_label":
        given = [{repr(item) for item in scalars_of(answer.get(plan.path))} for answer in answers]
        for index, label in enumerate(plan.choices):
            yield f"{number}-{index}", [str(int(repr(label) in labels)) for labels in given]


def _choice_label(plan: FieldPlan, value: Leaf) -> str:
    """Return the index of a choice; -1 for no value, or one that was given once."""
    return str(next((i for i, one in enumerate(plan.choices) if repr(to_leaf(one)) == repr(value)), NOT_CHOSEN))


def describe_whole(tokens: Sequence[Token]) -> Features:
    """Return the features of some tokens as a whole: their words and pairs of words."""
    lower = [mask_digits(token.text) for token in tokens]
    pairs = {f"{one} {other}" for one, other in pairwise(lower)}
    return [["b", *sorted({f"w={word}" for word in lower}), *sorted(f"+={pair}" for pair in pairs)]]
