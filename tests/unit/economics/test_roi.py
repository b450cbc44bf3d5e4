"""Return on investment and break-even, with shares, escalations and audits paid for."""

import math
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudies.economics.roi import Investment, break_even_calls, roi, saving_per_call
from understudies.events import usd

money = st.decimals(min_value=0, max_value=1000, places=6, allow_nan=False)
share = st.floats(0, 1)

GOOD = Investment(
    teacher_cost=Decimal("0.03"),
    student_cost=Decimal("0.001"),
    weekly_calls=20_000,
    weekly_calls_lower=10_000,
    expected_share=0.7,
    audit_rate=0.05,
    training_cost=Decimal(20),
    evidence_cost=Decimal(5),
)


@settings(deadline=None)
@given(money, money, st.integers(0, 10**6), st.decimals(min_value="0.01", max_value=10**6, places=2))
def test_full_service_without_audits_is_the_plain_formula(
    teacher: Decimal, student: Decimal, calls: int, training: Decimal
) -> None:
    assert roi(teacher, student, calls, training) == usd(((teacher - student) * calls - training) / training)
    needed = break_even_calls(teacher, student, training)
    assert needed == (math.ceil(training / (teacher - student)) if teacher > student else None)


@settings(deadline=None)
@given(money, money, share, share, st.integers(1, 1000))
def test_the_saving_is_the_teacher_bill_less_the_mixed_bill(
    teacher: Decimal, student: Decimal, served: float, audited: float, calls: int
) -> None:
    s, a = Decimal(str(served)), Decimal(str(audited))
    before = calls * teacher
    after = calls * student + calls * (1 - s) * teacher + calls * s * a * teacher

    assert float(calls * saving_per_call(teacher, student, served, audited)) == pytest.approx(
        float(before - after), rel=1e-9, abs=1e-6
    )


@settings(deadline=None)
@given(money, money, st.decimals(min_value="0.01", max_value=1000, places=2), share, share)
def test_break_even_is_the_first_call_without_a_loss(
    teacher: Decimal, student: Decimal, cost: Decimal, served: float, audited: float
) -> None:
    saving = saving_per_call(teacher, student, served, audited)
    needed = break_even_calls(teacher, student, cost, share=served, audit_rate=audited)

    if needed is None:
        assert saving <= 0
    else:
        # Decimals carry 28 digits, so equality may be off by the last.
        slack = cost * Decimal("1e-20")
        assert saving * needed >= cost - slack
        assert saving * (needed - 1) < cost + slack


def test_nothing_invested_breaks_even_at_once_and_has_no_return() -> None:
    assert break_even_calls(Decimal(2), Decimal(1), Decimal(0)) == 0
    assert roi(Decimal(2), Decimal(1), 5, Decimal(0)) is None


def test_a_good_investment_says_why() -> None:
    assert GOOD.saving == usd("0.01895")
    assert GOOD.net_weekly_saving == usd(379)
    assert GOOD.roi == usd("6.58")
    assert GOOD.is_worthwhile
    assert GOOD.reason == (
        "$25.00 pays back within a week: break-even takes 1,320 calls at $0.019 saved a call, "
        "and at least 10,000 are expected."
    )


def test_break_even_must_come_before_the_lower_bound_of_a_week() -> None:
    assert not replace(GOOD, weekly_calls_lower=1320).is_worthwhile
    assert replace(GOOD, weekly_calls_lower=1321).is_worthwhile
    assert "does not pay back" in replace(GOOD, weekly_calls_lower=1320).reason


def test_within_a_longer_horizon_fewer_calls_a_week_pay_back() -> None:
    month = replace(GOOD, horizon_weeks=4)
    assert not replace(month, weekly_calls_lower=330).is_worthwhile
    assert replace(month, weekly_calls_lower=331).is_worthwhile
    assert month.reason == (
        "$25.00 pays back within 4 weeks: break-even takes 1,320 calls at $0.019 saved a call, "
        "and at least 40,000 are expected."
    )
    assert "does not pay back within 1.5 weeks" in replace(GOOD, weekly_calls_lower=10, horizon_weeks=1.5).reason


@settings(deadline=None)
@given(st.integers(0, 20_000), st.integers(1, 12))
def test_a_horizon_of_weeks_is_one_week_of_as_many_times_the_calls(lower: int, weeks: int) -> None:
    long = replace(GOOD, weekly_calls_lower=lower, horizon_weeks=weeks)
    short = replace(GOOD, weekly_calls=20_000 * weeks, weekly_calls_lower=lower * weeks)

    assert (long.roi, long.is_worthwhile, long.break_even_calls) == (short.roi, short.is_worthwhile, 1320)
    assert long.net_weekly_saving == GOOD.net_weekly_saving, "which stays one of a week"


def test_a_student_no_cheaper_than_the_teacher_is_never_worth_it() -> None:
    same = replace(GOOD, student_cost=Decimal("0.03"), training_cost=Decimal(0), evidence_cost=Decimal(0))

    assert not same.is_worthwhile
    assert same.break_even_calls is None
    assert same.reason == "The student costs $0.03 a call, no less than the teacher's $0.03."


def test_escalations_can_make_a_cheap_student_lose_money() -> None:
    rarely_sure = replace(GOOD, expected_share=0.03)

    assert rarely_sure.saving < 0
    assert not rarely_sure.is_worthwhile
    assert "Serving 3% of calls with 5.0% of them audited loses" in rarely_sure.reason


@settings(deadline=None)
@given(money, money, share, share, money, st.integers(0, 10**6))
def test_worth_it_means_a_positive_return_in_the_week(
    teacher: Decimal, student: Decimal, served: float, audited: float, cost: Decimal, lower: int
) -> None:
    investment = Investment(teacher, student, 10**6, lower, served, audited, cost, Decimal(1))

    if investment.is_worthwhile:
        assert investment.roi is not None
        assert investment.roi >= 0
        assert student < teacher
    assert investment.reason.endswith(".")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("teacher_cost", Decimal(-1)),
        ("student_cost", Decimal("NaN")),
        ("training_cost", Decimal("Infinity")),
        ("evidence_cost", Decimal(-1)),
        ("expected_share", 1.1),
        ("audit_rate", math.nan),
        ("weekly_calls_lower", 20_001),
        ("horizon_weeks", 0.0),
        ("horizon_weeks", -1.0),
        ("horizon_weeks", math.nan),
    ],
)
def test_refuses_impossible_inputs(field: str, value: object) -> None:
    inputs = {name: getattr(GOOD, name) for name in GOOD.__slots__}
    with pytest.raises(ValueError, match="got"):
        Investment(**{**inputs, field: value})


def test_refuses_negative_calls() -> None:
    with pytest.raises(ValueError, match="-1"):
        roi(Decimal(2), Decimal(1), -1, Decimal(1))


def test_a_task_pays_from_the_teachers_cost_at_which_it_would_pay_back_in_time() -> None:
    paying = GOOD.paying_teacher_cost
    assert paying is not None
    assert replace(GOOD, teacher_cost=paying * Decimal("1.01")).is_worthwhile
    assert not replace(GOOD, teacher_cost=paying * Decimal("0.99")).is_worthwhile
    assert replace(GOOD, expected_share=0.0).paying_teacher_cost is None
    assert replace(GOOD, weekly_calls_lower=0).paying_teacher_cost is None
