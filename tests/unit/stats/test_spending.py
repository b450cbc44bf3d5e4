"""The error level of each of many students in a row."""

import math

import pytest

from understudies.stats.spending import alpha_for_trial


def test_all_trials_together_spend_the_budget_and_no_more() -> None:
    spent = math.fsum(alpha_for_trial(0.05, trial) for trial in range(1, 20_001))

    assert spent < 0.05
    assert spent == pytest.approx(0.05, rel=1e-4)


def test_each_trial_has_less_than_the_one_before() -> None:
    levels = [alpha_for_trial(0.05, trial) for trial in range(1, 53)]

    assert levels == sorted(set(levels), reverse=True)
    assert levels[0] == pytest.approx(0.0304, abs=5e-5)
    assert levels[-1] > 0


@pytest.mark.parametrize(("alpha", "trial", "named"), [(0.05, 0, "0"), (0.0, 1, "alpha"), (1.0, 1, "alpha")])
def test_refuses_what_is_no_level_or_number(alpha: float, trial: int, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        alpha_for_trial(alpha, trial)
