"""The judge that the rules choose decides in the process that trains, too: it stops early by its agreement."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.lora.test_ladder import numerals, settings
from tests.support.chat_server import chat_server, completion
from tests.support.lora_jobs import job, texts

from understudies.judge_backends.rubric_client import RubricClient
from understudies.judges.backends import BACKENDS
from understudies.judges.cost_sum import CostSum
from understudies.judges.fallible import counting_cost
from understudies.judges.materials import keep_material
from understudies.judges.registry import parse_judge
from understudies.runtime.rules.rules import Rules
from understudies.trainer.lora.job import Finished, TextExample
from understudies.trainer.lora.run import TrainingFailed, run_job, write_job
from understudies.trainer.trainers import TrainedStudent, TrainingData, train_lora

ONE_STEP: dict[str, Any] = {"max_steps": 1, "evaluate_every": 1}
"""After one step the model has learned nothing: what it says is noise, and `exact` agrees with none of it."""


def finished(
    base: Path, folder: Path, judge: str, *materials: str, answers: tuple[str, ...] = ("1", "2", "3")
) -> Finished:
    one = job(base, **ONE_STEP).model_copy(update={"judge": judge, "materials": materials})
    write_job(folder, one, texts(30, answers=answers), texts(6, first=200, answers=answers))
    return run_job(folder, 600.0, lambda _: None)


def test_noise_does_not_agree_to_the_letter(base_folder: Path, tmp_path: Path) -> None:
    assert finished(base_folder, tmp_path, "exact").agreement < 1.0


def test_answers_are_compared_by_meaning_where_the_rules_say_so(base_folder: Path, tmp_path: Path) -> None:
    found = finished(base_folder, tmp_path / "loose", "semantic[threshold:0.000001]")
    strict = finished(base_folder, tmp_path / "strict", "semantic[threshold:1]")
    assert any(answer.strip() for answer in found.answers)
    assert found.agreement > strict.agreement


@pytest.mark.parametrize(
    ("rules", "judge", "right"),
    [
        ({"kind": "code", "tests": "assert answer() == 1"}, "code[own]", "def answer(): return 1"),
        ({"kind": "sql", "database": "create table t (a); insert into t values (1);"}, "sql[own]", "select a from t"),
    ],
)
def test_tests_and_databases_of_the_rules_are_there(
    base_folder: Path, tmp_path: Path, rules: dict[str, Any], judge: str, right: str
) -> None:
    loaded = Rules.model_validate({"judges": {"own": rules}, "defaults": {"judge": judge}})
    name = loaded.defaults.judge
    assert name is not None
    spec = loaded.judges["own"].spec
    found = finished(base_folder, tmp_path / "with", name, spec, answers=(right,) * 3)
    assert 0.0 <= found.agreement <= 1.0
    assert found.judging_usd == 0


async def test_a_model_that_judges_is_asked_and_its_cost_comes_back(
    base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {"endpoint": "checker", "model": "judge-1", "rubric": "They agree.", "max_tokens": 16}
    spec = keep_material(json.dumps(table))
    async with chat_server(lambda body: completion({"content": "YES"})) as server:
        prefix = "UNDERSTUDIES_ENDPOINTS__CHECKER__"
        monkeypatch.setenv(f"{prefix}BASE_URL", server.base_url)
        monkeypatch.setenv(f"{prefix}MODEL", "judge-1")
        monkeypatch.setenv(f"{prefix}USD_PER_MILLION_PROMPT_TOKENS", "1000")
        monkeypatch.setenv(f"{prefix}USD_PER_MILLION_COMPLETION_TOKENS", "0")
        name = f"llm[own;spec:{spec}]"
        found = await asyncio.to_thread(finished, base_folder, tmp_path, name, json.dumps(table))
        assert found.agreement > finished_share_of_empty(found)
        asked = len(server.bodies)
        assert asked > 0
        assert found.judging_usd == asked * Decimal("0.007")
        # The whole training: what the child has spent, and what validation and parity spend here.
        client = RubricClient()
        monkeypatch.setattr(BACKENDS, "rubric", client)
        spending = CostSum()
        data = TrainingData(numerals(), counting_cost(parse_judge(name), spending), 1, judging=spending)
        trained = await asyncio.to_thread(train_lora, data, settings(base_folder))
        assert isinstance(trained, TrainedStudent), trained
        assert trained.metrics["answered_as_trained"] == 1.0
        assert spending.total_usd == (len(server.bodies) - asked) * Decimal("0.007") > 0
        await asyncio.to_thread(client.close)


def finished_share_of_empty(found: Finished) -> float:
    """The share of answers that no model is asked about, as they are empty."""
    return sum(not answer.strip() for answer in found.answers) / len(found.answers) - 1e-9


def test_a_judge_without_what_it_needs_is_the_reason_why_nothing_is_trained(base_folder: Path, tmp_path: Path) -> None:
    one = job(base_folder, **ONE_STEP).model_copy(update={"judge": "llm[own;spec:0123456789abcdef]"})
    write_job(tmp_path, one, texts(30), [TextExample(turns=texts(1)[0].turns, answer="never said")])
    with pytest.raises(TrainingFailed, match=r"restore its table \[judges.NAME\]"):
        run_job(tmp_path, 600.0, lambda _: None)
