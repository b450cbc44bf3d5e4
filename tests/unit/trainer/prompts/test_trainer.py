"""Prompt optimisation by GEPA itself, against a model that reads its prompt."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.chat_messages import assistant_message
from tests.support.chat_server import ChatServer, chat_server, completion
from tests.support.datasets import dataset, intents

from understudies.datasets.dataset import Dataset
from understudies.datasets.object_store import ObjectStore
from understudies.judge_backends.rubric_client import RubricClient
from understudies.judge_backends.settings import JudgeSettings
from understudies.judges.backends import BACKENDS, RubricAnswer
from understudies.judges.choice import choose_judge
from understudies.judges.cost_sum import CostSum
from understudies.judges.fallible import counting_cost
from understudies.judges.materials import keep_material
from understudies.judges.rubric import RubricJudge
from understudies.students.endpoint.settings import Endpoint, EndpointSettings
from understudies.students.few_shot.student import FewShotStudent
from understudies.trainer.journal import StoredJournal
from understudies.trainer.prompts.settings import PromptSettings
from understudies.trainer.selection import select_student
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import TRAINERS, NotApplicable, TrainedStudent, TrainingData, train_prompt

pytest.importorskip("gepa", reason="gepa is not installed (extra `prompts`)")
MAGIC = "Decide by the order number."


@dataclass
class Model:
    """A model that answers as the most similar shown example, in the form that it is asked for; it counts its calls.

    Told the rule, it needs no example; asked to write instructions, it writes the rule.
    """

    server: ChatServer
    fails: int = 0

    def reply(self, body: dict[str, Any]) -> dict[str, Any]:
        asked = body["messages"][-1]["content"]
        if asked.startswith("I provided an assistant"):
            return completion({"content": f"```\n{MAGIC}\n```"})
        return completion({"content": self._answer(body, asked)}, [-0.1])

    def _answer(self, body: dict[str, Any], asked: str) -> str:
        shown = [m["content"] for m in body["messages"] if m["role"] in ("user", "assistant")]
        pairs = list(zip(shown[:-1:2], shown[1:-1:2], strict=True))
        told = body["messages"][0]["content"] if body["messages"][0]["role"] == "system" else ""
        if told == MAGIC:
            right = "even" if int(asked.split()[-1]) % 2 == 0 else "odd"
            return json.dumps({"answer": right}) if "response_format" in body else right
        if pairs:
            words = set(asked.split())
            return str(max(pairs, key=lambda pair: len(words & set(pair[0].split())))[1])
        return '{"answer": "refund"}' if "response_format" in body else "I would say refund."


@pytest.fixture
async def model(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Model]:
    found: list[Model] = []
    async with chat_server(lambda body: found[0].reply(body)) as server:
        found.append(Model(server))
        for name in ("CHEAP", "STRONG"):
            monkeypatch.setenv(f"UNDERSTUDIES_ENDPOINTS__{name}__BASE_URL", server.base_url)
            monkeypatch.setenv(f"UNDERSTUDIES_ENDPOINTS__{name}__MODEL", name.lower())
            monkeypatch.setenv(f"UNDERSTUDIES_ENDPOINTS__{name}__STREAMED", "never")
            monkeypatch.setenv(f"UNDERSTUDIES_ENDPOINTS__{name}__USD_PER_MILLION_PROMPT_TOKENS", "10")
        yield found[0]


def lesson(data: Dataset, tmp_path: Path, reports: list[str] | None = None) -> TrainingData:
    judge = choose_judge([one.answer for one in data.in_split("train")])
    journal = StoredJournal(ObjectStore(f"file://{tmp_path / 'store'}"), "triage@1")
    made = TrainingData(data, judge, 3, teacher_cost_usd=Decimal("0.03"), student="triage@1", journal=journal)
    return replace(made, report=(reports if reports is not None else []).append)


def settings(**options: Any) -> TrainerSettings:
    chosen = {"endpoint": "cheap", "compared": 16, "batch": 4, "max_calls": 300, **options}
    return TrainerSettings(kinds=("prompt_optimised",), prompts=PromptSettings.model_validate(chosen))


async def train(data: TrainingData, **options: Any) -> TrainedStudent | NotApplicable:
    return await asyncio.to_thread(train_prompt, data, settings(**options))


def parity(n: int) -> Dataset:
    """Of every order number whether it is even, which no example shows to whoever compares words."""
    return dataset((f"order {number}", assistant_message("even" if number % 2 == 0 else "odd")) for number in range(n))


async def test_examples_and_schema_carry_a_model_that_cannot_do_without(model: Model, tmp_path: Path) -> None:
    reports: list[str] = []
    outcome = await train(lesson(intents(200), tmp_path, reports))
    assert isinstance(outcome, TrainedStudent), outcome
    found = outcome.metrics["optimisation"]
    assert isinstance(found, dict)
    assert isinstance(found["agreement"], float)
    assert isinstance(found["agreement_before"], float)
    assert found["agreement"] >= found["agreement_before"] + 0.5
    assert outcome.hyper_parameters["shots"] in (4, 8, 16)
    assert any(line.startswith("prompt_optimised, ") and "calls" in line for line in reports)
    again = FewShotStudent.from_files(outcome.files, EndpointSettings())
    assert again.kind == "prompt_optimised"
    [answer] = await again.answer([intents(200).in_split("evidence")[0].request])
    assert answer.text == intents(200).in_split("evidence")[0].answer.text
    await again.close()
    history = json.loads(outcome.files["history.json"])
    assert history["prompts"][0]["parent"] is None
    assert history["prompts"][0]["instructions"] == "Name the intent."
    assert history["prompts"][history["kept"]]["shots"] == outcome.hyper_parameters["shots"]
    assert outcome.files["prompt.md"].decode() == history["prompts"][history["kept"]]["instructions"]


async def test_a_strong_model_writes_the_instructions_where_nothing_else_helps(model: Model, tmp_path: Path) -> None:
    outcome = await train(lesson(parity(200), tmp_path), reflection_endpoint="strong", shots=(0, 4))
    assert isinstance(outcome, TrainedStudent), outcome
    assert outcome.files["prompt.md"].decode() == MAGIC
    [asked] = {body["model"] for body in model.server.bodies if "provided an assistant" in str(body["messages"][-1])}
    assert asked == "strong"
    shown = next(b["messages"][-1]["content"] for b in model.server.bodies if b["model"] == "strong")
    assert "Right answer" in shown
    assert "Name the intent." in shown


async def test_the_cap_holds_with_reflection_and_validation(model: Model, tmp_path: Path) -> None:
    for cap in ("0.012", "0.02", "0.05"):
        before = len(model.server.bodies)
        outcome = await train(lesson(intents(200), tmp_path / cap), max_usd=Decimal(cap), reflection_endpoint="strong")
        asked = len(model.server.bodies) - before
        assert outcome.charged_usd <= Decimal(cap)
        assert outcome.charged_usd == Decimal(7 * asked) * 10 / 1_000_000
    assert isinstance(outcome, TrainedStudent)


async def test_a_cap_below_the_first_trial_is_told(model: Model, tmp_path: Path) -> None:
    outcome = await train(lesson(intents(200), tmp_path), max_usd=Decimal("0.0008"))
    assert isinstance(outcome, NotApplicable)
    assert "UNDERSTUDIES_PROMPTS_MAX_USD" in outcome.reason
    assert outcome.charged_usd <= Decimal("0.0008")


async def test_an_interrupted_optimisation_asks_nothing_twice(model: Model, tmp_path: Path) -> None:
    data = lesson(intents(200), tmp_path)

    class InterruptedHereError(Exception):
        pass

    reports: list[str] = []

    def report(line: str) -> None:
        reports.append(line)
        if len(reports) == 4:
            raise InterruptedHereError

    with pytest.raises(InterruptedHereError):
        await train(replace(data, report=report))
    paid = len(model.server.bodies)
    assert paid > 16
    resumed = await train(replace(data, counted=set()))
    whole = len(model.server.bodies)
    fresh = await train(lesson(intents(200), tmp_path / "fresh"))
    assert isinstance(resumed, TrainedStudent)
    assert isinstance(fresh, TrainedStudent)
    assert resumed.files == fresh.files
    assert resumed.charged_usd == fresh.charged_usd
    assert len(model.server.bodies) - whole == whole


async def test_a_person_edits_the_prompt_for_the_next_training(model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "prompts"
    first = await train(lesson(intents(200), tmp_path), folder=folder)
    assert isinstance(first, TrainedStudent)
    assert (folder / "triage" / "prompt.md").read_text().strip() == first.files["prompt.md"].decode()
    assert "prompts" in json.loads((folder / "triage" / "history.json").read_text())
    (folder / "triage" / "prompt.md").write_text("Name the intent in one word, dear model.\n")
    second = await train(lesson(intents(200), tmp_path / "second"), folder=folder)
    assert isinstance(second, TrainedStudent)
    seed = json.loads(second.files["history.json"])["prompts"][0]
    assert seed["instructions"] == "Name the intent in one word, dear model."
    assert seed["shots"] == first.hyper_parameters["shots"]
    (folder / "triage" / "prompt.json").write_text("{")
    third = await train(lesson(intents(200), tmp_path / "third"), folder=folder)
    assert isinstance(third, TrainedStudent)
    assert json.loads(third.files["history.json"])["prompts"][0]["instructions"] == "Name the intent."


async def test_a_second_training_with_the_same_journal_costs_nothing_more(model: Model, tmp_path: Path) -> None:
    data = lesson(intents(200), tmp_path)
    first = await train(data)
    written = intents(40).examples
    synthetic = tuple(
        one.model_copy(update={"synthetic": True, "split": "train", "id": f"s-{one.id}"}) for one in written
    )
    asked = len(model.server.bodies)
    second = await train(replace(data, dataset=Dataset("triage", (*data.dataset.examples, *synthetic))))
    assert isinstance(first, TrainedStudent)
    assert isinstance(second, TrainedStudent)
    assert first.charged_usd > 0
    assert second.charged_usd == 0
    assert (second.files, len(model.server.bodies)) == (first.files, asked)


async def test_the_ladder_counts_what_it_cost(model: Model, tmp_path: Path) -> None:
    data = lesson(intents(200), tmp_path)
    found = await asyncio.to_thread(select_student, TRAINERS, data, settings(), 0.95)
    [candidate] = found.candidates
    assert candidate.kind == "prompt_optimised"
    assert found.cost_usd == Decimal(7 * len(model.server.bodies)) * 10 / 1_000_000
    assert candidate.answer_cost == Decimal(70) / 1_000_000


@pytest.mark.parametrize(
    ("options", "why"), [({"min_examples": 1000}, "and 1000 are needed"), ({"endpoint": "jury"}, "answers decisions")]
)
async def test_what_is_missing_is_named(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], why: str
) -> None:
    monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__JURY__BASE_URL", model.server.base_url)
    monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__JURY__MODEL", "m")
    monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__JURY__API", "decisions")
    outcome = await train(lesson(intents(60), tmp_path), **options)
    assert isinstance(outcome, NotApplicable)
    assert why in outcome.reason


async def test_tasks_of_tenants_share_no_folder(model: Model, tmp_path: Path) -> None:
    """The prompt in a folder is where a search begins: that of one tenant must not begin another's."""
    folder = tmp_path / "prompts"
    for task in ("acme:triage", "acme_triage", "acme/triage", "..", ".triage"):
        data = lesson(intents(200), tmp_path / task)
        await train(replace(data, dataset=Dataset(task, data.dataset.examples)), folder=folder, max_calls=60)
    assert len({path.resolve() for path in folder.glob("*/prompt.md")}) == 5
    assert not (tmp_path / "prompt.md").exists()


async def test_a_judge_that_asks_a_model_judges_prompts_too(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(spec: str, teacher: str, student: str, is_audit: bool) -> RubricAnswer:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return RubricAnswer(False, False)

    monkeypatch.setattr(BACKENDS, "rubric", ask)
    data = replace(lesson(intents(200), tmp_path), judge=RubricJudge("tone", "0" * 16))
    outcome = await train(data)
    assert isinstance(outcome, TrainedStudent), outcome


async def test_a_model_that_judges_is_asked_beside_the_event_loop_and_counted(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {"endpoint": "checker", "model": "judge-1", "rubric": "They agree.", "max_tokens": 16}
    async with chat_server(lambda body: completion({"content": "NO"})) as checker:
        endpoint = Endpoint(base_url=checker.base_url, model="judge-1", usd_per_million_prompt_tokens=Decimal(1000))
        client = RubricClient(JudgeSettings(), EndpointSettings(endpoints={"checker": endpoint}))
        monkeypatch.setattr(BACKENDS, "rubric", client)
        spending = CostSum()
        judge = counting_cost(RubricJudge("own", keep_material(json.dumps(table))), spending)
        data = replace(lesson(intents(120), tmp_path), judge=judge, judging=spending)
        await train(data, max_calls=60)
        assert checker.bodies
        assert spending.total_usd == len(checker.bodies) * Decimal("0.007")
        await asyncio.to_thread(client.close)
