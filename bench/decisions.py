"""A decision API as a student, beside classifiers, on growing parts of banking77.

Run as `python -m bench.decisions [calls.jsonl.gz] [--sizes 100 300 1000 3000]`; the last line is one JSON object. The
API is a server here that speaks `/v1/decisions` before a real zero-shot model: the share of each choice is the softmax
of the cosines between the sentence encoder's vectors of the input and of the choice's name. It knows nothing of this
teacher, and states probabilities that are far from its agreement (`--sharpness` 40: overconfident; 10: underconfident).
Each part is laddered as the trainer does it, then the students are asked about the 1,500 calls after the largest part.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
from tests.support.decision_server import decision_server

from understudies.datasets.dataset import Dataset, Example
from understudies.events import Message, Request, fingerprint, split_of
from understudies.judges.choice import choose_judge
from understudies.stats.coverage import ideal_coverage
from understudies.students.calibration import calibration_error
from understudies.students.encoder.sentence_encoder import sentence_encoder
from understudies.trainer.selection import Selection, select_student
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import TRAINERS, TrainedStudent, TrainingData
from understudies.trainer.validation import judge_student

DATA: Final = Path("../shared/data/banking77.jsonl.gz")
TEACHER_USD: Final = Decimal("0.03")
USD_PER_MILLION_TOKENS: Final = "0.05"
HELD_OUT: Final = 1_500
P0: Final = 0.95


def read_examples(path: Path, count: int) -> list[Example]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        calls = [json.loads(line) for _, line in zip(range(count), lines, strict=False)]
    start = datetime(2026, 1, 5, tzinfo=UTC)
    examples = []
    for number, call in enumerate(calls):
        messages = tuple(Message.model_validate(one) for one in call["messages"])
        request = Request(messages=messages[:-1], temperature=0)
        print_ = fingerprint(request)
        examples.append(
            Example(
                id=f"call-{number}",
                at=start + timedelta(minutes=number),
                fingerprint=print_,
                split=split_of(print_),
                teacher=call["model"],
                request=request,
                answer=messages[-1],
            )
        )
    return examples


def zero_shot(sharpness: float) -> Any:
    """Return what decides by the encoder's vectors of input and choices."""
    encoder = sentence_encoder()

    def decide(text: str, values: list[str]) -> dict[str, float]:
        logits = sharpness * (encoder.vectors(values) @ encoder.vectors([text])[0])
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        return {value: round(float(share), 6) for value, share in zip(values, shares, strict=True)}

    return decide


def climb(examples: Sequence[Example], held_out: Sequence[Example]) -> dict[str, Any]:
    """The ladder on the examples, and what each candidate does on the held-out calls."""
    data = Dataset("banking", tuple(examples))
    judge = choose_judge([one.answer for one in data.in_split("train")])
    settings = TrainerSettings(decision_endpoint="bench", kinds=("decision", "classifier"))
    taught = TrainingData(data, judge, 0, teacher_cost_usd=TEACHER_USD)
    found: Selection = select_student(TRAINERS, taught, settings, P0)
    best = found.best(settings)
    rows: dict[str, Any] = {"chosen": best.name if best else None, "training_usd": str(found.cost_usd)}
    for candidate in found.candidates:
        if not isinstance(candidate.outcome, TrainedStudent):
            rows[candidate.name] = candidate.outcome.reason
            continue
        calls = judge_student(candidate.outcome.student, held_out, judge)
        confidences, agreed = [one.confidence for one in calls], [one.agreed for one in calls]
        rows[candidate.name] = {
            "agreement": round(sum(agreed) / len(agreed), 4),
            "served_at_95": round(ideal_coverage(confidences, [float(one) for one in agreed], P0), 4),
            "calibration_error": round(calibration_error(confidences, agreed), 4),
            "usd_per_1000": str(round(candidate.answer_cost * 1000, 6)),
            "metrics": {name: candidate.metrics[name] for name in ("calibration",) if name in candidate.metrics},
        }
    return rows


async def measure(path: Path, sizes: Sequence[int], sharpness: float) -> dict[str, Any]:
    examples = read_examples(path, max(sizes) + HELD_OUT)
    held_out = examples[max(sizes) :]
    rows: dict[str, Any] = {}
    async with decision_server(zero_shot(sharpness)) as server:
        named = "UNDERSTUDIES_ENDPOINTS__BENCH__"
        os.environ[f"{named}BASE_URL"], os.environ[f"{named}MODEL"] = server.base_url, "zero-shot"
        os.environ[f"{named}API"] = "decisions"
        os.environ[f"{named}USD_PER_MILLION_PROMPT_TOKENS"] = USD_PER_MILLION_TOKENS
        for size in sizes:
            rows[str(size)] = await asyncio.to_thread(climb, examples[:size], held_out)
            print(f"{size} calls: {json.dumps(rows[str(size)])}", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("calls", nargs="?", type=Path, default=DATA)
    parser.add_argument("--sizes", nargs="+", type=int, default=[100, 300, 1000, 3000])
    parser.add_argument("--sharpness", type=float, default=40.0)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(measure(given.calls, given.sizes, given.sharpness))))


if __name__ == "__main__":
    main()
