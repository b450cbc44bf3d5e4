"""Recent teacher answers of each task, to choose a judge where no trial has one."""

from collections import OrderedDict, deque

from understudies.events import Message
from understudies.judges.base import Judge
from understudies.judges.choice import choose_judge
from understudies.judges.registry import parse_judge
from understudies.runtime.rules.rules import TaskRulesLookup

_MAX_TASKS = 200
_MAX_ANSWERS = 300
_MIN_ANSWERS = 20


class RecentTeacherAnswers:
    """The latest teacher answers by task; the least recently active tasks are evicted first."""

    def __init__(self, rules: TaskRulesLookup) -> None:
        self._rules = rules
        self._answers: OrderedDict[str, deque[Message]] = OrderedDict()

    def add(self, task: str, answer: Message) -> None:
        """Store an answer."""
        self._answers.setdefault(task, deque(maxlen=_MAX_ANSWERS)).append(answer)
        self._answers.move_to_end(task)
        if len(self._answers) > _MAX_TASKS:
            self._answers.popitem(last=False)

    def choose_judge(self, task: str) -> Judge | None:
        """Return the judge that the task's rules name, else the one for the shape of its answers.

        None while the answers are few. This judge compares the teacher with itself; a student's judge is chosen from
        the training split of its dataset.
        """
        if name := self._rules.for_task(task).judge:
            return parse_judge(name)
        answers = self._answers.get(task, ())
        return choose_judge(list(answers)) if len(answers) >= _MIN_ANSWERS else None
