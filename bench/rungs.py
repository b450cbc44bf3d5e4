"""Which rung the factory picks on recorded tasks: a prompt for a small model, a provider's fine-tuning, or neither.

    python -m bench.rungs BASE.gguf --task rate_book --rung api_fine_tune [--calls 300] [--form lines]
    python -m bench.rungs BASE.gguf --task get_weather --rung prompt_optimised --form city

The ladder of the product tries classifier, extractor and the rung on the first calls of a recorded task, and the best
by what it is expected to save is kept; then every candidate is asked about calls that come later. `--form lines` writes
the recorded answers as lines of text (`city: Rome`), and a field's name asks for that field alone, as text: neither
classifiers nor extractors can write them, and that is what teachers answer where nobody asked for JSON. The small model
is a real one, served by llama.cpp, priced per token. The provider is a server here that speaks OpenAI's fine-tuning API
and trains an adapter of that model on the file that it is sent, by this product's own LoRA training. The last line is
one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from bench.extraction import DATA, read_examples
from bench.prompts import local_model
from tests.support.fine_tuning_server import FineTuningServer, serve

from understudies.datasets.dataset import Dataset, Example
from understudies.events import Message, Request, Split, fingerprint, split_of
from understudies.judges.choice import choose_judge
from understudies.stats.coverage import ideal_coverage
from understudies.students.base import StudentError
from understudies.students.calibration import Calibration
from understudies.students.lora.llama_cpp import LlamaCppEngine
from understudies.students.lora.settings import LoraServingSettings
from understudies.students.lora.student import LoraStudent
from understudies.trainer.fine_tuning.settings import FineTuningSettings
from understudies.trainer.lora.settings import LoraTrainingSettings
from understudies.trainer.lora.trainer import train_lora
from understudies.trainer.prompts.settings import PromptSettings
from understudies.trainer.selection import Selection, StudentCandidate, select_student
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import TRAINERS, NotApplicable, TrainingData
from understudies.trainer.validation import judge_student

P0: Final = 0.95
TEACHER_USD: Final = Decimal("0.002")
"""The price of a large model's answer to such a call, with a prompt of some hundred tokens."""
USD_PER_MILLION_TOKENS: Final = "0.02"
USD_PER_MILLION_TRAINING_TOKENS: Final = Decimal("0.50")
_NAMED: Final = "UNDERSTUDIES_ENDPOINTS__TUNED__"


def as_lines(answer: str) -> str:
    """Return an answer's fields as lines of text.

    >>> as_lines('{"city": "Rome", "timeRange": "now"}')
    'city: Rome\\ntimeRange: now'
    """
    return "\n".join(f"{name}: {value}" for name, value in json.loads(answer).items())


def read_task(task: str, form: str, count: int) -> list[Example]:
    """Return the first calls of a task, split as the product does it; of a field, those that have one."""
    examples: list[Example] = []
    for one in read_examples(DATA / f"{task}.jsonl"):
        if len(examples) == count:
            break
        request, answer = one.request, one.answer
        if form != "json":
            fields = json.loads(answer.text)
            if form not in (*fields, "lines"):
                continue
            asked = request.messages[0].text.replace("as a JSON object", "as lines")
            if form != "lines":
                asked = f"Answer with the {form} in this request, and nothing else."
            request = Request(messages=(Message(role="system", content=asked), *request.messages[1:]))
            text = as_lines(answer.text) if form == "lines" else str(fields[form])
            answer = Message(role="assistant", content=text)
        print_ = fingerprint(request)
        update = {"request": request, "answer": answer, "fingerprint": print_, "split": split_of(print_)}
        examples.append(one.model_copy(update=update))
    return examples


class Provider(FineTuningServer):
    """A provider whose jobs train an adapter of a base model on the file that was sent, and which then serves it."""

    def __init__(self, base: Path, epochs: float) -> None:
        super().__init__()
        self._base, self._epochs = str(base), epochs
        self._engine = LlamaCppEngine(LoraServingSettings(base=self._base, slots=1, answer_timeout_s=1800))
        self._student: LoraStudent | None = None
        self._training: asyncio.Task[None] | None = None
        self.seconds = 0.0

    def job_state(self, job: Any) -> str:
        """Start the training at the first look; the job ends when it has ended."""
        if self._training is None:
            self._training = asyncio.ensure_future(self._train(self.trained[job.training_file]))
        if self._training.done():
            job.state = "failed" if self._training.exception() else "succeeded"
        return str(job.state)

    async def complete(self, request: dict[str, Any]) -> tuple[str, float]:
        """Answer by the adapter, with the log-probability of the whole answer."""
        if self._student is None:
            raise KeyError(f"model {request['model']}")
        asked = Request(messages=tuple(Message.model_validate(one) for one in request["messages"]))
        try:
            [answer] = await self._student.answer([asked])
        except StudentError as error:
            raise ValueError(str(error)) from error
        return answer.message.text, math.log(max(answer.confidence, 1e-9))

    async def _train(self, content: bytes) -> None:
        began = time.monotonic()
        lines = [[Message.model_validate(one) for one in json.loads(line)["messages"]] for line in content.splitlines()]
        examples = [self._example(number, turns) for number, turns in enumerate(lines)]
        settings = TrainerSettings(lora=LoraTrainingSettings(base=self._base, epochs=self._epochs))
        judge = choose_judge([one.answer for one in examples])
        data = TrainingData(Dataset("job", tuple(examples)), judge, 0, report=lambda line: print(line, flush=True))
        outcome = await asyncio.to_thread(train_lora, data, settings)
        if isinstance(outcome, NotApplicable):
            raise RuntimeError(outcome.reason)
        student = LoraStudent.from_files(dict(outcome.files), self._engine)
        # A provider's log-probabilities are the model's own.
        self._student = student.with_calibration(Calibration())
        self.seconds = time.monotonic() - began

    @staticmethod
    def _example(number: int, turns: Sequence[Message]) -> Example:
        request = Request(messages=tuple(turns[:-1]))
        # A provider holds some of the file out, to stop in time.
        split: Split = "validation" if number % 8 == 7 else "train"
        now = datetime(2026, 1, 5, tzinfo=UTC)
        return Example(
            id=str(number), at=now, fingerprint=fingerprint(request), split=split, teacher="file", request=request,
            answer=turns[-1],
        )  # fmt: skip


@contextmanager
def provider(base: Path, epochs: float) -> Iterator[Provider]:
    """Run a provider on an event loop of its own, and declare the endpoint that serves what it trains."""
    loop, ready, stopping = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    held: list[Provider] = []

    async def run() -> None:
        held.append(Provider(base, epochs))
        async with serve(held[0]):
            ready.set()
            await stopping.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    ready.wait()
    os.environ |= {
        f"{_NAMED}BASE_URL": f"{held[0].url}/v1",
        f"{_NAMED}MODEL": "small-1",
        f"{_NAMED}TIMEOUT_SECONDS": "1800",
        f"{_NAMED}CONCURRENCY": "1",
        f"{_NAMED}STREAMED": "never",
        f"{_NAMED}USD_PER_MILLION_PROMPT_TOKENS": USD_PER_MILLION_TOKENS,
        f"{_NAMED}USD_PER_MILLION_COMPLETION_TOKENS": USD_PER_MILLION_TOKENS,
    }
    try:
        yield held[0]
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join()


def later(candidate: StudentCandidate, examples: Sequence[Example], data: TrainingData) -> dict[str, Any]:
    """Ask a candidate about calls that came later."""
    if isinstance(candidate.outcome, NotApplicable):
        return {"declined": candidate.outcome.reason}
    calls = judge_student(candidate.outcome.student, examples, data.judge)
    confidences, scores = [call.confidence for call in calls], [float(call.agreed) for call in calls]
    return {
        "expected_coverage": round(candidate.expected_coverage, 4),
        "answer_usd": format(candidate.answer_cost, "f"),
        "expected_saving_usd": format(candidate.saving(data.teacher_cost_usd), "f"),
        "training_usd": format(candidate.outcome.charged_usd, "f"),
        "agreement_later": round(sum(scores) / len(scores), 4),
        "served_later_at_95": round(ideal_coverage(confidences, scores, P0), 4),
    }


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Climb the ladder on the first calls, and ask all candidates about those that came later."""
    examples = read_task(given.task, given.form, given.calls + given.later)
    known, unseen = examples[: given.calls], examples[given.calls :]
    judge = choose_judge([one.answer for one in known if one.split == "train"])
    dataset = Dataset(given.task, tuple(known))
    data = TrainingData(dataset, judge, 0, teacher_cost_usd=TEACHER_USD, student=f"{given.task}@1", report=print)
    settings = TrainerSettings(
        kinds=("classifier", "extractor", given.rung),
        prompts=PromptSettings(
            endpoint="small" if given.rung == "prompt_optimised" else None,
            max_calls=given.max_calls, compared=24, batch=4, shots=(4, 8), validation=given.validation,
        ),
        fine_tuning=FineTuningSettings(
            endpoint="tuned" if given.rung == "api_fine_tune" else None,
            base="small-1", poll_s=2, validation=given.validation,
            usd_per_million_training_tokens=USD_PER_MILLION_TRAINING_TOKENS,
        ),
    )  # fmt: skip
    found: Selection = select_student(TRAINERS, data, settings, P0)
    best = found.best(settings)
    return {
        "bench": "rungs",
        "task": given.task,
        "form": given.form,
        "calls": given.calls,
        "judge": type(judge).__name__,
        "picked": best.kind if best is not None else None,
        "why": None if best is not None else found.rejection_reason(settings),
        "training_examples": len(dataset.in_split("train")),
        "candidates": {one.name: later(one, unseen, data) for one in found.candidates},
    }


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("--task", default="rate_book", choices=("rate_book", "play_music", "get_weather"))
    parser.add_argument("--form", default="json", help="json, lines, or a field's name")
    parser.add_argument("--rung", default="prompt_optimised", choices=("prompt_optimised", "api_fine_tune"))
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--later", type=int, default=100)
    parser.add_argument("--validation", type=int, default=60)
    parser.add_argument("--max-calls", type=int, default=150)
    parser.add_argument("--epochs", type=float, default=3.0)
    given = parser.parse_args()
    if given.rung == "prompt_optimised":
        with local_model(given.base, 1):
            print(json.dumps(measure(given)), flush=True)
    else:
        with provider(given.base, given.epochs) as trained:
            found = measure(given)
            print(json.dumps(found | {"provider_seconds": round(trained.seconds)}), flush=True)
    # Without waiting for the threads of llama.cpp.
    os._exit(0)


if __name__ == "__main__":
    main()
