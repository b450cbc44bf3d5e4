import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.chat_messages import user_request
from tests.support.datasets import intents
from tests.support.fine_tuning_server import ACCOUNT, Fault, FineTuningServer, fine_tuning_server

from understudies.datasets.dataset import Dataset
from understudies.datasets.object_store import ObjectStore
from understudies.judges.registry import parse_judge
from understudies.runtime.errors import RetryLater
from understudies.students.endpoint.settings import Endpoint, EndpointSettings
from understudies.students.few_shot.student import FewShotStudent
from understudies.trainer.ablation import select_by_ablation
from understudies.trainer.fine_tuning.http import ProviderClient
from understudies.trainer.fine_tuning.providers import OpenAIProvider
from understudies.trainer.fine_tuning.settings import FineTuningSettings
from understudies.trainer.fine_tuning.trainer import find_obstacle, training_files
from understudies.trainer.fine_tuning.training import FineTuning
from understudies.trainer.journal import StoredJournal
from understudies.trainer.selection import select_student
from understudies.trainer.settings import TrainerSettings
from understudies.trainer.trainers import TRAINERS, NotApplicable, TrainedStudent, TrainingData, train_api_fine_tune
from understudies.trainer.validation import held_out_examples

PATHS = {"openai": "/v1", "together": "/together/v1", "fireworks": ACCOUNT}
DATA = intents(150)
JOBS = {"openai": "ftjob-1", "together": "ft-1"}


@dataclass
class Bench:
    """A server, where the journal is, and the reports so far."""

    server: FineTuningServer
    store: ObjectStore
    reports: list[str]

    def data(self, **changes: Any) -> TrainingData:
        journal = StoredJournal(self.store, "triage@1")
        data = TrainingData(DATA, parse_judge("label"), 7, student="triage@1", journal=journal)
        return replace(data, report=self.reports.append, at=datetime(2026, 12, 1, tzinfo=UTC), **changes)

    def settings(self, provider: str, **options: Any) -> TrainerSettings:
        chosen = {
            "endpoint": "cheap",
            "provider": provider,
            "base": "small-1",
            "base_url": f"{self.server.url}{PATHS[provider]}",
            "poll_s": 0.01,
            "timeout_s": 5.0,
            "deploy_minutes": 0.02,
            "usd_per_million_training_tokens": Decimal(3),
            **({"deployment": "accounts/acme/deployments/base"} if provider == "fireworks" else {}),
            **options,
        }
        return TrainerSettings(kinds=("api_fine_tune",), fine_tuning=FineTuningSettings.model_validate(chosen))

    async def train(self, provider: str = "openai", **options: Any) -> TrainedStudent | NotApplicable:
        return await asyncio.to_thread(train_api_fine_tune, self.data(), self.settings(provider, **options))


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    async with fine_tuning_server() as server:
        monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__CHEAP__BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__CHEAP__MODEL", "small-1")
        monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__CHEAP__API_KEY", "key-1")
        monkeypatch.setenv("UNDERSTUDIES_ENDPOINTS__CHEAP__USD_PER_MILLION_PROMPT_TOKENS", "1")
        yield Bench(server, ObjectStore(f"file://{tmp_path}"), [])


def reason(outcome: TrainedStudent | NotApplicable) -> str:
    assert isinstance(outcome, NotApplicable), outcome
    return outcome.reason


@pytest.mark.parametrize(
    ("provider", "model", "cost"),
    [
        ("openai", "ft:small-1:acme:", Decimal("0.12")),
        ("together", "acme/small-1-understudies-", Decimal("0.23")),
        ("fireworks", "accounts/acme/models/understudies-", Decimal("0.23")),
    ],
)
async def test_a_student_is_trained_paid_for_and_served(bench: Bench, provider: str, model: str, cost: Decimal) -> None:
    outcome = await bench.train(provider)
    assert isinstance(outcome, TrainedStudent), outcome
    assert len(bench.server.jobs) == 1
    [(id_, job)] = bench.server.jobs.items()
    trained = bench.server.trained[job.training_file].splitlines()
    assert [json.loads(line)["messages"][-1]["content"] for line in trained] == [
        one.answer.text for one in DATA.in_split("train")
    ]
    answered = sum(Decimal(1) * 20 / 1_000_000 for _ in outcome.validation_calls)
    assert outcome.charged_usd == cost + answered
    assert outcome.hyper_parameters["job"] == id_
    assert sum(call.agreed for call in outcome.validation_calls) / len(outcome.validation_calls) > 0.9
    assert {body["model"].startswith(model) for body in bench.server.asked} == {True}
    assert bench.server.keys == {"Bearer key-1"}
    # The recorded calls do not stay with the provider.
    assert bench.server.files == {}
    assert len(bench.server.deleted) == 2
    assert any(id_ in line for line in bench.reports)
    again = FewShotStudent.from_files(outcome.files, EndpointSettings())
    assert again.kind == "api_fine_tune"
    [answer] = await again.answer([user_request("refund of my purchase")])
    assert answer.text == "refund"
    assert bench.server.asked[-1]["messages"] == [{"role": "user", "content": "refund of my purchase"}]
    await again.close()


async def test_fireworks_loads_the_adapter_onto_the_deployment_once(bench: Bench) -> None:
    for _ in range(2):
        assert isinstance(await bench.train("fireworks"), TrainedStudent)
    [deployed] = bench.server.deployed
    assert deployed["deployment"] == "accounts/acme/deployments/base"
    assert bench.server.asked[-1]["model"] == f"{deployed['model']}#accounts/acme/deployments/base"
    outcome = await bench.train("fireworks", deployment=None)
    assert "UNDERSTUDIES_FINE_TUNING_DEPLOYMENT" in reason(outcome)
    assert isinstance(outcome, NotApplicable)
    assert outcome.charged_usd == Decimal("0.23")


OPERATIONS = [
    ("openai", "files", 503),
    ("openai", "upload", "drop"),
    ("openai", "upload", "lost"),
    ("openai", "upload", 429),
    ("openai", "file", 500),
    ("openai", "create", 429),
    ("openai", "create", 500),
    ("openai", "create", "drop"),
    ("openai", "create", "lost"),
    ("openai", "jobs", 502),
    ("openai", "job", 503),
    ("openai", "job", "drop"),
    ("openai", "events", 404),
    ("openai", "events", 500),
    ("openai", "delete", 500),
    ("together", "upload", "lost"),
    ("together", "create", "lost"),
    ("together", "price", 503),
    ("together", "job", 429),
    ("fireworks", "upload", "drop"),
    ("fireworks", "dataset", "lost"),
    ("fireworks", "create", "lost"),
    ("fireworks", "create", 503),
    ("fireworks", "deploy", 400),
]


@pytest.mark.parametrize(("provider", "operation", "fault"), OPERATIONS)
async def test_a_fault_neither_ends_a_training_nor_begins_a_second_job(
    bench: Bench, provider: str, operation: str, fault: Fault
) -> None:
    bench.server.faults[operation] = [fault]
    outcome = await bench.train(provider)
    assert len(bench.server.jobs) == 1
    if (operation, fault) == ("deploy", 400):
        assert "fault 400" in reason(outcome)
    else:
        assert isinstance(outcome, TrainedStudent), outcome
    named = "dataset" if provider == "fireworks" else "upload"
    if fault == "lost" and operation == named:
        # Found by its name, not uploaded twice.
        assert bench.server.calls.count(named) == 2


async def test_a_list_that_is_late_begins_no_second_job(bench: Bench) -> None:
    bench.server.faults["create"] = ["lost"]
    bench.server.list_is_late = True
    assert isinstance(await bench.train(), TrainedStudent)
    assert len(bench.server.jobs) == 1


@pytest.mark.parametrize("moment", ["upload", "create", "job"])
async def test_a_restart_goes_on_with_the_same_job(bench: Bench, moment: str) -> None:
    """The process ends in the middle; the next one has the journal alone."""
    bench.server.end = "never"
    if moment == "create":
        bench.server.faults["create"] = ["lost"]
    training = asyncio.create_task(_follow(bench))
    await asyncio.wait_for(bench.server.reached[moment].wait(), 20)
    training.cancel()
    await asyncio.gather(training, return_exceptions=True)
    begun = len(bench.server.jobs)
    uploads = bench.server.calls.count("upload")
    bench.server.end = "succeeded"
    outcome = await bench.train()
    assert isinstance(outcome, TrainedStudent), outcome
    assert len(bench.server.jobs) == 1
    assert begun <= 1
    if moment != "upload":
        assert bench.server.calls.count("upload") == uploads


async def _follow(bench: Bench) -> None:
    """Run a training in this loop, where it can be cancelled at any moment."""
    data, chosen = bench.data(), bench.settings("openai").fine_tuning
    files = training_files(data, DATA.in_split("train"), held_out_examples(DATA.in_split("validation")), "openai")
    async with ProviderClient(f"{bench.server.url}/v1", None, 5.0) as client:
        await FineTuning(OpenAIProvider(client), chosen, data.journal, files, 7, data.report).run()


async def test_what_has_ended_is_not_trained_again(bench: Bench) -> None:
    first = await bench.train()
    calls = len(bench.server.calls)
    second = await bench.train()
    assert isinstance(first, TrainedStudent)
    assert isinstance(second, TrainedStudent)
    assert first.files == second.files
    assert set(bench.server.calls[calls:]) == {"chat"}


async def test_the_ablation_of_synthetic_examples_begins_and_counts_no_second_job(bench: Bench) -> None:
    written = [one.model_copy(update={"synthetic": True, "split": "train"}) for one in intents(12).examples]
    data = replace(bench.data(), dataset=Dataset("triage", (*DATA.examples, *written)))
    settings = bench.settings("together")
    _, selection, ablation = await asyncio.to_thread(
        select_by_ablation, data, settings, lambda tried: select_student(TRAINERS, tried, settings, 0.95)
    )
    assert ablation is not None
    assert ablation.share_with == ablation.share_without
    assert len(bench.server.jobs) == 1
    [job] = bench.server.jobs.values()
    assert len(bench.server.trained[job.training_file].splitlines()) == len(DATA.in_split("train"))
    answered = Decimal(20 * (len(bench.server.asked) - 2)) / 1_000_000
    assert selection.cost_usd == Decimal("0.23") + answered


@pytest.mark.parametrize("provider", ["openai", "together", "fireworks"])
async def test_a_rejected_file_is_told_and_nothing_is_begun(bench: Bench, provider: str) -> None:
    bench.server.bad_file = True
    assert reason(await bench.train(provider)) == "the file was rejected: line 3 is not a chat"
    assert bench.server.jobs == {}
    assert bench.server.files == {}


@pytest.mark.parametrize("provider", ["openai", "together", "fireworks"])
async def test_a_failed_job_is_told_with_its_reason(bench: Bench, provider: str) -> None:
    bench.server.end = "failed"
    outcome = await bench.train(provider)
    assert "ended as" in reason(outcome)
    if provider != "together":
        assert "the loss is not a number" in reason(outcome)
    assert bench.server.files == {}


async def test_a_job_that_a_person_cancels_is_told(bench: Bench) -> None:
    bench.server.end = "never"
    training = asyncio.create_task(bench.train())
    await asyncio.wait_for(bench.server.reached["job"].wait(), 20)
    next(iter(bench.server.jobs.values())).state = "cancelled"
    assert "job ftjob-1 ended as cancelled" in reason(await training)


async def test_a_job_that_takes_too_long_is_cancelled(bench: Bench) -> None:
    bench.server.end = "never"
    outcome = await bench.train(max_hours=0.3 / 3600)
    assert "job ftjob-1 was cancelled: it took more than" in reason(outcome)
    assert bench.server.calls.count("cancel") == 1


async def test_a_job_that_cannot_be_cancelled_is_named_for_a_person(bench: Bench) -> None:
    bench.server.end, bench.server.faults["cancel"] = "never", [400]
    assert "could NOT be cancelled" in reason(await bench.train(max_hours=0.3 / 3600))


async def test_a_job_that_would_cost_too_much_is_cancelled(bench: Bench) -> None:
    bench.server.end = "never"
    outcome = await bench.train("fireworks", max_usd=Decimal("0.2"))
    assert "was cancelled: it would cost $0.23" in reason(outcome)
    assert isinstance(outcome, NotApplicable)
    assert outcome.charged_usd == Decimal("0.23")


@pytest.mark.parametrize(
    ("provider", "options", "price", "why"),
    [
        ("openai", {"usd_per_million_training_tokens": None}, None, "set UNDERSTUDIES_FINE_TUNING_USD_PER_MILLION"),
        ("openai", {"max_usd": Decimal("0.01")}, None, "above the cap of $0.01"),
        ("together", {}, 50.0, "is estimated at $50"),
        ("together", {}, 200.0, "credit at Together"),
        ("together", {"usd_per_million_training_tokens": None}, None, "the provider tells no price"),
    ],
)
async def test_nothing_is_begun_above_the_cap_or_at_an_unknown_price(
    bench: Bench, provider: str, options: dict[str, Any], price: float | None, why: str
) -> None:
    bench.server.together_price = price
    assert why in reason(await bench.train(provider, **options))
    assert bench.server.jobs == {}
    assert bench.server.files == {}


async def test_a_wrong_key_is_told_with_the_remedy(bench: Bench) -> None:
    bench.server.faults["files"] = [401]
    assert "check the key of the endpoint" in reason(await bench.train())


async def test_a_model_that_is_served_a_little_later_is_waited_for(bench: Bench) -> None:
    bench.server.serve_after = 3
    assert isinstance(await bench.train(), TrainedStudent)


async def test_a_model_that_nobody_serves_is_named_with_what_it_cost(bench: Bench) -> None:
    bench.server.serve_after = 10_000
    outcome = await bench.train(deploy_minutes=0.002)
    assert "does not answer at the endpoint 'cheap'" in reason(outcome)
    assert isinstance(outcome, NotApplicable)
    assert outcome.charged_usd == Decimal("0.12")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"base": None}, "set UNDERSTUDIES_FINE_TUNING_BASE"),
        ({"min_examples": 1000}, "and 1000 are needed"),
    ],
)
async def test_what_is_missing_is_named(bench: Bench, options: dict[str, Any], why: str) -> None:
    assert why in reason(await bench.train(**options))


@pytest.mark.parametrize(("at", "closed"), [("2027-01-05", False), ("2027-01-06", True), ("2028-01-01", True)])
def test_openai_takes_no_new_jobs_from_the_day_on(bench: Bench, at: str, closed: bool) -> None:
    endpoint = Endpoint(base_url="https://api.openai.com/v1", model="m")
    chosen = FineTuningSettings(endpoint="cheap", base="gpt-4.1-nano")
    found = find_obstacle(chosen, endpoint, datetime.fromisoformat(at).replace(tzinfo=UTC))
    assert (found is not None and "OpenAI takes no new fine-tuning jobs since 2027-01-06" in found) is closed
    elsewhere = chosen.model_copy(update={"base_url": "https://bedrock-mantle.us-west-2.api.aws/v1"})
    assert find_obstacle(elsewhere, endpoint, datetime(2028, 1, 1, tzinfo=UTC)) is None


async def test_the_ladder_counts_what_a_job_that_came_to_nothing_cost(bench: Bench) -> None:
    bench.server.serve_after = 10_000
    settings = bench.settings("openai", deploy_minutes=0.002)
    found = await asyncio.to_thread(select_student, TRAINERS, bench.data(), settings, 0.95)
    assert [one.kind for one in found.candidates] == ["api_fine_tune"]
    assert found.cost_usd == Decimal("0.12")


async def test_without_a_journal_nothing_is_begun(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(self: ObjectStore, reference: str) -> bool:
        raise RetryLater("the object store is away")

    monkeypatch.setattr(ObjectStore, "exists", away)
    with pytest.raises(RetryLater):
        await bench.train()
    assert bench.server.calls == []
