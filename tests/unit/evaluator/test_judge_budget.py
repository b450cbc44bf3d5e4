"""Which questions to a model that judges may spend what is kept of its budget for audits."""

from pathlib import Path

import pytest
from tests.support.trials import EvaluatorHarness, ScriptedStudent, audit_of, events_of_type, right, traffic, wrong

from understudies.datasets.object_store import ObjectStore
from understudies.events import Response, Verdict
from understudies.judges.backends import BACKENDS, RubricAnswer
from understudies.judges.judge_health import JudgeHealth
from understudies.judges.materials import JudgeBudgetSpentError
from understudies.runtime.rules.rules import Rules
from understudies.students.base import request_text, text_answer

_RUBRIC = {"kind": "llm", "endpoint": "checker", "model": "judge-1", "rubric": "The same intent."}
_RULES = Rules.model_validate({"judges": {"intent": _RUBRIC}, "defaults": {"judge": "llm[intent]"}})


async def test_audits_of_a_student_in_service_have_verdicts_when_the_budget_of_trials_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent = False
    asked: list[bool] = []

    def ask(spec: str, teacher: str, student: str, is_audit: bool) -> RubricAnswer:
        asked.append(is_audit)
        if spent and not is_audit:
            raise JudgeBudgetSpentError("the rest is kept for audits")
        return RubricAnswer(False, False)

    monkeypatch.setattr(BACKENDS, "rubric", ask)
    monkeypatch.setattr(BACKENDS, "health", JudgeHealth())
    bench = EvaluatorHarness(ObjectStore(f"file://{tmp_path}"), ScriptedStudent(wrong), rules=_RULES)
    await bench.handle(bench.promotion("trained"))
    await bench.handle(bench.promotion("promoted", share=1.0, threshold=0.5))
    assert asked
    assert not any(asked), "what opens a trial is no audit"
    asked.clear()
    spent = True
    trained = bench.promotion("trained", version=2)
    await bench.handle(trained)
    served = [
        call.model_copy(
            update={"served_by": "student", "student": trained.student.replace("@2", "@1"), "confidence": 0.9}
            | {"response": Response(message=text_answer("something else", 0.9).message)}
        )
        for call in traffic(0, 5, hours=1, reason="promoted", drawn=1.0)
    ]
    audits = [audit_of(call, right(request_text(call.request))[0]) for call in served]
    published = await bench.handle(*served, *audits)
    verdicts = events_of_type(Verdict, published)
    assert [(one.phase, one.agreed) for one in verdicts] == [("audit", False)] * 5
    assert asked.count(True) == 5
    assert BACKENDS.health.missing == {("llm[intent]", "budget"): asked.count(False)}
