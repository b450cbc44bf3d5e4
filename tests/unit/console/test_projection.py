"""What students save in a month, from the last week of a store."""

from datetime import timedelta
from decimal import Decimal

import pytest
from tests.support.sample_events import START, make_invocation
from tests.support.stores import open_migrated_store

from understudies.console.reads.projection import fetch_projection
from understudies.events import encode, usd
from understudies.observer.totals import refresh_totals

WEEK = timedelta(days=7)
PRICES = {"triage": Decimal("0.1")}


@pytest.mark.parametrize(("weeks", "days"), [(1, 1.0), (3, 7.0)])
async def test_calls_of_one_day_a_week_save_what_they_do_in_a_week(weeks: int, days: float) -> None:
    calls = [
        make_invocation(f"question {week}-{n}", at=START + week * WEEK, served_by="student", student="triage@1")
        for week in range(weeks)
        for n in range(10)
    ]
    async with open_migrated_store() as store:
        await store.insert("invocations", [encode(call) for call in calls])
        await refresh_totals(store)
        found = await fetch_projection(store, PRICES, calls[-1].at + timedelta(days=1))
    assert found is not None
    assert found.days == pytest.approx(days, abs=0.05)
    assert found.year == pytest.approx(usd(365 / Decimal(str(found.days))), abs=1)
