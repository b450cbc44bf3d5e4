"""The budget service on a bus that stands still."""

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.budget_harness import (
    SETTINGS,
    TASK,
    BudgetHarness,
    at_hour,
    audit_verdict,
    drift_event,
    gate_decision,
    promotion_stage,
    self_agreement_verdict,
    student_name,
    teacher_call,
    teacher_calls,
    trained_promotion,
)
from tests.support.capturing_bus import CapturingBus, to_records

from understudies.budget.app import BudgetApp, create_app
from understudies.events import Event, SeededIds
from understudies.runtime.bus.messages import Record
from understudies.runtime.errors import RetryLater
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules


async def told(*events: Event, rules: TaskRules | None = None) -> BudgetHarness:
    office = BudgetHarness(Rules(tasks={TASK: rules}) if rules else None)
    await office.handle(*events)
    return office


def outcome(office: BudgetHarness, budget: str | None = None, hour: float = 1) -> tuple[str, str]:
    found = office.app.optimize_for_budget(TASK, Decimal(budget) if budget else None, at_hour(hour))
    return found.outcome, found.message


# At least once


async def test_what_comes_again_counts_once() -> None:
    events = [
        *teacher_calls(3),
        audit_verdict(),
        self_agreement_verdict(True, 1),
        promotion_stage("promoted"),
        audit_verdict(),
        drift_event(),
    ]
    office = await told(*events, *events)
    state = office.app.state()
    assert office.app.task_state(TASK).ledger.calls == 3
    await office.handle(*reversed(events))
    assert office.app.state() == state


async def test_an_event_that_came_before_a_restart_counts_once() -> None:
    office = await told(*teacher_calls(3))
    state = office.app.state()
    await office.restart(json.loads(json.dumps(state)))
    await office.handle(*office_calls(state), *teacher_calls(1, first=9))
    assert office.app.task_state(TASK).ledger.calls == 4


def office_calls(state: dict[str, object]) -> list[Event]:
    """Calls with the ids that the snapshot has seen."""
    seen = state["seen"]
    assert isinstance(seen, list)
    return [teacher_call(number, id=id_) for number, id_ in enumerate(seen)]


class Unreadable(CapturingBus):
    """A bus that fails after it has read part of a batch."""

    async def decode_events(self, records: list[Record]) -> list[Event]:  # type: ignore[override]
        await super().decode_events(records[:1])
        raise RetryLater("the dead letters cannot be reached")


async def test_a_batch_that_cannot_be_read_is_folded_not_at_all() -> None:
    bus = Unreadable()
    app = create_app(SETTINGS, bus=bus.bus, rules=Rules(), new_id=SeededIds(1))
    state = app.state()
    with pytest.raises(RetryLater):
        await app.handle(to_records(*teacher_calls(3)))
    assert app.state() == state


async def test_moves_that_were_not_published_are_published_at_the_next_tick() -> None:
    office = await told(*teacher_calls(100))
    office.recorder.failing = RetryLater("no broker")
    with pytest.raises(RetryLater):
        await office.tick(1)
    assert await office.tick_stages(2) == [(student_name(), "authorised")]
    assert await office.tick_stages(3) == []


async def test_moves_that_were_not_published_survive_a_restart() -> None:
    office = await told(*teacher_calls(100))
    office.recorder.failing = RetryLater("no broker")
    with pytest.raises(RetryLater):
        await office.tick(1)
    await office.restart(json.loads(json.dumps(office.app.state())))
    assert await office.tick_stages(2) == [(student_name(), "authorised")]


async def test_hearing_its_own_moves_changes_nothing() -> None:
    office = BudgetHarness()
    move = await office.authorise_first()
    book = office.app.task_state(TASK).state()
    await office.handle(move)
    assert office.app.task_state(TASK).state() == book


async def test_tasks_have_books_of_their_own() -> None:
    office = await told(*teacher_calls(100, task="b"), *teacher_calls(100, task="a"), *teacher_calls(3, task="c"))
    assert await office.tick_stages(1) == [("a@1", "authorised"), ("b@1", "authorised")]
    assert sorted(office.app.tasks) == ["a", "b", "c"]


@settings(max_examples=8, deadline=None)
@given(cut=st.integers(0, 20), share=st.integers(5, 10))
async def test_a_snapshot_anywhere_gives_the_same_moves(cut: int, share: int) -> None:
    one, other = BudgetHarness(), BudgetHarness()
    for step in range(20):
        hour = 12 * step
        batch: list[Event] = [*teacher_calls(60, hour, first=60 * step)]
        batch += [audit_verdict(number < share, hour=hour) for number in range(10)]
        if step == 1:
            batch += [trained_promotion(hour=hour, coverage=0.6)]
        if step in (3, 6):
            batch += [gate_decision(hour=hour, threshold=1 / step, coverage=step / 10)]
        if step == 15:
            batch += [drift_event(hour=hour)]
        await one.handle(*batch)
        await other.handle(*batch)
        assert await one.tick(hour + 1) == await other.tick(hour + 1)
        if step == cut:
            ids = other.app._lifecycle._stages._new_id
            await other.restart(json.loads(json.dumps(other.app.state())))
            other.app._lifecycle._stages._new_id = ids
    assert one.app.state() == other.app.state()


# Outcomes


async def test_within_the_budget_nothing_changes() -> None:
    office = await told(*teacher_calls(10))
    assert outcome(office, budget="100") == ("no_change", "no change: $16.80 a week is within the budget of $100.00")


async def test_too_few_examples_are_collected() -> None:
    assert outcome(await told(*teacher_calls(20)), budget="1") == ("collecting", "collecting: 20 of 60 examples")


async def test_without_a_target_any_spending_is_worth_cutting() -> None:
    assert outcome(await told(*teacher_calls(20)))[0] == "collecting"
    assert outcome(await told())[0] == "no_change"


async def test_what_does_not_pay_back_is_not_worth_it() -> None:
    kind, message = outcome(await told(*teacher_calls(100, cost="0.0001")))
    assert (kind, message) == (
        "not_worth_it",
        "not worth it: The student costs $0.0002 a call, no less than the teacher's $0.0001.",
    )


async def test_what_can_never_be_is_not_worth_it_either() -> None:
    critical = await told(*teacher_calls(100), rules=TaskRules(critical=True))
    assert outcome(critical) == ("not_worth_it", "not worth it: declared critical: it stays with the teacher")
    asked = [self_agreement_verdict(number % 2 == 0, number) for number in range(100)]
    kind, message = outcome(await told(*teacher_calls(100), *asked))
    assert kind == "not_worth_it"
    assert message.startswith("not worth it: the teacher agrees with itself on 50 of 100 calls")
    letters = [teacher_call(number, answer=f"Dear customer {number}, " + "thank you " * 30) for number in range(500)]
    kind, message = outcome(await told(*letters))
    assert kind == "not_worth_it"
    assert "free text" in message


async def test_a_student_on_its_way_is_training() -> None:
    office = BudgetHarness()
    await office.authorise_first()
    assert outcome(office) == ("training", "training: the student is authorised")


async def test_a_rejected_student_leaves_the_teacher_with_its_agreement() -> None:
    office = BudgetHarness()
    await office.start_trial()
    await office.handle(gate_decision("reject"), *teacher_calls(10, 25))
    await office.tick(26)
    assert outcome(office, hour=26) == (
        "fallback_teacher",
        "the teacher serves: the student was rejected, it agreed on 90.0%",
    )


async def test_a_student_in_force_is_distilled_with_the_reduction() -> None:
    office = BudgetHarness()
    await office.promote_first()
    kind, message = outcome(office, hour=90)
    assert (kind, message) == ("distilled", "distilled: 1.0x")
    served = teacher_calls(900, 90, cost="0.0002", served_by="student", student=student_name(), reason="promoted")
    await office.handle(*served)
    ledger = office.app.task_state(TASK).ledger
    assert ledger.cost_without_students == 1000 * Decimal("0.01")
    assert ledger.total_cost == Decimal("1") + Decimal("0.18") + Decimal("0.01")
    assert outcome(office, hour=91) == ("distilled", "distilled: 8.4x")


async def test_what_would_be_decided_now_can_be_asked() -> None:
    office = await told(*teacher_calls(20))
    assert office.app.appraisal(TASK, at_hour(1)).reason == "20 of the 60 examples needed"


async def test_it_starts_and_stops() -> None:
    app: BudgetApp = BudgetHarness().app
    await app.start()
    await app.stop()
