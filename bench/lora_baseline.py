"""A plain Hugging Face fine-tune of the same base on the same calls, beside which a LoRA student is to hold its own.

    python bench/lora_baseline.py --base FILE.gguf [--steps 200] [--batch 10] [FILE.jsonl]

`transformers.Trainer` with PEFT's adapter, padded batches, AdamW and a cosine: what a tutorial does. The examples are
the training split of the first four fifths of the calls, as a student gets them; the last line is one JSON object with
the exact-JSON agreement of its greedy answers over all calls of the last fifth. Needs `accelerate`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    GgufConfig,
    Trainer,
    TrainingArguments,
)

from understudies.events import Message, Request, fingerprint, split_of
from understudies.judges.registry import parse_judge

DATA = Path(__file__).parents[2] / "shared" / "data" / "rate_book.jsonl"
_MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
_AT_ONCE = 50


def read_calls(path: Path, count: int) -> list[list[dict[str, str]]]:
    """The first calls of a chat transcript, as messages."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line)["messages"] for line, _ in zip(lines, range(count), strict=False)]


def is_trained_on(messages: list[dict[str, str]]) -> bool:
    """Whether a call belongs to the training split."""
    request = Request(messages=tuple(Message.model_validate(one) for one in messages[:-1]))
    return split_of(fingerprint(request)) == "train"


def load(base: Path, precision: torch.dtype) -> tuple[Any, Any]:
    """The base without its blocks of quantised weights, and its tokenizer."""
    if base.is_dir():
        return AutoModelForCausalLM.from_pretrained(base, dtype=precision), AutoTokenizer.from_pretrained(base)
    tokenizer = AutoTokenizer.from_pretrained(base.parent, gguf_file=base.name)
    model = AutoModelForCausalLM.from_pretrained(
        base.parent, gguf_file=base.name, dtype=precision, quantization_config=GgufConfig(dequantize=True)
    )
    # What is left of the file's quantisation would make the Trainer refuse to train: its tensors are plain ones now.
    vars(model).pop("hf_quantizer", None)
    vars(model.config).pop("quantization_config", None)
    model.is_quantized = False
    return model, tokenizer


def encode(tokenizer: Any, messages: list[dict[str, str]]) -> dict[str, list[int]]:
    """Token ids, with labels for the answer alone."""
    prompt = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, tokenize=False)
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    asked = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    answer = tokenizer(whole[len(prompt) :], add_special_tokens=False)["input_ids"]
    ids = asked + answer
    return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": [-100] * len(asked) + answer}


def train(model: Any, tokenizer: Any, examples: list[dict[str, list[int]]], options: argparse.Namespace) -> Any:
    """The model with an adapter, trained."""
    adapted = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules=_MODULES, task_type="CAUSAL_LM"))
    arguments = TrainingArguments(
        output_dir=str(options.output),
        per_device_train_batch_size=options.batch,
        max_steps=options.steps,
        learning_rate=2e-3,
        lr_scheduler_type="cosine",
        warmup_steps=options.steps // 10,
        weight_decay=0.0,
        logging_steps=10,
        save_strategy="no",
        report_to=[],
        use_cpu=not torch.cuda.is_available(),
        bf16=True,
        seed=0,
    )
    Trainer(
        model=adapted,
        args=arguments,
        train_dataset=examples,
        data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=-100),
    ).train()
    adapted.save_pretrained(options.output, save_embedding_layers=False)
    return adapted


def answers(model: Any, tokenizer: Any, calls: list[list[dict[str, str]]]) -> list[str]:
    """Greedy answers."""
    tokenizer.padding_side = "left"
    found: list[str] = []
    model.eval()
    for start in range(0, len(calls), _AT_ONCE):
        prompts = [
            tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, tokenize=False)
            for messages in calls[start : start + _AT_ONCE]
        ]
        batch = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False).to(model.device)
        with torch.no_grad():
            ids = model.generate(**batch, max_new_tokens=96, do_sample=False, pad_token_id=tokenizer.pad_token_id)
        found += tokenizer.batch_decode(ids[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    return found


def main() -> None:
    """Train, answer, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", default=DATA)
    parser.add_argument("--base", type=Path, required=True, help="GGUF file, or folder of safetensors")
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--output", type=Path, default=Path("build/bench-lora-baseline"))
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    calls = read_calls(options.file, options.calls)
    past, last = calls[: -(len(calls) // 5)], calls[-(len(calls) // 5) :]
    torch.manual_seed(0)
    model, tokenizer = load(options.base, torch.bfloat16)
    examples = [encode(tokenizer, messages) for messages in past if is_trained_on(messages)]
    began = time.process_time()
    adapted = train(model, tokenizer, examples, options)
    seconds = time.process_time() - began
    judge, right = parse_judge("json"), 0
    for messages, answer in zip(last, answers(adapted, tokenizer, last), strict=True):
        teacher = Message.model_validate(messages[-1])
        right += judge.judge(teacher, Message(role="assistant", content=answer)).agreed
    print(
        json.dumps(
            {
                "task": options.file.stem,
                "examples": len(examples),
                "steps": options.steps,
                "batch": options.batch,
                "calls": len(last),
                "agreement": round(right / len(last), 4),
                "training_cpu_s": round(seconds),
            }
        )
    )


if __name__ == "__main__":
    main()
