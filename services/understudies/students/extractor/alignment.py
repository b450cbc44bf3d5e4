"""Find where the fields of recorded answers stand in their requests, and how each field is to be answered."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from understudies.students.extractor.answer_form import MAX_FIELDS, Leaf, Path, format_path
from understudies.students.extractor.readers import READERS, Scalar
from understudies.students.extractor.tokens import MAX_TOKENS, Token, token_span, tokenize

FieldKind = Literal["copied", "chosen", "constant"]
Nothing = Literal["omitted", "null", "empty", "empty_list"]

_LEAST_COPIED: Final = 0.80
"""Share of a field's values that a reader must find in the text."""
_LEAST_CHOSEN: Final = 0.95
"""Share of a field's values that must be among those given repeatedly."""
_MOST_CHOICES: Final = 60
_SAMPLE: Final = 200


class NotExtractable(ValueError):  # noqa: N818 - names the condition
    """Report answers that cannot be extracted from their requests; names the field and quotes no value."""


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """How one field is answered.

    `copied`: spans of the text, read by `reader`. `chosen`: one of `choices`. `constant`:
    always `choices[0]`. `several` says whether several values are a list, and `always_list` whether one is, too.
    `nothing` is what stands where nothing is found.
    """

    path: Path
    kind: FieldKind
    reader: str = ""
    choices: tuple[Scalar, ...] = ()
    several: bool = False
    always_list: bool = False
    nothing: Nothing = "omitted"
    presence: float = 1.0
    """The share of the answers with a value."""

    @property
    def name(self) -> str:
        """The name of the field."""
        return format_path(self.path)


def is_nothing(value: Leaf) -> bool:
    """Return whether a field says that there is no value."""
    return value is None or value == "" or value == []


def learn_plans(texts: Sequence[str], answers: Sequence[Mapping[Path, Leaf]]) -> list[FieldPlan]:
    """Plan each field by the recorded answers; raises NotExtractable for one that is neither copied nor chosen."""
    paths = dict.fromkeys(path for answer in answers for path in answer)
    if not paths:
        raise NotExtractable("the answers have no fields")
    if len(paths) > MAX_FIELDS:
        raise NotExtractable(f"the answers have {len(paths)} different fields; at most {MAX_FIELDS} can be learned")
    for path in paths:
        if any(path[:length] in paths for length in range(1, len(path))):
            raise NotExtractable(f"field {format_path(path[:-1])} is an object in some answers and a value in others")
    bounded = [BoundedText.create(text) for text in texts]
    return [_learn_plan(path, bounded, answers) for path in paths]


@dataclass(frozen=True, slots=True)
class BoundedText:
    """A text with the places at which its tokens begin and end."""

    text: str
    starts: frozenset[int]
    ends: frozenset[int]

    @classmethod
    def create(cls, text: str) -> "BoundedText":
        """Cut a text into tokens."""
        tokens = tokenize(text)
        return cls(text, frozenset(token.start for token in tokens), frozenset(token.end for token in tokens))

    def holds(self, reader: str, value: Scalar) -> bool:
        """Return whether a value stands in whole tokens of the text, as the reader reads it."""
        return any(start in self.starts and end in self.ends for start, end in READERS[reader].find(self.text, value))


def _learn_plan(path: Path, texts: Sequence[BoundedText], answers: Sequence[Mapping[Path, Leaf]]) -> FieldPlan:
    given = [(text, answer[path]) for text, answer in zip(texts, answers, strict=True) if path in answer]
    values = [(text, value) for text, value in given if not is_nothing(value)]
    plan = FieldPlan(
        path,
        "constant",
        several=any(isinstance(value, list) and len(value) > 1 for _, value in values),
        always_list=bool(values) and all(isinstance(value, list) for _, value in values),
        nothing=_learn_nothing(len(answers) - len(given), [value for _, value in given]),
        presence=len(values) / len(answers),
    )
    if not values:
        return plan
    counts = Counter(repr(value) for _, value in values)
    reader, share = _choose_reader(values)
    if len(counts) == 1 and not isinstance(values[0][1], list) and (plan.presence == 1 or share < _LEAST_COPIED):
        return replace(plan, kind="chosen" if plan.presence < 1 else "constant", choices=(values[0][1],))
    if share >= _LEAST_COPIED:
        return replace(plan, kind="copied", reader=reader)
    if any(isinstance(value, list) for _, value in values):
        raise NotExtractable(
            f"field {plan.name}: {share:.0%} of its values stand in the text, and lists must be copied"
        )
    repeated = {text for text, count in counts.items() if count > 1}
    covered = sum(counts[text] for text in repeated)
    if len(repeated) <= _MOST_CHOICES and covered >= _LEAST_CHOSEN * len(values):
        choices = {repr(value): value for _, value in values if repr(value) in repeated and not isinstance(value, list)}
        return replace(plan, kind="chosen", choices=tuple(choices.values()))
    raise NotExtractable(
        f"field {plan.name}: {share:.0%} of its values stand in the text, and {len(counts)} different values are no "
        "closed set"
    )


def _learn_nothing(omitted: int, given: Sequence[Leaf]) -> Nothing:
    """Return what stands most often where there is no value."""
    counts: dict[Nothing, int] = {
        "omitted": omitted,
        "null": sum(value is None for value in given),
        "empty": sum(value == "" for value in given),
        "empty_list": sum(value == [] for value in given),
    }
    return max(counts, key=lambda name: counts[name])


def _choose_reader(values: Sequence[tuple[BoundedText, Leaf]]) -> tuple[str, float]:
    """Return the reader that finds most values, the first of equals, and the share of the values that it finds."""
    sample = values[:: max(1, -(-len(values) // _SAMPLE))]
    found = {name: sum(_is_found(name, text, value) for text, value in sample) for name in READERS}
    best = max(found, key=lambda name: found[name])
    return best, found[best] / len(sample)


def _is_found(reader: str, text: BoundedText, value: Leaf) -> bool:
    return all(text.holds(reader, item) for item in (value if isinstance(value, list) else [value]))


@dataclass(frozen=True, slots=True)
class AlignedText:
    """A text with its tokens and their tags: `B-FIELD`, `I-FIELD` or `O`; the fields by their indices."""

    text: str
    tokens: list[Token]
    tags: list[str]


def align(
    texts: Sequence[str], answers: Sequence[Mapping[Path, Leaf]], plans: Sequence[FieldPlan]
) -> list[AlignedText | None]:
    """Tag each text with the spans of its copied fields; None where a value does not stand there.

    Where a value stands several times, the place whose neighbours are most common for the field is taken.
    """
    tokens = [tokenize(text) for text in texts]
    places = [_find_places(*one, plans) for one in zip(texts, tokens, answers, strict=True)]
    around: Counter[tuple[int, str, str]] = Counter()
    for words, found in zip(tokens, places, strict=True):
        for field, spans in found or ():
            if len(spans) == 1:
                around.update(_neighbours(words, field, spans[0]))
    return [
        None if found is None else _tag(text, words, found, around)
        for text, words, found in zip(texts, tokens, places, strict=True)
    ]


_Places = list[tuple[int, list[tuple[int, int]]]]
"""For each value, the index of its field and the spans of tokens where it stands."""


def _find_places(
    text: str, tokens: Sequence[Token], answer: Mapping[Path, Leaf], plans: Sequence[FieldPlan]
) -> _Places | None:
    if len(tokens) > MAX_TOKENS:
        return None
    starts = {token.start: index for index, token in enumerate(tokens)}
    places: _Places = []
    for field, plan in enumerate(plans):
        value = answer.get(plan.path)
        if plan.kind != "copied" or is_nothing(value):
            continue
        for item in value if isinstance(value, list) else [value]:
            spans = {
                found
                for span in READERS[plan.reader].find(text, item)
                if (found := token_span(tokens, starts, span)) is not None
            }
            if not spans:
                return None
            places.append((field, sorted(spans)))
    return places


def _neighbours(tokens: Sequence[Token], field: int, span: tuple[int, int]) -> list[tuple[int, str, str]]:
    before = tokens[span[0] - 1].text.casefold() if span[0] else "<"
    after = tokens[span[1]].text.casefold() if span[1] < len(tokens) else ">"
    return [(field, "before", before), (field, "after", after)]


def _tag(text: str, tokens: list[Token], places: _Places, around: Counter[tuple[int, str, str]]) -> AlignedText | None:
    tags = ["O"] * len(tokens)
    # Long values first, as they leave the least choice.
    for field, spans in sorted(places, key=lambda place: place[1][0][0] - place[1][0][1]):
        free = [span for span in spans if all(tags[i] == "O" for i in range(*span))]
        if not free:
            return None
        first, end = max(
            free, key=lambda span: (sum(around[one] for one in _neighbours(tokens, field, span)), -span[0])
        )
        tags[first:end] = [f"B-{field}", *[f"I-{field}"] * (end - first - 1)]
    return AlignedText(text, tokens, tags)


def spans_of(tags: Sequence[str]) -> list[tuple[int, int, int]]:
    """Return the tagged spans as (field, first token, one after the last).

    >>> spans_of(["O", "B-1", "I-1", "B-1", "I-0"])
    [(1, 1, 3), (1, 3, 4), (0, 4, 5)]
    """
    starts = [
        index
        for index, tag in enumerate(tags)
        if tag != "O" and (tag[0] == "B" or index == 0 or tags[index - 1][1:] != tag[1:])
    ]
    ends = {
        begin: next((i for i in range(begin + 1, len(tags)) if tags[i] != f"I{tags[begin][1:]}"), len(tags))
        for begin in starts
    }
    return [(int(tags[begin][2:]), begin, ends[begin]) for begin in starts]
