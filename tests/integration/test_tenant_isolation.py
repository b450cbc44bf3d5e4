"""Nothing of one tenant's own task is in what is stored, learned, written and shown of another's, alike as they are."""

import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.support.asgi import ask_app
from tests.support.capturing_bus import CapturingBus, to_records
from tests.support.chat_server import chat_server
from tests.support.console_data import insert_events
from tests.support.datasets import INTENTS
from tests.support.stores import open_migrated_store
from tests.support.writing_teacher import WritingTeacher, distinct_messages

from understudies.budget.app import create_app as create_budget
from understudies.budget.settings import BudgetSettings
from understudies.console.endpoint import create_pages
from understudies.console.server import ConsoleApp
from understudies.console.source import ConsoleSource
from understudies.datasets.export import EXPORT_FORMATS, export_examples
from understudies.datasets.object_store import ObjectStore
from understudies.evaluator.evaluation import Evaluation
from understudies.evaluator.settings import EvaluatorSettings
from understudies.events import (
    Event,
    Invocation,
    Message,
    Promotion,
    Request,
    Response,
    SeededIds,
    Verdict,
    fingerprint,
)
from understudies.observer.corpus import read_task_corpus
from understudies.observer.dataset_builder import build_dataset
from understudies.observer.settings import ObserverSettings
from understudies.router.endpoints.errors import HttpError
from understudies.runtime.clock import VirtualClock
from understudies.runtime.rules.api_keys import generate_key, key_hash
from understudies.runtime.rules.rules import Rules
from understudies.runtime.store import Store
from understudies.status.reader import StatusReader
from understudies.status.settings import StatusSettings
from understudies.students.student_cache import StudentCache
from understudies.trainer.app import create_app as create_trainer
from understudies.trainer.settings import TrainerSettings

START = datetime(2026, 1, 5, tzinfo=UTC)
NIGHT = datetime(2026, 1, 12, 3, tzinfo=UTC)
KEYS = {"acme": generate_key(), "bolt": generate_key()}
RULES = Rules.model_validate(
    {
        "tenants": {name: {"keys": [key_hash(key)], "own_tasks": True} for name, key in KEYS.items()},
        "defaults": {"dream_daily_budget_usd": "0.05", "dream_hours": "0-6"},
    }
)
CALLS = 120
TASK, OTHERS = "bolt:triage", b"acme"


def make_call(tenant: str, number: int, new_id: SeededIds) -> Invocation:
    """A call whose system prompt, text and answer hold the tenant's name, and otherwise are every tenant's."""
    intent = list(INTENTS)[number % 3]
    text = f"{INTENTS[intent][number // 3 % 3]} number {number * 7919 % 10_007} {tenant}customer"
    request = Request(
        messages=(Message(role="system", content="Name the intent."), Message(role="user", content=text)),
        parameters={"temperature": 0},
    )
    at = START + timedelta(minutes=number)
    return Invocation(
        id=new_id(at),
        at=at,
        task=f"{tenant}:triage",
        tenant=tenant,
        episode=f"{tenant}-{number // 4}",
        tags={"of": tenant},
        model="teacher-1",
        request=request,
        response=Response(message=Message(role="assistant", content=f"{tenant} {intent}")),
        fingerprint=fingerprint(request),
    )


def make_events() -> list[Event]:
    """The same number of calls of two tenants, each with a student that disagreed about some."""
    new_id, events = SeededIds(1), list[Event]()
    for tenant in KEYS:
        calls = [make_call(tenant, number, new_id) for number in range(CALLS)]
        events += [*calls, make_promotion(tenant, "authorised")]
        events += [make_verdict(call) for call in calls[::5]]
    return events


def make_promotion(tenant: str, stage: Any, **fields: Any) -> Promotion:
    at = START + timedelta(days=2)
    task = f"{tenant}:triage"
    reason = f"it pays for {tenant}"
    return Promotion(
        id=f"{stage}-{tenant}", at=at, task=task, student=f"{task}@1", stage=stage, **{"reason": reason, **fields}
    )


def make_verdict(call: Invocation) -> Verdict:
    return Verdict(
        id=f"v-{call.id}"[:64],
        at=call.at,
        task=call.task,
        invocation=call.id,
        student=f"{call.task}@1",
        phase="shadow",
        agreed=False,
        score=0.0,
        judge="label",
        confidence=0.9,
        fingerprint=call.fingerprint,
        student_answer=f"{call.tenant} other",
        answer_class=f"{call.tenant} intent",
    )


@dataclass
class Installation:
    """A store with the calls of two tenants, and a folder of artifacts."""

    store: Store
    folder: Path
    files: ObjectStore
    events: list[Event]
    prompts: list[str] = field(default_factory=list)

    def written(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Installation]:
    async with open_migrated_store() as store:
        events = make_events()
        await insert_events(store, events)
        yield Installation(store, tmp_path, ObjectStore(f"file://{tmp_path}"), events)


async def collected(house: Installation) -> Promotion:
    """The dataset of the tenant whose files are looked through."""
    return await build_dataset(
        make_promotion("bolt", "authorised"), house.store, house.files, SeededIds(2), ObserverSettings()
    )


async def test_a_dataset_is_of_one_task(house: Installation) -> None:
    promotion = await collected(house)
    assert promotion.evidence["examples"] == CALLS
    (dataset,) = house.written()
    assert b"boltcustomer" in dataset.read_bytes()
    assert OTHERS not in dataset.read_bytes()


@pytest.mark.parametrize("form", EXPORT_FORMATS)
async def test_an_export_is_of_one_task(house: Installation, form: Any) -> None:
    corpus = await read_task_corpus(house.store, TASK, until=NIGHT, since=None, max_inputs=10_000)
    content = export_examples(corpus.examples, form).content
    if form == "parquet":
        pyarrow = pytest.importorskip("pyarrow.parquet", reason="needs the extra `parquet`")
        path = house.folder / "export.parquet"
        path.write_bytes(content)
        content = json.dumps(pyarrow.read_table(path).to_pylist(), default=str).encode()
    assert content.count(b"boltcustomer") >= CALLS
    assert OTHERS not in content


@pytest.mark.parametrize("kind", ["classifier", "few_shot"])
async def test_what_a_student_learns_is_of_one_task(
    house: Installation, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = CapturingBus()
    async with chat_server(lambda body: {"choices": [answer(house, body)]}) as server:
        name_endpoint(monkeypatch, server.base_url)
        trainer = create_trainer(
            TrainerSettings(encoder=False, few_shot_endpoint="teacher" if kind == "few_shot" else None),
            bus=bus.bus,
            clock=VirtualClock(NIGHT),
            object_store=house.files,
            new_id=SeededIds(1),
            rules=RULES.model_copy(update={"defaults": RULES.defaults.model_copy(update={"students": (kind,)})}),
        )
        promotion = await collected(house)
        await trainer.handle(to_records(promotion))
        await trainer.handle([])
        await trainer.stop()
    trained = bus.published[-1]
    assert isinstance(trained, Promotion)
    assert trained.stage == "trained", trained.reason
    files = {path.name: path.read_bytes() for path in house.written()}
    assert "manifest.json" in files
    assert b"bolt" in b"".join(content for name, content in files.items() if not name.endswith(".jsonl"))
    assert not [name for name, content in files.items() if OTHERS in content.lower()]
    assert OTHERS not in trained.model_dump_json().encode()
    assert not [prompt for prompt in house.prompts if OTHERS.decode() in prompt]


async def test_what_is_written_to_train_on_is_of_one_task(house: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = itertools.chain(distinct_messages("boltcustomer pin"), distinct_messages("boltcustomer refund"))
    teacher = WritingTeacher(lambda text: "bolt change pin", lambda count: list(itertools.islice(pool, count)))
    bus = CapturingBus()

    def write(body: dict[str, Any]) -> dict[str, Any]:
        house.prompts.append(json.dumps(body))
        return teacher(body)

    async with chat_server(write) as server:
        name_endpoint(monkeypatch, server.base_url)
        trainer = create_trainer(
            TrainerSettings(encoder=False, dream_endpoint="teacher", dream_batch=5),
            bus=bus.bus,
            clock=VirtualClock(NIGHT),
            object_store=house.files,
            new_id=SeededIds(1),
            rules=RULES,
        )
        promotion = await collected(house)
        await trainer.handle(to_records(make_promotion("bolt", "trained", dataset=promotion.dataset)))
        await trainer.tick(NIGHT)
        await trainer.stop()
    written = [event for event in bus.published if isinstance(event, Invocation)]
    assert len(written) > 1
    assert {(event.task, event.tenant) for event in written} == {(TASK, "bolt")}
    assert len(house.prompts) > 1
    assert not [prompt for prompt in house.prompts if OTHERS.decode() in prompt]


async def test_no_page_of_the_console_shows_a_tenant_anything_of_another(house: Installation) -> None:
    app = create_console(house)
    for task, tenant in itertools.product([f"{name}:triage" for name in KEYS], KEYS):
        other = next(name for name in KEYS if name != tenant)
        for url in ("/", *pages_of(task)):
            got = await ask_app(app, url, headers={"authorization": f"Bearer {KEYS[tenant]}"})
            if task == f"{tenant}:triage" and url not in OPERATORS:
                assert (got.status, tenant in got.text) in ((200, True), (404, True)), url
                assert other not in got.text, url
            else:
                assert url == "/" or got.status in (403, 404), url
                # What it asked for itself is named, no more.
                assert f"{other}customer" not in got.text
                assert f"{other} other" not in got.text


def test_a_tenants_key_opens_neither_the_status_nor_what_people_decide() -> None:
    settings = StatusSettings(key="the-operators-own-key-0123456789")  # type: ignore[arg-type]  # pydantic reads it
    access = settings.create_access("127.0.0.1", "token", lambda: RULES)
    headers = [(b"authorization", f"Bearer {KEYS['bolt']}".encode()), (b"host", b"127.0.0.1")]
    assert not access.allows({"type": "http", "method": "GET", "path": "/status", "headers": headers})
    with pytest.raises(HttpError):
        access.check_change({"type": "http", "method": "POST", "path": "/steering", "headers": headers})


OPERATORS = ("/marks", "/settings", "/services")


def pages_of(task: str) -> list[str]:
    student = urlencode({"task": task, "name": f"{task}@1"})
    named, of_task = urlencode({"name": task}), urlencode({"task": task})
    searched = urlencode({"task": task, "text": "customer"})
    return [
        f"/task?{named}",
        f"/student?{student}",
        f"/disagreements?{of_task}",
        f"/disagreements?{searched}",
        *OPERATORS,
    ]


def create_console(house: Installation) -> ConsoleApp:
    budget = create_budget(BudgetSettings(), bus=CapturingBus().bus, rules=RULES, new_id=SeededIds(2))
    for event in house.events:
        budget.task_state(event.task).fold(event)
    reader = StatusReader(
        store=house.store,
        budget=budget,
        evaluation=Evaluation(EvaluatorSettings(), StudentCache(house.files), RULES, SeededIds(3)),
        rules=RULES,
        settings=BudgetSettings(),
        not_loaded=dict,
        source="a test",
        files=house.files,
    )
    source = ConsoleSource(reader, house.store, VirtualClock(NIGHT), lambda: RULES, files=house.files)
    access = StatusSettings().create_access("127.0.0.1", "token", lambda: RULES)
    return ConsoleApp(create_pages(source, access))


def name_endpoint(monkeypatch: pytest.MonkeyPatch, base_url: str) -> None:
    for name, value in {
        "BASE_URL": base_url,
        "MODEL": "teacher-1",
        "USD_PER_MILLION_PROMPT_TOKENS": "1",
        "USD_PER_MILLION_COMPLETION_TOKENS": "5.5",
    }.items():
        monkeypatch.setenv(f"UNDERSTUDIES_ENDPOINTS__TEACHER__{name}", value)


def answer(house: Installation, body: dict[str, Any]) -> dict[str, Any]:
    """What a cheap model says, which finds the label of the example most like the question in its prompt."""
    house.prompts.append(json.dumps(body))
    text = body["messages"][-1]["content"]
    intent = next(name for name, forms in INTENTS.items() if any(text.startswith(form) for form in forms))
    return {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": f"bolt {intent}"}}
