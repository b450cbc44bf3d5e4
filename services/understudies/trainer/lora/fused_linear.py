"""Compute an adapted linear module with fewer passes over its activations than PEFT does."""

from functools import partial
from typing import Any

import torch
from peft.tuners.lora import Linear


class FusedLinear(torch.autograd.Function):  # type: ignore[misc]
    """Linear module with a low-rank update: y = x W' + bias + s (x A') B', with gradients for x, A and B alone.

    PEFT computes the update in the adapter's precision, scales it and adds it in passes of their own, and keeps what
    each of them needs until the backward pass. Here it is one more matrix product, added in place, in the precision of
    x, and only x and x A' are kept.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        a: torch.Tensor,
        b: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:
        """Return y for x (..., inputs), weight (outputs, inputs), a (rank, inputs) and b (outputs, rank)."""
        flat = x.reshape(-1, x.shape[-1])
        a, scaled = a.to(x.dtype), (b * scaling).to(x.dtype)
        inner = flat @ a.t()
        y = torch.nn.functional.linear(flat, weight, bias).addmm_(inner, scaled.t())
        ctx.save_for_backward(flat, inner, weight, a, scaled)
        ctx.scaling = scaling
        return y.view(*x.shape[:-1], weight.shape[0])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of x, A and B; the base is frozen."""
        flat, inner, weight, a, scaled = ctx.saved_tensors
        [outer] = gradients
        dy = outer.reshape(-1, outer.shape[-1])
        through = dy @ scaled
        dx = None
        if ctx.needs_input_grad[0]:
            dx = (dy @ weight).addmm_(through, a).view(*outer.shape[:-1], weight.shape[1])
        da, db = (through.t() @ flat).float(), (dy.t() @ inner).float() * ctx.scaling
        return dx, None, None, da, db, None


def fuse_linear_modules(model: torch.nn.Module) -> int:
    """Let the plainly adapted linear modules of a PEFT model compute as `FusedLinear`, and return their number.

    Others, such as those of a quantised base, stay as PEFT computes them.
    """
    fused = 0
    for module in model.modules():
        if type(module) is Linear and type(module.base_layer) is torch.nn.Linear and not module.lora_variant:
            module.forward = partial(_forward, module)
            fused += 1
    return fused


def _forward(module: Any, x: torch.Tensor) -> torch.Tensor:
    base, a, b = module.base_layer, module.lora_A["default"].weight, module.lora_B["default"].weight
    result: torch.Tensor = FusedLinear.apply(x, base.weight, base.bias, a, b, module.scaling["default"])
    return result
