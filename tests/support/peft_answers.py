"""What PEFT itself answers with an adapter, to compare others with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.lora_adapters import write_files


def peft_first_tokens(
    base: Path, files: Mapping[str, bytes], folder: Path, questions: list[str]
) -> list[tuple[str, float]]:
    """The most likely first token of each answer, with its probability."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(base)
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = PeftModel.from_pretrained(model, write_files(folder, files))
    found = []
    for question in questions:
        turns = [{"role": "user", "content": question}]
        ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with torch.no_grad():
            probabilities = model(**ids).logits[0, -1].softmax(dim=-1)
        found.append((tokenizer.decode(probabilities.argmax()), float(probabilities.max())))
    return found
