"""Load a base model's weights and tokenizer, and generate with them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from understudies.students.lora.prompt import Turn


def load_base(weights: Path, dtype: torch.dtype, *, is_eager: bool = False, **options: Any) -> tuple[Any, Any]:
    """Return the model and the tokenizer of a folder or a GGUF file; a tokenizer without padding pads with its end."""
    folder, location = base_location(weights)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, **location)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=dtype,
        attn_implementation="eager" if is_eager else None,
        **location,
        **(options or _unpacked(weights)),
    )
    return model, tokenizer


def stored_dtype(weights: Path) -> torch.dtype | None:
    """Return the precision in which a folder holds its weights; None if it is not said, as in a GGUF file."""
    dtype: torch.dtype | None = None if weights.is_file() else AutoConfig.from_pretrained(weights).dtype
    return dtype


def generate_answers(model: Any, tokenizer: Any, chats: Sequence[Sequence[Turn]], max_tokens: int) -> list[str]:
    """Return the greedy answers of a model to some chats, in one batch."""
    tokenizer.padding_side = "left"
    prompts = [tokenizer.apply_chat_template(list(chat), add_generation_prompt=True, tokenize=False) for chat in chats]
    batch = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False).to(model.device)
    with torch.no_grad():
        generated = model.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            max_new_tokens=max_tokens,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    answers = generated[:, batch["input_ids"].shape[1] :]
    return list(tokenizer.batch_decode(answers, skip_special_tokens=True))


def base_location(weights: Path) -> tuple[Path, dict[str, Any]]:
    return (weights.parent, {"gguf_file": weights.name}) if weights.is_file() else (weights, {})


def _unpacked(weights: Path) -> dict[str, Any]:
    """Return the option by which a GGUF file is dequantised at loading: kernels on its blocks cannot be trained."""
    config = getattr(transformers, "GgufConfig", None)
    return {"quantization_config": config(dequantize=True)} if weights.is_file() and config else {}
