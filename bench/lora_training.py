"""How fast a step of LoRA training is, and how much memory it takes, beside a bare loop of PyTorch and PEFT.

Parts `training` and `memory` of `bench/lora.py`.
"""

import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch

from understudies.trainer.lora.encoding import EncodedExample, encode_example, pack_rows, shared_tokens
from understudies.trainer.lora.job import TextExample, TrainingJob
from understudies.trainer.lora.model import AdaptedModel
from understudies.trainer.lora.packing import plan_batches

_STEPS_OF_MEMORY: Final = 2


@dataclass(frozen=True)
class Way:
    """A way to compute a step: rows of a batch to one loss."""

    name: str
    model: AdaptedModel
    step: Callable[[AdaptedModel, list[EncodedExample]], torch.Tensor]


def padded_loss(model: AdaptedModel, batch: list[EncodedExample]) -> torch.Tensor:
    """The loss as a bare loop computes it: a padded batch, all logits."""
    length = max(len(one) for one in batch)
    ids = torch.full((len(batch), length), model.pad)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for row, one in enumerate(batch):
        ids[row, : len(one)] = torch.tensor(one.prompt + one.answer)
        mask[row, : len(one)] = 1
        labels[row, len(one.prompt) : len(one)] = torch.tensor(one.answer)
    ids, mask, labels = (part.to(model.device) for part in (ids, mask, labels))
    loss: torch.Tensor = model.peft(input_ids=ids, attention_mask=mask, labels=labels).loss
    return loss


def unpacked_loss(model: AdaptedModel, batch: list[EncodedExample]) -> torch.Tensor:
    """The loss as this trainer computes it with one example in each row."""
    return model.loss(pack_rows(batch, [[index] for index in range(len(batch))], model.pad).to(model.device))


def packed_loss(model: AdaptedModel, batch: list[EncodedExample]) -> torch.Tensor:
    """The loss as this trainer computes it: packed rows, with their common beginning once."""
    shared = shared_tokens(batch)
    lengths = [len(one) - shared for one in batch]
    row = max(256, *lengths)
    [rows] = plan_batches(lengths, row_tokens=row, rows=len(batch), epochs=1, seed=0)
    return model.loss(pack_rows(batch, rows, model.pad, shared).to(model.device))


def seconds_of(device: torch.device) -> float:
    """Seconds so far: of CPU, as neighbours take their share of the clock; with a GPU of the clock, once it is done."""
    if device.type != "cuda":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def measure_training(job: TrainingJob, texts: list[TextExample], rounds: int, batch: int) -> dict[str, Any]:
    """Tokens per second, in turns over the same batches, of this trainer and of a bare loop of PyTorch and PEFT.

    The bare loop computes in the same precision as the trainer, by the modules of PEFT.
    """
    trained, plain = AdaptedModel(job), AdaptedModel(job, is_fused=False)
    encoded = [encode_example(trained.tokenizer, text) for text in texts]
    ways = [
        Way("packed", trained, packed_loss),
        Way("unpacked", trained, unpacked_loss),
        Way("bare", plain, padded_loss),
    ]
    optimizers = {way.name: torch.optim.AdamW(way.model.trained.values(), lr=1e-4) for way in ways}
    speeds: dict[str, list[float]] = {way.name: [] for way in ways}
    for number in range(rounds + 1):
        chosen = [encoded[place % len(encoded)] for place in range(number * batch, (number + 1) * batch)]
        # The first to compute with new shapes chooses the kernels for them; that is each way's turn in turns.
        for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
            began = seconds_of(trained.device)
            optimizers[way.name].zero_grad()
            way.step(way.model, chosen).backward()
            optimizers[way.name].step()
            # The first round warms up.
            if number:
                speeds[way.name].append(sum(map(len, chosen)) / (seconds_of(trained.device) - began))
    unit = "cpu_s" if trained.device.type == "cpu" else "s"
    medians = {f"{name}_tokens_per_{unit}": round(statistics.median(values), 1) for name, values in speeds.items()}
    ratios = {
        f"{name}_to_bare": round(statistics.median(a / b for a, b in zip(speeds[name], speeds["bare"], strict=True)), 2)
        for name in ("packed", "unpacked")
    }
    return {"weights": trained.weights, "batch": batch, **medians, **ratios}


def measure_memory(job: TrainingJob, texts: list[TextExample], batch: int) -> dict[str, Any]:
    """Peak memory in MB of a process that loads the model, and of one that also takes two steps each way.

    On a GPU it is what PyTorch has allocated there.
    """
    peaks = {}
    for name in ("loaded", "packed", "bare"):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peaks[f"{name}_mb"] = pool.apply(_peak_mb, (name, job, texts, batch))
    return peaks


def _peak_mb(name: str, job: TrainingJob, texts: list[TextExample], batch: int) -> int:
    if job.settings.threads:
        torch.set_num_threads(job.settings.threads)
    model = AdaptedModel(job, is_fused=name != "bare")
    encoded = [encode_example(model.tokenizer, text) for text in texts[: batch * _STEPS_OF_MEMORY]]
    optimizer = torch.optim.AdamW(model.trained.values(), lr=1e-4)
    for number in range(_STEPS_OF_MEMORY if name != "loaded" else 0):
        chosen = encoded[number * batch : (number + 1) * batch]
        optimizer.zero_grad()
        (packed_loss if name == "packed" else padded_loss)(model, chosen).backward()
        optimizer.step()
    if model.device.type == "cuda":
        return int(torch.cuda.max_memory_allocated()) // 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
