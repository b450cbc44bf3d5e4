"""Train with several processes, one for each GPU: each computes its rows, and the gradients are added up."""

import os
import sys
from collections.abc import Collection
from typing import Any, TypeVar

import torch

from understudies.trainer.lora.settings import LoraTrainingSettings

_T = TypeVar("_T")
_RANK = "RANK"
"""Set by the launcher in each of the processes that it starts."""


class Ranks:
    """The processes that train together; one alone if it was not started as one of several.

    Adapters and optimisers are the same in all of them, as all see the same gradients. The first one evaluates, writes
    and reports; what it finds is shared, so that all end at the same step.
    """

    def __init__(self, *, is_cpu: bool) -> None:
        self._state: Any = None
        if _RANK in os.environ:
            from accelerate import PartialState

            self._state = PartialState(cpu=is_cpu)

    @property
    def is_first(self) -> bool:
        return self._state is None or bool(self._state.is_main_process)

    @property
    def device(self) -> torch.device | None:
        """The device of this process; None for one that trains alone."""
        device: torch.device | None = None if self._state is None else self._state.device
        return device

    def share_of(self, rows: list[_T]) -> list[_T]:
        """Return those of some rows that this process computes; none if there are fewer rows than processes."""
        return rows if self._state is None else rows[self._state.process_index :: self._state.num_processes]

    def add_up(self, loss: float, weights: Collection[torch.nn.Parameter]) -> float:
        """Add up the gradients of all processes in place, and return the sum of their losses."""
        if self._state is None:
            return loss
        from accelerate.utils import reduce

        for weight in weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        flat = torch.cat([torch.tensor([loss], device=self._state.device), *(one.flatten() for one in gradients)])
        total, *summed = reduce(flat, reduction="sum").split([1, *(one.numel() for one in gradients)])
        for gradient, one in zip(gradients, summed, strict=True):
            gradient.copy_(one.view_as(gradient))
        return float(total)

    def as_first(self, found: _T) -> _T:
        """Return what the first process found, whatever this one did."""
        if self._state is None:
            return found
        from accelerate.utils import broadcast_object_list

        [shared] = broadcast_object_list([found])
        first: _T = shared
        return first


def is_first_rank() -> bool:
    """Return whether this process trains alone, or is the first of several."""
    return os.environ.get(_RANK, "0") == "0"


def launcher_of_several(settings: LoraTrainingSettings, module: str, *arguments: str) -> list[str] | None:
    """Return the command that starts as many processes as are to train; None for one, or in one of them."""
    processes = settings.processes
    if processes is None:
        processes = max(1, torch.cuda.device_count()) if settings.device != "cpu" else 1
    if processes == 1 or _RANK in os.environ:
        return None
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return [*launcher, "-m", module, *arguments]
