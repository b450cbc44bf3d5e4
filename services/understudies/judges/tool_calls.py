"""The judge of tool calls: the same tools with equal arguments."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from understudies.events import Message, ToolCall
from understudies.judges.base import AGREED, Judgement, disagreed, shown
from understudies.judges.exact import one_calls_tools, same_text
from understudies.judges.json_value import JsonJudge
from understudies.judges.options import with_options

_PAIRED_BY_TRIAL = 200


@dataclass(frozen=True, slots=True)
class ToolCallsJudge:
    """Agrees where the same tools are called with JSON-equal arguments, in the same order unless told otherwise.

    Text beside tool calls does not count; where neither calls a tool, the texts do. Paths in `arguments` begin with
    the tool's name.
    """

    ordered: bool = True
    arguments: JsonJudge = field(default_factory=JsonJudge)

    @property
    def name(self) -> str:
        return with_options("tool_calls", {"": () if self.ordered else ("any_order",), "mixed": self.arguments.mixed})

    @property
    def description(self) -> str:
        order = "in the same order" if self.ordered else "in any order"
        return f"the same tools called {order}, their arguments {self.arguments.description}"

    def judge(self, teacher: Message, student: Message) -> Judgement:
        expected, given = teacher.tool_calls or (), student.tool_calls or ()
        if not expected and not given:
            return same_text(teacher.text, student.text)
        if not expected or not given:
            return disagreed(one_calls_tools(teacher))
        pairs = self._in_order(expected, given) if self.ordered else self._any_order(expected, given)
        score = sum(pair.score for pair in pairs) / max(len(expected), len(given))
        if len(expected) != len(given):
            return disagreed(f"teacher calls {len(expected)} tools, student {len(given)}", score)
        return next((disagreed(pair.why or "", score) for pair in pairs if not pair.agreed), AGREED)

    def of_tool(self, name: str) -> JsonJudge:
        """The judge of one tool's arguments."""
        if not self.arguments.mixed:
            return self.arguments
        mixed = (path.removeprefix(f"{name}.") for path in self.arguments.mixed if path.startswith(f"{name}."))
        return replace(self.arguments, mixed=frozenset(mixed))

    def _in_order(self, teacher: Sequence[ToolCall], student: Sequence[ToolCall]) -> list[Judgement]:
        return [self._one(expected, given) for expected, given in zip(teacher, student, strict=False)]

    def _any_order(self, teacher: Sequence[ToolCall], student: Sequence[ToolCall]) -> list[Judgement]:
        spare = list(student)
        pairs = []
        for expected in teacher:
            tried = [self._one(expected, given) for given in spare[:_PAIRED_BY_TRIAL]]
            best = max(range(len(tried)), key=lambda i: (tried[i].agreed, tried[i].score), default=None)
            if best is not None:
                pairs.append(tried[best])
                del spare[best]
        return pairs

    def _one(self, teacher: ToolCall, student: ToolCall) -> Judgement:
        expected, given = teacher.function, student.function
        if expected.name != given.name:
            return disagreed(f"teacher calls {shown(expected.name)}, student {shown(given.name)}")
        judge = self.of_tool(expected.name)
        judgement = judge.judge_texts(expected.arguments.strip() or "{}", given.arguments.strip() or "{}")
        if judgement.agreed:
            return judgement
        return disagreed(f"{shown(expected.name)}: {judgement.why}", judgement.score)
