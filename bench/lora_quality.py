"""How well LoRA students do on recorded tasks: trained on the recorded past, measured on the last fifth.

Part of `bench/lora.py --parts quality`. The product's own trainer trains on the training split of the first four fifths
and calibrates on the validation split. Thresholds are then fixed on all calls of that past that were not trained on:
`calibrated`, the loosest from which 95% of them agree, `even`, the loosest whose agreement is as likely above 95% as
below (the median of the same bound), and `proven`, the loosest from which they agree 95% by a lower 95% bound (Clopper
and Pearson). Answers and confidences are those of llama.cpp on the quantised base, as served; they are kept in the
student's folder.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from bench.extraction import read_examples
from numpy.typing import NDArray

from understudies.datasets.dataset import Dataset, Example
from understudies.events import split_of
from understudies.judges.base import Judge
from understudies.judges.choice import choose_judge
from understudies.stats.bounds import clopper_pearson_lower
from understudies.students.base import StudentError
from understudies.students.lora.llama_cpp import LlamaCppEngine
from understudies.students.lora.settings import LoraServingSettings
from understudies.students.lora.student import LoraStudent
from understudies.trainer.lora.settings import LoraTrainingSettings
from understudies.trainer.lora.trainer import train_lora
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import NotApplicable, TrainingData

_CALLS: Final = 2000
_METRICS: Final = "metrics.json"
_OUTCOMES: Final = "outcomes.json"
_P0: Final = 0.95
_BOUNDS: Final[tuple[tuple[str, Callable[[int, int], float]], ...]] = (
    ("calibrated", lambda agree, n: agree / n),
    ("even", lambda agree, n: clopper_pearson_lower(agree, n, alpha=0.5)),
    ("proven", clopper_pearson_lower),
)


def measure_quality(path: Path, settings: LoraTrainingSettings, folder: Path) -> dict[str, Any]:
    """Train a student of one task, unless `folder` has it already, and answer the last fifth."""
    examples = [one.model_copy(update={"split": split_of(one.fingerprint)}) for one in read_examples(path)[:_CALLS]]
    past, last = examples[: -(len(examples) // 5)], examples[-(len(examples) // 5) :]
    judge = choose_judge([one.answer for one in past])
    metrics = _train(path.stem, past, judge, settings, folder)
    files = {one.name: one.read_bytes() for one in folder.iterdir() if one.name not in (_METRICS, _OUTCOMES)}
    serving = LoraServingSettings(base=settings.base, slots=8, slot_tokens=512, answer_timeout_s=1800)
    student = LoraStudent.from_files(files, LlamaCppEngine(serving))
    evidence = [one for one in past if one.split == "evidence"]
    began = time.perf_counter()
    confidences, agreed = asyncio.run(_ask_and_close(student, [*evidence, *last], judge))
    seconds = time.perf_counter() - began
    # The validation calls were answered when the student was calibrated.
    validated = metrics.pop("validated")
    known = np.array([confidence for confidence, _ in validated] + confidences[: len(evidence)].tolist())
    right = np.array([was_right for _, was_right in validated] + agreed[: len(evidence)].tolist())
    last_known, last_right = confidences[len(evidence) :], agreed[len(evidence) :]
    outcomes = {"held_out": [known.tolist(), right.tolist()], "last": [last_known.tolist(), last_right.tolist()]}
    (folder / _OUTCOMES).write_text(json.dumps(outcomes))
    return {
        "calls": len(last),
        **{name: _served(loosest_threshold(known, right, bound), last_known, last_right) for name, bound in _BOUNDS},
        "agreement_all": round(float(last_right.mean()), 4),
        "held_out": {"calls": len(known), "agreement": round(float(right.mean()), 4)},
        "answers_per_s": round(len(confidences) / seconds, 2),
        **metrics,
    }


def loosest_threshold(
    confidences: NDArray[np.float64], agreed: NDArray[np.bool_], lower: Callable[[int, int], float]
) -> float:
    """The lowest confidence from which the lower bound of agreement reaches p0; 2.0 if none does."""
    order = np.argsort(-confidences, kind="stable")
    right = np.cumsum(agreed[order])
    passing = [place for place in range(len(order)) if lower(int(right[place]), place + 1) >= _P0]
    return float(confidences[order[passing[-1]]]) if passing else 2.0


def _served(threshold: float, confidences: NDArray[np.float64], agreed: NDArray[np.bool_]) -> dict[str, Any]:
    served = confidences >= threshold
    return {
        "threshold": round(threshold, 4),
        "served_share": round(float(served.mean()), 4),
        "agreement_served": round(float(agreed[served].mean()), 4) if served.any() else None,
    }


def _train(
    task: str, past: Sequence[Example], judge: Judge, settings: LoraTrainingSettings, folder: Path
) -> dict[str, Any]:
    """Write the student's files and metrics into the folder, and return the metrics with the validation calls."""
    if not (folder / _METRICS).is_file():
        data = TrainingData(Dataset(task, tuple(past)), judge, seed=0)
        trained = train_lora(data, TrainerSettings(kinds=("lora",), lora=settings))
        if isinstance(trained, NotApplicable):
            raise SystemExit(f"{task}: {trained.reason}")
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in trained.files.items():
            (folder / name).write_bytes(content)
        validated = [(one.confidence, one.agreed) for one in trained.validation_calls]
        (folder / _METRICS).write_text(json.dumps({**trained.metrics, "validated": validated}))
    found: dict[str, Any] = json.loads((folder / _METRICS).read_text())
    return found


async def _ask_and_close(
    student: LoraStudent, examples: Sequence[Example], judge: Judge
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Confidences and agreements; what is not answered is never served."""
    try:
        await student.answer([examples[0].request])
        both = await asyncio.gather(*(_judged(student, one, judge) for one in examples))
    finally:
        await student.close()
    return np.array([confidence for confidence, _ in both]), np.array([agreed for _, agreed in both])


async def _judged(student: LoraStudent, example: Example, judge: Judge) -> tuple[float, bool]:
    try:
        answer = await student.answer_until(example.request, 0.0)
    except StudentError:
        return 0.0, False
    return answer.confidence, judge.judge(example.answer, answer.message).agreed
