"""The totals of calls and verdicts: every event counts once, whenever and however often it is stored."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.observer_harness import run_observer
from tests.support.sample_events import START, event_ids, make_invocation, make_promotion
from tests.support.stores import STORES

from understudies.console.reads.activity import fetch_days
from understudies.console.reads.agreement import fetch_agreement, fetch_confusion
from understudies.events import Event, Promotion, Verdict, encode, usd
from understudies.observer.totals import refresh_tenant_totals, refresh_totals
from understudies.observer.totals.refresher import TotalsRefresher
from understudies.runtime.store import Store
from understudies.runtime.store_migrations import read_migrations, split_statements
from understudies.status.task_totals import fetch_task_totals

DAY = START.replace(hour=0)
COUNTED = "SELECT count() AS n FROM {table:Identifier}"


@pytest.fixture(params=sorted(STORES))
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with STORES[request.param]() as opened:
        yield opened


def make_verdict(minutes: float, **changes: Any) -> Verdict:
    at = START + timedelta(minutes=minutes)
    known: dict[str, Any] = {
        "invocation": "call", "student": "triage@1", "phase": "shadow", "agreed": True, "score": 1.0,
        "judge": "label", "confidence": 0.9, "fingerprint": "f", "answer_class": "a",
    }  # fmt: skip
    return Verdict(id=event_ids(at), at=at, task="triage", **{**known, **changes})


async def insert(store: Store, table: str, *events: Event) -> None:
    await store.insert(table, [encode(event) for event in events])


async def count_rows(store: Store, table: str) -> int:
    (row,) = await store.query(COUNTED, {"table": table})
    return int(row["n"])


async def count_sure(store: Store, *promotions: Promotion) -> tuple[int, int]:
    """What the chart of the first day has: verdicts that agreed, and all, above the student's threshold."""
    day = (await fetch_agreement(store, "triage", promotions, [DAY]))[DAY]
    return day.agreed, day.compared


async def test_a_call_counts_once_however_often_it_is_delivered(store: Store) -> None:
    calls = [make_invocation(f"question {n}", cost_usd=usd("0.01")) for n in range(3)]
    await insert(store, "invocations", *calls, *calls)
    await refresh_totals(store)
    await insert(store, "invocations", calls[0])
    await refresh_totals(store)
    (day,) = await fetch_days(store, "triage")
    assert (day.at, day.calls, day.cost, day.teacher_calls) == (DAY, 3, usd("0.03"), 3)


async def test_a_call_that_comes_late_counts_in_its_hour_and_others_stay(store: Store) -> None:
    early, later = make_invocation(tenant="acme"), make_invocation(at=START + timedelta(days=2))
    await insert(store, "invocations", later, early)
    await refresh_totals(store)
    late = make_invocation("late", at=START + timedelta(minutes=1), served_by="student", student="triage@1")
    await insert(store, "invocations", late)
    await refresh_totals(store)
    assert [(day.calls, day.served) for day in await fetch_days(store, "triage")] == [(2, 1), (1, 0)]
    assert [(day.calls, day.served) for day in await fetch_days(store, "triage", "acme")] == [(1, 0)]
    assert (await fetch_task_totals(store))["triage"].calls == 3


async def test_where_nothing_came_nothing_is_counted(store: Store) -> None:
    await insert(store, "invocations", make_invocation())
    await insert(store, "verdicts", make_verdict(1))
    for _ in range(2):
        await refresh_totals(store)
    tables = ("invocation_hours", "verdict_days", "rollup_progress")
    before = [await count_rows(store, table) for table in tables]
    await refresh_totals(store)
    assert [await count_rows(store, table) for table in tables] == before


async def test_of_two_counts_of_an_hour_the_one_that_saw_more_calls_holds(store: Store) -> None:
    first, second = make_invocation("a"), make_invocation("b")
    await insert(store, "invocations", first, second)
    await refresh_totals(store)
    await store.command("ALTER TABLE invocations DELETE WHERE id = {id:String} SETTINGS mutations_sync = 1",
                        {"id": second.id})  # fmt: skip
    await store.command("TRUNCATE TABLE rollup_progress")
    await refresh_totals(store)
    assert (await fetch_task_totals(store))["triage"].calls == 2


async def test_a_verdict_counts_once_and_with_its_classes(store: Store) -> None:
    wrong = make_verdict(2, agreed=False, score=0.0, student_answer="b", student_class="b")
    await insert(store, "verdicts", make_verdict(1), wrong, wrong, make_verdict(3, phase="self_agreement"))
    await refresh_totals(store)
    await insert(store, "verdicts", wrong)
    await refresh_totals(store)
    assert (await fetch_confusion(store, "triage", "triage@1", 0.0)).counts == {("a", "a"): 1, ("a", "b"): 1}
    assert await count_sure(store, make_promotion("trained")) == (1, 2)


async def test_a_threshold_that_changes_counts_all_days_anew_and_may_come_back(store: Store) -> None:
    sure, unsure = make_verdict(1, confidence=0.9), make_verdict(2, confidence=0.5, agreed=False, score=0.0)
    await insert(store, "verdicts", sure, unsure, make_verdict(60 * 24, confidence=0.9))
    trained = make_promotion("trained", threshold=0.4)
    await insert(store, "promotions", trained)
    await refresh_totals(store)
    assert await count_sure(store, trained) == (1, 2)
    raised = make_promotion("promoted", minutes=5, threshold=0.8)
    await insert(store, "promotions", raised)
    # A verdict of one day has that day counted by the new threshold first.
    await insert(store, "verdicts", make_verdict(60 * 24 + 1, confidence=0.9))
    await refresh_totals(store)
    assert await count_sure(store, trained, raised) == (1, 1)
    lowered = make_promotion("promoted", minutes=6, threshold=0.4)
    await insert(store, "promotions", lowered)
    await insert(store, "verdicts", make_verdict(3, confidence=0.41))
    await refresh_totals(store)
    assert await count_sure(store, trained, raised, lowered) == (2, 3)


async def test_a_threshold_that_comes_back_counts_what_came_meanwhile(store: Store) -> None:
    await insert(store, "verdicts", make_verdict(1))
    trained = make_promotion("trained", threshold=0.4)
    await insert(store, "promotions", trained)
    await refresh_totals(store)
    raised = make_promotion("promoted", minutes=5, threshold=0.8)
    await insert(store, "promotions", raised)
    await insert(store, "verdicts", make_verdict(2))
    await refresh_totals(store)
    assert await count_sure(store, trained, raised) == (2, 2)
    lowered = make_promotion("promoted", minutes=6, threshold=0.4)
    await insert(store, "promotions", lowered)
    await refresh_totals(store)
    assert await count_sure(store, trained, raised, lowered) == (2, 2)


async def test_a_tenants_verdicts_count_once_and_by_the_threshold_in_force(store: Store) -> None:
    mine, other = make_invocation("a", tenant="acme"), make_invocation("b")
    await insert(store, "invocations", mine, other)
    wrong = make_verdict(1, invocation=mine.id, agreed=False, score=0.0, confidence=0.5)
    right = make_verdict(2, invocation=mine.id, phase="audit")
    verdicts = [wrong, right, make_verdict(3, invocation=other.id), make_verdict(4, invocation="gone")]
    await insert(store, "verdicts", *verdicts, *verdicts)

    async def count(*promotions: Promotion) -> tuple[int, int]:
        day = (await fetch_agreement(store, "triage", promotions, [DAY], "acme"))[DAY]
        return day.agreed, day.compared

    trained = make_promotion("trained", threshold=0.4)
    await insert(store, "promotions", trained)
    await refresh_totals(store)
    assert await count(trained) == (1, 2)
    raised = make_promotion("promoted", minutes=5, threshold=0.8)
    await insert(store, "promotions", raised)
    await insert(store, "verdicts", right)
    await refresh_totals(store)
    assert await count(trained, raised) == (1, 1)


async def test_a_tenants_days_without_a_sure_verdict_count_at_a_lower_threshold(store: Store) -> None:
    mine, other = make_invocation("a", tenant="acme"), make_invocation("b")
    later = make_invocation("c", tenant="acme", at=START + timedelta(days=1))
    await insert(store, "invocations", mine, other, later)
    unsure = make_verdict(1, invocation=mine.id, confidence=0.5)
    await insert(store, "verdicts", unsure, make_verdict(60 * 24 + 1, invocation=later.id))
    promotions = [make_promotion("promoted", minutes=5, threshold=0.8)]
    days = [DAY, DAY + timedelta(days=1)]

    async def count() -> list[int]:
        await insert(store, "promotions", promotions[-1])
        await refresh_totals(store)
        found = await fetch_agreement(store, "triage", promotions, days, "acme")
        return [found[day].compared for day in days]

    assert await count() == [0, 1]
    promotions.append(make_promotion("promoted", minutes=6, threshold=0.4))
    assert await count() == [1, 2]


async def test_where_one_tenant_calls_its_verdicts_are_counted_once_another_comes(store: Store) -> None:
    only = make_invocation("a", tenant="acme")
    await insert(store, "invocations", only)
    await insert(store, "verdicts", make_verdict(1, invocation=only.id))
    await refresh_totals(store)
    await refresh_tenant_totals(store)
    assert await count_rows(store, "tenant_verdict_days") == 0
    await insert(store, "invocations", make_invocation("b", at=START + timedelta(days=1)))
    await refresh_totals(store)
    await refresh_tenant_totals(store)
    assert await count_rows(store, "tenant_verdict_days") == 1


async def test_what_was_stored_before_there_were_totals_is_counted() -> None:
    store = await Store.open("chdb://")
    try:
        for name, sql in read_migrations():
            if name < "011":
                for statement in split_statements(sql):
                    await store.command(statement)
        await insert(store, "invocations", make_invocation())
        await insert(store, "verdicts", make_verdict(1))
        assert "012_totals.sql" in await store.migrate()
        await refresh_totals(store)
        assert (await fetch_task_totals(store))["triage"].calls == 1
        assert await count_sure(store, make_promotion("trained")) == (1, 1)
    finally:
        await store.close()


async def test_an_observer_refreshes_the_totals_now_and_then(store: Store) -> None:
    refresher = TotalsRefresher(store)

    async def tick(minutes: float) -> int:
        refresher.refresh_due(START + timedelta(minutes=minutes))
        assert refresher.last_refresh is not None
        await refresher.last_refresh
        return await count_rows(store, "invocation_hours")

    await insert(store, "invocations", make_invocation())
    assert await tick(0) == 1
    await insert(store, "invocations", make_invocation(at=START + timedelta(hours=3)))
    assert await tick(9) == 1
    assert await tick(10) >= 2
    await refresher.stop()


async def test_a_played_log_is_not_counted_beside_its_calls(tmp_path: Path) -> None:
    async with run_observer(tmp_path) as observer:
        await observer.publish_and_wait(make_invocation())
        await observer.app.tick(START)
        assert await count_rows(observer.store, "rollup_progress") == 0
