"""Find the choices of a task: the answers that its teacher repeats, and those that its prompt lists beside them."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

from understudies.datasets.dataset import Example
from understudies.events import Message
from understudies.judges.answer_key import canonical_answer
from understudies.judges.base import Judge
from understudies.judges.label import LabelJudge
from understudies.judges.label_text import strip_decoration
from understudies.students.classifier.student import NotClosedSetError, closed_answer_set

MIN_CHOICES: Final = 2
MAX_CHOICES: Final = 255
"""Limits of a question in both APIs."""

MIN_REPEATS: Final = 2
"""How often the teacher gave an answer that is a choice without being listed."""

_FEWEST_LISTED: Final = 3
_KNOWN_SHARE: Final = 0.5
_BULLET: Final = re.compile(r"^\s*(?:[-*•]|\d{1,3}[.)])\s+")
_SEPARATORS: Final = re.compile(r"\s*[,;|]\s*(?:(?:and|or)\s+)?")


class Choice(BaseModel):
    """Value that a question offers, and the answer that it stands for."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    value: str
    answer: Message


def find_choices(train: Sequence[Example], judge: Judge) -> tuple[Choice, ...]:
    """Return the choices of a task, sorted by class.

    Raises NotClosedSetError, with the counts, if the answers form no closed set or one that no question can offer.
    """
    listed = _listed_answers(train, judge)
    answers = closed_answer_set([example.answer for example in train], judge, listed)
    if not MIN_CHOICES <= len(answers) <= MAX_CHOICES:
        raise NotClosedSetError(
            f"{len(answers)} different answers; a question offers {MIN_CHOICES} to {MAX_CHOICES} choices"
        )
    values = {key: _value(key, answer, judge) for key, answer in answers.items()}
    is_unique = len(set(values.values())) == len(values)
    return tuple(Choice(value=values[key] if is_unique else key, answer=answer) for key, answer in answers.items())


def classes_of_two(train: Sequence[Example], judge: Judge) -> set[str]:
    """Return the classes that are choices only because of each of their two examples: not so without the one judged."""
    counts = Counter(canonical_answer(example.answer, judge) for example in train)
    return {key for key, count in counts.items() if count == MIN_REPEATS} - _listed_answers(train, judge).keys()


def without_choices(instructions: str, values: Sequence[str]) -> str:
    """Return instructions without the lines that only name a choice: the question lists them already.

    >>> without_choices("Name the intent:\\n- refund\\n- change pin\\n\\nBe brief.", ["refund", "change pin"])
    'Name the intent:\\n\\nBe brief.'
    """
    offered = set(values)
    return "\n".join(line for line in instructions.splitlines() if _BULLET.sub("", line).strip() not in offered).strip()


def _listed_answers(train: Sequence[Example], judge: Judge) -> Mapping[str, Message]:
    """Return the labels of the lists in the latest system prompt of which half were answered at least once, by class.

    Rare labels are thus offered before the teacher has given them twice.
    """
    if not isinstance(judge, LabelJudge) or not train:
        return {}
    seen = {canonical_answer(example.answer, judge) for example in train}
    listed: dict[str, Message] = {}
    for texts in _lists(train[-1].request.system):
        answers = [Message(role="assistant", content=text) for text in texts]
        by_class = {canonical_answer(answer, judge): answer for answer in answers}
        # A sentence may stand directly above the list.
        if by_class and (first := next(iter(by_class))) not in seen:
            del by_class[first]
        if len(by_class) >= _FEWEST_LISTED and len(by_class.keys() & seen) >= _KNOWN_SHARE * len(by_class):
            listed |= by_class
    return listed


def _lists(prompt: str) -> Iterator[list[str]]:
    """Yield the lists in a prompt: of consecutive lines, and of items within a line."""
    block: list[str] = []
    for line in [*prompt.splitlines(), ""]:
        if line.strip():
            block.append(_BULLET.sub("", line).strip())
            items = _SEPARATORS.split(line.rpartition(":")[2].strip().rstrip("."))
            yield [item for item in items if item]
            continue
        yield block
        block = []


def _value(key: str, answer: Message, judge: Judge) -> str:
    if isinstance(judge, LabelJudge) and (label := strip_decoration(judge.locator.locate(answer.text)[0])):
        return label
    return answer.text.strip() if answer.text.strip() and not answer.tool_calls else key.partition(":")[2]
