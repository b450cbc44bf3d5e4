"""Tokens/s of LoRA training by Unsloth's kernels on the batches of `bench/lora.py --parts training`, on a GPU.

    python -m bench.lora_unsloth --base FOLDER [--batch 16] [--bits 4] [FILE.jsonl]

In a process of its own, as Unsloth changes PyTorch and transformers for all. The batches are padded, the loss is that
of the answers, the precision bfloat16; no gradient is computed twice to save memory, as in the other loops. The last
line is one JSON object. Needs the package `unsloth`, which is no dependency of the product.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import unsloth  # isort: skip # changes the others when it is imported first
import torch
from bench.lora import DATA, read_texts

from understudies.trainer.lora.encoding import EncodedExample, encode_example

_MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def padded(batch: list[EncodedExample], pad: int) -> dict[str, torch.Tensor]:
    """A padded batch on the GPU, with labels for the answers alone."""
    length = max(map(len, batch))
    ids = torch.full((len(batch), length), pad)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for row, one in enumerate(batch):
        ids[row, : len(one)] = torch.tensor(one.prompt + one.answer)
        mask[row, : len(one)] = 1
        labels[row, len(one.prompt) : len(one)] = torch.tensor(one.answer)
    return {"input_ids": ids.cuda(), "attention_mask": mask.cuda(), "labels": labels.cuda()}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Tokens per second, and the peak memory on the GPU."""
    model, tokenizer = unsloth.FastLanguageModel.from_pretrained(
        options.base, max_seq_length=1024, dtype=torch.bfloat16, load_in_4bit=options.bits == 4
    )
    model = unsloth.FastLanguageModel.get_peft_model(
        model, r=16, lora_alpha=32, lora_dropout=0, target_modules=_MODULES, use_gradient_checkpointing=False
    )
    encoded = [encode_example(tokenizer, text) for text in read_texts(options.file, 400)]
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=1e-4)
    speeds = []
    for number in range(options.rounds + 1):
        places = range(number * options.batch, (number + 1) * options.batch)
        chosen = [encoded[place % len(encoded)] for place in places]
        torch.cuda.synchronize()
        began = time.perf_counter()
        optimizer.zero_grad()
        model(**padded(chosen, pad)).loss.backward()
        optimizer.step()
        torch.cuda.synchronize()
        # The first round warms up.
        if number:
            speeds.append(sum(map(len, chosen)) / (time.perf_counter() - began))
    return {
        "unsloth": unsloth.__version__,
        "batch": options.batch,
        "bits": options.bits,
        "tokens_per_s": round(statistics.median(speeds), 1),
        "peak_mb": torch.cuda.max_memory_allocated() // 2**20,
    }


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", default=DATA)
    parser.add_argument("--base", required=True, help="folder of safetensors")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--bits", type=int, choices=(4, 16), default=16)
    parser.add_argument("--rounds", type=int, default=20)
    print(json.dumps(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
