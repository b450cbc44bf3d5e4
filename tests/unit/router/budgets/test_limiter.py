"""Budgets: nothing is spent that is not there, nothing is counted twice, nothing is lost."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from tests.support.unreliable_online import UnreliableOnlineState

from understudies.router.budgets.limiter import BudgetLimiter
from understudies.router.budgets.limits import Budget, BudgetLimits, UnknownUsageAction
from understudies.router.budgets.reservation import UNLIMITED, Denial, Reservation
from understudies.runtime.online.base import BudgetCounter, BudgetHold, OnlineState

NOON = datetime(2026, 5, 9, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 5, 10, tzinfo=UTC)
CENT = Decimal("0.01")


def limits(
    task: str | None = "1", tenant: str | None = None, when_unknown: UnknownUsageAction = "student_only", **more: Budget
) -> BudgetLimits:
    """A day's budgets of the task `triage` and the tenant `acme`, in dollars."""
    tasks = {"triage": Budget(Decimal(task))} if task else {}
    tenants = {"acme": Budget(Decimal(tenant), "refuse")} if tenant else {}
    return BudgetLimits(tasks=tasks | more, tenants=tenants, on_unknown_usage=when_unknown)


@pytest.fixture
def online() -> UnreliableOnlineState:
    return UnreliableOnlineState()


@pytest.fixture
async def budgets(online: UnreliableOnlineState) -> AsyncIterator[BudgetLimiter]:
    budgets = BudgetLimiter(online, limits(), pause_s=0)
    yield budgets
    online.disconnected = False
    await budgets.close()


async def granted(
    budgets: BudgetLimiter, usd: Decimal = CENT, *, task: str = "triage", now: datetime = NOON
) -> Reservation:
    grant = await budgets.reserve("acme", task, usd, now)
    assert isinstance(grant, Reservation)
    return grant


async def refused(budgets: BudgetLimiter, usd: Decimal = CENT, *, task: str = "triage", now: datetime = NOON) -> Denial:
    refusal = await budgets.reserve("acme", task, usd, now)
    assert isinstance(refusal, Denial)
    return refusal


async def spent(online: OnlineState, key: str = "2026-05-09:task:triage") -> tuple[Decimal | int, Decimal | int]:
    """What is spent and what is held, in dollars."""
    look = await online.reserve("look", BudgetHold("look", 0), [BudgetCounter(key, 0)], lease_s=1, retention_s=86_400)
    (standing,) = look.counters
    return Decimal(standing.spent).scaleb(-9), Decimal(standing.held).scaleb(-9)


async def test_a_call_without_a_budget_asks_nothing(budgets: BudgetLimiter, online: UnreliableOnlineState) -> None:
    grant = await granted(budgets, task="chat")
    assert grant == UNLIMITED
    budgets.settle(grant, CENT)
    budgets.charge("acme", "chat", CENT, NOON)
    await budgets.flush()
    assert online.requests == 0


async def test_a_reservation_is_one_question_and_its_settlement_another(
    budgets: BudgetLimiter, online: UnreliableOnlineState
) -> None:
    grant = await granted(budgets)
    assert online.requests == 1
    budgets.settle(grant, CENT)
    await budgets.flush()
    assert online.requests == 2


async def test_what_a_call_has_cost_counts_not_what_it_was_estimated_at(
    budgets: BudgetLimiter, online: UnreliableOnlineState
) -> None:
    grant = await granted(budgets, Decimal("0.50"))
    assert await spent(online) == (0, Decimal("0.5"))
    budgets.settle(grant, Decimal("0.123456789"))
    await budgets.flush()
    assert await spent(online) == (Decimal("0.123456789"), 0)
    assert budgets.in_flight == 0


async def test_a_call_that_cost_nothing_gives_everything_back(
    budgets: BudgetLimiter, online: UnreliableOnlineState
) -> None:
    budgets.settle(await granted(budgets, Decimal(1)), Decimal(0))
    await budgets.flush()
    assert await spent(online) == (0, 0)
    await granted(budgets, Decimal(1))


async def test_over_the_budget_the_refusal_says_what_is_spent_and_when_it_resets(budgets: BudgetLimiter) -> None:
    budgets.settle(await granted(budgets), Decimal("0.7"))
    await budgets.flush()
    await granted(budgets, Decimal("0.2"))
    refusal = await refused(budgets, Decimal("0.11"))
    assert refusal == Denial("student_only", "task", "triage", Decimal(1), Decimal("0.9"), MIDNIGHT)
    assert str(refusal) == "daily budget of task 'triage', $1, is spent; it resets at 2026-05-10T00:00:00Z"
    await granted(budgets, Decimal("0.1"))


async def test_nothing_more_is_granted_once_the_budget_is_spent_to_the_last(budgets: BudgetLimiter) -> None:
    budgets.settle(await granted(budgets), Decimal(1))
    await budgets.flush()
    assert (await refused(budgets, Decimal(0))).spent_usd == 1


async def test_the_strictest_of_the_budgets_that_are_spent_decides(budgets: BudgetLimiter) -> None:
    budgets.limits = limits("1", "2")
    budgets.charge("acme", "triage", Decimal(1), NOON)
    await budgets.flush()
    assert (await refused(budgets)).scope == "task"
    budgets.charge("acme", "triage", Decimal(1), NOON)
    await budgets.flush()
    assert (await refused(budgets)).action == "refuse"
    assert (await refused(budgets)).name == "acme"


async def test_a_refused_call_holds_nothing_anywhere(budgets: BudgetLimiter, online: UnreliableOnlineState) -> None:
    budgets.limits = limits("1", "0.05")
    await refused(budgets, Decimal("0.06"))
    assert await spent(online) == (0, 0)
    await granted(budgets, Decimal("0.05"))


async def test_tasks_that_are_not_named_have_the_default_budget_each(budgets: BudgetLimiter) -> None:
    budgets.limits = BudgetLimits(default_task=Budget(CENT, "refuse"))
    for task in ("task-1", "task-2", "x" * 5000, "\ud800"):
        await granted(budgets, task=task)
        assert (await refused(budgets, task=task)).action == "refuse"


async def test_a_long_name_that_differs_at_its_end_is_another(budgets: BudgetLimiter) -> None:
    budgets.limits = BudgetLimits(default_task=Budget(CENT))
    await granted(budgets, task="x" * 5000 + "a")
    await granted(budgets, task="x" * 5000 + "b")


async def test_settling_twice_counts_once(budgets: BudgetLimiter, online: UnreliableOnlineState) -> None:
    grant = await granted(budgets)
    for amount in ("0.02", "0.03"):
        budgets.settle(grant, Decimal(amount))
        await budgets.flush()
    assert await spent(online) == (Decimal("0.02"), 0)


async def test_an_answer_that_gets_lost_makes_nothing_count_twice(
    budgets: BudgetLimiter, online: UnreliableOnlineState
) -> None:
    grant = await granted(budgets)
    online.lost_replies = 3
    budgets.settle(grant, Decimal("0.02"))
    await budgets.flush()
    assert online.requests == 5
    assert await spent(online) == (Decimal("0.02"), 0)


async def test_spending_without_leave_counts_and_is_never_refused(
    budgets: BudgetLimiter, online: UnreliableOnlineState
) -> None:
    for _ in range(3):
        budgets.charge("acme", "triage", Decimal("0.6"), NOON)
    await budgets.flush()
    assert await spent(online) == (Decimal("1.8"), 0)
    await refused(budgets)


async def test_a_caller_who_hangs_up_during_a_call_is_charged(
    budgets: BudgetLimiter, online: UnreliableOnlineState
) -> None:
    asked = asyncio.Event()

    async def call() -> None:
        grant = await granted(budgets)
        try:
            asked.set()
            await asyncio.Event().wait()
        finally:
            budgets.settle(grant, Decimal("0.004"))

    task = asyncio.create_task(call())
    await asked.wait()
    task.cancel()
    await asyncio.wait([task])
    await budgets.flush()
    assert await spent(online) == (Decimal("0.004"), 0)


async def test_a_caller_who_hangs_up_during_the_reservation_leaves_nothing_held(
    budgets: BudgetLimiter, online: UnreliableOnlineState
) -> None:
    online.reply_gate = asyncio.Event()
    task = asyncio.create_task(budgets.reserve("acme", "triage", CENT, NOON))
    await online.reply_waiting.wait()
    assert await spent(online) == (0, CENT)
    task.cancel()
    await asyncio.wait([task])
    online.reply_gate.set()
    await budgets.flush()
    assert await spent(online) == (0, 0)


async def test_a_call_in_the_middle_of_its_settlement_counts_once(
    budgets: BudgetLimiter, online: UnreliableOnlineState
) -> None:
    budgets.settle(await granted(budgets, Decimal("0.5")), Decimal("0.5"))
    await granted(budgets, Decimal("0.5"))


async def test_many_settlements_are_told_at_once(budgets: BudgetLimiter, online: UnreliableOnlineState) -> None:
    grants = [await granted(budgets, Decimal("0.001")) for _ in range(900)]
    asked = online.requests
    for grant in grants:
        budgets.settle(grant, Decimal("0.0005"))
    await budgets.flush()
    assert online.requests - asked <= 5
    assert await spent(online) == (Decimal("0.45"), 0)


class TestDays:
    async def test_a_budget_is_full_again_at_midnight_utc(self, budgets: BudgetLimiter) -> None:
        budgets.settle(await granted(budgets), Decimal(1))
        await budgets.flush()
        late = MIDNIGHT - timedelta(microseconds=1)
        assert (await refused(budgets, now=late)).resets_at == MIDNIGHT
        await granted(budgets, Decimal(1), now=MIDNIGHT)

    async def test_the_day_is_that_of_utc_wherever_the_clock_is(self, budgets: BudgetLimiter) -> None:
        budgets.settle(await granted(budgets), Decimal(1))
        await budgets.flush()
        tokyo = NOON.astimezone(datetime.fromisoformat("2026-05-09T12:00+09:00").tzinfo)
        assert (await refused(budgets, now=tokyo)).resets_at == MIDNIGHT
        early = datetime.fromisoformat("2026-05-10T08:59:59+09:00")
        assert (await refused(budgets, now=early)).resets_at == MIDNIGHT

    async def test_a_call_over_midnight_counts_on_the_day_on_which_it_began(
        self, budgets: BudgetLimiter, online: UnreliableOnlineState
    ) -> None:
        grant = await granted(budgets, now=MIDNIGHT - timedelta(seconds=1))
        await granted(budgets, Decimal("0.5"), now=MIDNIGHT)
        budgets.settle(grant, Decimal("0.3"))
        await budgets.flush()
        assert await spent(online, "2026-05-09:task:triage") == (Decimal("0.3"), 0)
        assert await spent(online, "2026-05-10:task:triage") == (0, Decimal("0.5"))

    async def test_days_gone_by_are_forgotten_once_all_is_told(
        self, budgets: BudgetLimiter, online: UnreliableOnlineState
    ) -> None:
        for day in range(100):
            budgets.settle(await granted(budgets, now=NOON + timedelta(days=day)), CENT)
            await budgets.flush()
        assert budgets.tracked <= 2

    async def test_what_could_not_be_told_for_days_is_told_in_the_end(
        self, budgets: BudgetLimiter, online: UnreliableOnlineState
    ) -> None:
        budgets.limits = limits(when_unknown="allow")
        online.disconnected = True
        for day in range(5):
            budgets.settle(await granted(budgets, now=NOON + timedelta(days=day)), CENT)
        online.disconnected = False
        await budgets.flush()
        for day in range(5):
            assert await spent(online, f"2026-05-{9 + day:02}:task:triage") == (CENT, 0)


class TestAway:
    async def test_what_was_spent_meanwhile_is_told_as_soon_as_it_answers_again(
        self, online: UnreliableOnlineState
    ) -> None:
        budgets = BudgetLimiter(online, limits(when_unknown="allow"), pause_s=3600)
        online.disconnected = True
        budgets.settle(await granted(budgets), Decimal(1))
        await asyncio.sleep(0)  # it tries, and pauses
        online.disconnected = False
        await granted(budgets)
        await budgets.flush()
        await refused(budgets)

    @pytest.mark.parametrize("when", ["student_only", "refuse"])
    async def test_calls_with_a_budget_get_no_leave(
        self, budgets: BudgetLimiter, online: UnreliableOnlineState, when: UnknownUsageAction
    ) -> None:
        budgets.limits = limits(when_unknown=when)
        online.disconnected = True
        refusal = await refused(budgets)
        assert (refusal.action, refusal.usage_unknown, refusal.resets_at) == (when, True, MIDNIGHT)
        assert "cannot be checked now" in str(refusal)

    async def test_calls_without_a_budget_go_on(self, budgets: BudgetLimiter, online: UnreliableOnlineState) -> None:
        online.disconnected = True
        assert await granted(budgets, task="chat") == UNLIMITED

    async def test_the_safe_side_is_the_default(self) -> None:
        assert BudgetLimits().on_unknown_usage == "student_only"

    async def test_calls_that_are_allowed_are_counted_once_it_is_back(
        self, budgets: BudgetLimiter, online: UnreliableOnlineState
    ) -> None:
        budgets.limits = limits(when_unknown="allow")
        budgets.settle(await granted(budgets), Decimal("0.1"))
        await budgets.flush()
        online.disconnected = True
        for _ in range(10):
            grant = await granted(budgets)
            assert not grant.has_hold
            budgets.settle(grant, Decimal("0.02"))
        budgets.charge("acme", "triage", Decimal("0.03"), NOON)
        online.disconnected = False
        await budgets.flush()
        assert await spent(online) == (Decimal("0.33"), 0)

    async def test_calls_are_allowed_up_to_what_this_process_knows_to_be_spent(
        self, budgets: BudgetLimiter, online: UnreliableOnlineState
    ) -> None:
        budgets.limits = limits(when_unknown="allow")
        other = BudgetLimiter(online, limits())
        other.charge("acme", "triage", Decimal("0.5"), NOON)
        await other.flush()
        budgets.settle(await granted(budgets), Decimal("0.1"))
        online.disconnected = True
        open_call = await granted(budgets, Decimal("0.3"))
        assert (await refused(budgets, Decimal("0.11"))).spent_usd == Decimal("0.9")
        budgets.settle(open_call, Decimal("0.4"))
        refusal = await refused(budgets)
        assert (refusal.action, refusal.usage_unknown, refusal.spent_usd) == ("student_only", True, Decimal(1))

    async def test_a_reservation_whose_answer_was_lost_is_ended(
        self, budgets: BudgetLimiter, online: UnreliableOnlineState
    ) -> None:
        online.lost_replies = 1
        await refused(budgets)
        await budgets.flush()
        assert await spent(online) == (0, 0)

    async def test_an_allowed_call_whose_reservation_was_lost_counts_once(
        self, budgets: BudgetLimiter, online: UnreliableOnlineState
    ) -> None:
        budgets.limits = limits(when_unknown="allow")
        online.lost_replies = 2
        budgets.settle(await granted(budgets), Decimal("0.02"))
        await budgets.flush()
        assert await spent(online) == (Decimal("0.02"), 0)

    async def test_what_a_server_forgets_it_is_told_again(
        self, budgets: BudgetLimiter, online: UnreliableOnlineState
    ) -> None:
        first = await granted(budgets)
        budgets.settle(await granted(budgets), Decimal("0.7"))
        await budgets.flush()
        online.lose_everything()
        assert (await refused(budgets, Decimal("0.31"))).spent_usd == Decimal("0.7")
        budgets.settle(first, Decimal("0.2"))
        await budgets.flush()
        assert await spent(online) == (Decimal("0.9"), 0)

    async def test_a_long_outage_piles_up_nothing(self, budgets: BudgetLimiter, online: UnreliableOnlineState) -> None:
        budgets.limits = BudgetLimits(tasks={"triage": Budget(Decimal(1000))}, on_unknown_usage="allow")
        online.disconnected = True
        for _ in range(5000):
            budgets.settle(await granted(budgets), CENT)
        assert (budgets.unreported, budgets.in_flight) == (1, 0)
        online.disconnected = False
        await budgets.flush()
        assert await spent(online) == (50, 0)

    async def test_what_cannot_be_told_at_the_end_is_named(
        self, online: UnreliableOnlineState, caplog: pytest.LogCaptureFixture
    ) -> None:
        budgets = BudgetLimiter(online, limits(), pause_s=0)
        online.disconnected = True
        budgets.charge("acme", "triage", Decimal("0.25"), NOON)
        await budgets.close(timeout_s=0.01)
        message = caplog.records[-1].getMessage()
        assert "the spending of 1 budgets could not be reported" in message
        assert "up to $0.25 each" in message
        assert caplog.records[-1].levelno == logging.ERROR


async def test_a_negative_amount_is_refused(budgets: BudgetLimiter) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        budgets.settle(await granted(budgets), Decimal("-0.01"))
    with pytest.raises(ValueError, match="not an amount"):
        budgets.charge("acme", "triage", Decimal("NaN"), NOON)
