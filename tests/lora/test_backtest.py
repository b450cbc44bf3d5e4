"""A LoRA student on the whole way: recorded, trained, judged, promoted, and serving in a replayed fortnight."""

import json
import random
from pathlib import Path

from rich.console import Console

from understudies.backtest.progress import ProgressDisplay
from understudies.backtest.run import BacktestOptions, backtest_log
from understudies.runtime.settings import settings_from
from understudies.trainer.lora.settings import LoraTrainingSettings
from understudies.trainer.settings import TrainerSettings

_NUMERALS = {"one": "1", "two": "2", "three": "3"}


def write_log(path: Path, count: int) -> Path:
    """Calls that a tiny base learns by heart in a hundred steps."""
    draw = random.Random(1)
    lines = []
    for _ in range(count):
        word = draw.choice(sorted(_NUMERALS))
        asked = f"order {word} please {draw.randrange(100_000)}"
        turns = (("system", "Name the number."), ("user", asked), ("assistant", _NUMERALS[word]))
        lines.append(json.dumps({"messages": [{"role": role, "content": text} for role, text in turns]}))
    path.write_text("\n".join(lines))
    return path


async def test_a_student_that_writes_is_proven_and_serves(base_folder: Path, tmp_path: Path) -> None:
    lora = LoraTrainingSettings(
        base=str(base_folder),
        epochs=40,
        max_steps=120,
        batch_tokens=1024,
        learning_rate=1e-2,
        evaluate_every=40,
        threads=1,
        precision="float32",
    )
    options = BacktestOptions(trainer=settings_from(TrainerSettings, kinds=("lora",), lora=lora))
    with ProgressDisplay(Console(quiet=True)) as progress:
        report = await backtest_log(write_log(tmp_path / "calls.jsonl", 1_200), options, progress)
    [task] = report.tasks.values()
    assert task.outcome.outcome == "distilled"
    served = task.summary.totals
    assert served.served > 0
    assert served.agreement_served is not None
    assert served.agreement_served >= 0.95
    assert task.promise is not None
