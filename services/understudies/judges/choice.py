"""Which judge suits a task, from the shape of its teacher's answers."""

import re
from collections.abc import Callable, Sequence

from understudies.events import Message
from understudies.judges.base import Judge
from understudies.judges.exact import ExactJudge
from understudies.judges.json_text import canonical_json, parse_json
from understudies.judges.json_value import JsonJudge
from understudies.judges.label import LabelJudge, label_of
from understudies.judges.numeric import NumericJudge, number_of
from understudies.judges.tool_calls import ToolCallsJudge

SHARE = 0.95
_SAMPLE = 1_000
_LABEL_LENGTH = 100
_MOST_LABELS = 500
_MOST_CODES = 20
_CLASS_LENGTH = 100
_PLAIN = re.compile(r"\s*[$€£¥]?\s*[+-]?[\d.,]+(?:[eE][+-]?\d+)?\s*%?\s*")
_CODE = re.compile(r"\s*\d{1,4}\s*")

_NAMED: dict[str, Judge] = {
    judge.name: judge
    for judge in (
        ExactJudge(),
        LabelJudge(),
        JsonJudge(),
        NumericJudge(),
        ToolCallsJudge(),
        ToolCallsJudge(ordered=False),
    )
}
_JSON_WITH = re.compile(r"json\[([^\[\]]+)\]")


def judge_named(name: str) -> Judge:
    """The judge of a name; `json[tags,lines.codes]` names arrays whose order does not count.

    Raises ValueError where there is none, with the names that are known.
    """
    if judge := _NAMED.get(name):
        return judge
    if declared := _JSON_WITH.fullmatch(name):
        return JsonJudge(frozenset(path.strip() for path in declared[1].split(",")))
    raise ValueError(f"no judge is named {name!r}; choose one of {', '.join(sorted(_NAMED))} or json[array,...]")


def choose_judge(answers: Sequence[Message]) -> Judge:
    """The judge for the shape that at least 95 % of a teacher's answers have; `exact` where they have none."""
    sample = answers[:: max(1, -(-len(answers) // _SAMPLE))]
    if _most(sample, lambda answer: bool(answer.tool_calls)):
        return judge_named("tool_calls")
    if _most(sample, _is_json):
        return judge_named("json")
    if _most(sample, _is_number) and not _are_codes(sample):
        return judge_named("numeric")
    return judge_named("label" if _are_labels(sample, _MOST_LABELS) else "exact")


def answer_class(message: Message, judge: Judge) -> str | None:
    """The class of a teacher's answer where answers are few: its label, a short JSON value, or the tools called.

    An answer too long to be one of a closed set has none.
    """
    if isinstance(judge, ToolCallsJudge):
        found = ",".join(call.function.name for call in message.tool_calls or ())
    elif isinstance(judge, LabelJudge):
        found = label_of(message.text) if len(message.text) <= _LABEL_LENGTH else ""
    elif isinstance(judge, JsonJudge):
        found = _short_json(message.text)
    else:
        return None
    return found if 0 < len(found) <= _CLASS_LENGTH else None


def _short_json(text: str) -> str:
    if len(text) > 4 * _CLASS_LENGTH:
        return ""
    try:
        return canonical_json(parse_json(text))
    except ValueError:
        return ""


def _most(sample: Sequence[Message], holds: Callable[[Message], bool]) -> bool:
    return bool(sample) and sum(map(holds, sample)) >= SHARE * len(sample)


def _is_json(answer: Message) -> bool:
    if not answer.text.lstrip().startswith(("{", "[", "```")):
        return False
    try:
        return isinstance(parse_json(answer.text), dict | list)
    except ValueError:
        return False


def _is_number(answer: Message) -> bool:
    return _PLAIN.fullmatch(answer.text[:_LABEL_LENGTH]) is not None and number_of(answer.text) is not None


def _are_codes(sample: Sequence[Message]) -> bool:
    """Whether the numbers are names, such as 0 and 1: then their classes count, and no tolerance is needed."""
    return _most(sample, lambda answer: bool(_CODE.fullmatch(answer.text))) and _are_labels(sample, _MOST_CODES)


def _are_labels(sample: Sequence[Message], most: int) -> bool:
    if not _most(sample, lambda answer: 0 < len(answer.text) <= _LABEL_LENGTH and "\n" not in answer.text.strip()):
        return False
    distinct = len({label_of(answer.text[: 2 * _LABEL_LENGTH]) for answer in sample})
    return distinct <= most and 2 * distinct <= len(sample)
