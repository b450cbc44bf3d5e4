"""Which events are worth a notice, and what it says."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from tests.support.budget_harness import change_event, drift_event, promotion_stage
from tests.support.sample_events import make_invocation

from understudies.events import Event, Steering, steer
from understudies.notices.notice import budget_notice, notice_of


@pytest.mark.parametrize(
    ("event", "before", "kind", "text"),
    [
        (promotion_stage("promoted", share=0.25, reason="canary"), None, "promoted",
         "triage@1 serves 25% of the eligible calls"),
        (promotion_stage("promoted", share=0.5, reason="ramp"), 0.25, "promoted",
         "triage@1 serves 50% of the eligible calls"),
        (promotion_stage("demoted", reason="drift"), 0.5, "demoted", "triage@1 was demoted"),
        (promotion_stage("retired"), 0.5, "retired", "triage@1 was retired"),
        (promotion_stage("rejected", reason="agrees too seldom"), None, "rejected", "triage@1 was rejected"),
        (drift_event(), 1.0, "drift",
         "agreement of triage@1 fell to 70.0% after 40 audited verdicts; the teacher answers"),
        (drift_event(tier="warn", agreement_after=None), 1.0, "drift",
         "warning: agreement of triage@1 fell after 40 audited verdicts; it is audited more often"),
        (change_event(cause="teacher"), 1.0, "drift",
         "triage@1 must be proven again: another model answers as the teacher"),
    ],
)  # fmt: skip
def test_what_changes_for_users_is_told(event: Event, before: float | None, kind: str, text: str) -> None:
    notice = notice_of(event, before)
    assert notice is not None
    assert (notice.id, notice.at, notice.task, notice.student) == (event.id, event.at, "triage", "triage@1")
    assert (notice.kind, notice.text) == (kind, text)
    assert notice.reason == getattr(event, "reason", "")


@pytest.mark.parametrize(
    "event",
    [
        promotion_stage("promoted", share=0.5),
        *(promotion_stage(stage) for stage in ("authorised", "trained")),
        make_invocation(),
    ],
    ids=lambda event: getattr(event, "stage", event.type),
)
def test_the_rest_is_not(event: Any) -> None:
    assert notice_of(event, 0.5) is None


def test_a_budget_has_one_notice_a_day() -> None:
    now = datetime(2026, 1, 5, 23, 59, tzinfo=UTC)
    notice = budget_notice("triage", Decimal("8.125"), Decimal(10), now, of_tenant=False)
    assert notice.text == "the budget of triage is nearly spent: $8.12 of $10.00 since midnight, UTC"
    later = budget_notice("triage", Decimal(9), Decimal(10), now.replace(hour=1), of_tenant=False)
    assert later.id == notice.id
    assert budget_notice("triage", Decimal(9), Decimal(10), now, of_tenant=True).id != notice.id
    assert budget_notice("triage", Decimal(9), Decimal(10), now.replace(day=6), of_tenant=False).id != notice.id


def test_a_decision_of_a_person_is_told() -> None:
    event = steer(
        "triage",
        Steering(action="mark_critical", by="ada", student=None),
        "an audit",
        at=datetime(2026, 1, 5, tzinfo=UTC),
        event_id="1",
    )
    notice = notice_of(event, None)
    assert notice is not None
    assert (notice.kind, notice.text, notice.reason) == ("steered", "ada decided: mark critical", "an audit")
    assert notice.student is None
