"""What the teacher of each task answered lately, to judge it by where no trial does."""

from collections import OrderedDict, deque

from understudies.events import Message
from understudies.judges.base import Judge
from understudies.judges.choice import choose_judge
from understudies.judges.registry import parse_judge
from understudies.runtime.rules.rules import TaskRulesLookup

_TASKS = 200
_ANSWERS = 300
_LEAST = 20


class RecentTeacherAnswers:
    """The last answers of the teachers, by task; the tasks that were quiet longest are forgotten first."""

    def __init__(self, rules: TaskRulesLookup) -> None:
        self._rules = rules
        self._answers: OrderedDict[str, deque[Message]] = OrderedDict()

    def add(self, task: str, answer: Message) -> None:
        """Keep an answer."""
        self._answers.setdefault(task, deque(maxlen=_ANSWERS)).append(answer)
        self._answers.move_to_end(task)
        if len(self._answers) > _TASKS:
            self._answers.popitem(last=False)

    def choose_judge(self, task: str) -> Judge | None:
        """The judge that the task's rules name, else the one for the shape of its answers; None while they are few.

        It compares the teacher with itself: a student is judged as the training split of its dataset shows.
        """
        if name := self._rules.for_task(task).judge:
            return parse_judge(name)
        known = self._answers.get(task, ())
        return choose_judge(list(known)) if len(known) >= _LEAST else None
