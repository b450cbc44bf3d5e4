"""A data folder in which a student is in force: trained by the trainer, its story in the store."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.capturing_bus import CapturingBus, to_records
from tests.support.datasets import TASK, intents
from tests.support.stores import open_migrated_store

from understudies.datasets.dataset import write_dataset
from understudies.datasets.object_store import ObjectStore
from understudies.events import Promotion, SeededIds, Stage, encode
from understudies.runtime.clock import SystemClock
from understudies.trainer.app import create_app
from understudies.trainer.settings import TrainerSettings

STUDENT = f"{TASK}@1"


async def write_promoted_student(data: Path, *, absolute: bool = False) -> Promotion:
    """Fill the folder; returns the promotion in force, which has every served call audited.

    `absolute`: references name the root as it is now, as earlier versions wrote them.
    """
    story = await write_student_story(data, absolute=absolute)
    async with open_migrated_store(f"chdb://{(data / 'store').resolve()}") as store:
        await store.insert("promotions", [encode(stage) for stage in story])
    return story[-1]


async def write_student_story(data: Path, *, absolute: bool = False) -> list[Promotion]:
    """Write dataset and artifact below the folder; returns the student's story until it is in force."""
    files = ObjectStore(f"file://{(data / 'artifacts').resolve()}")
    dataset = intents(300)
    uri, _ = write_dataset(files, TASK, dataset.examples)
    began = datetime.now(UTC) - timedelta(minutes=1)
    collected = _promotion_event("collected", began, dataset=uri)
    recorder = CapturingBus()
    trainer = create_app(
        TrainerSettings(encoder=False), bus=recorder.bus, clock=SystemClock(), object_store=files, new_id=SeededIds(1)
    )
    await trainer.handle(to_records(collected))
    (trained,) = recorder.published
    assert isinstance(trained, Promotion)
    if absolute:
        changed = {"dataset": f"{files.root}/{uri}", "artifact": f"{files.root}/{trained.artifact}"}
        trained, collected = (stage.model_copy(update=changed) for stage in (trained, collected))
    later = {"dataset": trained.dataset, "artifact": trained.artifact, "threshold": 0.5}
    promoted = _promotion_event(
        "promoted", datetime.now(UTC), share=1.0, audit_rate=1.0, evidence={"coverage": 0.9}, **later
    )
    authorised = _promotion_event(
        "authorised", began - timedelta(seconds=1), evidence={"examples": len(dataset.examples)}
    )
    return [authorised, collected, trained, _promotion_event("qualified", trained.at, **later), promoted]


def _promotion_event(stage: Stage, at: datetime, **rest: Any) -> Promotion:
    return Promotion(id=f"{stage}-{at:%s}", at=at, task=TASK, student=STUDENT, stage=stage, **rest)
