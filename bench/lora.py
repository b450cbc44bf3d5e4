"""LoRA students on a real base: training speed, answering speed, hot swaps, and how well they do.

    python -m bench.lora --base FOLDER [--parts training,memory,answers,swap] [--adapter FOLDER] [FILE.jsonl]
    python -m bench.lora --base FOLDER --parts quality [--students FOLDER] [--set epochs=2] FILE.jsonl

Each figure is a ratio against something measured in the same run, in turns with it: packed training against a bare
loop of PyTorch and PEFT on padded batches, llama.cpp against transformers' generate with the same adapter. Hot swap:
requests over three adapters while the third one joins; an answer that another adapter would give is counted. The last
line is one JSON object.
"""

import argparse
import asyncio
import json
import logging
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench.lora_quality import measure_quality
from bench.lora_training import measure_memory, measure_training
from safetensors.numpy import load, save

from understudies.events import Request, request_of
from understudies.students.base import StudentError
from understudies.students.lora.adapter import CONFIG_FILE, WEIGHTS_FILE, read_adapter
from understudies.students.lora.base_model import LoraBase, find_base
from understudies.students.lora.gguf_adapter import GGUF_FILE, to_gguf
from understudies.students.lora.llama_cpp import LlamaCppEngine
from understudies.students.lora.settings import LoraServingSettings
from understudies.students.lora.student import LoraManifest, LoraStudent
from understudies.trainer.lora.job import TextExample, TrainingJob
from understudies.trainer.lora.model import AdaptedModel
from understudies.trainer.lora.settings import LoraTrainingSettings

DATA = Path(__file__).parents[2] / "shared" / "data" / "rate_book.jsonl"
_TOKENS = 16
_CONCURRENT = 8


def read_texts(path: Path, count: int) -> list[TextExample]:
    """The first calls of a chat transcript."""
    with path.open(encoding="utf-8") as lines:
        messages = [json.loads(line)["messages"] for line, _ in zip(lines, range(count), strict=False)]
    return [TextExample(turns=turns[:-1], answer=turns[-1]["content"]) for turns in messages]


def student_of(base: LoraBase, files: dict[str, bytes], engine: LlamaCppEngine) -> LoraStudent:
    """A student with an adapter."""
    manifest = LoraManifest(base=base.source, base_digest=base.digest, shape=base.shape, answer_tokens=_TOKENS)
    gguf = to_gguf(read_adapter(files), base.shape)
    return LoraStudent(manifest, {**files, GGUF_FILE: gguf}, engine)


def to_request(text: TextExample) -> Request:
    """A request that asks for a few tokens."""
    return request_of({"messages": text.turns, "max_tokens": _TOKENS})


async def measure_answers(
    model: AdaptedModel, one: LoraStudent, texts: list[TextExample], rounds: int
) -> dict[str, Any]:
    """Requests/s of llama.cpp, eight at once, and of generate, in turns; same answers counted.

    Of generate in batches of eight, as if requests came in batches, and for each request by itself, as they come.
    """
    await one.answer([to_request(texts[0])])
    speeds: dict[str, list[float]] = {"llama_cpp": [], "transformers": [], "one_by_one": []}
    same = 0
    for number in range(rounds):
        some = texts[number * _CONCURRENT : (number + 1) * _CONCURRENT]
        began = time.perf_counter()
        answers = await one.answer([to_request(text) for text in some])
        speeds["llama_cpp"].append(len(some) / (time.perf_counter() - began))
        began = time.perf_counter()
        expected = model.generate([text.turns for text in some], _TOKENS)
        speeds["transformers"].append(len(some) / (time.perf_counter() - began))
        began = time.perf_counter()
        for text in some:
            model.generate([text.turns], _TOKENS)
        speeds["one_by_one"].append(len(some) / (time.perf_counter() - began))
        same += sum(answer.text == text for answer, text in zip(answers, expected, strict=True))
    fast = speeds["llama_cpp"]
    return {
        **{f"{way}_requests_per_s": round(statistics.median(some), 2) for way, some in speeds.items()},
        **{
            f"ratio_to_{way}": round(statistics.median(a / b for a, b in zip(fast, speeds[way], strict=True)), 2)
            for way in ("transformers", "one_by_one")
        },
        "same_answers": round(same / (rounds * _CONCURRENT), 3),
    }


def shuffled(files: dict[str, bytes], seed: int) -> dict[str, bytes]:
    """An adapter whose answers differ recognisably: every update with another sign and size."""
    tensors = load(files[WEIGHTS_FILE])
    draw = np.random.default_rng(seed)
    changed = {
        name: (tensor * draw.normal(0, 1.5, (tensor.shape[0], 1))).astype(np.float32) if "lora_B" in name else tensor
        for name, tensor in tensors.items()
    }
    return {CONFIG_FILE: files[CONFIG_FILE], WEIGHTS_FILE: save(changed)}


async def measure_swap(base: LoraBase, files: dict[str, bytes], text: TextExample, requests: int) -> dict[str, Any]:
    """Failed and mixed-up answers among concurrent requests, the last third of which is to a new adapter."""
    settings = LoraServingSettings(base=base.source, slots=8, slot_tokens=512, answer_timeout_s=600)
    adapters = [files if not seed else shuffled(files, seed) for seed in range(3)]
    expected = []
    for adapter in adapters:
        alone = student_of(base, adapter, LlamaCppEngine(settings))
        expected.append((await alone.answer([to_request(text)]))[0].text)
        await alone.close()
    engine = LlamaCppEngine(settings)
    try:
        students = [student_of(base, adapter, engine) for adapter in adapters]
        gate = asyncio.Semaphore(32)

        async def ask(which: int) -> str:
            async with gate:
                try:
                    return (await students[which].answer([to_request(text)]))[0].text
                except StudentError as error:
                    return f"failed: {error}"

        order = [number % 2 if number < requests // 3 else number % 3 for number in range(requests)]
        began = time.perf_counter()
        answers = await asyncio.gather(*map(ask, order))
        seconds = time.perf_counter() - began
    finally:
        await engine.close()
    failed = sum(answer.startswith("failed: ") for answer in answers)
    mixed = sum(answer != expected[which] and answer in expected for which, answer in zip(order, answers, strict=True))
    other = sum(answer not in expected and not answer.startswith("failed: ") for answer in answers)
    return {
        "requests": requests,
        "distinct_answers": len(set(expected)),
        "failed": failed,
        "mixed_up": mixed,
        "other": other,
        "requests_per_s": round(requests / seconds, 1),
    }


async def measure_serving(
    model: AdaptedModel, base: LoraBase, files: dict[str, bytes], texts: list[TextExample], options: argparse.Namespace
) -> dict[str, Any]:
    """The parts that need llama.cpp."""
    found: dict[str, Any] = {}
    if "answers" in options.parts:
        settings = LoraServingSettings(
            base=base.source, slots=8, slot_tokens=512, answer_timeout_s=600, engine_threads=options.threads
        )
        one = student_of(base, files, LlamaCppEngine(settings))
        try:
            found["answers"] = await measure_answers(model, one, texts[-200:], options.rounds)
        finally:
            await one.close()
        print(json.dumps(found["answers"]), flush=True)
    if "swap" in options.parts:
        found["swap"] = await measure_swap(base, files, texts[-1], options.requests)
    return found


def measure_speeds(options: argparse.Namespace) -> dict[str, Any]:
    """Training, answers and swaps, as asked for."""
    base, texts = find_base(options.base), read_texts(options.file, 400)
    settings = LoraTrainingSettings.model_validate({"base": options.base, "threads": options.threads, **options.set})
    if options.threads:
        torch.set_num_threads(options.threads)
    job = TrainingJob(weights=base.weights, base_name=base.source, judge="json", seed=0, settings=settings)
    figures: dict[str, Any] = {}
    if "training" in options.parts:
        figures["training"] = measure_training(job, texts, options.rounds, options.batch)
        print(json.dumps(figures), flush=True)
    if "memory" in options.parts:
        figures["memory"] = measure_memory(job, texts, options.batch)
        print(json.dumps(figures["memory"]), flush=True)
    if {"answers", "swap"} & set(options.parts):
        model = AdaptedModel(job)
        folder = options.adapter
        if folder is None:
            folder = Path("build/bench-lora")
            model.save(folder)
        model.load(folder)
        model.peft.eval()
        files = {name: (folder / name).read_bytes() for name in (CONFIG_FILE, WEIGHTS_FILE)}
        figures |= asyncio.run(measure_serving(model, base, files, texts, options))
    return figures


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", default=DATA)
    parser.add_argument("--base", required=True)
    parser.add_argument("--parts", type=lambda text: text.split(","), default=["training", "memory", "answers", "swap"])
    parser.add_argument("--adapter", type=Path, help="folder of a trained adapter; without it, a new one")
    parser.add_argument("--students", type=Path, default=Path("build/bench-lora-students"), help="kept for quality")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="training settings")
    parser.add_argument("--batch", type=int, default=16, help="examples of a step, in training and memory")
    parser.add_argument("--threads", type=int, help="of PyTorch and of llama.cpp")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=1000)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options.set = dict(pair.split("=", 1) for pair in options.set)
    figures = measure_speeds(options) if set(options.parts) - {"quality"} else {}
    if "quality" in options.parts:
        chosen = {"base": options.base, "threads": options.threads, **options.set}
        settings = LoraTrainingSettings.model_validate(chosen)
        folder = options.students / options.file.stem
        figures[options.file.stem] = measure_quality(options.file, settings, folder)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
