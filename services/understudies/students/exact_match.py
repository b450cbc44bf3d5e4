"""The exact-answer student: what the teacher answered to the same request before."""

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
    """Answers a request that the teacher answered before, always alike, at temperature 0 or none given.

    An unknown request gets an empty answer of confidence 0, which no threshold above 0 serves.

    A cache cannot be proven on held-out inputs: they are never those that it remembers. Its evidence is fresh
    verdicts on live repeats of a remembered request, one for each fingerprint, like any other student's; the
    verdicts on requests that it does not know say nothing about it and must not feed its gates.
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
        """The remembered answer, or none."""
        known = self._answers.get(exact_match_key(request)) if _is_repeatable(request) else None
        return Answer(known, self._confidence) if known is not None else Answer(_NO_ANSWER, 0.0)

    @classmethod
    def fit(cls, examples: Iterable[Example], judge: Judge) -> "ExactMatchStudent":
        """Remember the requests whose answers the judge finds alike.

        The confidence is the share of repeats that agreed with the answer before, by the rule of succession.
        At no given temperature one answer shows nothing, so two alike are asked for.
        """
        given = _group_by_key(examples)
        repeats = sum(len(answers) - 1 for answers in given.values())
        agreed = sum(_count_agreeing(answers, judge) for answers in given.values())
        kept = {
            key: answers[-1].answer
            for key, answers in given.items()
            if _count_agreeing(answers, judge) == len(answers) - 1 and _is_certain(answers)
        }
        return cls(kept, (agreed + 1) / (repeats + 2))

    def to_files(self) -> dict[str, bytes]:
        answers = {key: answer.model_dump(mode="json", exclude_none=True) for key, answer in self._answers.items()}
        known = {"confidence": self._confidence, "answers": answers}
        return {_FILE: json.dumps(known, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")}

    @classmethod
    def from_files(cls, content: Mapping[str, bytes]) -> "ExactMatchStudent":
        try:
            known = json.loads(content[_FILE].decode("utf-8", "surrogatepass"))
            return cls(_ANSWERS.validate_python(known["answers"]), float(known["confidence"]))
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            raise ArtifactError(f"the cache's answers cannot be read: {error!r}") from error


_ANSWERS = TypeAdapter(dict[str, Message])


def exact_match_key(request: Request) -> str:
    """The fingerprint, and what else decides the answer but is no part of the input: tool choice and parameters."""
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
