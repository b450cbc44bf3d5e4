"""Find the relations of a field to others that hold in recorded answers."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations, islice
from typing import Final

from understudies.students.extractor.fields import Fields, Leaf, Path, is_nothing, items_of
from understudies.students.extractor.relations import TRANSFORMS, Relation, exact, parse_day

_LEAST_HOLDING: Final = 0.95
"""Share of the answers in which a relation must hold."""
_LEAST_ANSWERS: Final = 10
_LEAST_VALUES: Final = 3
"""Different values that a relation must explain; fewer could be a coincidence."""
_SAMPLE: Final = 25
_TOLERATED: Final = 3
"""Values of the sample that may be mistakes of the teacher."""
_MOST_NUMBERS: Final = 8
"""Most numbers of which pairs are tried."""
_MOST_DECIMALS: Final = 6


def find_relation(path: Path, answers: Sequence[Fields], sources: Sequence[Path]) -> Relation | None:
    """Return the first relation of a field to others that holds in nearly all answers; None if there is none.

    It must hold where the field has a value, and give none where it has none.
    """
    return _find_holding(path, answers, lambda sample: _candidates(path, sample, sources))


def find_check(path: Path, answers: Sequence[Fields], sources: Sequence[Path]) -> Relation | None:
    """Return a calculation with several other values that a copied number satisfies in nearly all answers."""
    return _find_holding(path, answers, lambda sample: _calculations(path, sample, sources))


def _find_holding(
    path: Path, answers: Sequence[Fields], candidates: Callable[[Sequence[Fields]], Iterator[Relation]]
) -> Relation | None:
    given = [answer for answer in answers if not is_nothing(answer.get(path))]
    targets = [answer[path] for answer in given]
    if len(given) < _LEAST_ANSWERS or len({repr(target) for target in targets}) < _LEAST_VALUES:
        return None
    if any(isinstance(target, list | dict | bool) for target in targets):
        return None
    sample = given[:: max(1, len(given) // _SAMPLE)]
    for relation in candidates(sample):
        misses = (answer for answer in sample if not relation.explains(path, answer))
        is_likely = len(list(islice(misses, _TOLERATED + 1))) <= _TOLERATED
        if is_likely and _holds(relation, path, given) and _holds(relation, path, answers):
            return relation
    return None


def _holds(relation: Relation, path: Path, answers: Sequence[Fields]) -> bool:
    return sum(relation.explains(path, answer) for answer in answers) >= _LEAST_HOLDING * len(answers)


def _candidates(path: Path, sample: Sequence[Fields], sources: Sequence[Path]) -> Iterator[Relation]:
    for source in sources:
        yield from (Relation(operation, (source,)) for operation in TRANSFORMS)
    if all(isinstance(answer[path], str) for answer in sample):
        for source in sources:
            yield from _by_days(path, sample, source)
        return
    for source in sources:
        yield from _by_constant(path, sample, source)
    yield from _calculations(path, sample, sources)


def _calculations(path: Path, sample: Sequence[Fields], sources: Sequence[Path]) -> Iterator[Relation]:
    """Yield counts and totals of lists, and sums, differences and products of two numbers."""
    if not all(_is_number(answer[path]) for answer in sample):
        return
    rounding = _rounding(path, sample)
    numbers: list[Path] = []
    for source in sources:
        values = [value for answer in sample if not is_nothing(value := answer.get(source))]
        if values and all(map(_is_number, values)):
            numbers.append(source)
        elif any(isinstance(value, list) for value in values):
            yield Relation("count", (source,))
            yield replace(rounding, operation="total", sources=(source,))
            parts = dict.fromkeys(part for value in values for item in items_of(value) for part in item)
            yield from (replace(rounding, operation="total", sources=(source,), part=part) for part in parts)
    for pair in combinations(numbers[:_MOST_NUMBERS], 2):
        for operation in ("sum", "product", "difference"):
            yield replace(rounding, operation=operation, sources=pair)
        yield replace(rounding, operation="difference", sources=pair[::-1])


def _rounding(path: Path, sample: Sequence[Fields]) -> Relation:
    """Return a relation that is yet to be filled, with the decimals of a number."""
    targets = [target for answer in sample if isinstance(target := answer[path], int | float)]
    decimals = min(_MOST_DECIMALS, max(map(_decimals, targets), default=0))
    return Relation("", (), decimals=decimals, whole=any(isinstance(target, int) for target in targets))


def _is_number(value: Leaf) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _by_days(path: Path, sample: Sequence[Fields], source: Path) -> Iterator[Relation]:
    differences: Counter[int] = Counter()
    for answer in sample:
        target, value = answer[path], answer.get(source)
        if not isinstance(target, str) or not isinstance(value, str):
            return
        try:
            differences[(parse_day(target) - parse_day(value)).days] += 1
        except ValueError:
            return
    [(days, _)] = differences.most_common(1)
    yield Relation("days", (source,), constant=days)


def _by_constant(path: Path, sample: Sequence[Fields], source: Path) -> Iterator[Relation]:
    """Yield relations by a constant that fits the pair with the largest source, where rounding matters least."""
    pairs = [
        (value, target)
        for answer in sample
        if isinstance(value := answer.get(source), int | float) and isinstance(target := answer[path], int | float)
    ]
    if not pairs or not all(_is_number(value) and _is_number(target) for value, target in pairs):
        return
    rounding = replace(_rounding(path, sample), sources=(source,))
    differences = Counter(exact(target) - exact(value) for value, target in pairs)
    yield replace(rounding, operation="plus", constant=float(differences.most_common(1)[0][0]))
    value, target = max(pairs, key=lambda pair: abs(pair[0]))
    for decimals in range(5):
        if value and (factor := round(target / value, decimals)):
            yield replace(rounding, operation="times", constant=factor)
        if target and (divisor := round(value / target, decimals)):
            yield replace(rounding, operation="divided_by", constant=divisor)


def _decimals(number: int | float) -> int:
    exponent = exact(number).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
