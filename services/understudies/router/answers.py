"""Answers that may be given again."""

from dataclasses import dataclass, field

from understudies.events import Response, Usage
from understudies.router.call import Call, TeacherAnswer
from understudies.runtime.rules import TaskRules


@dataclass(frozen=True, slots=True)
class Cached:
    """A teacher's answer to an identical request; `raw` is its body as the teacher sent it."""

    response: Response
    model: str
    raw: bytes = field(repr=False)
    usage: Usage = field(default_factory=Usage)


class Answers:
    """No answer is kept; `ExactAnswers` keeps them."""

    async def get(self, call: Call, rules: TaskRules) -> Cached | None:
        """The answer to an identical request at temperature 0, where the rules of its task allow it."""
        return None

    def put(self, call: Call, rules: TaskRules, answer: TeacherAnswer) -> None:
        """Keep an answer, in the background, where it may be given again."""
