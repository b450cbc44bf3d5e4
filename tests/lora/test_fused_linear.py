import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from understudies.trainer.lora.fused_linear import fuse_linear_modules


class Perceptron(torch.nn.Module):  # type: ignore[misc]
    """Two linear modules, one with a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.up = torch.nn.Linear(12, 20, bias=True)
        self.down = torch.nn.Linear(20, 5, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.down(torch.relu(self.up(x)))
        return result


@pytest.fixture
def adapted() -> PeftModel:
    torch.manual_seed(2)
    made = get_peft_model(Perceptron(), LoraConfig(r=3, lora_alpha=7, target_modules=["up", "down"]))
    with torch.no_grad():
        for one in made.parameters():
            one.normal_(0, 0.5)
    return made


def gradients(model: PeftModel, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    model.zero_grad()
    x = x.clone().requires_grad_()
    y = model(x)
    y.square().sum().backward()
    assert x.grad is not None
    found = [one.grad for one in model.parameters() if one.grad is not None]
    assert len(found) == 4
    return y.detach(), [x.grad, *(one.clone() for one in found)]


def test_results_and_gradients_are_those_of_peft(adapted: PeftModel) -> None:
    x = torch.randn(2, 7, 12)
    expected, expected_gradients = gradients(adapted, x)
    assert fuse_linear_modules(adapted) == 2
    y, found = gradients(adapted, x)
    torch.testing.assert_close(y, expected)
    for one, other in zip(found, expected_gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_the_adapter_is_trained_in_its_own_precision_on_a_base_of_less(adapted: PeftModel) -> None:
    for one in adapted.parameters():
        if not one.requires_grad:
            one.data = one.data.bfloat16()
    fuse_linear_modules(adapted)
    x = torch.randn(4, 12, dtype=torch.bfloat16)
    y = adapted(x)
    y.float().square().sum().backward()
    assert y.dtype == torch.bfloat16
    trained = [one for one in adapted.parameters() if one.requires_grad]
    assert {one.dtype for one in trained} == {torch.float32}
    assert all(one.grad is not None and one.grad.dtype == torch.float32 for one in trained)


def test_modules_that_are_no_plain_update_stay_as_peft_computes_them() -> None:
    weighted = get_peft_model(Perceptron(), LoraConfig(r=3, use_dora=True, target_modules=["up"]))
    assert fuse_linear_modules(weighted) == 0
