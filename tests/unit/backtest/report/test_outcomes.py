"""What became of the calls: costs, agreement, break-even and days."""

from decimal import Decimal

from tests.support.backtest_outcomes import (
    PRICE,
    STUDENT_PRICE,
    TASK,
    audit_invocation,
    escalated_invocation,
    hourly_calls,
    hours_after_monday,
    make_outcomes,
    make_promotion,
    make_scheduled_call,
    make_verdict,
    student_invocation,
    teacher_invocation,
)

from understudies.backtest.replay.schedule import ScheduledCall
from understudies.backtest.report.daily import describe_days
from understudies.backtest.report.outcomes import CallOutcomes, select_judges
from understudies.backtest.report.report import DailyFigures
from understudies.backtest.report.tally import tally_calls
from understudies.events import Event
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules
from understudies.stats.bounds import anytime_lower_bound, clopper_pearson_upper


def told(calls: list[ScheduledCall], served: range) -> list[Event]:
    """Those in the range served by a student, the others by the teacher."""
    return [
        student_invocation(call) if place in served else teacher_invocation(call) for place, call in enumerate(calls)
    ]


def cost_of(found: CallOutcomes, call: ScheduledCall) -> Decimal:
    return found.total_cost(call, found.collector.invocations[call.id], found.shadow_cost(call))


def break_even(found: CallOutcomes) -> int | None:
    return tally_calls(found).tasks[TASK].break_even_calls


def days_of(found: CallOutcomes) -> list[DailyFigures]:
    promotions = [event for event in found.promotions() if event.task == TASK]
    return describe_days(tally_calls(found).tasks[TASK].days, promotions, found.collector)


# Costs


async def test_each_way_to_be_answered_has_its_cost() -> None:
    first, second, third, fourth = calls = hourly_calls(4)
    found = await make_outcomes(
        calls,
        teacher_invocation(first),
        make_verdict(first),
        make_verdict(first, version=2),
        student_invocation(second),
        audit_invocation(second),
        make_verdict(second, phase="audit", counts=False),
        escalated_invocation(third),
        student_invocation(fourth),
    )
    costs = [cost_of(found, call) for call in calls]
    assert costs == [PRICE + 2 * STUDENT_PRICE, STUDENT_PRICE + PRICE, PRICE + STUDENT_PRICE, STUDENT_PRICE]
    totals = tally_calls(found).overall.totals
    assert totals.cost_after == sum(costs)
    assert totals.cost_before == 4 * PRICE
    assert totals.saved == totals.cost_before - totals.cost_after
    assert (totals.calls, totals.served, totals.judged, totals.agreed) == (4, 2, 2, 2)


async def test_trainings_are_charged_where_they_fall_whether_they_succeeded_or_not() -> None:
    calls = hourly_calls(10)
    found = await make_outcomes(
        calls,
        *told(calls, range(0)),
        make_promotion("authorised", 1),
        make_promotion("trained", 1, evidence={"cost_usd": "0.5"}),
        make_promotion("rejected", 2, evidence={"p0": 0.95}),
        make_promotion("rejected", 9.5, version=2, evidence={"cost_usd": "0.25"}),
        make_promotion("trained", 3, task="other", evidence={"cost_usd": "7"}),
    )
    tally = tally_calls(found)
    mine, everything = tally.tasks[TASK].summary, tally.overall
    assert mine.totals.cost_after == 10 * PRICE + Decimal("0.75")
    assert mine.last_fifth.cost_after == 2 * PRICE + Decimal("0.25")
    assert everything.totals.cost_after == mine.totals.cost_after + 7


async def test_a_call_that_was_never_answered_is_not_counted() -> None:
    calls = hourly_calls(3)
    found = await make_outcomes(calls, teacher_invocation(calls[0]))
    assert tally_calls(found).overall.totals.calls == 1


async def test_tasks_add_up_to_the_whole() -> None:
    calls = sorted(hourly_calls(5) + hourly_calls(7, task="other"), key=lambda call: call.at)
    found = await make_outcomes(calls, *told(calls, range(3, 9)))
    tally = tally_calls(found)
    mine, other = (tally.tasks[task].summary.totals for task in (TASK, "other"))
    everything = tally.overall.totals
    assert (mine.calls, other.calls, everything.calls) == (5, 7, 12)
    assert mine.cost_after + other.cost_after == everything.cost_after
    assert mine.served + other.served == everything.served


# Agreement


async def test_what_a_student_served_is_judged_as_the_evaluator_would() -> None:
    calls = [make_scheduled_call(number, number, answer="Refund ") for number in range(4)]
    events = [
        student_invocation(calls[0], "refund"),
        student_invocation(calls[1], "cancel"),
        teacher_invocation(calls[2]),
    ]
    found = await make_outcomes(calls, *events, student_invocation(calls[3], response=None, error="none"))
    assert [found.check_agreement(call, found.collector.invocations[call.id]) for call in calls] == [
        True,
        False,
        None,
        None,
    ]


def test_the_judge_is_that_of_the_rules_or_of_the_answers() -> None:
    calls = [
        *hourly_calls(4, task="a"),
        make_scheduled_call(0, 1, task="b", answer='{"x": 1}'),
        make_scheduled_call(0, 2, task="c", answer='{"x": 1}'),
    ]
    judges = select_judges(calls, Rules(tasks={"c": TaskRules(judge="exact")}))
    assert {task: judge.name for task, judge in judges.items()} == {"a": "label", "b": "json", "c": "exact"}


async def test_answers_are_compared_by_the_judge_that_the_student_was_tried_with() -> None:
    calls = hourly_calls(2)
    served = [student_invocation(call, "refund - as it is wanted") for call in calls]
    found = await make_outcomes(calls, *served, make_verdict(calls[0], judge="label[before:dash]"))
    assert found.check_agreement(calls[1], found.collector.invocations[calls[1].id]) is True
    assert found.judge_for(TASK, f"{TASK}@1").name == "label[before:dash]"
    assert found.judge_for(TASK, f"{TASK}@2").name == found.judge_for(TASK, None).name == "label"


async def test_the_judge_of_a_student_without_verdicts_is_that_of_its_training() -> None:
    calls = hourly_calls(2)
    found = await make_outcomes(calls, make_promotion("trained", 0, evidence={"judge": "json[mixed:n]"}))
    assert found.judge_for(TASK, f"{TASK}@1").name == "json[mixed:n]"


# Break-even


async def test_without_a_student_there_is_no_break_even() -> None:
    calls = hourly_calls(5)
    assert break_even(await make_outcomes(calls, *told(calls, range(0)))) is None


async def test_break_even_counts_calls_from_the_first_authorisation() -> None:
    calls = hourly_calls(20)
    found = await make_outcomes(
        calls,
        *told(calls, range(6, 20)),
        make_promotion("authorised", 4, evidence={"examples": 4}),
        make_promotion("trained", 4, evidence={"cost_usd": "0.10"}),
    )
    # Two calls by the teacher, then 0.0298 saved a call: the fourth of those brings back the 0.10.
    assert break_even(found) == 6


async def test_answers_on_held_out_calls_are_earned_back_too() -> None:
    calls = hourly_calls(20)
    held_out = [make_verdict(calls[0], phase="validation", version=version) for version in range(1, 501)]
    found = await make_outcomes(calls, *told(calls, range(6, 20)), make_promotion("authorised", 4), *held_out)
    # 500 answers cost 0.10, as the training above.
    assert break_even(found) == 6


async def test_answers_in_shadow_cost_what_the_student_costs_where_that_is_known() -> None:
    calls = hourly_calls(2)
    priced = make_promotion("trained", 0, version=2, evidence={"validation": {"cost_per_call_usd": "0.004"}})
    found = await make_outcomes(
        calls, *told(calls, range(0)), priced, make_verdict(calls[0]), make_verdict(calls[0], version=2)
    )
    assert cost_of(found, calls[0]) == PRICE + Decimal("0.0042")
    assert cost_of(found, calls[1]) == PRICE


async def test_what_was_never_earned_back_has_no_break_even() -> None:
    calls = hourly_calls(8)
    training = make_promotion("trained", 0, evidence={"cost_usd": "1"})
    found = await make_outcomes(calls, *told(calls, range(2, 8)), make_promotion("authorised", 0), training)
    assert break_even(found) is None


async def test_a_second_training_puts_the_break_even_off() -> None:
    calls = hourly_calls(20)
    first = make_promotion("trained", 0, evidence={"cost_usd": "0.10"})
    second = make_promotion("trained", 10, version=2, evidence={"cost_usd": "0.30"})
    served = told(calls, range(20))
    assert break_even(await make_outcomes(calls, *served, make_promotion("authorised", 0), first)) == 4
    # After ten calls 0.298 - 0.10 were earned, and 0.30 more are to be: 0.40 in all, in fourteen calls.
    assert break_even(await make_outcomes(calls, *served, make_promotion("authorised", 0), first, second)) == 14


# Days


async def test_days_are_whole_from_the_first_call_to_the_last_those_without_calls_included() -> None:
    calls = [make_scheduled_call(hour, number) for number, hour in enumerate((30, 31, 47.99, 48, 100))]
    found = await make_outcomes(calls, *told(calls, range(1, 3)), audit_invocation(calls[1]))
    days = days_of(found)
    assert [day.at for day in days] == [
        hours_after_monday(24),
        hours_after_monday(48),
        hours_after_monday(72),
        hours_after_monday(96),
    ]
    assert [(day.calls, day.served, day.agreed_served, day.audited) for day in days] == [
        (3, 2, 2, 1),
        (1, 0, 0, 0),
        (0, 0, 0, 0),
        (1, 0, 0, 0),
    ]
    assert sum(day.cost_after for day in days) == tally_calls(found).tasks[TASK].summary.totals.cost_after


async def test_a_day_knows_what_was_known_at_its_end() -> None:
    calls = hourly_calls(72)
    judged = [make_verdict(call, place != 30) for place, call in enumerate(calls[:60])]
    unsure = [make_verdict(call, False, confidence=0.1) for call in calls[:60]]
    found = await make_outcomes(
        calls,
        *told(calls, range(0)),
        make_promotion("trained", 0),
        *judged,
        *unsure,
        make_promotion("promoted", 60, threshold=0.5),
    )
    days = days_of(found)
    assert [day.agreement for day in days] == [1.0, 47 / 48, 59 / 60]
    assert [day.lower for day in days] == [anytime_lower_bound(k, n) for k, n in ((24, 24), (47, 48), (59, 60))]
    assert [day.upper for day in days] == [clopper_pearson_upper(k, n) for k, n in ((24, 24), (47, 48), (59, 60))]


async def test_verdicts_from_before_the_first_day_are_known_on_it_and_are_not_its_own() -> None:
    calls = hourly_calls(26, first=24)
    earlier = [make_verdict(calls[0], number < 3, at=hours_after_monday(number)) for number in range(4)]
    later = make_verdict(calls[0], at=hours_after_monday(30))
    found = await make_outcomes(calls, *told(calls, range(0)), make_promotion("trained", 0), *earlier, later)
    assert [(day.agreement, day.day_agreement) for day in days_of(found)] == [(4 / 5, 1.0), (4 / 5, None)]


async def test_before_any_evidence_agreement_is_unknown() -> None:
    calls = hourly_calls(3)
    (day,) = days_of(await make_outcomes(calls, *told(calls, range(0))))
    assert (day.agreement, day.lower, day.upper) == (None, None, None)


async def test_the_day_of_a_demotion_shows_the_student_that_fell_and_later_days_do_not() -> None:
    calls = hourly_calls(72)
    judged = [make_verdict(call) for call in calls]
    stages = [
        make_promotion("trained", 0),
        make_promotion("promoted", 10, threshold=0.5),
        make_promotion("demoted", 30),
    ]
    found = await make_outcomes(calls, *told(calls, range(0)), *judged, *stages)
    assert [day.agreement for day in days_of(found)] == [1.0, 1.0, None]
    assert [day.student for day in days_of(found)] == [f"{TASK}@1", f"{TASK}@1", None]


async def test_the_student_in_force_is_shown_while_its_successor_is_on_trial() -> None:
    calls = hourly_calls(48)
    judged = [make_verdict(call, version=1) for call in calls] + [
        make_verdict(call, False, version=2) for call in calls
    ]
    stages = [
        make_promotion("trained", 0),
        make_promotion("promoted", 10, threshold=0.5),
        make_promotion("trained", 12, version=2),
    ]
    taken_over = [make_promotion("retired", 40), make_promotion("promoted", 40, version=2, threshold=0.5)]
    found = await make_outcomes(calls, *told(calls, range(0)), *judged, *stages, *taken_over)
    assert [day.agreement for day in days_of(found)] == [1.0, 0.0]
