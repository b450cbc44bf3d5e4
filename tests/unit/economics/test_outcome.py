"""The six outcomes of optimising a task for a budget."""

import json
from decimal import Decimal
from typing import Any, get_args

import pytest

from understudies.economics.outcome import BudgetOutcome, OptimizationOutcome, optimize_for_budget
from understudies.economics.roi import Investment

GOOD = Investment(Decimal("0.03"), Decimal("0.001"), 20_000, 10_000, 0.7, 0.05, Decimal(20), Decimal(5))
BAD = Investment(Decimal("0.03"), Decimal("0.001"), 20_000, 100, 0.7, 0.05, Decimal(20), Decimal(5))


def outcome(**facts: Any) -> BudgetOutcome:
    usual: dict[str, Any] = {
        "weekly_cost": Decimal(300),
        "budget_target": Decimal(100),
        "examples": 900,
        "needed": 500,
    }
    return optimize_for_budget("triage", **{**usual, **facts})


@pytest.mark.parametrize(
    ("facts", "expected", "message"),
    [
        ({"weekly_cost": Decimal(100)}, "no_change", "no change: $100.00 a week is within the budget of $100.00"),
        ({"examples": 1200, "needed": 2500}, "collecting", "collecting: 1,200 of 2,500 examples"),
        ({}, "collecting", "collecting: there are enough examples, the weekly volume is not known yet"),
        ({"investment": BAD}, "not_worth_it", f"not worth it: {BAD.reason}"),
        ({"investment": GOOD}, "training", f"training: {GOOD.reason}"),
        ({"stage": "authorised"}, "training", "training: the student is authorised"),
        ({"stage": "qualified", "investment": BAD}, "training", "training: the student is qualified"),
        (
            {"stage": "rejected", "agreement": 0.873},
            "fallback_teacher",
            "the teacher serves: the student was rejected, it agreed on 87.3%",
        ),
        ({"stage": "demoted"}, "fallback_teacher", "the teacher serves: the student was demoted"),
        ({"stage": "promoted", "cost_reduction": 9.13}, "distilled", "distilled: 9.1x"),
        ({"stage": "promoted"}, "distilled", "distilled"),
        ({"stage": "retired", "examples": 3}, "collecting", "collecting: 3 of 500 examples"),
    ],
)
def test_each_situation_has_its_outcome(facts: dict[str, Any], expected: str, message: str) -> None:
    found = outcome(**facts)

    assert (found.outcome, found.message, found.task) == (expected, message, "triage")


def test_a_promoted_student_is_reported_even_within_the_budget() -> None:
    assert outcome(stage="promoted", weekly_cost=Decimal(1)).outcome == "distilled"


def test_every_outcome_is_reachable() -> None:
    reached = {
        outcome(**facts).outcome
        for facts in (
            {"weekly_cost": Decimal(1)},
            {"examples": 0},
            {"investment": BAD},
            {"investment": GOOD},
            {"stage": "rejected"},
            {"stage": "promoted"},
        )
    }

    assert reached == set(get_args(OptimizationOutcome))


def test_the_numbers_are_json_and_carry_the_investment() -> None:
    numbers = outcome(investment=GOOD, agreement=0.96).numbers

    assert json.loads(json.dumps(numbers)) == numbers
    assert numbers["break_even_calls"] == 1320
    assert numbers["roi"] == pytest.approx(6.58)
    assert numbers["weekly_cost_usd"] == "300"


@pytest.mark.parametrize("facts", [{"needed": 0}, {"examples": -1}])
def test_refuses_impossible_counts(facts: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="got"):
        outcome(**facts)


def test_amounts_are_written_without_exponents() -> None:
    numbers = optimize_for_budget(
        "triage", weekly_cost=Decimal("0E-9"), budget_target=Decimal("1E+2"), examples=1, needed=2
    ).numbers
    assert (numbers["weekly_cost_usd"], numbers["budget_target_usd"]) == ("0", "100")
