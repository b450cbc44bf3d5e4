"""The head of a task: the inputs that many calls have, and the student that remembers their answers."""

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
from understudies.students.base import Answer, GeneratingStudent, Student, close_student, student_cost

HEAD_FILE: Final = "head.json"
MIN_HEAD_CALLS: Final = 5
"""Calls of an input from which it belongs to the head."""

_MIN_CONSENSUS: Final = 0.9
_MEMORIES: Final = TypeAdapter(dict[str, Message])


@dataclass(frozen=True, slots=True)
class HeadInputs:
    """The inputs that many calls have, by name; the answers remembered for some; and those with contested answers.

    An input is remembered where the teacher was asked at temperature 0, or at none given, and nine in ten of the
    answers known to it say the same. Where fewer do, no student can be right often enough, and it stays with the
    teacher.
    """

    input_names: frozenset[str] = frozenset()
    memories: Mapping[str, Message] = field(default_factory=dict)
    contested: frozenset[str] = frozenset()
    system: SystemTemplate = NO_CONTEXT
    """Tells the context of a call, which is part of its input."""

    @classmethod
    def find(cls, examples: Sequence[Example], judge: Judge, system: SystemTemplate = NO_CONTEXT) -> "HeadInputs":
        """The head of a dataset, whatever the splits: what is remembered is proven by the calls that come after it."""
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
        """The artifact's file; none where the task has no head."""
        if not self.input_names:
            return {}
        memories = {key: answer.model_dump(mode="json", exclude_none=True) for key, answer in self.memories.items()}
        known = {"names": sorted(self.input_names), "memories": memories, "contested": sorted(self.contested)}
        if self.system.has_context:
            known["system"] = self.system.model_dump(mode="json")
        return {HEAD_FILE: json.dumps(known, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")}

    @classmethod
    def from_files(cls, content: Mapping[str, bytes]) -> "HeadInputs":
        """The head of an artifact, empty where it has none; raises ArtifactError where its file is damaged."""
        if HEAD_FILE not in content:
            return cls()
        try:
            known = json.loads(content[HEAD_FILE].decode("utf-8", "surrogatepass"))
            memories = _MEMORIES.validate_python(known["memories"])
            system = SystemTemplate.model_validate(known["system"]) if "system" in known else NO_CONTEXT
            return cls(frozenset(known["names"]), memories, frozenset(known["contested"]), system)
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            raise ArtifactError(f"the head of the student cannot be read: {error!r}") from error


class HeadStudent:
    """A student that answers the head from memory where it can, and everything else by the student it is built on."""

    def __init__(self, base: Student, head: HeadInputs) -> None:
        self.base = base
        self.head = head

    @property
    def kind(self) -> str:
        """Kind of the student it is built on."""
        return self.base.kind

    async def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer for each request, in order; raises StudentError where the base cannot."""
        known = [self._recall(request) for request in requests]
        asked = [place for place, (_, answer) in enumerate(known) if answer is None]
        given = await self.base.answer([requests[place] for place in asked]) if asked else []
        answers = [answer for _, answer in known]
        for place, answer in zip(asked, given, strict=True):
            answers[place] = replace(answer, head=known[place][0])
        return cast(list[Answer], answers)

    def _recall(self, request: Request) -> tuple[str | None, Answer | None]:
        """The name of an input of the head, and what is known to say to it."""
        name = input_name(request, self.head.system)
        if name not in self.head.input_names:
            return None, None
        if name in self.head.contested:
            return name, Answer(Message(role="assistant", content=""), 0.0, head=name)
        memory = self.head.memories.get(memory_key(request, self.head.system)) if _is_repeatable(request) else None
        return name, None if memory is None else Answer(memory, 1.0, head=name)

    def cost(self, usage: Usage) -> Decimal | None:
        """US dollars for what the base used; None where it has no price."""
        return student_cost(self.base, usage)

    async def close(self) -> None:
        """Let go of what the base holds open."""
        await close_student(self.base)


class GeneratingHeadStudent(HeadStudent):
    """The same over a student that writes token by token."""

    async def answer_until(self, request: Request, floor: float, max_tokens: int | None = None) -> Answer:
        """As of `GeneratingStudent`; what is remembered is whole at once."""
        name, answer = self._recall(request)
        if answer is not None:
            return answer
        # The floor is the threshold of the other inputs. Were unsure answers given up here, those that are recorded
        # for an input of the head would be its surest, and say too much of it.
        floor = floor if name is None else 0.0
        written = await cast(GeneratingStudent, self.base).answer_until(request, floor, max_tokens)
        return replace(written, head=name)


def add_head(base: Student, head: HeadInputs) -> Student:
    """The student with a head to answer from memory; itself where there is none."""
    if not head.input_names:
        return base
    return GeneratingHeadStudent(base, head) if isinstance(base, GeneratingStudent) else HeadStudent(base, head)


def input_name(request: Request, system: SystemTemplate = NO_CONTEXT) -> str:
    """The name by which an input is known: of what a student reads of it, else its fingerprint."""
    return identify_input(request, "", None, system).reading_name or fingerprint(request)


def memory_key(request: Request, system: SystemTemplate = NO_CONTEXT) -> str:
    """The input's name, and what else decides the answer: tools, response format, tool choice and parameters."""
    others = [request.tools, request.response_format, request.tool_choice, request.parameters]
    text = json.dumps(others, sort_keys=True, ensure_ascii=False)
    return f"{input_name(request, system)}.{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _most_frequent(answers: Sequence[Message], judge: Judge) -> tuple[Message, float]:
    """The answer given most often, and the share of all answers that agree with it."""
    forms: defaultdict[str, list[Message]] = defaultdict(list)
    for answer in answers:
        forms[canonical_answer(answer, judge)].append(answer)
    key = min(forms, key=lambda name: (-len(forms[name]), name))
    texts = Counter(normalize_call_ids(answer).model_dump_json(exclude_none=True) for answer in forms[key])
    commonest = Message.model_validate_json(min(texts, key=lambda text: (-texts[text], text)))
    return commonest, sum(judge.judge(answer, commonest).agreed for answer in answers) / len(answers)


def _is_repeatable(request: Request) -> bool:
    return request.temperature is None or request.temperature == 0
