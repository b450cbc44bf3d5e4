"""The extractor on recorded extraction tasks: the first four fifths to learn from, the last fifth to answer.

    python bench/extraction.py [FILE.jsonl ...]

Without files, the three of ../shared/data. A threshold is chosen on a fifth of the first part, held out, as the loosest
whose answers agree 95% by a lower 95% bound (Clopper and Pearson); the extractor is then fitted on all of that part.
Beside it, in the same run, the classifier of closed answers. The last line is one JSON object.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudies.datasets.dataset import Example
from understudies.events import Message, Request, fingerprint
from understudies.judges.base import Judge
from understudies.judges.choice import choose_judge
from understudies.stats.bounds import clopper_pearson_lower
from understudies.students.base import Student
from understudies.students.classifier.student import ClassifierStudent, NotClosedSetError
from understudies.students.extractor.student import ExtractorStudent

DATA = Path(__file__).parents[2] / "shared" / "data"
TASKS = ("rate_book", "play_music", "get_weather")
BARS = {"rate_book": 0.95, "play_music": 0.60, "get_weather": 0.50}
_P0 = 0.95
_FEWEST = 100
"""Fewer answers could hardly pass if all agreed."""


def read_examples(path: Path) -> list[Example]:
    """The calls of a chat transcript, all as examples of the training split."""
    examples = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            *asked, answer = (Message.model_validate(one) for one in json.loads(line)["messages"])
            request = Request(messages=tuple(asked))
            examples.append(
                Example(
                    id=str(number),
                    at=datetime(2026, 1, 1, tzinfo=UTC),
                    fingerprint=fingerprint(request),
                    split="train",
                    teacher="recorded",
                    request=request,
                    answer=answer,
                )
            )
    return examples


def ask(student: Student, examples: Sequence[Example], judge: Judge) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Confidences and agreements."""
    answers = asyncio.run(student.answer([example.request for example in examples]))
    agreed = [
        judge.judge(example.answer, answer.message).agreed for example, answer in zip(examples, answers, strict=True)
    ]
    return np.array([answer.confidence for answer in answers]), np.array(agreed)


def choose_threshold(confidences: NDArray[np.float64], agreed: NDArray[np.bool_]) -> float:
    """The loosest confidence from which held-out answers agree at p0 by a lower 95% bound; 2.0 if none."""
    order = np.argsort(-confidences, kind="stable")
    threshold = 2.0
    for share in np.arange(0.1, 1.001, 0.01):
        served = int(share * len(order))
        if served >= _FEWEST:
            if clopper_pearson_lower(int(agreed[order[:served]].sum()), served) < _P0:
                break
            threshold = float(confidences[order[served - 1]])
    return threshold


def measure(path: Path) -> dict[str, Any]:
    examples = read_examples(path)
    first, last = examples[: -(len(examples) // 5)], examples[-(len(examples) // 5) :]
    judge = choose_judge([example.answer for example in first])
    held_out = first[::5]
    part = [example for number, example in enumerate(first) if number % 5]
    threshold = choose_threshold(*ask(ExtractorStudent.fit(part, judge, seed=0, encoder=True), held_out, judge))
    began = time.process_time()
    student = ExtractorStudent.fit(first, judge, seed=0, encoder=True)
    fitted = time.process_time()
    confidences, agreed = ask(student, last, judge)
    answered = time.process_time()
    served = confidences >= threshold
    try:
        classifier = ClassifierStudent.fit(part, held_out, seed=0, judge=judge)
        closed = float(ask(classifier, last, judge)[1].mean())
    except NotClosedSetError:
        closed = 0.0
    return {
        "served": round(float(served.mean()), 3),
        "agreement": round(float(agreed[served].mean()), 3) if served.any() else None,
        "right_in_all": round(float(agreed.mean()), 3),
        "right_of_classifier": round(closed, 3),
        "fit_cpu_s": round(fitted - began, 1),
        "answer_cpu_ms": round((answered - fitted) / len(last) * 1e3, 2),
        "artifact_kb": round(sum(map(len, student.to_files().values())) / 1e3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, default=[DATA / f"{task}.jsonl" for task in TASKS])
    figures: dict[str, Any] = {}
    for path in parser.parse_args().files:
        figures[path.stem] = measure(path)
        print(f"{path.stem}: {figures[path.stem]}", file=sys.stderr)
    reached = {
        task: figures[task]["served"] >= bar and (figures[task]["agreement"] or 0.0) >= _P0
        for task, bar in BARS.items()
        if task in figures
    }
    print(json.dumps({**figures, "bars": BARS, "reached": reached}))


if __name__ == "__main__":
    main()
