"""Settings from the environment, and what is said where they are wrong."""

import pytest

from understudies.budget import BudgetSettings
from understudies.runtime import BusSettings, ConfigurationError
from understudies.runtime.environment import settings_from


def test_an_option_comes_before_the_environment_and_one_not_given_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDIES_BUS_BOOTSTRAP", "kafka:9092")
    assert settings_from(BusSettings, bootstrap="other:1").bootstrap == "other:1"
    assert settings_from(BusSettings, bootstrap=None).bootstrap == "kafka:9092"


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("MIN_EXAMPLES", "abc", "Input should be a valid integer"),
        ("GROWTH", "1", "Input should be greater than 1"),
        ("CANARY", "0.05,0.25", "Input should be JSON"),
    ],
)
def test_a_variable_that_is_wrong_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, why: str
) -> None:
    monkeypatch.setenv(f"UNDERSTUDIES_BUDGET_{variable}", value)
    with pytest.raises(
        ConfigurationError, match=rf"^UNDERSTUDIES_BUDGET_{variable}: {why}.*; correct the variable or unset"
    ):
        settings_from(BudgetSettings)


def test_an_option_that_is_wrong_is_named_as_such() -> None:
    with pytest.raises(ConfigurationError, match=r"^--min-examples: Input should be greater than or equal to 20$"):
        settings_from(BudgetSettings, min_examples=3)
