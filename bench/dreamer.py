"""What synthetic examples are worth to a student with few real ones of some labels.

    python -m bench.dreamer --base SmolLM2-135M-Instruct.gguf [--examples 1500] [--seeds 3]

Two real models are the teacher: a small language model, served by llama.cpp, writes the inputs, and a classifier that
learned all of banking77's training calls answers them; to the student, which learns from a few of these calls with most
of the rare labels' ones taken out, it is what an expensive model is to a cheap one. The student is trained with and
without what the Dreamer wrote, at equal real examples, and both answer the test calls: `served` is the share of them at
95% agreement with the recorded teacher. Needs the environment of LoRA students (`make .venv-lora/.lora`). The last line
is one JSON object.
"""

import argparse
import asyncio
import json
import logging
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web
from bench.banking77 import DATA, LabelledTexts, read_split

from understudies.datasets.dataset import Dataset, Example, write_dataset
from understudies.datasets.object_store import ObjectStore
from understudies.events import Invocation, Message, Promotion, Request, SeededIds, fingerprint, split_of
from understudies.judges.registry import parse_judge
from understudies.runtime.rules.rules import Rules
from understudies.runtime.rules.task import TaskRules
from understudies.students.classifier.model import ClassifierModel, fit_classifier
from understudies.students.lora.llama_cpp_process import ServerOptions
from understudies.students.lora.llama_cpp_server import LlamaCppServer
from understudies.trainer.ablation import select_by_ablation
from understudies.trainer.dreamer.dreamer import Dreamer
from understudies.trainer.selection import Selection, select_student
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import TRAINERS, TrainedStudent, TrainingData
from understudies.trainer.validation import Validation, judge_student

TASK, SYSTEM = "intent", "Name the intent of the customer's message to a bank, as one label."
JUDGE = parse_judge("label")
P0, BAR = 0.95, 0.05
BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
RULES = TaskRules.model_validate({"dream_daily_budget_usd": "1000", "dream_hours": "0-0", "judge": "label"})


class Teacher:
    """An endpoint: the language model writes, the classifier answers."""

    def __init__(self, answers: ClassifierModel, writer: LlamaCppServer) -> None:
        self._answers = answers
        self._writer = writer

    async def complete(self, request: web.Request) -> web.Response:
        """Answer a chat completion."""
        body = await request.json()
        if "JSON array" in body["messages"][0]["content"]:
            generation = await self._writer.chat.complete(
                {"messages": body["messages"], "temperature": 0.9, "max_tokens": 300}
            )
            text = generation.message().text
        else:
            [text] = self._answers.predict([body["messages"][-1]["content"]])[0]
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": len(str(body)) // 4, "completion_tokens": len(text) // 4 + 1}
        return web.json_response({"id": "c", "choices": [choice], "usage": usage})


def make_example(text: str, label: str, number: int, **rest: Any) -> Example:
    request = Request(
        messages=(Message(role="system", content=SYSTEM), Message(role="user", content=text)), temperature=0
    )
    print_ = fingerprint(request)
    answer = Message(role="assistant", content=label)
    fields: dict[str, Any] = {"split": split_of(print_), **rest}
    at = BEGIN + timedelta(minutes=number)
    return Example(
        id=f"call-{number}", at=at, fingerprint=print_, teacher="teacher", request=request, answer=answer, **fields
    )


def draw_examples(calls: LabelledTexts, count: int, rare_share: float, seed: int) -> list[Example]:
    """Draw calls, of which a share of the labels has two training examples at most."""
    rng = random.Random(seed)
    labels = sorted(set(calls.labels))
    rare = set(rng.sample(labels, round(rare_share * len(labels))))
    seen: Counter[str] = Counter()
    drawn: list[Example] = []
    for index in rng.sample(range(len(calls.texts)), len(calls.texts)):
        label = calls.labels[index]
        example = make_example(calls.texts[index], label, len(drawn))
        if example.split == "train" and label in rare:
            seen[label] += 1
            if seen[label] > 2:
                continue
        drawn.append(example)
        if len(drawn) == count:
            break
    return drawn


async def write_examples(
    examples: Sequence[Example], settings: TrainerSettings, folder: Path, most_batches: int
) -> tuple[list[Example], dict[str, Any]]:
    """Have the Dreamer write until it has its share, or for so many batches."""
    files = ObjectStore(f"file://{folder}")
    dreamer = Dreamer(settings, object_store=files, new_id=SeededIds(1), rules=Rules(defaults=RULES), trainers=TRAINERS)
    uri = write_dataset(files, TASK, examples)[0]
    dreamer.observe(Promotion(id="p", at=BEGIN, task=TASK, student=f"{TASK}@1", stage="trained", dataset=uri))
    events: list[Invocation] = []
    began = time.perf_counter()
    for batch in range(most_batches):
        found = await dreamer.dream(BEGIN + timedelta(days=30, minutes=11 * batch))
        if not found:
            break
        events += found
        if batch % 10 == 9:
            print(f"batch {batch + 1}: {sum(e.response is not None for e in events)} examples", flush=True)
    await dreamer.close()
    kept = [event for event in events if event.response is not None]
    written = sum(int((event.error or "0 of 0").split()[2]) for event in events if event.error)
    examples = [
        make_example(
            event.request.messages[-1].text, event.response.message.text, 10**6 + number, split="train", synthetic=True
        )
        for number, event in enumerate(kept)
        if event.response is not None
    ]
    weaknesses = Counter(event.tags["weakness"] for event in kept)
    figures = {
        "written": written,
        "kept": len(kept),
        "near": dict(weaknesses),
        "seconds": round(time.perf_counter() - began),
    }
    return examples, figures


def measure(
    real: Sequence[Example], written: Sequence[Example], test: LabelledTexts, settings: TrainerSettings
) -> dict[str, Any]:
    """Train with and without, and answer the test calls with both."""
    tried: dict[str, Selection] = {}

    def select(data: TrainingData) -> Selection:
        selection = select_student([one for one in TRAINERS if one.kind == "classifier"], data, settings, P0)
        tried["with" if any(one.synthetic for one in data.dataset.examples) else "without"] = selection
        return selection

    _, _, ablation = select_by_ablation(TrainingData(Dataset(TASK, (*real, *written)), JUDGE, 0), settings, select)
    asked = [make_example(text, label, number) for number, (text, label) in enumerate(zip(*test, strict=True))]
    found: dict[str, Any] = {} if ablation is None else {"validation": ablation.evidence}
    for name, selection in tried.items():
        outcome = selection.trained[0].outcome
        assert isinstance(outcome, TrainedStudent)
        validation = Validation(judge_student(outcome.student, asked, JUDGE), P0)
        found[name] = {"served": round(validation.expected_coverage, 4), "agreement": round(validation.agreement, 4)}
    if len(found) == 3:
        found["gain"] = round(found["with"]["served"] - found["without"]["served"], 4)
    return found


async def run(options: argparse.Namespace) -> dict[str, Any]:
    calls, test = read_split(options.calls, "train"), read_split(options.calls, "test")
    print("the teacher learns all of the training calls", flush=True)
    answers = fit_classifier(calls.texts, calls.labels, seed=0, encoder=options.encoder)
    served = ServerOptions(base=options.base, adapters=(), slots=1, slot_tokens=2048, threads=options.threads)
    writer = await LlamaCppServer.start(served, (), start_timeout_s=120, answer_timeout_s=300)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", Teacher(answers, writer).complete)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    prefix = "UNDERSTUDIES_ENDPOINTS__TEACHER__"
    os.environ[prefix + "BASE_URL"] = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    os.environ[prefix + "MODEL"] = "teacher"
    os.environ[prefix + "TIMEOUT_SECONDS"] = "300"
    os.environ[prefix + "USD_PER_MILLION_PROMPT_TOKENS"] = "1"
    settings = TrainerSettings(encoder=False, dream_endpoint="teacher", kinds=("classifier",))
    figures: dict[str, Any] = {"bench": "dreamer", "examples": options.examples, "bar": BAR, "seeds": []}
    try:
        for seed in range(options.seeds):
            real = draw_examples(calls, options.examples, options.rare, seed)
            with tempfile.TemporaryDirectory() as folder:
                written, about = await write_examples(real, settings, Path(folder), options.batches)
            found = await asyncio.to_thread(measure, real, written, test, replace_encoder(settings, options.encoder))
            figures["seeds"].append({"seed": seed, "real": len(real), **about, **found})
            print(json.dumps(figures["seeds"][-1]), flush=True)
    finally:
        await runner.cleanup()
        await writer.stop()
    gains = [one["gain"] for one in figures["seeds"] if "gain" in one]
    figures["mean_gain"] = round(sum(gains) / len(gains), 4) if gains else None
    figures["reached"] = bool(gains) and figures["mean_gain"] >= BAR
    return figures


def replace_encoder(settings: TrainerSettings, encoder: bool) -> TrainerSettings:
    return settings.model_copy(update={"encoder": encoder})


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("calls", type=Path, nargs="?", default=DATA)
    parser.add_argument("--base", type=Path, required=True, help="the GGUF of the model that writes")
    parser.add_argument("--examples", type=int, default=1500, help="real examples of all splits")
    parser.add_argument("--rare", type=float, default=0.3, help="share of the labels with two training examples")
    parser.add_argument("--batches", type=int, default=200, help="most calls to the writer, for each seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--encoder", action="store_true", help="with the sentence encoder")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    print(json.dumps(asyncio.run(run(options))))


if __name__ == "__main__":
    main()
