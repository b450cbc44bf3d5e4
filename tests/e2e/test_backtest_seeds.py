"""Another seed draws other audits, and nothing else of weight."""

import pytest
from tests.support import call_logs
from tests.support.backtest_runs import BacktestRun, run_small_backtest

from understudies.events import Invocation


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> tuple[BacktestRun, BacktestRun]:
    path = tmp_path_factory.mktemp("seeds") / "calls.jsonl"
    call_logs.write_log(path, call_logs.task_entries("easy", 900, days=5))
    return run_small_backtest(path, seed=7), run_small_backtest(path, seed=8)


def until_promoted(one: BacktestRun) -> list[tuple[object, ...]]:
    told: list[tuple[object, ...]] = []
    for decision in one.report.decisions:
        told.append((decision.at, decision.event, decision.reason))
        if decision.event == "promoted":
            break
    return told


def audited(one: BacktestRun) -> set[str]:
    """The inputs of audited calls."""
    return {event.fingerprint for event in one.events if isinstance(event, Invocation) and event.audits}


def test_nothing_is_drawn_before_a_student_serves(seeds: tuple[BacktestRun, BacktestRun]) -> None:
    one, other = seeds
    assert until_promoted(one) == until_promoted(other)
    assert until_promoted(one)[-1][1] == "promoted"


def test_other_calls_are_audited_and_as_many(seeds: tuple[BacktestRun, BacktestRun]) -> None:
    one, other = seeds
    assert audited(one) != audited(other)
    assert 0.5 < len(audited(one)) / len(audited(other)) < 2


def test_what_it_would_have_cost_is_the_same_and_what_it_costs_is_close(seeds: tuple[BacktestRun, BacktestRun]) -> None:
    totals = [one.report.overall.totals for one in seeds]
    assert totals[0].cost_before == totals[1].cost_before == 27
    assert totals[0].cost_after != totals[1].cost_after
    assert 0.8 < totals[0].cost_after / totals[1].cost_after < 1.25
    assert [one.report.seed for one in seeds] == [7, 8]


def test_ids_are_made_of_the_seed(seeds: tuple[BacktestRun, BacktestRun]) -> None:
    ids = [{event.id for event in one.events} for one in seeds]
    assert ids[0].isdisjoint(ids[1])


def test_who_attends_knows_what_became_of_each_call(seeds: tuple[BacktestRun, BacktestRun]) -> None:
    for one in seeds:
        served = one.outcomes.collector.invocations
        assert [call.id for call in one.outcomes.calls] == list(served)
        agreed = [one.outcomes.check_agreement(call, served[call.id]) for call in one.outcomes.calls]
        assert agreed.count(None) == 900 - one.report.overall.totals.served
        assert agreed.count(True) == one.report.overall.totals.agreed
