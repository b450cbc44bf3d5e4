"""A training takes its time: meanwhile the others go on, and the end does not wait for it."""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.chat_messages import assistant_message
from tests.support.commands import openai_client, up_command, wait_until
from tests.support.datasets import TASK, dataset
from tests.support.fake_teacher import FakeTeacher
from tests.support.stores import open_migrated_store

from understudies.datasets.dataset import write_dataset
from understudies.datasets.object_store import ObjectStore
from understudies.events import Promotion, encode

STUDENT = f"{TASK}@1"


async def collect_much(data: Path) -> None:
    """Have a student collected that takes half a minute to train: many classes, nothing to tell them apart by."""
    rng = random.Random(1)
    words = [f"word{number}" for number in range(3000)]
    calls = (
        (" ".join(rng.choices(words, k=12)), assistant_message(f"label {number % 400}")) for number in range(12_000)
    )
    uri, _ = write_dataset(ObjectStore(f"file://{data / 'artifacts'}"), TASK, dataset(calls).examples)
    at = datetime.now(UTC) - timedelta(minutes=1)
    known = {"at": at, "task": TASK, "student": STUDENT}
    story = [
        Promotion.model_validate({**known, "id": "1", "stage": "authorised"}),
        Promotion.model_validate({**known, "id": "2", "stage": "collected", "dataset": uri}),
    ]
    async with open_migrated_store(f"chdb://{data / 'store'}") as store:
        await store.insert("promotions", [encode(stage) for stage in story])


def calls_in_snapshot(data: Path) -> int:
    path = data / "snapshots" / "budget.json"
    if not path.exists():
        return 0
    books = json.loads(path.read_bytes())["state"]["books"]
    return sum(book["ledger"]["calls"] for book in books)


async def test_a_training_holds_up_neither_decisions_nor_the_end(tmp_path: Path) -> None:
    await collect_much(tmp_path)
    async with FakeTeacher() as teacher, up_command(tmp_path, teacher.url) as running:
        async with openai_client(await running.wait_router_url()) as agent:
            await agent.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}])
        await wait_until(lambda: calls_in_snapshot(tmp_path) == 1)
        assert await running.terminate() == 0, running.output
    assert "trainer stops amid its work, which it repeats after the next start" in running.output
    assert "Traceback" not in running.output
    snapshot = tmp_path / "snapshots" / "trainer.json"
    assert not snapshot.exists() or STUDENT not in json.loads(snapshot.read_bytes())["state"]["done"]
