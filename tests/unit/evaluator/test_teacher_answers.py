from collections.abc import Iterable

from tests.support.chat_messages import assistant_message

from understudies.evaluator.teacher_answers import RecentTeacherAnswers
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules


def heard(answers: Iterable[str], rules: Rules | None = None) -> RecentTeacherAnswers:
    teachers = RecentTeacherAnswers(rules or Rules())
    for answer in answers:
        teachers.add("triage", assistant_message(answer))
    return teachers


def name(teachers: RecentTeacherAnswers, task: str = "triage") -> str | None:
    judge = teachers.choose_judge(task)
    return judge.name if judge else None


def test_the_judge_follows_the_shape_of_many_answers() -> None:
    assert name(heard(["Refund.", "card arrival"] * 10)) == "label"
    assert name(heard([f'{{"n": {n}}}' for n in range(20)])) == "json"


def test_few_answers_have_no_shape_yet() -> None:
    assert name(heard(["refund"] * 19)) is None
    assert name(heard([]), "another") is None


def test_the_rules_need_no_answers() -> None:
    assert name(heard([], Rules(tasks={"triage": TaskRules(judge="exact")}))) == "exact"


def test_only_the_last_answers_count() -> None:
    assert name(heard([*(f"free text number {n}" for n in range(100)), *["refund"] * 300])) == "label"


def test_the_quietest_task_is_forgotten() -> None:
    teachers = heard(["refund"] * 20)
    for number in range(199):
        teachers.add(f"other {number}", assistant_message("yes"))
    assert name(teachers) == "label"
    teachers.add("triage", assistant_message("refund"))
    teachers.add("one more", assistant_message("yes"))
    assert name(teachers) == "label"
    for number in range(200):
        teachers.add(f"later {number}", assistant_message("yes"))
    assert name(teachers) is None
