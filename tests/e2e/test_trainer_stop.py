"""A trainer that is told to stop amid a training ends at once, and the next one trains the student, once."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

from tests.support.chat_messages import assistant_message
from tests.support.commands import TIMEOUT_S, Command
from tests.support.datasets import TASK, intents
from tests.support.fake_teacher import FakeTeacher
from tests.support.tansu_broker import TansuBroker, open_consumer, read_events

from understudies.datasets.dataset import write_dataset
from understudies.datasets.object_store import ObjectStore
from understudies.events import PROMOTIONS, Promotion
from understudies.runtime.bus.kafka_bus import KafkaBus
from understudies.runtime.settings import BusSettings

STUDENT = f"{TASK}@1"


def collected(folder: Path) -> Promotion:
    """The end of a collection: calls that are all answered alike, for a student that an endpoint serves."""
    data = intents(400, lambda intent, number: assistant_message("refund"))
    uri, _ = write_dataset(ObjectStore(f"file://{folder / 'artifacts'}"), TASK, data.examples)
    return Promotion(id="collected", at=datetime.now(UTC), task=TASK, student=STUDENT, stage="collected", dataset=uri)


def in_snapshot(folder: Path) -> list[str]:
    """The students whose training has an outcome, as the next start knows them."""
    path = folder / "trainer" / "snapshots" / "trainer.json"
    return list(json.loads(path.read_bytes())["state"]["done"]) if path.exists() else []


async def test_a_training_that_sigterm_ends_is_done_after_the_next_start(tmp_path: Path) -> None:
    async with TansuBroker() as broker, FakeTeacher("refund") as endpoint:
        env = {
            "UNDERSTUDIES_BUS_BOOTSTRAP": broker.bootstrap,
            "UNDERSTUDIES_BUS_GROUP_PREFIX": "",
            "UNDERSTUDIES_TRAINER_KINDS": '["few_shot"]',
            "UNDERSTUDIES_TRAINER_FEW_SHOT_ENDPOINT": "cheap",
            "UNDERSTUDIES_ENDPOINTS__CHEAP__BASE_URL": endpoint.url,
            "UNDERSTUDIES_ENDPOINTS__CHEAP__MODEL": "cheap-1",
        }
        words = ("trainer", "--data", tmp_path / "trainer", "--artifacts", f"file://{tmp_path / 'artifacts'}")
        bus = KafkaBus(BusSettings(bootstrap=broker.bootstrap, group_prefix=None), "observer")
        await bus.start()
        await bus.publish(collected(tmp_path))
        await bus.stop()
        endpoint.mood = "hang"
        async with Command(*words, env=env) as first:
            async with asyncio.timeout(TIMEOUT_S):
                await endpoint.arrived.wait()
            assert await first.terminate() == 0, first.output
        assert "stops amid its work, which it repeats after the next start" in first.output
        assert "Traceback" not in first.output
        assert in_snapshot(tmp_path) == []
        endpoint.mood = "answer"
        endpoint.release.set()
        async with Command(*words, env=env) as second:
            [_, trained] = await read_events(broker.bootstrap, PROMOTIONS, 2)
            assert isinstance(trained, Promotion)
            assert (trained.student, trained.stage) == (STUDENT, "trained")
            assert await second.terminate() == 0, second.output
        assert in_snapshot(tmp_path) == [STUDENT]
        async with Command(*words, env=env) as third:
            await third.wait_for_line("trainer runs")
            assert await third.terminate() == 0
        async with open_consumer(broker.bootstrap, PROMOTIONS) as consumer:
            [partition] = consumer.assignment()
            assert (await consumer.end_offsets([partition]))[partition] == 2
