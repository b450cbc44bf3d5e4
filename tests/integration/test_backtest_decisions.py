"""A decision API on the whole way: asked, calibrated, proven, priced, and serving in a replayed fortnight."""

import json
import random
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console
from tests.support.decision_server import decision_server
from tests.support.distinct_words import distinct_words

from understudies.backtest.progress import ProgressDisplay
from understudies.backtest.run import BacktestOptions, backtest_log
from understudies.runtime.settings import settings_from
from understudies.trainer.settings import TrainerSettings

_QUEUES = {"kettle": "goods", "refund": "money", "password": "account"}


def write_log(path: Path, count: int) -> Path:
    """Calls whose queue one word in them decides."""
    draw = random.Random(1)
    lines = []
    for number in range(count):
        word = draw.choice(sorted(_QUEUES))
        asked = f"{distinct_words(number, words=4)} {word} {distinct_words(number + count, words=3)}"
        turns = (("system", "Name the queue."), ("user", asked), ("assistant", _QUEUES[word]))
        lines.append(json.dumps({"messages": [{"role": role, "content": text} for role, text in turns]}))
    path.write_text("\n".join(lines))
    return path


def decide(text: str, values: list[str]) -> dict[str, float]:
    """What a model knows that was never trained here, and of which it is too sure."""
    right = next((queue for word, queue in _QUEUES.items() if word in text), values[0])
    return {value: 0.999 if value == right else 0.001 / (len(values) - 1) for value in values}


async def test_a_decision_api_is_proven_and_serves_at_its_price(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with decision_server(decide) as server:
        named = "UNDERSTUDIES_ENDPOINTS__JURY__"
        monkeypatch.setenv(f"{named}BASE_URL", server.base_url)
        monkeypatch.setenv(f"{named}MODEL", "jury-1")
        monkeypatch.setenv(f"{named}API", "systemone")
        monkeypatch.setenv(f"{named}USD_PER_MILLION_PROMPT_TOKENS", "1")
        trainer = settings_from(TrainerSettings, kinds=("decision",), decision_endpoint="jury")
        options = BacktestOptions(trainer=trainer, teacher_price=Decimal("0.03"))
        with ProgressDisplay(Console(quiet=True)) as progress:
            report = await backtest_log(write_log(tmp_path / "calls.jsonl", 1_000), options, progress)
    [task] = report.tasks.values()
    assert task.outcome.outcome == "distilled"
    served = task.summary.totals
    assert served.served > 100
    assert served.agreement_served == 1.0
    assert set(server.paths) == {"/v1/systemone"}
    trained = [decision for decision in report.decisions if decision.event == "trained"]
    assert trained
    assert "decision is expected to serve" in str(trained[0])
