"""Logs of unnamed calls with a customer's record in each system prompt: one task, learnt or rejected, never guessed."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random

from tests.support.backtest_runs import BacktestRun, run_small_backtest
from tests.support.contexts import examples_decided_by_record
from tests.support.datasets import START

from understudies.events import Promotion


def log(path: Path, n: int, answer: Callable[[str, Random], str] | None = None) -> Path:
    """So many calls over eight days, of four texts."""
    lines = []
    for number, example in enumerate(examples_decided_by_record(n, answer)):
        turns = [message.model_dump(mode="json", include={"role", "content"}) for message in example.request.messages]
        said = {"role": "assistant", "content": example.answer.text}
        at = START + timedelta(days=8 * number / n)
        lines.append(json.dumps({"messages": [*turns, said], "created": at.timestamp()}))
    path.write_text("\n".join(lines) + "\n")
    return path


def stories(of: BacktestRun, *stages: str) -> list[Promotion]:
    return [event for event in of.events if isinstance(event, Promotion) and event.stage in stages]


def test_what_the_record_alone_decides_is_learnt(tmp_path: Path) -> None:
    done = run_small_backtest(log(tmp_path / "calls.jsonl", 1200))
    [task] = done.report.to_dict()["tasks"]
    [trained, *_] = stories(done, "trained")
    context = trained.evidence["context"]
    assert isinstance(context, dict)
    assert context["differs"] == 1.0
    assert stories(done, "promoted")
    served = [call for call in done.calls_of(task) if call.served_by == "student"]
    # How many depends a little on how a processor rounds: from 196 to over 200 of the 450 after the promotion.
    assert len(served) > 150
    right = [("yes" if "Plan: gold" in call.request.system else "no") for call in served]
    given = [call.response.message.text for call in served if call.response is not None]
    assert sum(one == other for one, other in zip(right, given, strict=True)) >= 0.95 * len(served)


def test_what_no_student_can_see_is_rejected_and_says_how_prompts_differ(tmp_path: Path) -> None:
    done = run_small_backtest(log(tmp_path / "calls.jsonl", 450, lambda _, rng: rng.choice(("yes", "no"))))
    assert len(done.report.to_dict()["tasks"]) == 1
    assert not stories(done, "promoted")
    reasons = [story.reason for story in stories(done, "rejected")]
    assert any("the system prompt differs from call to call in 100% of calls" in reason for reason in reasons)
