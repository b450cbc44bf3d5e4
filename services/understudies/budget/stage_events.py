"""Write the events of a student's stages, with the numbers that they rest on."""

from datetime import datetime, timedelta
from typing import Any, Final

from understudies.budget.appraisal import Appraisal
from understudies.budget.audit_plan import plan_more_audits
from understudies.budget.investment import audit_rate
from understudies.budget.ramp import WEEK_DAYS, trial_audit_rate
from understudies.budget.settings import BudgetSettings
from understudies.budget.student_state import StudentState
from understudies.budget.task_state import TaskState
from understudies.economics.forecast import forecast
from understudies.events import NewId, Promotion, Stage, usd_text

MOMENT: Final = timedelta(milliseconds=1)


class StageEvents:
    """Writer of the events on `promotions`, each under a new id."""

    def __init__(self, settings: BudgetSettings, new_id: NewId) -> None:
        self._settings = settings
        self._new_id = new_id

    def authorised(self, task: TaskState, appraisal: Appraisal, now: datetime) -> Promotion:
        """Return the event that has the next student of a task made."""
        evidence: dict[str, Any] = {
            **appraisal.investment_numbers,
            "examples": task.examples,
            "needed": appraisal.needed_examples,
            "profile": {"kind": task.profile.kind, "reason": task.profile.reason},
        }
        if task.valid_since is not None:
            evidence["since"] = task.valid_since.isoformat()
        return Promotion(
            id=self._new_id(now),
            at=now,
            task=task.task,
            student=task.next_student_name,
            stage="authorised",
            reason=appraisal.reason,
            evidence=evidence,
        )

    def promoted(self, task: TaskState, student: StudentState, now: datetime, share: float, reason: str) -> Promotion:
        """Return the event that puts a student in force at a share, by what its gates decided last."""
        decision = student.decision
        current = student.promotion
        served: dict[str, Any] = {
            "threshold": current.threshold,
            "head_threshold": current.head_threshold,
            "levels": current.levels,
            "withheld": current.withheld,
            "judge": current.judge,
        }
        coverage = student.proven_share
        if decision is not None:
            served = {name: getattr(decision, name) for name in served}
            coverage = decision.coverage or 0.0
        daily = forecast(task.hourly_counts(now)).calls / WEEK_DAYS
        more = plan_more_audits(task, student, self._settings, now)
        least = trial_audit_rate(self._settings, daily) if more else 0.0
        usual = audit_rate(daily * coverage * share, self._settings, share)
        return self.stage(
            student,
            "promoted",
            now,
            reason,
            share=share,
            spot_checks=task.profile.kind == "closed_set",
            **served,
            audit_rate=max(least, usual),
            evidence={
                "coverage": coverage,
                "chosen": decision.evidence.get("chosen") if decision else None,
                **(
                    {
                        "more_audits": more.purpose,
                        "more_audits_until": more.until.isoformat(),
                        "usual_audit_rate": usual,
                    }
                    if more
                    else {}
                ),
                **({} if student.validated_cost is None else {"cost_per_call_usd": usd_text(student.validated_cost)}),
            },
        )

    def stage(self, student: StudentState, stage: Stage, now: datetime, reason: str, **changes: Any) -> Promotion:
        """Return the event of another stage, which keeps all of the one before but what is given.

        Routers go by the time, so it is never before the stage that it follows, which another clock may have dated.
        """
        before = student.promotion.at
        at = now if now >= before else before + MOMENT
        fresh = {"id": self._new_id(at), "at": at, "stage": stage, "reason": reason, "evidence": {}}
        return student.promotion.model_copy(update={**fresh, **changes})
