"""Implement the exact-match student: repeat the teacher's answer to the same request."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from pydantic import TypeAdapter, ValidationError

from understudies.datasets.dataset import Example
from understudies.datasets.errors import ArtifactError
from understudies.events import Message, Request, fingerprint
from understudies.judges.base import Judge
from understudies.students.base import Answer

_FILE = "answers.json"
_NO_ANSWER = Message(role="assistant", content="")


class ExactMatchStudent:
    """Student that repeats the teacher's consistent answer to the same request, at temperature 0 or none given.

    An unknown request gets an empty answer with confidence 0, which no threshold above 0 serves.

    A cache cannot be evaluated on held-out inputs, which are never those that it stores. Its evidence is new verdicts
    on live repeats of a stored request, one for each fingerprint, as for any other student; verdicts on requests that
    it does not store say nothing about it and must not feed its gates.
    """

    kind = "cache"

    def __init__(self, answers: Mapping[str, Message], confidence: float) -> None:
        self._answers = dict(answers)
        self._confidence = confidence

    def __len__(self) -> int:
        return len(self._answers)

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        return [self.lookup(request) for request in requests]

    def lookup(self, request: Request) -> Answer:
        """Return the stored answer, or an empty one with confidence 0."""
        stored = self._answers.get(exact_match_key(request)) if _is_repeatable(request) else None
        return Answer(stored, self._confidence) if stored is not None else Answer(_NO_ANSWER, 0.0)

    @classmethod
    def fit(cls, examples: Iterable[Example], judge: Judge) -> "ExactMatchStudent":
        """Store the requests whose answers the judge considers equal.

        The confidence is the share of repeats that agreed with the previous answer, by the rule of succession. Without
        a given temperature a single answer proves nothing, so two equal ones are required.
        """
        given = _group_by_key(examples)
        repeats = sum(len(answers) - 1 for answers in given.values())
        agreed = sum(_count_agreeing(answers, judge) for answers in given.values())
        stored = {
            key: answers[-1].answer
            for key, answers in given.items()
            if _count_agreeing(answers, judge) == len(answers) - 1 and _is_certain(answers)
        }
        return cls(stored, (agreed + 1) / (repeats + 2))

    def to_files(self) -> dict[str, bytes]:
        answers = {key: answer.model_dump(mode="json", exclude_none=True) for key, answer in self._answers.items()}
        content = {"confidence": self._confidence, "answers": answers}
        return {_FILE: json.dumps(content, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")}

    @classmethod
    def from_files(cls, content: Mapping[str, bytes]) -> "ExactMatchStudent":
        try:
            stored = json.loads(content[_FILE].decode("utf-8", "surrogatepass"))
            return cls(_ANSWERS.validate_python(stored["answers"]), float(stored["confidence"]))
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            raise ArtifactError(f"the cache's answers are invalid: {error!r}") from error


_ANSWERS = TypeAdapter(dict[str, Message])


def exact_match_key(request: Request) -> str:
    """Return the fingerprint with a hash of tool choice and parameters, which affect the answer but not the input."""
    others = json.dumps([request.tool_choice, request.parameters], sort_keys=True, ensure_ascii=False)
    return f"{fingerprint(request)}.{hashlib.sha256(others.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _group_by_key(examples: Iterable[Example]) -> dict[str, list[Example]]:
    given: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        if _is_repeatable(example.request):
            given[exact_match_key(example.request)].append(example)
    return given


def _count_agreeing(given: Sequence[Example], judge: Judge) -> int:
    return sum(judge.judge(before.answer, after.answer).agreed for before, after in pairwise(given))


def _is_certain(given: Sequence[Example]) -> bool:
    return len(given) > 1 or given[0].request.temperature == 0


def _is_repeatable(request: Request) -> bool:
    return request.temperature is None or request.temperature == 0
