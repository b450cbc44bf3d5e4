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
import json
import os
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from bench.extraction import DATA, read_examples
from bench.prompts import local_model
from tests.support.training_provider import provider_settings, training_provider

from understudies.datasets.dataset import Dataset, Example
from understudies.events import Message, Request, fingerprint, split_of
from understudies.judges.choice import choose_judge
from understudies.stats.coverage import ideal_coverage
from understudies.trainer.fine_tuning.settings import FineTuningSettings
from understudies.trainer.lora.settings import LoraTrainingSettings
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
        lora = LoraTrainingSettings(base=str(given.base), epochs=given.epochs)
        with training_provider(lora, print) as trained:
            os.environ |= provider_settings(trained, "tuned", USD_PER_MILLION_TOKENS)
            found = measure(given)
            print(json.dumps(found | {"provider_seconds": round(trained.seconds)}), flush=True)
    # Without waiting for the threads of llama.cpp.
    os._exit(0)


if __name__ == "__main__":
    main()
