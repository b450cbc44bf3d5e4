from pathlib import Path

import pytest
import torch

from understudies.trainer.lora.job import TrainingJob
from understudies.trainer.lora.model import AdaptedModel
from understudies.trainer.lora.settings import LoraTrainingSettings


def adapted(weights: Path, precision: str) -> AdaptedModel:
    settings = LoraTrainingSettings.model_validate({"rank": 4, "threads": 1, "device": "cpu", "precision": precision})
    return AdaptedModel(TrainingJob(weights=weights, base_name="tiny", judge="exact", seed=3, settings=settings))


@pytest.mark.parametrize(
    ("file", "precision", "expected"),
    [
        (".", "float32", torch.float32),
        (".", "bfloat16", torch.bfloat16),
        ("base.gguf", "bfloat16", torch.bfloat16),
    ],
)
def test_the_base_is_of_plain_modules_in_the_precision_asked_for_and_the_adapter_in_float32(
    base_folder: Path, file: str, precision: str, expected: torch.dtype
) -> None:
    model = adapted(base_folder / file, precision)
    module = model.peft.get_base_model().get_decoder().layers[0].mlp.up_proj
    assert type(module.base_layer) is torch.nn.Linear
    assert module.base_layer.weight.dtype == expected
    assert {one.dtype for one in model.trained.values()} == {torch.float32}


def test_without_a_choice_the_processor_decides(base_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for features, expected in (({"avx512_bf16": True}, torch.bfloat16), ({"avx512_bf16": False}, torch.float32)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda features=features: features)
        base = adapted(base_folder, "auto").peft.get_base_model()
        assert base.get_input_embeddings().weight.dtype == expected
