"""Settings of the budget, as the environment gives them."""

import pytest
from pydantic import ValidationError

from understudies.budget.settings import BudgetSettings


@pytest.mark.parametrize(("written", "read"), [("10", (10,)), ("[10, 35]", (10, 35))])
def test_audits_of_the_steps_are_one_number_for_all_or_one_each(
    monkeypatch: pytest.MonkeyPatch, written: str, read: tuple[int, ...]
) -> None:
    monkeypatch.setenv("UNDERSTUDIES_BUDGET_STEP_VERDICTS", written)
    assert BudgetSettings().step_verdicts == read


@pytest.mark.parametrize("written", ["[]", "0", "[10, 0]"])
def test_a_step_without_audits_is_refused(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("UNDERSTUDIES_BUDGET_STEP_VERDICTS", written)
    with pytest.raises(ValidationError, match="step_verdicts"):
        BudgetSettings()


def test_by_default_the_ramp_ends_with_its_audits_and_students_double_their_examples() -> None:
    settings = BudgetSettings()
    assert (settings.canary, settings.step_hours, settings.step_verdicts) == ((0.25, 0.5, 1.0), 1, (10, 35))
    assert (settings.growth, settings.rest_hours, settings.successor_weeks) == (2.0, 24, 12)
    assert (settings.trial_calls_per_day, settings.fresh_verdicts) == (500, 500)


@pytest.mark.parametrize(("name", "written"), [("TRIAL_CALLS_PER_DAY", "0"), ("SUCCESSOR_WEEKS", "0.9")])
def test_a_trial_without_audits_and_weeks_below_one_are_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, written: str
) -> None:
    monkeypatch.setenv(f"UNDERSTUDIES_BUDGET_{name}", written)
    with pytest.raises(ValidationError, match=name.lower()):
        BudgetSettings()
