"""What needs none of the packages of the extra `lora`."""

from decimal import Decimal

import pytest
from tests.support.datasets import intents

from understudies.judges.registry import parse_judge
from understudies.runtime.errors import ConfigurationError
from understudies.runtime.settings import settings_from
from understudies.students.lora.llama_cpp import LlamaCppEngine
from understudies.trainer.lora import trainer
from understudies.trainer.lora.job import Progress
from understudies.trainer.lora.settings import LoraTrainingSettings
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import TRAINERS, NotApplicable, TrainingData, allowed_trainers, train_lora

DATA = TrainingData(intents(60), parse_judge("label"), 1)


def test_lora_comes_after_the_extractor_and_is_trained_only_where_it_is_asked_for() -> None:
    kinds = [one.kind for one in allowed_trainers(TRAINERS, TrainerSettings(kinds=("few_shot", "lora", "extractor")))]
    assert kinds == ["extractor", "extractor", "lora", "few_shot"]
    assert "lora" not in {one.kind for one in allowed_trainers(TRAINERS, TrainerSettings())}


def test_missing_packages_are_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "_MODULES", ("torch_of_tomorrow",))
    assert train_lora(DATA, TrainerSettings()) == NotApplicable(
        "torch_of_tomorrow not installed: pip install understudies[lora]"
    )


def test_without_a_base_or_enough_texts_nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "_MODULES", ())
    reasons = [
        train_lora(DATA, TrainerSettings(lora=LoraTrainingSettings(base=base))) for base in (None, "/nowhere/at/all")
    ]
    assert [one.reason for one in reasons if isinstance(one, NotApplicable)] == [
        "no base model is named: set UNDERSTUDIES_LORA_BASE, or --base of a backtest",
        f"{len(DATA.dataset.in_split('train'))} training examples are text or calls of functions, and 50 are needed",
    ]
    found = train_lora(DATA, TrainerSettings(lora=LoraTrainingSettings(base="/nowhere/at/all", min_examples=5)))
    assert isinstance(found, NotApplicable)
    assert "there is no base model at '/nowhere/at/all'" in found.reason


def test_settings_come_from_the_environment_and_the_rate_from_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDIES_LORA_RANK", "8")
    assert TrainerSettings().lora.rank == 8
    rates = [LoraTrainingSettings().peak_rate(weights) for weights in (135_000_000, 1_000_000_000, 8_000_000_000)]
    assert rates == [2e-3, 5e-4, 2e-4]
    assert LoraTrainingSettings(learning_rate=1e-3).peak_rate(1) == 1e-3


def test_a_wrong_setting_is_named_by_its_own_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDIES_LORA_EPOCHS", "-1")
    with pytest.raises(ConfigurationError, match="UNDERSTUDIES_LORA_EPOCHS"):
        settings_from(TrainerSettings)
    monkeypatch.setenv("UNDERSTUDIES_LORA_SLOTS", "many")
    with pytest.raises(ConfigurationError, match="UNDERSTUDIES_LORA_SLOTS"):
        LlamaCppEngine()


def test_progress_is_one_readable_line() -> None:
    line = Progress(
        step=40, steps=220, loss=0.4321, agreement=0.63, tokens_per_s=244.6, eta_s=900.2, cost_usd=Decimal("0.0123")
    )
    assert str(line) == ("step 40 of 220: loss 0.4321, agreement 63.0%, 245 tokens/s, 900 s left, $0.0123 so far")
