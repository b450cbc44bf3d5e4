"""Choose the judge of a task by the format of its teacher's answers."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from pydantic import JsonValue

from understudies.events import Message
from understudies.judges.base import Judge
from understudies.judges.exact import ExactJudge
from understudies.judges.json_text import find_mixed_paths, parse_json
from understudies.judges.json_value import JsonJudge
from understudies.judges.label import WHOLE_ANSWER, LabelJudge, LabelLocator
from understudies.judges.label_detection import detect_label_locator
from understudies.judges.label_text import normalize_label
from understudies.judges.numeric import NumericJudge, parse_quantity
from understudies.judges.tool_calls import ToolCallsJudge

MIN_SHARE = 0.95
_SAMPLE = 1_000
_LABEL_LENGTH = 100
_MOST_LABELS = 500
_MOST_CODES = 20
_JSON_LENGTH = 100_000
_TOOL_NAME = re.compile(r"[\w-]{1,64}")
_PLAIN = re.compile(r"\s*[$€£¥]?\s*[+-]?[\d.,]+(?:[eE][+-]?\d+)?\s*%?\s*")
_CODE = re.compile(r"\s*\d{1,4}\s*")
_PADDED = re.compile(r"\s*0\d+\s*")


def choose_judge(answers: Sequence[Message]) -> Judge:
    """Return the judge for the format of at least 95 % of a teacher's answers; `exact` if they have no common one.

    For a student's evaluation, pass only the answers of the training split.
    """
    sample = answers[:: max(1, -(-len(answers) // _SAMPLE))]
    if _hold_for_most(sample, lambda answer: bool(answer.tool_calls)):
        return ToolCallsJudge(arguments=JsonJudge(mixed=_mixed_number_paths(sample)))
    if _hold_for_most(sample, _is_json):
        return JsonJudge(mixed=_mixed_number_paths(sample))
    if _hold_for_most(sample, _is_number) and not _are_names(sample):
        return NumericJudge()
    if (locator := _locate_label(sample)) is None:
        return ExactJudge()
    return LabelJudge(locator, cased=_is_case_significant(locator.locate(answer.text)[0] for answer in sample))


def _locate_label(sample: Sequence[Message]) -> LabelLocator | None:
    """Return the label's locator: the whole answer if answers repeat, else the label next to an explanation."""
    closed = WHOLE_ANSWER if _are_labels(sample, _MOST_LABELS) else None
    counts = Counter(normalize_label(answer.text) for answer in sample) if closed else Counter[str]()
    if sum(count for count in counts.values() if count > 1) >= MIN_SHARE * len(sample):
        return closed
    return detect_label_locator([answer.text for answer in sample], MIN_SHARE) or closed


def _mixed_number_paths(sample: Sequence[Message]) -> frozenset[str]:
    """Return the paths at which the teacher writes numbers both as numbers and as strings."""
    try:
        return find_mixed_paths(value for answer in sample for value in _values(answer))
    except RecursionError:
        return frozenset()


def _values(answer: Message) -> Iterator[tuple[str, JsonValue]]:
    texts = [(call.function.name, call.function.arguments) for call in answer.tool_calls or ()]
    for path, text in texts or [("", answer.text)]:
        if len(text) <= _JSON_LENGTH and (_TOOL_NAME.fullmatch(path) or not path):
            with suppress(ValueError):
                yield path, parse_json(text)


def _is_case_significant(labels: Iterable[str]) -> bool:
    """Return whether repeated labels differ only by case."""
    counts = Counter(label.strip() for label in labels)
    repeated = [label.casefold() for label, count in counts.items() if count > 1]
    return len(set(repeated)) < len(repeated)


def _hold_for_most(sample: Sequence[Message], holds: Callable[[Message], bool]) -> bool:
    return bool(sample) and sum(map(holds, sample)) >= MIN_SHARE * len(sample)


def _is_json(answer: Message) -> bool:
    if not answer.text.lstrip().startswith(("{", "[", "```")):
        return False
    try:
        return isinstance(parse_json(answer.text), dict | list)
    except ValueError:
        return False


def _is_number(answer: Message) -> bool:
    return _PLAIN.fullmatch(answer.text[:_LABEL_LENGTH]) is not None and parse_quantity(answer.text) is not None


def _are_names(sample: Sequence[Message]) -> bool:
    """Return whether the numbers are names, such as 0 and 1, or 007, to be compared as labels without tolerance."""
    padded = sum(_PADDED.fullmatch(answer.text) is not None for answer in sample)
    codes = _hold_for_most(sample, lambda answer: _CODE.fullmatch(answer.text) is not None)
    return padded > 1 or (codes and _are_labels(sample, _MOST_CODES))


def _are_labels(sample: Sequence[Message], most: int) -> bool:
    if not _hold_for_most(
        sample, lambda answer: 0 < len(answer.text) <= _LABEL_LENGTH and "\n" not in answer.text.strip()
    ):
        return False
    distinct = len({normalize_label(answer.text[: 2 * _LABEL_LENGTH]) for answer in sample})
    return distinct <= most and 2 * distinct <= len(sample)
