"""What a backtest recommends, and what it projects."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tests.support.sample_report import build_sample_report

from understudies.backtest.report.projection import SavingsProjection, last_fifth_span, project_savings
from understudies.backtest.report.recommendation import recommend
from understudies.backtest.report.report import TaskOutcome

AT = datetime(2026, 1, 5, tzinfo=UTC)
TASKS = build_sample_report().tasks


def test_it_says_what_to_hand_over_what_to_keep_and_what_to_record() -> None:
    tasks = {
        **TASKS,
        "refunds": replace(TASKS["marketing-copy"], outcome=TaskOutcome("critical")),
        "rare": replace(
            TASKS["marketing-copy"], outcome=TaskOutcome("collecting", "", {"examples": 1240, "needed": 5000})
        ),
    }
    assert recommend(tasks, SavingsProjection(2.8, Decimal("123.4"), Decimal(1480)), prices_assumed=False) == (
        "Hand over ticket-triage and language-routing, which saves about $123.40 a month. "
        "Keep refunds with the teacher, which is critical. "
        "Keep marketing-copy with the teacher, which a student would not pay for. "
        "Record more of order-extraction and rare (1,240 of the 5,000 examples needed)."
    )


def test_where_prices_are_assumed_the_advice_depends_on_them() -> None:
    served = {"ticket-triage": TASKS["ticket-triage"]}
    assert recommend(served, None, prices_assumed=True) == ("Hand over ticket-triage if the assumed prices are right.")


def test_a_task_that_served_and_saved_nothing_is_not_recommended() -> None:
    task = TASKS["ticket-triage"]
    totals = replace(task.summary.totals, cost_after=task.summary.totals.cost_before + 1)
    loss = {name: replace(task, summary=replace(task.summary, totals=totals)) for name in "abcdef"}
    assert recommend(loss, None, prices_assumed=False) == (
        "Hand over nothing yet. a, b, c, d and 2 more have not earned back what proving cost: play more calls."
    )
    assert recommend({}, None, prices_assumed=False) == ""


def test_less_than_a_day_tells_nothing_of_a_year() -> None:
    assert project_savings(Decimal(1), timedelta(hours=23)) is None
    assert last_fifth_span([]) == timedelta(0)
    assert last_fifth_span([AT]) == timedelta(0)


def test_a_span_is_as_many_intervals_as_it_has_batches() -> None:
    assert last_fifth_span([AT + timedelta(days=day) for day in range(10)]) == timedelta(days=2)
    assert last_fifth_span([AT + timedelta(days=day) for day in range(10) for _ in range(50)]) == timedelta(days=2)


def test_a_projection_is_in_the_reports_json() -> None:
    projection = project_savings(Decimal("-2"), timedelta(days=2))
    assert projection is not None
    assert projection.to_dict() == {"days": 2.0, "saved_month_usd": -30.416667, "saved_year_usd": -365.0}
