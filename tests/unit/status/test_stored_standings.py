"""The standings that a store tells alone, beside those of the budget."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.console_data import CRITICAL, NOW, OWN, RULES, TASK, ConsoleData, insert_events, open_console_data
from tests.support.sample_events import make_invocation

from understudies.events import usd
from understudies.status.price_sources import PriceSources
from understudies.status.stored_standings import StoredStandings


@pytest.fixture
async def data(tmp_path: Path) -> AsyncIterator[ConsoleData]:
    async with open_console_data(tmp_path) as opened:
        yield opened


async def test_the_store_tells_what_the_budget_counts(data: ConsoleData) -> None:
    stored = StoredStandings(data.source.store, RULES, "a store")
    alone, whole = await stored.overview(NOW), await data.reader.overview(NOW)
    assert [task.task for task in alone.tasks] == [task.task for task in whole.tasks] == [OWN, CRITICAL, TASK]
    for mine, theirs in zip(alone.tasks, whole.tasks, strict=True):
        assert (mine.to_date, mine.today) == (theirs.to_date, theirs.today)
        assert mine.teacher_price == theirs.teacher_price
        assert (mine.phase, mine.student, mine.stage) == (theirs.phase, theirs.student, theirs.stage)
        assert mine.last_decision == theirs.last_decision
    triage = alone.of(TASK)
    ledger = data.reader.budget.tasks[TASK].ledger
    assert triage is not None
    # What students cost beside their calls is the budget's to know: training, and answers that are only compared.
    assert triage.spent_usd == usd(ledger.total_cost - ledger.training - ledger.compared)
    assert await stored.story("nothing", NOW) is None


async def test_one_task_stands_as_it_does_among_all(data: ConsoleData) -> None:
    for standings in (StoredStandings(data.source.store, RULES, "a store"), data.reader):
        overview = await standings.overview(NOW)
        for task in (OWN, CRITICAL, TASK):
            story = await standings.story(task, NOW)
            assert story is not None
            assert story.standing == overview.of(task)


async def test_calls_that_come_later_are_counted_at_the_next_look(data: ConsoleData) -> None:
    stored = StoredStandings(data.source.store, RULES, "a store")
    before = (await stored.overview(NOW)).of(TASK)
    later = make_invocation(task=TASK, at=NOW + timedelta(minutes=1), model="our-own", cost_usd=usd("0.5"))
    await insert_events(data.source.store, [later])
    after = (await stored.overview(NOW + timedelta(minutes=2))).of(TASK)
    assert before is not None
    assert after is not None
    assert after.to_date.calls == before.to_date.calls + 1
    assert after.teacher_price is not None
    assert after.teacher_price.source == "set or recorded"


async def test_a_task_that_rests_keeps_where_its_price_is_from(data: ConsoleData) -> None:
    prices = PriceSources()
    first = dict(await prices.look(data.source.store, [OWN, "unknown"], NOW))
    assert first.keys() == {OWN}
    assert (await prices.look(data.source.store, [OWN, "unknown"], NOW + timedelta(days=30)))[OWN] == first[OWN]
