"""Judge single values of a JSON answer by judges of their own, such as a title by its meaning."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import JsonValue

from understudies.events import Message
from understudies.judges.base import AGREEMENT, Judge, Judgement, abbreviate, disagreement
from understudies.judges.code import CodeJudge
from understudies.judges.exact import ExactJudge
from understudies.judges.human_marks import NO_MARKS, HumanMarks
from understudies.judges.label import LabelJudge
from understudies.judges.numeric import NumericJudge
from understudies.judges.semantic import DEFAULT_THRESHOLD, SemanticJudge
from understudies.judges.sql import SqlJudge

_SEMANTIC: Final = "semantic"
FIELD_KINDS: Final = ("exact", "label", "numeric", "semantic", "sql", "code")
"""The judges that a value may have; the options of a judge's name hold the paths of each."""


@dataclass(frozen=True, slots=True)
class FieldJudges:
    """The kind of judge of the values at some paths (without indices); the threshold of those compared by meaning.

    `marks` are people's marks of whole answers on which the judge of the answer agreed.
    """

    kinds: Mapping[str, str] = field(default_factory=dict)
    threshold: float = DEFAULT_THRESHOLD
    marks: HumanMarks = NO_MARKS

    def __post_init__(self) -> None:
        if not self.has_semantic and (self.marks.of or self.threshold != DEFAULT_THRESHOLD):
            raise ValueError("threshold and human marks belong to fields compared by meaning; name one: semantic:title")
        SemanticJudge(self.threshold)

    @property
    def has_semantic(self) -> bool:
        """Whether some value is compared by meaning, so that the judge errs."""
        return _SEMANTIC in self.kinds.values()

    @property
    def options(self) -> dict[str, Collection[str]]:
        """The options for the judge's name."""
        options: dict[str, Collection[str]] = {
            kind: [path for path, own in self.kinds.items() if own == kind] for kind in FIELD_KINDS
        }
        options["threshold"] = () if self.threshold == DEFAULT_THRESHOLD else (f"{self.threshold:g}",)
        return options | self.marks.options

    @property
    def description(self) -> str:
        """What differs from the comparison of other values, to be appended."""
        parts = [
            f"; {' and '.join(sorted(paths))} by {kind}"
            for kind in FIELD_KINDS
            if (paths := [path for path, own in self.kinds.items() if own == kind])
        ]
        return "".join(parts) + (f"; {self.marks.description}" if self.has_semantic else "")

    def judge(self, path: str, teacher: JsonValue, student: JsonValue) -> Judgement | None:
        """Compare two values by the judge of their path; None if it has none, or one of them is no text or number."""
        kind = self.kinds.get(path)
        if kind is None or not (_is_scalar(teacher) and _is_scalar(student)):
            return None
        one, other = (Message(role="assistant", content=str(value)) for value in (teacher, student))
        judgement = self._judge_of(kind).judge(one, other)
        if judgement.agreed:
            return AGREEMENT
        return disagreement(f"{abbreviate(path)}: {judgement.why}", judgement.score)

    def _judge_of(self, kind: str) -> Judge:
        return SemanticJudge(self.threshold) if kind == _SEMANTIC else _JUDGES[kind]


def _is_scalar(value: JsonValue) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


_JUDGES: Final[Mapping[str, Judge]] = {
    "exact": ExactJudge(),
    "label": LabelJudge(),
    "numeric": NumericJudge(),
    "sql": SqlJudge(),
    "code": CodeJudge(),
}
NO_FIELD_JUDGES: Final = FieldJudges()
