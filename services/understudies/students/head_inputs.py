"""Find the head of a task, the inputs that many calls share, and answer it from memory."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final, cast

from pydantic import TypeAdapter, ValidationError

from understudies.datasets.dataset import Example
from understudies.datasets.errors import ArtifactError
from understudies.datasets.inputs import identify_input
from understudies.datasets.system_template import NO_CONTEXT, SystemTemplate
from understudies.events import Message, Request, Usage, fingerprint
from understudies.judges.answer_key import canonical_answer, normalize_call_ids
from understudies.judges.base import Judge
from understudies.students.base import Answer, GeneratingStudent, PreparingStudent, Student, close_student, student_cost

HEAD_FILE: Final = "head.json"
MIN_HEAD_CALLS: Final = 5
"""Least number of calls with an input for it to belong to the head."""

_MIN_CONSENSUS: Final = 0.9
_MEMORIES: Final = TypeAdapter(dict[str, Message])


@dataclass(frozen=True, slots=True)
class HeadInputs:
    """Inputs that many calls share, by name; memorised answers for some of them; and inputs with contested answers.

    An answer is memorised if the teacher was asked at temperature 0, or at none given, and at least 90 % of the known
    answers to the input agree. If fewer do, no student can be right often enough, and the input stays with the teacher.
    """

    input_names: frozenset[str] = frozenset()
    memories: Mapping[str, Message] = field(default_factory=dict)
    contested: frozenset[str] = frozenset()
    system: SystemTemplate = NO_CONTEXT
    """Template that determines the context of a call, which is part of its input."""

    @classmethod
    def find(cls, examples: Sequence[Example], judge: Judge, system: SystemTemplate = NO_CONTEXT) -> "HeadInputs":
        """Find the head of a dataset in all splits: memorised answers are evaluated on later calls."""
        by_name: defaultdict[str, list[Example]] = defaultdict(list)
        for example in examples:
            by_name[input_name(example.request, system)].append(example)
        names = {name for name, of in by_name.items() if sum(one.calls for one in of) >= MIN_HEAD_CALLS}
        memories: dict[str, Message] = {}
        contested: set[str] = set()
        for name in sorted(names):
            answers = [answer for one in by_name[name] for answer in (*one.repeats, one.answer)]
            commonest, share = _most_frequent(answers, judge)
            if share < _MIN_CONSENSUS:
                contested.add(name)
            elif len(answers) > 1:
                memories |= {
                    memory_key(one.request, system): commonest for one in by_name[name] if _is_repeatable(one.request)
                }
        return cls(frozenset(names), memories, frozenset(contested), system)

    def to_files(self) -> dict[str, bytes]:
        """Return the artifact's file; none if the task has no head."""
        if not self.input_names:
            return {}
        memories = {key: answer.model_dump(mode="json", exclude_none=True) for key, answer in self.memories.items()}
        content = {"names": sorted(self.input_names), "memories": memories, "contested": sorted(self.contested)}
        if self.system.has_context:
            content["system"] = self.system.model_dump(mode="json")
        return {HEAD_FILE: json.dumps(content, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")}

    @classmethod
    def from_files(cls, content: Mapping[str, bytes]) -> "HeadInputs":
        """Read the head of an artifact, empty if it has none; raises ArtifactError if its file is damaged."""
        if HEAD_FILE not in content:
            return cls()
        try:
            stored = json.loads(content[HEAD_FILE].decode("utf-8", "surrogatepass"))
            memories = _MEMORIES.validate_python(stored["memories"])
            system = SystemTemplate.model_validate(stored["system"]) if "system" in stored else NO_CONTEXT
            return cls(frozenset(stored["names"]), memories, frozenset(stored["contested"]), system)
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            raise ArtifactError(f"the head of the student is invalid: {error!r}") from error


class HeadStudent:
    """Student that answers the head from memory if it can, and everything else with its base student."""

    def __init__(self, base: Student, head: HeadInputs) -> None:
        self.base = base
        self.head = head

    @property
    def kind(self) -> str:
        """The kind of the base student."""
        return self.base.kind

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Return one answer for each request, in order; raises StudentError if the base student cannot answer."""
        recalled = [self._recall(request) for request in requests]
        missing = [index for index, (_, answer) in enumerate(recalled) if answer is None]
        generated = await self.base.answer([requests[index] for index in missing]) if missing else []
        answers = [answer for _, answer in recalled]
        for index, answer in zip(missing, generated, strict=True):
            answers[index] = replace(answer, head=recalled[index][0])
        return cast(list[Answer], answers)

    async def prepare(self, requests: Sequence[Request]) -> None:
        """Prepare the base student for what it has to answer."""
        if isinstance(self.base, PreparingStudent):
            await self.base.prepare([request for request in requests if self._recall(request)[1] is None])

    def _recall(self, request: Request) -> tuple[str | None, Answer | None]:
        """Return the name of the input if it belongs to the head, and its memorised answer if there is one."""
        name = input_name(request, self.head.system)
        if name not in self.head.input_names:
            return None, None
        if name in self.head.contested:
            return name, Answer(Message(role="assistant", content=""), 0.0, head=name)
        memory = self.head.memories.get(memory_key(request, self.head.system)) if _is_repeatable(request) else None
        return name, None if memory is None else Answer(memory, 1.0, head=name)

    def cost(self, usage: Usage) -> Decimal | None:
        """Return the cost of the base student's usage in US dollars; None if it has no price."""
        return student_cost(self.base, usage)

    async def close(self) -> None:
        """Release the resources of the base student."""
        await close_student(self.base)


class GeneratingHeadStudent(HeadStudent):
    """HeadStudent whose base student generates token by token."""

    async def answer_until(self, request: Request, floor: float, max_tokens: int | None = None) -> Answer:
        """Answer as `GeneratingStudent` does; a memorised answer is complete at once."""
        name, answer = self._recall(request)
        if answer is not None:
            return answer
        # The floor is the threshold of the other inputs. If low-confidence answers were aborted here, only the most
        # confident ones would be recorded for an input of the head, and overstate its agreement.
        floor = floor if name is None else 0.0
        generated = await cast(GeneratingStudent, self.base).answer_until(request, floor, max_tokens)
        return replace(generated, head=name)


def add_head(base: Student, head: HeadInputs) -> Student:
    """Return the student with a head to answer from memory; the student itself if the head is empty."""
    if not head.input_names:
        return base
    return GeneratingHeadStudent(base, head) if isinstance(base, GeneratingStudent) else HeadStudent(base, head)


def input_name(request: Request, system: SystemTemplate = NO_CONTEXT) -> str:
    """Return the name of an input: that of its reading, else its fingerprint."""
    return identify_input(request, "", None, system).reading_name or fingerprint(request)


def memory_key(request: Request, system: SystemTemplate = NO_CONTEXT) -> str:
    """Return the input's name with a hash of tools, response format, tool choice and parameters, which also matter."""
    others = [request.tools, request.response_format, request.tool_choice, request.parameters]
    text = json.dumps(others, sort_keys=True, ensure_ascii=False)
    return f"{input_name(request, system)}.{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _most_frequent(answers: Sequence[Message], judge: Judge) -> tuple[Message, float]:
    """Return the most frequent answer, and the share of all answers that agree with it."""
    forms: defaultdict[str, list[Message]] = defaultdict(list)
    for answer in answers:
        forms[canonical_answer(answer, judge)].append(answer)
    key = min(forms, key=lambda name: (-len(forms[name]), name))
    texts = Counter(normalize_call_ids(answer).model_dump_json(exclude_none=True) for answer in forms[key])
    commonest = Message.model_validate_json(min(texts, key=lambda text: (-texts[text], text)))
    return commonest, sum(judge.judge(answer, commonest).agreed for answer in answers) / len(answers)


def _is_repeatable(request: Request) -> bool:
    return request.temperature is None or request.temperature == 0
