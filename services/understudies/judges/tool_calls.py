"""Judge tool calls: the same tools with equal arguments."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from understudies.events import Message, ToolCall
from understudies.judges.base import AGREEMENT, Judgement, abbreviate, disagreement, format_judge_name
from understudies.judges.exact import compare_texts, tool_use_mismatch
from understudies.judges.json_value import JsonJudge

_PAIRED_BY_TRIAL = 200


@dataclass(frozen=True, slots=True)
class ToolCallsJudge:
    """Judge that agrees if the same tools are called with JSON-equal arguments, in the same order if `ordered`.

    Text next to tool calls is ignored; if neither answer calls a tool, their texts are compared. Paths in `arguments`
    begin with the tool's name.
    """

    ordered: bool = True
    arguments: JsonJudge = field(default_factory=JsonJudge)

    @property
    def name(self) -> str:
        return format_judge_name(
            "tool_calls", {"": () if self.ordered else ("any_order",), "mixed": self.arguments.mixed}
        )

    @property
    def description(self) -> str:
        order = "in the same order" if self.ordered else "in any order"
        return f"the same tools called {order}, their arguments {self.arguments.description}"

    def judge(self, teacher: Message, student: Message) -> Judgement:
        expected, given = teacher.tool_calls or (), student.tool_calls or ()
        if not expected and not given:
            return compare_texts(teacher.text, student.text)
        if not expected or not given:
            return disagreement(tool_use_mismatch(teacher))
        pairs = self._in_order(expected, given) if self.ordered else self._any_order(expected, given)
        score = sum(pair.score for pair in pairs) / max(len(expected), len(given))
        if len(expected) != len(given):
            return disagreement(f"teacher calls {len(expected)} tools, student {len(given)}", score)
        return next((disagreement(pair.why or "", score) for pair in pairs if not pair.agreed), AGREEMENT)

    def arguments_judge(self, name: str) -> JsonJudge:
        """Return the judge of one tool's arguments."""
        if not self.arguments.mixed:
            return self.arguments
        mixed = (path.removeprefix(f"{name}.") for path in self.arguments.mixed if path.startswith(f"{name}."))
        return replace(self.arguments, mixed=frozenset(mixed))

    def _in_order(self, teacher: Sequence[ToolCall], student: Sequence[ToolCall]) -> list[Judgement]:
        return [self._judge_call(expected, given) for expected, given in zip(teacher, student, strict=False)]

    def _any_order(self, teacher: Sequence[ToolCall], student: Sequence[ToolCall]) -> list[Judgement]:
        spare = list(student)
        pairs = []
        for expected in teacher:
            tried = [self._judge_call(expected, given) for given in spare[:_PAIRED_BY_TRIAL]]
            best = max(range(len(tried)), key=lambda i: (tried[i].agreed, tried[i].score), default=None)
            if best is not None:
                pairs.append(tried[best])
                del spare[best]
        return pairs

    def _judge_call(self, teacher: ToolCall, student: ToolCall) -> Judgement:
        expected, given = teacher.function, student.function
        if expected.name != given.name:
            return disagreement(f"teacher calls {abbreviate(expected.name)}, student {abbreviate(given.name)}")
        judge = self.arguments_judge(expected.name)
        judgement = judge.judge_texts(expected.arguments.strip() or "{}", given.arguments.strip() or "{}")
        if judgement.agreed:
            return judgement
        return disagreement(f"{abbreviate(expected.name)}: {judgement.why}", judgement.score)
