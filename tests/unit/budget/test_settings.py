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
