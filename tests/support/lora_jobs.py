"""Jobs that a tiny base learns in a few steps: numerals from words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from understudies.trainer.lora.job import TextExample, TrainingJob
from understudies.trainer.lora.settings import LoraTrainingSettings

WORDS = ("one", "two", "three")


def texts(count: int, first: int = 0, answers: Sequence[str] = ("1", "2", "3")) -> list[TextExample]:
    """Requests with the numeral to answer, or what is answered in its place."""
    return [
        TextExample(
            turns=[{"role": "user", "content": f"order {WORDS[number % 3]} please {number * 7919 % 97}"}],
            answer=answers[number % 3],
        )
        for number in range(first, first + count)
    ]


def job(base: Path, **settings: Any) -> TrainingJob:
    """A job of a few dozen steps, to be learned by heart."""
    chosen: dict[str, Any] = {
        "rank": 8,
        "learning_rate": 1e-2,
        "epochs": 12,
        "batch_tokens": 512,
        "row_tokens": 128,
        "min_examples": 10,
        "evaluate_every": 10,
        "threads": 1,
        "precision": "float32",
        **settings,
    }
    return TrainingJob(weights=base, base_name="tiny", judge="exact", seed=1, settings=LoraTrainingSettings(**chosen))
