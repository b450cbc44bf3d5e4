"""Write and read checkpoints: adapter and optimiser state as safetensors, and the counters as JSON."""

import shutil
from pathlib import Path
from typing import Final

import torch
from pydantic import BaseModel, ConfigDict
from safetensors.torch import load_file, save_file

from understudies.trainer.lora.model import AdaptedModel

_TENSORS: Final = "state.safetensors"
_COUNTERS: Final = "counters.json"
_MOMENTS: Final = ("exp_avg", "exp_avg_sq", "step")


class Counters(BaseModel):
    """How far a training has come."""

    model_config = ConfigDict(frozen=True)

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss: float = 0.0
    best_step: int = 0
    best_agreement: float = -1.0
    worse_in_a_row: int = 0
    rows_at_once: int = 0


def write_checkpoint(folder: Path, model: AdaptedModel, optimizer: torch.optim.Optimizer, counters: Counters) -> None:
    """Write a checkpoint that replaces the previous one only when it is complete."""
    new, old = folder.with_suffix(".new"), folder.with_suffix(".old")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    tensors = {f"weight:{name}": one.detach().contiguous() for name, one in model.trained.items()}
    for name, one in model.trained.items():
        state = optimizer.state.get(one, {})
        tensors |= {f"{moment}:{name}": state[moment].contiguous() for moment in _MOMENTS if moment in state}
    save_file(tensors, new / _TENSORS)
    (new / _COUNTERS).write_text(counters.model_dump_json())
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def read_checkpoint(folder: Path, model: AdaptedModel, optimizer: torch.optim.Optimizer) -> Counters:
    """Restore the latest complete checkpoint; the counters are those of a start if there is none."""
    source = next((one for one in (folder, folder.with_suffix(".old")) if (one / _COUNTERS).is_file()), None)
    if source is None:
        return Counters()
    tensors = load_file(source / _TENSORS)
    with torch.no_grad():
        for name, one in model.trained.items():
            one.copy_(tensors[f"weight:{name}"])
            moments = {moment: tensors.get(f"{moment}:{name}") for moment in _MOMENTS}
            optimizer.state[one] = {
                moment: value if moment == "step" else value.to(one.device)
                for moment, value in moments.items()
                if value is not None
            }
    return Counters.model_validate_json((source / _COUNTERS).read_text())
