"""One pass over the calls finds what looking at each list of them would."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from tests.support.backtest_outcomes import (
    MONDAY,
    PRICE,
    TASK,
    audit_invocation,
    hourly_calls,
    hours_after_monday,
    make_outcomes,
    make_promotion,
    make_scheduled_call,
    make_verdict,
    student_invocation,
    teacher_invocation,
)

from understudies.backtest.replay.schedule import ScheduledCall, schedule_calls
from understudies.backtest.report.break_even import BreakEvenCounter, DueCosts
from understudies.backtest.report.daily import describe_days
from understudies.backtest.report.outcomes import CallOutcomes
from understudies.backtest.report.tally import tally_calls
from understudies.events import Event, usd
from understudies.judges.registry import parse_judge

DAY = timedelta(days=1)
TASKS = (TASK, "other", "quiet")


def random_events(calls: list[ScheduledCall], rng: Random) -> list[Event]:
    """Calls answered by teacher, students or nobody, with audits and shadow answers; trainings between them."""
    events: list[Event] = []
    for call in calls:
        version = rng.choice((1, 2))
        drawn = "never" if call.task == "quiet" else rng.choice(("never", "teacher", "student", "student", "audited"))
        if drawn == "teacher":
            events.append(teacher_invocation(call))
        elif drawn != "never":
            answer = rng.choice(("refund", "refund", "cancel"))
            events.append(student_invocation(call, answer, student=f"{call.task}@{version}"))
        if drawn == "audited":
            events.append(audit_invocation(call))
        if rng.random() < 0.5:
            confidence = rng.choice((0.4, 0.9))
            events.append(make_verdict(call, rng.random() < 0.8, version=version, confidence=confidence))
    for task in (TASK, "other"):
        for stage, hour, version in (
            ("authorised", 20, 1),
            ("trained", 20, 1),
            ("promoted", 30, 1),
            ("trained", 70, 2),
        ):
            facts: dict[str, Any] = {"evidence": {"cost_usd": "0.11"}} if stage == "trained" else {}
            facts |= {"threshold": 0.5} if stage == "promoted" else {}
            events.append(make_promotion(stage, hour + rng.random(), version=version, task=task, **facts))
    return events


async def random_outcomes(seed: int) -> CallOutcomes:
    rng = Random(seed)
    calls = [
        make_scheduled_call(
            rng.uniform(0, 150), rng.randrange(40), task=rng.choice(TASKS), price=PRICE * rng.randint(1, 3)
        )
        for _ in range(200)
    ]
    calls = [
        ScheduledCall(f"call-{place}", call.at, call.task, call.call, call.price, 0.5)
        for place, call in enumerate(sorted(calls, key=lambda call: call.at))
    ]
    return await make_outcomes(calls, *random_events(calls, rng))


def cost_of(found: CallOutcomes, call: ScheduledCall) -> Decimal:
    return found.total_cost(call, found.collector.invocations[call.id], found.shadow_cost(call))


def trainings_of(found: CallOutcomes, task: str) -> list[tuple[datetime, Decimal]]:
    return [
        (event.at, usd(str(event.evidence["cost_usd"])))
        for event in found.promotions()
        if event.task == task and "cost_usd" in event.evidence
    ]


@pytest.mark.parametrize("seed", range(5))
async def test_figures_are_those_of_the_lists_of_played_calls(seed: int) -> None:
    found = await random_outcomes(seed)
    tally = tally_calls(found)
    assert set(tally.tasks) == set(TASKS)
    for task, told in tally.tasks.items():
        played = [call for call in found.calls if call.task == task and call.id in found.collector.invocations]
        first = -(-len(played) * 4 // 5)
        for totals, part in ((told.summary.totals, played), (told.summary.last_fifth, played[first:])):
            agreed = [found.check_agreement(call, found.collector.invocations[call.id]) for call in part]
            by_input: dict[str, list[bool]] = {}
            for call, one in zip(part, agreed, strict=True):
                if one is not None:
                    by_input.setdefault(call.call.fingerprint, []).append(one)
            assert (totals.calls, totals.agreed) == (len(part), agreed.count(True))
            assert totals.served == totals.judged == len(part) - agreed.count(None)
            assert totals.distinct_inputs == len(by_input)
            assert totals.distinct_inputs_agreed == pytest.approx(sum(sum(v) / len(v) for v in by_input.values()))
            assert totals.cost_before == sum(call.price for call in part)
        charged = sum((cost for _, cost in trainings_of(found, task)), Decimal(0))
        assert told.summary.totals.cost_after == sum((cost_of(found, call) for call in played), charged)
    whole = [one.summary.totals for one in tally.tasks.values()]
    assert tally.overall.totals.cost_after == sum(one.cost_after for one in whole)
    assert tally.overall.totals.agreed == sum(one.agreed for one in whole)


@pytest.mark.parametrize("seed", range(5))
async def test_days_and_break_even_are_those_of_the_list_of_the_tasks_calls(seed: int) -> None:
    found = await random_outcomes(seed)
    tally = tally_calls(found)
    for task in (TASK, "other"):
        calls = [call for call in found.calls if call.task == task]
        promotions = [event for event in found.promotions() if event.task == task]
        days = describe_days(tally.tasks[task].days, promotions, found.collector)
        assert [day.at for day in days] == [MONDAY + place * DAY for place in range(len(days))]
        assert days[-1].at <= calls[-1].at < days[-1].at + DAY
        for day in days:
            of_day = [call for call in calls if day.at <= call.at < day.at + DAY]
            played = [call for call in of_day if call.id in found.collector.invocations]
            served = [call for call in played if found.collector.invocations[call.id].served_by == "student"]
            assert (day.calls, day.served) == (len(played), len(served))
            assert day.audited == sum(call.id in found.collector.audit_costs for call in played)
            assert day.cost_after == sum(cost_of(found, call) for call in played)
            threshold = 0.5
            judged = [
                verdict
                for verdict in found.collector.verdicts[day.student or ""]
                if verdict.at < day.at + DAY and verdict.confidence >= threshold
            ]
            new = [verdict.agreed for verdict in judged if verdict.at >= day.at]
            assert day.agreement == (sum(one.agreed for one in judged) / len(judged) if judged else None)
            assert day.day_agreement == (sum(new) / len(new) if new else None)
        assert tally.tasks[task].break_even_calls == slow_break_even(found, task)


def slow_break_even(found: CallOutcomes, task: str) -> int | None:
    """The last call from which on the balance stayed above zero, by its whole course."""
    authorised = next(event.at for event in found.promotions() if event.task == task and event.stage == "authorised")
    calls = [call for call in found.calls if call.task == task]
    later = [call for call in calls if call.at >= authorised]
    start = -sum((found.shadow_cost(call) for call in calls if call.at < authorised), Decimal(0))
    course = [start]
    for count, call in enumerate(later, start=1):
        balance = start - sum((cost for at, cost in trainings_of(found, task) if at <= call.at), Decimal(0))
        for one in later[:count]:
            if one.id in found.collector.invocations:
                balance += one.price - cost_of(found, one)
        course.append(balance)
    lost = [place for place, balance in enumerate(course) if balance < 0]
    return lost[-1] + 1 if lost and lost[-1] + 1 < len(course) else None


async def test_a_task_of_which_no_call_was_played_has_days_and_no_figures() -> None:
    calls = [make_scheduled_call(hour, number) for number, hour in enumerate((1, 50))]
    found = await make_outcomes(calls, make_verdict(calls[0]))
    told = tally_calls(found).tasks[TASK]
    assert (told.summary.totals.calls, told.break_even_calls) == (0, None)
    assert told.summary.totals.cost_after == 0
    assert not told.served
    assert [(day.at, day.calls) for day in told.days] == [(MONDAY, 0), (MONDAY + DAY, 0), (MONDAY + 2 * DAY, 0)]
    assert tally_calls(await make_outcomes([])).tasks == {}


async def test_answers_are_counted_by_the_student_that_gave_them() -> None:
    calls = hourly_calls(6)
    found = await make_outcomes(
        calls,
        student_invocation(calls[0], "cancel", student=f"{TASK}@2"),
        student_invocation(calls[1]),
        student_invocation(calls[2], student=f"{TASK}@2"),
        student_invocation(calls[3]),
        student_invocation(calls[4], response=None, error="none"),
        teacher_invocation(calls[5]),
    )
    assert tally_calls(found).tasks[TASK].served == {
        (f"{TASK}@2", False): 1,
        (f"{TASK}@1", True): 2,
        (f"{TASK}@2", True): 1,
    }


async def test_an_answer_without_a_verdict_counts_neither_for_nor_against_its_student() -> None:
    calls = hourly_calls(3)
    events = [student_invocation(calls[0]), student_invocation(calls[1], "cancel"), student_invocation(calls[2])]
    found = await make_outcomes(calls, *events)
    told = tally_calls(replace(found, judges={TASK: parse_judge("llm[tone;spec:0a1b]")})).tasks[TASK]
    assert (told.summary.totals.served, told.summary.totals.judged) == (3, 2), "nobody can ask the judge about another"
    assert told.served == {(f"{TASK}@1", True): 2}


async def test_a_schedule_is_tallied_as_the_list_of_its_calls() -> None:
    given = hourly_calls(30) + hourly_calls(10, first=4.5, task="other")
    timeline = sorted(((call.at, call.call) for call in given), key=lambda timed: timed[0])
    schedule = schedule_calls(timeline, lambda _: PRICE, seed=7)
    events = random_events([*schedule], Random(1))
    one, other = await make_outcomes(schedule, *events), await make_outcomes([*schedule], *events)
    assert tally_calls(one) == tally_calls(other)
    assert [*one.times] == other.times
    assert [*one.iter_task("other")] == [*other.iter_task("other")]


def test_costs_are_due_in_their_order_and_each_once() -> None:
    costs = DueCosts([(hours_after_monday(hour), Decimal(hour)) for hour in (1, 5, 2)])
    assert list(costs.take(hours_after_monday(0))) == []
    assert list(costs.take(hours_after_monday(3))) == [1], "the third waits for the second"
    assert list(costs.take(hours_after_monday(5))) == [5, 2]
    assert list(costs.take()) == []


def test_a_break_even_is_taken_back_by_a_loss_and_needs_one_before() -> None:
    counter = BreakEvenCounter(MONDAY, DueCosts([]))
    seen = []
    for saved in (1, -2, 1, 0, -1, 3):
        counter.add(MONDAY, Decimal(saved), Decimal(0))
        seen.append(counter.earned_after)
    assert seen == [None, None, 3, 3, None, 6]
