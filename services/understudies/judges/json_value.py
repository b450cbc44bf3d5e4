"""Judge JSON answers: key by key, integers exactly, other numbers with a tolerance."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from understudies.events import Message
from understudies.judges.base import AGREEMENT, Judgement, abbreviate, disagreement, format_judge_name
from understudies.judges.exact import compare_texts, tool_use_mismatch
from understudies.judges.field_judges import NO_FIELD_JUDGES, FieldJudges
from understudies.judges.json_text import canonical_json, coerce_numbers, join_path, parse_json
from understudies.judges.number import is_same_number

_PAIRED_BY_TRIAL = 200


@dataclass(frozen=True, slots=True)
class JsonJudge:
    """Judge that agrees if every key is equal; the score is the mean over keys, for nested values recursively.

    `unordered` holds the paths of the arrays whose order is ignored, such as `tags` or `lines.codes` (without
    indices); `mixed` the paths of values that are numbers, written as numbers or as strings; `fields` the judges of
    single values, by their paths.
    """

    unordered: frozenset[str] = frozenset()
    mixed: frozenset[str] = frozenset()
    fields: FieldJudges = NO_FIELD_JUDGES

    @property
    def name(self) -> str:
        return format_judge_name("json", {"": self.unordered, "mixed": self.mixed, **self.fields.options})

    @property
    def description(self) -> str:
        text = "key by key in any order; integers exact, other numbers within 1e-6 of each other"
        if self.mixed:
            text += f"; a number written as a string equals that number in {' and '.join(sorted(self.mixed))}"
        if self.unordered:
            text += f"; the order of {' and '.join(sorted(self.unordered))} is ignored"
        return text + self.fields.description

    def judge(self, teacher: Message, student: Message) -> Judgement:
        if bool(teacher.tool_calls) != bool(student.tool_calls):
            return disagreement(tool_use_mismatch(teacher))
        return self.judge_texts(teacher.text, student.text)

    def judge_texts(self, teacher: str, student: str) -> Judgement:
        """Compare two JSON texts; as plain texts if the teacher's is not JSON."""
        if teacher == student:
            return AGREEMENT
        try:
            expected = parse_json(teacher)
        except ValueError:
            return compare_texts(teacher, student)
        try:
            return self.judge_values(expected, parse_json(student))
        except ValueError as error:
            return disagreement(f"the student's answer is not JSON: {abbreviate(str(error))}")

    def judge_values(self, teacher: JsonValue, student: JsonValue) -> Judgement:
        """Compare two JSON values."""
        try:
            return self._compare(self._coerce(teacher), self._coerce(student), "")
        except RecursionError:
            return disagreement("nests too deeply to compare")

    def canonical(self, value: JsonValue) -> str:
        """Return one text for values that are equal to the judge, those of `fields` compared exactly.

        Raises ValueError if a value nests too deeply.
        """
        try:
            return canonical_json(self._sorted(self._coerce(value), ""))
        except RecursionError as error:
            raise ValueError("nests too deeply") from error

    def _coerce(self, value: JsonValue) -> JsonValue:
        return coerce_numbers(value, self.mixed) if self.mixed else value

    def _sorted(self, value: JsonValue, path: str) -> JsonValue:
        """Return the value with its unordered arrays sorted."""
        if isinstance(value, dict) and self.unordered:
            return {key: self._sorted(item, join_path(path, key)) for key, item in value.items()}
        if isinstance(value, list) and self.unordered:
            items = [self._sorted(item, path) for item in value]
            return sorted(items, key=canonical_json) if path in self.unordered else items
        return value

    def _compare(self, teacher: JsonValue, student: JsonValue, path: str) -> Judgement:
        judgement = self.fields.judge(path, teacher, student)
        if judgement is not None:
            return judgement
        if isinstance(teacher, dict) and isinstance(student, dict):
            return _mean_judgement(self._keys(teacher, student, path))
        if isinstance(teacher, list) and isinstance(student, list):
            if path in self.unordered:
                return self._any_order(teacher, student, path)
            return _mean_judgement(self._items(teacher, student, path))
        return (
            AGREEMENT
            if _is_equal(teacher, student)
            else disagreement(_describe_difference_at(path, abbreviate(teacher), abbreviate(student)))
        )

    def _keys(self, teacher: dict[str, JsonValue], student: dict[str, JsonValue], path: str) -> Iterator[Judgement]:
        for key in [*teacher, *(key for key in student if key not in teacher)]:
            if key in teacher and key in student:
                yield self._compare(teacher[key], student[key], join_path(path, key))
            else:
                yield disagreement(_describe_missing(join_path(path, key), key in teacher))

    def _items(self, teacher: list[JsonValue], student: list[JsonValue], path: str) -> Iterator[Judgement]:
        for one, other in zip(teacher, student, strict=False):
            yield self._compare(one, other, path)
        for _ in range(abs(len(teacher) - len(student))):
            yield disagreement(_describe_difference_at(path, f"{len(teacher)} items", f"{len(student)} items"))

    def _any_order(self, teacher: list[JsonValue], student: list[JsonValue], path: str) -> Judgement:
        total = max(len(teacher), len(student))
        unpaired = total - self._count_pairs(teacher, student, path)
        if not unpaired:
            return AGREEMENT
        return disagreement(f"{path}: {unpaired} of {total} items have no match", 1 - unpaired / total)

    def _count_pairs(self, teacher: list[JsonValue], student: list[JsonValue], path: str) -> int:
        wanted, given = ([canonical_json(item) for item in side] for side in (teacher, student))
        common = Counter(wanted) & Counter(given)
        left, right = _remove_common(teacher, wanted, common), _remove_common(student, given, common)
        paired = common.total()
        # Items with different texts may still be equal within the tolerance; trying all pairs is quadratic.
        for item in left[:_PAIRED_BY_TRIAL]:
            match = next(
                (i for i, other in enumerate(right[:_PAIRED_BY_TRIAL]) if self._is_same(item, other, path)), None
            )
            if match is not None:
                del right[match]
                paired += 1
        return paired

    def _is_same(self, teacher: JsonValue, student: JsonValue, path: str) -> bool:
        return self._compare(teacher, student, path).agreed


def _remove_common(items: Sequence[JsonValue], texts: Sequence[str], common: Counter[str]) -> list[JsonValue]:
    counts = common.copy()
    remaining = []
    for item, text in zip(items, texts, strict=True):
        if counts[text]:
            counts[text] -= 1
        else:
            remaining.append(item)
    return remaining


def _is_equal(teacher: JsonValue, student: JsonValue) -> bool:
    if isinstance(teacher, bool) or isinstance(student, bool):
        return teacher is student
    if isinstance(teacher, int | float) and isinstance(student, int | float):
        return is_same_number(teacher, student)
    return type(teacher) is type(student) and teacher == student


def _mean_judgement(parts: Iterator[Judgement]) -> Judgement:
    total, count, why = 0.0, 0, None
    for part in parts:
        total += part.score
        count += 1
        why = why or part.why
    return AGREEMENT if why is None else disagreement(why, total / count)


def _describe_missing(path: str, expected: bool) -> str:
    return f"{abbreviate(path)}: missing" if expected else f"{abbreviate(path)}: not in the teacher's answer"


def _describe_difference_at(path: str, teacher: str, student: str) -> str:
    return f"{abbreviate(path) + ': ' if path else ''}teacher {teacher}, student {student}"
