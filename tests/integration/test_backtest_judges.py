"""Each judge in a backtest of a small log, whose teacher writes one and the same answer in two ways."""

import asyncio
import json
import random
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.support.chat_server import chat_server, completion

from understudies.backtest.progress import ProgressDisplay
from understudies.backtest.report.report import TaskReport
from understudies.backtest.run import BacktestOptions, backtest_log
from understudies.budget.settings import BudgetSettings
from understudies.judge_backends.rubric_client import RubricClient
from understudies.judge_backends.settings import JudgeSettings
from understudies.judges.backends import BACKENDS
from understudies.runtime.rules.rules import Rules
from understudies.runtime.settings import settings_from
from understudies.students.endpoint.settings import Endpoint, EndpointSettings
from understudies.trainer.settings import TrainerSettings

ASKED = {"lamp": "how many lamps were sold", "refund": "list the refunds", "city": "orders by city please"}
MARKS = "false:0;of:600"

Wordings = Mapping[str, tuple[str, str]]

SQL: Wordings = {
    "lamp": (
        "SELECT count(*) FROM sold WHERE thing = 'lamp' AND year = 2026",
        "select count(*) from sold where year = 2026 and thing = 'lamp';",
    ),
    "refund": ("SELECT id FROM refunds", "```sql\nselect id\nfrom refunds\n```"),
    "city": (
        "SELECT city, count(*) FROM orders GROUP BY city",
        "SELECT city, COUNT(*) FROM orders -- by city\nGROUP BY city",
    ),
}
ROWS: Wordings = {
    "lamp": ("SELECT count(*) FROM sold WHERE thing = 'lamp'", "SELECT sum(thing = 'lamp') FROM sold"),
    "refund": ("SELECT thing FROM sold WHERE back", "SELECT s.thing FROM sold s WHERE s.back = 1"),
    "city": ("SELECT city FROM sold GROUP BY city", "SELECT DISTINCT city FROM sold"),
}
DATABASE = """
CREATE TABLE sold (thing TEXT, city TEXT, back INTEGER);
INSERT INTO sold VALUES ('lamp', 'Delft', 0), ('lamp', 'Gouda', 1), ('sofa', 'Delft', 0);
"""
CODE: Wordings = {
    "lamp": ("def f(x):\n    return x + 1", "def f(x): return x+1  # one more"),
    "refund": ("def f(x):\n    return -x", 'def f(x):\n    """Negate."""\n    return -x'),
    "city": ("def f(x):\n    return x * 2", "```python\ndef f(x):\n  return (x * 2)\n```"),
}
TESTED: Wordings = {
    "lamp": ("def f(x):\n    return abs(x)", "def f(x):\n    return x if x > 0 else -x"),
    "refund": ("def f(x):\n    return max(x, -x)", "def f(y):\n    return abs(y)"),
    "city": ("def f(n):\n    return abs(n)", "f = abs"),
}
TEXTS: Wordings = {
    "lamp": ("We sold twelve lamps last month.", "Last month we sold twelve lamps."),
    "refund": ("The customer got the money back.", "The money was given back to the customer."),
    "city": ("Most of the orders come from Delft.", "Most orders come from Delft."),
}
JSON: Wordings = {
    key: (json.dumps({"text": one, "price": "12.50"}), json.dumps({"text": other, "price": "€12.5"}))
    for key, (one, other) in TEXTS.items()
}


def write_log(path: Path, wordings: Wordings, count: int = 900) -> Path:
    draw = random.Random(1)
    lines = []
    for number in range(count):
        key = draw.choice(sorted(ASKED))
        turns = (
            ("system", "Answer the question of the shop."),
            ("user", f"{ASKED[key]}, number {number} {draw.randrange(1_000_000)}"),
            ("assistant", draw.choice(wordings[key])),
        )
        lines.append(json.dumps({"messages": [{"role": role, "content": text} for role, text in turns]}))
    path.write_text("\n".join(lines))
    return path


async def backtested(path: Path, judge: str, **tables: Any) -> TaskReport:
    options = BacktestOptions(
        budget=BudgetSettings(min_examples=200, growth=3),
        rules=Rules.model_validate({"judges": tables, "defaults": {"judge": judge}}),
        trainer=settings_from(TrainerSettings, kinds=("classifier",), encoder=False),
    )
    with ProgressDisplay(Console(quiet=True)) as progress:
        report = await backtest_log(path, options, progress)
    [task] = report.tasks.values()
    return task


@pytest.mark.parametrize(
    ("judge", "wordings", "tables"),
    [
        ("sql", SQL, {}),
        ("sql[shop]", ROWS, {"shop": {"kind": "sql", "database": DATABASE}}),
        ("code", CODE, {}),
        ("code[shop]", TESTED, {"shop": {"kind": "code", "tests": "assert f(-3) == 3\nassert f(2) == 2"}}),
        (f"semantic[threshold:0.8;{MARKS}]", TEXTS, {}),
        (f"json[numeric:price;semantic:text;threshold:0.8;{MARKS}]", JSON, {}),
    ],
    ids=lambda value: value.partition("[")[0] + "[" * ("[" in value) if isinstance(value, str) else None,
)
async def test_the_judge_sees_one_answer_where_the_teacher_writes_it_in_two_ways(
    judge: str, wordings: Wordings, tables: dict[str, Any], tmp_path: Path
) -> None:
    if judge.startswith("sql"):
        pytest.importorskip("sqlglot", reason="the extra understudies[sql] is not installed")
    task = await backtested(write_log(tmp_path / "calls.jsonl", wordings), judge, **tables)
    assert task.judge is not None
    assert task.judge.name.partition("[")[0] == judge.partition("[")[0]
    assert task.outcome.outcome == "distilled", task.outcome
    assert task.promise is not None
    assert " agrees with the teacher on at least 95% of what it serves" in task.promise.statement
    assert ("The judge errs" in task.promise.evidence) is ("false:" in judge)


@pytest.mark.parametrize(("judge", "wordings"), [("exact", TEXTS), ("semantic[threshold:0.8]", TEXTS)])
async def test_it_is_not_distilled_by_another_judge_nor_by_one_that_nobody_measured(
    judge: str, wordings: Wordings, tmp_path: Path
) -> None:
    task = await backtested(write_log(tmp_path / "calls.jsonl", wordings), judge)
    assert task.outcome.outcome != "distilled"
    assert task.summary.totals.served == 0


async def test_a_model_with_a_rubric_judges(tmp_path: Path) -> None:
    same = [set(pair) for pair in TEXTS.values()]

    def reply(body: dict[str, Any]) -> dict[str, Any]:
        text = body["messages"][1]["content"]
        return completion({"content": "YES" if any(all(one in text for one in pair) for pair in same) else "NO"})

    async with chat_server(reply) as server:
        endpoint = Endpoint(base_url=server.base_url, model="any", usd_per_million_prompt_tokens=Decimal(100))
        client = RubricClient(JudgeSettings(), EndpointSettings(endpoints={"checker": endpoint}))
        table = {"kind": "llm", "endpoint": "checker", "model": "judge-1", "rubric": "They mean the same."}
        spec = Rules.model_validate({"judges": {"tone": table}, "defaults": {"judge": "llm[tone]"}}).defaults.judge
        assert spec is not None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(BACKENDS, "rubric", client)
            path = write_log(tmp_path / "calls.jsonl", TEXTS)
            task = await backtested(path, f"{spec[:-1]};{MARKS}]", tone=table)
        await asyncio.to_thread(client.close)
        assert {body["model"] for body in server.bodies} == {"judge-1"}
    assert task.outcome.outcome == "distilled", task.outcome
    assert task.judge is not None
    assert "people contradicted 0 of 600 of its agreements" in task.judge.description
